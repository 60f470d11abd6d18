"""What bounds what administrators are told, and their terminal."""

from __future__ import annotations

from hypha.limits.bound import Bound, Section

BOUNDS = {
    Section.STORED: (
        Bound(
            "answers_of_the_audit_log",
            "Entries of the audit log in an answer",
            "call",
            "The rest is left out; `offset` gives it",
            ("hypha.features.admin.service.MAX_ENTRIES",),
        ),
    ),
    Section.PEOPLE: (
        Bound(
            "terminal",
            "Screen of the administrators' terminal; a command; lines of an unfinished one",
            "server",
            "The oldest text goes; refused",
            (
                "hypha.features.admin.terminal.MAX_SCREEN_CHARS",
                "hypha.features.admin.terminal.MAX_COMMAND_CHARS",
                "hypha.features.admin.terminal.MAX_UNFINISHED_LINES",
            ),
        ),
    ),
}
