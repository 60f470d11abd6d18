"""Who somebody is: the user record fixed at the edge (core-api 4.1, 4.2)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypha.auth.scopes import Level, Scope
from hypha.errors import PermissionDenied
from hypha.ids import readable_id

ANONYMOUS_LIFE_S = 600.0


@dataclass(frozen=True, slots=True)
class User:
    """One authenticated (or anonymous) user with the rights of the credential in use.

    `parent` is the user from whom a generated token descends; `expires_at` is in Unix seconds.
    `credential` is the fingerprint of the token in use, by which it can be revoked; it lives on in
    the reconnection tokens of a connection and is never shown to anybody. `incarnation` tells apart
    the programs that had one client id after each other, and `minted_at` is when the token was made, in
    Unix seconds; only reconnection tokens carry them.
    """

    id: str
    roles: tuple[str, ...] = ()
    is_anonymous: bool = False
    email: str | None = None
    parent: str | None = None
    expires_at: float | None = None
    scope: Scope = field(default_factory=Scope)
    credential: str | None = field(default=None, compare=False, repr=False)
    incarnation: str = field(default="", compare=False, repr=False)
    minted_at: float | None = field(default=None, compare=False, repr=False)

    @property
    def own_workspace(self) -> str:
        """Id of the workspace that belongs to this user alone."""
        return f"ws-user-{self.id}"

    @property
    def is_admin(self) -> bool:
        """True for root and for holders of the role `admin`: every right everywhere."""
        return "admin" in self.roles

    def level(self, workspace: str) -> Level:
        """Level of this credential in a workspace."""
        return Level.ADMIN if self.is_admin else self.scope.level(workspace)

    def has_expired(self, now: float | None = None) -> bool:
        """True when the credential's life is over."""
        return self.expires_at is not None and self.expires_at <= (time.time() if now is None else now)

    def within(self, workspace: str, client_id: str | None, level: Level) -> User:
        """The same user acting in a workspace with a level found at connect."""
        rights = dict(self.scope.workspaces)
        rights[workspace] = max(level, rights.get(workspace, Level.NONE))
        scope = replace(self.scope, workspaces=rights, current_workspace=workspace, client_id=client_id)
        return replace(self, scope=scope)

    def to_wire(self) -> dict[str, Any]:
        """The user object of core-api 4.1."""
        return {
            "id": self.id,
            "roles": list(self.roles),
            "is_anonymous": self.is_anonymous,
            "scope": self.scope.to_wire(),
            "email": self.email,
            "parent": self.parent,
            "expires_at": self.expires_at,
            "current_workspace": self.scope.current_workspace,
        }

    def facts_for(self, workspace: str) -> dict[str, Any]:
        """The user object for somebody in a workspace: the names of the user's others are left out."""
        known = {workspace, *self._open_names}
        rights = {name: level for name, level in self.scope.workspaces.items() if name in known}
        return replace(self, scope=replace(self.scope, workspaces=rights)).to_wire()

    @property
    def names_others(self) -> bool:
        """True when the user object names workspaces that are not everybody's business."""
        return not self._open_names.issuperset(self.scope.workspaces)

    @property
    def _open_names(self) -> frozenset[str | None]:
        return frozenset({self.own_workspace, self.scope.current_workspace, "*"})


def anonymous_user(clock: float | None = None) -> User:
    """A new anonymous user: admin of its own workspace and nothing else, for 600 s."""
    name = f"anonymouz-{readable_id()}"
    now = time.time() if clock is None else clock
    workspace = f"ws-user-{name}"
    scope = Scope({workspace: Level.ADMIN}, workspace)
    return User(name, ("anonymous",), True, expires_at=now + ANONYMOUS_LIFE_S, scope=scope)


def root_user(workspace: str = "ws-user-root") -> User:
    """The server's own user: every right, no expiry."""
    return User("root", ("admin",), scope=Scope({"*": Level.ADMIN}, workspace))


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls, from where: made at the edge, never from what a frame or body says."""

    user: User
    workspace: str
    client_id: str = ""
    connection_type: str = "websocket"
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """`workspace/client_id` of the caller."""
        return f"{self.workspace}/{self.client_id}"

    def level(self, workspace: str | None = None) -> Level:
        """The caller's level in a workspace (default: its current one)."""
        return self.user.level(self.workspace if workspace is None else workspace)

    def require(self, level: Level, workspace: str | None = None) -> None:
        """Raise PermissionDenied unless the caller has at least `level` in the workspace."""
        target = self.workspace if workspace is None else workspace
        if self.user.level(target) < level:
            raise PermissionDenied(f"Permission denied for workspace {target}")
