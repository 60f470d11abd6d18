"""Token functions for startup files; each one passes the call on to the server it runs in."""

from __future__ import annotations

import json
from typing import Any

from joserfc.util import urlsafe_b64decode

from hypha.auth.current import CURRENT
from hypha.auth.tokens import TokenAuthority
from hypha.auth.user_info import ScopeInfo, UserInfo, UserPermission, create_scope, to_user
from hypha.auth.users import anonymous_user
from hypha.errors import NotAuthenticated, ServerFault

__all__ = [
    "ScopeInfo",
    "UserInfo",
    "UserPermission",
    "_generate_presigned_token",
    "_parse_token",
    "create_scope",
    "generate_anonymous_user",
    "generate_auth_token",
    "parse_auth_token",
    "valid_token",
]


def _authority() -> TokenAuthority:
    authority = CURRENT.get()
    if authority is None:
        raise ServerFault("Call this from a startup function or a hook of a running server.")
    return authority


def _bare(token: str) -> str:
    return token.removeprefix("Bearer ").removeprefix("bearer ").strip()


def _parse_token(token: str) -> UserInfo:
    """Whose token this is by the server's own reading; raises a PermissionError if it isn't valid."""
    return UserInfo.of(_authority().parse(_bare(token)))


async def parse_auth_token(token: str) -> UserInfo:
    """The same, the provider's own reading included."""
    return UserInfo.of(await _authority().authenticate(_bare(token)))


def _generate_presigned_token(user_info: UserInfo, expires_in: float) -> str:
    """A token of this user, signed by the server, for so many seconds."""
    authority = _authority()
    return authority.mint(to_user(user_info), authority.check_life(expires_in))


async def generate_auth_token(user_info: UserInfo, expires_in: float) -> str:
    """The same, made by the provider's own function where there is one."""
    authority = _authority()
    return await authority.issue(to_user(user_info), authority.check_life(expires_in))


def valid_token(authorization: str) -> dict[str, Any]:
    """The claims of a token that the server signed; raises a PermissionError if it isn't valid."""
    token = _bare(authorization)
    _authority().parse(token)
    if token.count(".") != 2:
        raise NotAuthenticated("Authentication error: this token has no claims.")
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1].encode()))
    return claims


def generate_anonymous_user(scope: ScopeInfo | None = None) -> UserInfo:
    """A new anonymous user, by default admin of its own workspace."""
    user = UserInfo.of(anonymous_user())
    return user if scope is None else user.model_copy(update={"scope": scope})
