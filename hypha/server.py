"""`python -m hypha.server`, and the names that programs import: `app`, `get_argparser`,
`create_application`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hypha.cli.application import create_application
from hypha.configuration import get_argparser

__all__ = ["create_application", "get_argparser", "main"]


def main(argv: Sequence[str] | None = None, *, from_env: bool = False, interactive: bool = False) -> int:
    """Parse the arguments and serve, or look at them (`doctor`); returns the exit code."""
    from hypha.cli.streams import secure_streams

    secure_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["doctor"]:
        from hypha.cli.doctor import doctor

        return doctor(words[1:])
    arguments = get_argparser().parse_args(words)
    arguments.from_env = arguments.from_env or from_env
    arguments.interactive = arguments.interactive or interactive
    from hypha.cli.serve import run

    return run(arguments)


def __getattr__(name: str) -> Any:
    """`app` is made at first use, from the environment: importing this module stays cheap."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hypha.cli.asgi import EnvironmentApplication

    application = EnvironmentApplication()
    globals()["app"] = application
    return application


if __name__ == "__main__":
    sys.exit(main())
