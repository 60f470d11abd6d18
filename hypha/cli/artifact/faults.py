"""What can go wrong for the `artifact` command, each with the exit code that it ends with."""

from __future__ import annotations

OK, FAILED, USAGE, UNREACHABLE, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes: done; something was refused or failed; wrong arguments; no server; damaged files; Ctrl-C."""


class Fault(Exception):
    """Ends the command with one sentence for the person."""

    exit_code = FAILED


class UsageFault(Fault):
    """The arguments don't make sense."""

    exit_code = USAGE


class ServerFault(Fault):
    """The server refused; `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Fault):
    """The server did not answer for as long as somebody waits."""

    exit_code = UNREACHABLE


class Stopped(Exception):
    """The command was interrupted while a worker was busy."""
