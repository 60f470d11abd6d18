"""`python -m hypha.server`, and the names that programs import: `app`, `get_argparser`,
`create_application`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hypha.settings import get_argparser

if TYPE_CHECKING:
    from hypha.assembly import Application

__all__ = ["create_application", "get_argparser", "main"]


def create_application(arguments: argparse.Namespace | None = None) -> Application:
    """Make the ASGI application; its lifespan starts and stops the server.

    `arguments` come from `get_argparser().parse_args(…)`. `application.state.store` is the store.
    """
    import logging

    from hypha.assembly import create_application as assemble
    from hypha.cli.environment import load_env_file
    from hypha.settings import load_settings

    load_env_file()
    settings, warnings = load_settings(arguments or get_argparser().parse_args([]))
    for warning in warnings:
        logging.getLogger("hypha.settings").warning(warning)
    return assemble(settings)


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
