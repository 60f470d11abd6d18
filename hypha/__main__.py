"""`python -m hypha`: serve, or run a sub-command."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = ("server", "doctor", "generate-token", "artifact", "backup", "restore", "verify")


def main(argv: Sequence[str] | None = None, *, interactive: bool = False) -> int:
    """Run a command, or serve with flags; without any argument, flags come from HYPHA_…."""
    from hypha.cli.streams import secure_streams

    secure_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["generate-token"]:
        from hypha.cli.token import generate_token

        return generate_token(words[1:])
    if words[:1] == ["artifact"]:
        from hypha.cli.artifact.command import artifact

        return artifact(words[1:])
    if words[:1] in (["backup"], ["restore"], ["verify"]):
        from hypha.cli.backup.command import backup_command

        return backup_command(words)
    from hypha import server

    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "--help lists all flags"
        print(f"python -m hypha: error: unknown command {words[0]!r}: {hint}", file=sys.stderr)
        return 2
    flags = words[1:] if words[:1] == ["server"] else words
    return server.main(flags, from_env=not words, interactive=interactive)


def shell() -> int:
    """`hypha-server-cli`: the same flags, always with a Python prompt."""
    return main(interactive=True)


def __getattr__(name: str) -> Any:
    """`hypha.__main__:app` is the same application as `hypha.server:app`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hypha import server

    return server.app


if __name__ == "__main__":
    sys.exit(main())
