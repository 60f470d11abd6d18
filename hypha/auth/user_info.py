"""The user record as operators' own code reads and writes it (docs/authentication.md#custom-providers)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import User
from hypha.errors import InvalidRequest


class UserPermission(StrEnum):
    """Permission level in one workspace, by its short form."""

    read = "r"
    read_write = "rw"
    admin = "a"


class ScopeInfo(BaseModel):
    """What a user may do: levels by workspace id, and where it acts."""

    model_config = ConfigDict(extra="ignore")

    current_workspace: str | None = None
    workspaces: dict[str, UserPermission] = Field(default_factory=dict)
    client_id: str | None = None
    extra_scopes: list[str] = Field(default_factory=list)


class UserInfo(BaseModel):
    """One user, as `parse_token` returns it and `generate_token` gets it."""

    model_config = ConfigDict(extra="ignore")

    id: str
    roles: list[str] = Field(default_factory=list)
    is_anonymous: bool = False
    scope: ScopeInfo | None = None
    email: str | None = None
    parent: str | None = None
    expires_at: int | float | None = None
    current_workspace: str | None = None

    def get_workspace(self) -> str:
        """Id of the user's own workspace."""
        return f"ws-user-{self.id}"

    def get_metadata(self) -> dict[str, Any]:
        """The record as plain data."""
        return self.model_dump(mode="json")

    def check_permission(self, workspace: str, minimal_permission: UserPermission) -> bool:
        """True if the user has at least this permission in the workspace."""
        return self.to_user().level(workspace) >= Level.parse(UserPermission(minimal_permission).value)

    def to_user(self) -> User:
        """The server's own record."""
        scope = self.scope or ScopeInfo()
        rights = {name: Level.parse(level.value) for name, level in scope.workspaces.items()}
        return User(
            self.id,
            tuple(self.roles),
            self.is_anonymous or "anonymous" in self.roles,
            self.email or None,
            self.parent or None,
            self.expires_at,
            Scope(
                MappingProxyType(rights),
                scope.current_workspace or self.current_workspace,
                scope.client_id,
                tuple(scope.extra_scopes),
            ),
        )

    @classmethod
    def of(cls, user: User) -> UserInfo:
        """The record of one of the server's users."""
        return cls.model_validate(user.to_wire())


def to_user(value: object) -> User:
    """Read what a hook returned: a UserInfo, a User, a dict, or an object with such attributes.

    Raises:
        InvalidRequest: it is none of them, or a field has a wrong type.
    """
    if isinstance(value, User):
        return value
    if isinstance(value, UserInfo):
        return value.to_user()
    fields: dict[str, Any]
    if isinstance(value, BaseModel):
        fields = value.model_dump()
    elif isinstance(value, Mapping):
        fields = dict(value)
    else:
        fields = {name: getattr(value, name) for name in UserInfo.model_fields if hasattr(value, name)}
    try:
        return UserInfo.model_validate(fields).to_user()
    except ValueError:
        raise InvalidRequest("The sign-in provider gave no valid user record.") from None


def create_scope(
    workspaces: str | Mapping[str, Any] | None = None,
    current_workspace: str | None = None,
    client_id: str | None = None,
    extra_scopes: list[str] | None = None,
) -> ScopeInfo:
    """A scope of levels by workspace; `ws-a#rw` as text is understood too."""
    if isinstance(workspaces, str):
        name, _, code = workspaces.partition("#")
        workspaces = {name: code or "r"}
    rights = {name: _permission(level) for name, level in (workspaces or {}).items()}
    return ScopeInfo(
        current_workspace=current_workspace,
        workspaces=rights,
        client_id=client_id,
        extra_scopes=list(extra_scopes or []),
    )


def _permission(level: Any) -> UserPermission:
    if isinstance(level, UserPermission):
        return level
    return UserPermission(level.code if isinstance(level, Level) else Level.parse(level).code)
