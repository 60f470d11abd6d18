"""Who somebody is: the user record fixed at the edge (docs/spec/manager.md#users)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypha.auth.scopes import Level, Scope
from hypha.errors import NotAuthenticated, PermissionDenied
from hypha.ids import readable_id
from hypha.values import whole

ANONYMOUS_LIFE_S = 600.0
OUTSIDER_TEXT = "This server serves nobody without a credential: sign in, and give your token."
ADMIN_ROLE = "admin"
EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential itself gives: its scope as signed, until `expires_at` (Unix seconds; None: ever).

    A connection acts with a scope to which rights were added that its user had when it was made, such
    as those of an owner. Those are looked up again; what the credential gives is not.
    """

    scope: Scope
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Descent:
    """From whom a generated token comes: the ids of its `makers`, the first ancestor first.

    `owner` is the one among them, if any, who had the right only as an owner of the workspace; the token
    is good for as long as that is so. `credentials` are the fingerprints of the tokens that the makers
    used: who revokes one of them ends this token too, but who only signs out doesn't.
    """

    makers: tuple[str, ...] = ()
    owner: str | None = None
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """One authenticated (or anonymous) user with the rights of the credential in use.

    `parent` is the user from whom a generated token descends; `expires_at` is in Unix seconds.
    `credential` is the fingerprint of the token in use, by which it can be revoked; it lives on in
    the reconnection tokens of a connection and is never shown to anybody. `incarnation` tells apart
    the programs that had one client id after each other, and `minted_at` is when the token was made, in
    Unix seconds; only reconnection tokens carry them. `grant` is what the credential itself gives where
    `scope` holds more. `is_lapsed`: the credential of an open connection has expired.
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
    descent: Descent = field(default=Descent(), compare=False, repr=False)
    grant: Grant | None = field(default=None, compare=False, repr=False)
    is_lapsed: bool = field(default=False, compare=False, repr=False)

    @property
    def own_workspace(self) -> str:
        """Id of the workspace that belongs to this user alone."""
        return f"ws-user-{self.id}"

    @property
    def is_outsider(self) -> bool:
        """True for anonymous users of a server that serves none: they may sign in, and nothing else.

        Who has lost all rights because a token expired had one, and is no stranger.
        """
        return self.is_anonymous and not self.is_lapsed and not any(self.scope.workspaces.values())

    @property
    def is_admin(self) -> bool:
        """True for root, for holders of the role `admin` and of tokens for `*`: every right everywhere."""
        return ADMIN_ROLE in self.roles or self.scope.workspaces.get(EVERYWHERE) is Level.ADMIN

    @property
    def is_root(self) -> bool:
        """True for the server's operator: the root token, or one that we signed for `*`."""
        return self.scope.workspaces.get(EVERYWHERE) is Level.ADMIN or (
            self.id == "root" and ADMIN_ROLE in self.roles
        )

    @property
    def person(self) -> str:
        """Id of the person who acts: the first ancestor of the user of a token that somebody generated."""
        return self.parent or self.id

    @property
    def party(self) -> str:
        """Whose turns its work takes (`hypha.limits.turns`); of anonymous users it is their address."""
        return f"user {self.person}"

    @property
    def granted(self) -> Scope:
        """What the credential itself gives, without what its user was found to own."""
        return self.scope if self.grant is None else self.grant.scope

    @property
    def lapses_at(self) -> float | None:
        """When the credential's rights end, in Unix seconds; None for those who came without one."""
        if self.grant is not None:
            return self.grant.expires_at
        return None if self.credential is None else self.expires_at

    @property
    def limit(self) -> str | None:
        """The only workspace that the credential reaches, whatever its user owns; None for no limit."""
        return None if self.is_admin else self.granted.current_workspace

    def reaches(self, workspace: str) -> bool:
        """Whether the credential may be good for anything in a workspace."""
        return self.limit in (None, workspace)

    @property
    def is_reconnection(self) -> bool:
        """True for a reconnection token, which is good for coming back as one client and nothing else."""
        return self.minted_at is not None

    @property
    def ancestors(self) -> tuple[str, ...]:
        """Ids of the user and of all from whom the credential descends."""
        return (self.id, *self.descent.makers, *([self.parent] if self.parent else []))

    def level(self, workspace: str) -> Level:
        """Level of this credential in a workspace."""
        return Level.ADMIN if self.is_admin else self.scope.level(workspace)

    def has_expired(self, now: float | None = None) -> bool:
        """True when the credential's life is over."""
        return self.expires_at is not None and self.expires_at <= (time.time() if now is None else now)

    def within(self, workspace: str, client_id: str | None, level: Level) -> User:
        """The same user acting in a workspace with the level that it has there now."""
        granted = self.granted
        rights = {**granted.workspaces, workspace: level}
        scope = Scope(rights, workspace, client_id, granted.extra_scopes)
        return replace(self, scope=scope, grant=self.grant or Grant(granted, self.lapses_at))

    def lapsed(self) -> User:
        """The same user on an open connection whose credential has expired: who it is, without rights."""
        scope = Scope({}, self.scope.current_workspace, self.scope.client_id)
        roles = tuple(role for role in self.roles if role != ADMIN_ROLE)
        return replace(self, roles=roles, scope=scope, is_lapsed=True)

    def require_unlimited(self, what: str) -> None:
        """Raise PermissionDenied if the credential is limited to one workspace."""
        if self.limit is not None:
            raise PermissionDenied(
                f"Permission denied: this token is limited to the workspace {self.limit}; {what} needs your "
                "own login."
            )

    def to_wire(self) -> dict[str, Any]:
        """The user object (docs/spec/wire-protocol.md#identity)."""
        return {
            "id": self.id,
            "roles": list(self.roles),
            "is_anonymous": self.is_anonymous,
            "scope": self.scope.to_wire(),
            "email": self.email,
            "parent": self.parent,
            "expires_at": None if self.expires_at is None else whole(self.expires_at),
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


def anonymous_user(clock: float | None = None, level: Level = Level.ADMIN) -> User:
    """A new anonymous user with rights in its own workspace and nowhere else, for 600 s.

    With the level NONE it is an outsider.
    """
    name = f"anonymouz-{readable_id()}"
    now = time.time() if clock is None else clock
    workspace = f"ws-user-{name}"
    scope = Scope({workspace: level}, workspace)
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

    @property
    def network_address(self) -> str:
        """Where the call came from; empty for the server's own and where it isn't known."""
        return str(self.details.get("address") or "")

    def level(self, workspace: str | None = None) -> Level:
        """The caller's level in a workspace (default: its current one)."""
        return self.user.level(self.workspace if workspace is None else workspace)

    def require_insider(self) -> None:
        """Raise NotAuthenticated for an outsider."""
        if self.user.is_outsider:
            raise NotAuthenticated(OUTSIDER_TEXT)

    def require_valid(self) -> None:
        """Raise PermissionDenied if the token with which the caller connected has expired."""
        if self.user.is_lapsed:
            raise PermissionDenied(
                f"Permission denied for workspace {self.workspace}: the token of this connection has "
                "expired. Please fetch a new one and connect anew."
            )

    def require(self, level: Level, workspace: str | None = None) -> None:
        """Raise PermissionDenied unless the caller has at least `level` in the workspace."""
        target = self.workspace if workspace is None else workspace
        self.require_valid()
        if self.user.level(target) < level:
            raise PermissionDenied(f"Permission denied for workspace {target}")
