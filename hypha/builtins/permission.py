"""What a caller needs for a built-in function, declared beside it: `@permission(Level.READ)`.

The check before a call, docs/permissions.md and the refusal tests are all made from these rows, so a
function without a row is found by a test and not by an attacker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypha.auth.scopes import Level

CURRENT_WORKSPACE = "current workspace"
TARGET_WORKSPACE = "target workspace"
OWN_WORKSPACE = "own workspace"
STRANGER_BYTES = 64 * 1024
NOTHING = "nothing"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Permission:
    """What a caller needs: a level, and on what.

    A level on `current workspace` is checked before the function runs; a level on anything else
    (the workspace in an argument, a token, a service) is checked inside, where the target is known.
    `by_root` marks functions for the role `admin` alone. `note` says it in words where a level on
    something doesn't say all. `by_lapsed` leaves a function to connections whose token has expired: what
    keeps the services that they have, and gives nothing. `takes_bytes`
    is the largest message that somebody without a credential may send to it, `gives_bytes` how large its
    answer may be where it can be large: room for it is taken before it runs (`hypha.hub.large_answers`).
    """

    level: Level
    on: str = CURRENT_WORKSPACE
    by_root: bool = False
    note: str = ""
    by_lapsed: bool = False
    takes_bytes: int = STRANGER_BYTES
    gives_bytes: int = 0

    @property
    def text(self) -> str:
        """The requirement in words, for the documentation."""
        if self.by_root:
            return "the role admin"
        if self.note:
            return self.note
        if self.level is Level.NONE or self.on == NOTHING:
            return "no permission; what is shown depends on the caller" if self.on != NOTHING else "none"
        return f"{self.level.name.lower()} on {self.on}"


def permission(
    level: Level,
    on: str = CURRENT_WORKSPACE,
    *,
    by_root: bool = False,
    note: str = "",
    by_lapsed: bool = False,
    takes_bytes: int = STRANGER_BYTES,
    gives_bytes: int = 0,
) -> Callable[[_Function], _Function]:
    """Declare what a built-in function needs: `@permission(Level.READ, on="target workspace")`."""
    row = Permission(level, on, by_root, note, by_lapsed, takes_bytes, gives_bytes)

    def declare(function: _Function) -> _Function:
        function.__permission__ = row  # type: ignore[attr-defined]
        return function

    return declare


def permission_of(function: Callable[..., Any]) -> Permission | None:
    """The row that a function declares, or None."""
    row = getattr(function, "__permission__", None)
    return row if isinstance(row, Permission) else None
