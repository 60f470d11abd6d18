"""What a token allows: levels per workspace, packed into one claim (docs/spec/manager.md#scopes)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from hypha.errors import InvalidRequest


class Level(IntEnum):
    """Permission level in one workspace; a higher one includes the lower ones."""

    NONE = 0
    READ = 1
    READ_WRITE = 2
    ADMIN = 3

    @property
    def code(self) -> str:
        """Short form on the wire and in scopes: `r`, `rw` or `a` (empty for none)."""
        return _CODES[self]

    @classmethod
    def parse(cls, text: object) -> Level:
        """Read `read`/`r`, `read_write`/`rw`, `admin`/`a`; raise InvalidRequest for anything else."""
        level = _NAMES.get(text) if isinstance(text, str) else None
        if level is None:
            raise InvalidRequest(f"Invalid permission: {text!r}, must be one of read, read_write, admin.")
        return level


_CODES = {Level.NONE: "", Level.READ: "r", Level.READ_WRITE: "rw", Level.ADMIN: "a"}
_NAMES = {
    "r": Level.READ, "read": Level.READ,
    "rw": Level.READ_WRITE, "read_write": Level.READ_WRITE,
    "a": Level.ADMIN, "admin": Level.ADMIN,
}  # fmt: skip

DRAFT_PREFIX = "draft/"
"""An extra scope of it and an alias: over HTTP the token reads what is staged of that artifact, as far as its
user may, where a request names no version. So a program runs on the files with which it is to be tried."""

FIXED_PREFIX = "fixed/"
"""An extra scope of it, an alias, `@` and a revision: over HTTP the token reads files of that artifact as
long as it is what it was. So what is started in somebody's name is what that person saw."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Rights carried by one credential.

    `workspaces` maps a workspace id (or `*`) to a level, `current_workspace` is where the holder
    acts (`wid`), `client_id` binds it to one client (`cid`), `extra_scopes` are all other words.
    """

    workspaces: Mapping[str, Level] = field(default_factory=dict)
    current_workspace: str | None = None
    client_id: str | None = None
    extra_scopes: tuple[str, ...] = ()

    def level(self, workspace: str) -> Level:
        """Level in a workspace: the stronger of its own entry and the entry for `*`."""
        return max(self.workspaces.get(workspace, Level.NONE), self.workspaces.get("*", Level.NONE))

    @property
    def is_specialized(self) -> bool:
        """True for purpose-limited tokens (an extra scope with a colon); refused for connections."""
        return any(":" in word for word in self.extra_scopes)

    def to_claim(self) -> str:
        """The claim `ws:<workspace>#<level> … cid:… wid:… …` (docs/spec/manager.md#scopes)."""
        words = [f"ws:{name}#{level.code}" for name, level in self.workspaces.items() if level]
        if self.client_id:
            words.append(f"cid:{self.client_id}")
        if self.current_workspace:
            words.append(f"wid:{self.current_workspace}")
        return " ".join([*words, *self.extra_scopes])

    @classmethod
    def from_claim(cls, claim: str) -> Scope:
        """Read a scope claim; words that are none of ours become extra scopes."""
        workspaces: dict[str, Level] = {}
        client_id = current = None
        extra: list[str] = []
        for word in claim.split():
            if word.startswith("ws:"):
                name, _, code = word[3:].rpartition("#")
                if name and code in _NAMES:
                    workspaces[name] = max(_NAMES[code], workspaces.get(name, Level.NONE))
            elif word.startswith("cid:"):
                client_id = word[4:]
            elif word.startswith("wid:"):
                current = word[4:]
            else:
                extra.append(word)
        return cls(MappingProxyType(workspaces), current or None, client_id or None, tuple(extra))

    def to_wire(self) -> dict[str, Any]:
        """The `scope` map of the user object that clients see (docs/spec/wire-protocol.md#identity)."""
        return {
            "current_workspace": self.current_workspace,
            "workspaces": {name: level.code for name, level in self.workspaces.items() if level},
            "client_id": self.client_id,
            "extra_scopes": list(self.extra_scopes),
        }
