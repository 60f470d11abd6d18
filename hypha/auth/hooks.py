"""What a custom provider puts in front of our own reading and signing of tokens.

See docs/authentication.md#custom-providers.

What a hook says about a person is taken as it is, with two exceptions: only who has the role
`admin` gets rights in all workspaces or is root.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import MappingProxyType

from hypha.addresses import check_workspace_id
from hypha.auth.users import ADMIN_ROLE, EVERYWHERE, User
from hypha.errors import HyphaError, InvalidAddress, NotAuthenticated, ServerFault

logger = logging.getLogger(__name__)

MAX_TOKEN_CHARS = 16 * 1024
_SHOWN_ERRORS = (ValueError, PermissionError, AssertionError)

ParseToken = Callable[[str], Awaitable[User | None]]
GenerateToken = Callable[[User, float], Awaitable[str]]


class TokenHooks:
    """The hooks in use; none unless a provider gave them."""

    def __init__(self) -> None:
        self._parsers: list[ParseToken] = []
        """Asked in this order, the one that came last first."""
        self._generate: GenerateToken | None = None

    @property
    def reads(self) -> bool:
        """Whether there is a hook that reads tokens."""
        return bool(self._parsers)

    def read_with(self, parse: ParseToken) -> None:
        """Ask a hook whose token it is, before those that are there."""
        self._parsers.insert(0, parse)

    def make_with(self, generate: GenerateToken) -> None:
        """Let a hook make tokens, in place of the one before."""
        self._generate = generate

    async def read(self, token: str) -> User | None:
        """Whose token it is by the hooks; None where no hook knows it.

        Raises:
            NotAuthenticated: a hook refuses the token, or names somebody who cannot be.
        """
        if not self._parsers:
            return None
        if not 0 < len(token) <= MAX_TOKEN_CHARS:
            raise NotAuthenticated("Authentication error: the token is empty or too long.")
        try:
            user = await self._parse(token)
        except (NotAuthenticated, ServerFault):
            raise
        except Exception as error:
            raise NotAuthenticated(f"Authentication error: {_shown(error)}") from None
        return None if user is None else checked(user)

    async def _parse(self, token: str) -> User | None:
        for parse in self._parsers:
            user = await parse(token)
            if user is not None:
                return user
        return None

    async def make(self, user: User, expires_in_s: float) -> str | None:
        """A token made by the hook; None without one.

        Raises:
            ServerFault: the hook failed; the log says how.
        """
        if self._generate is None:
            return None
        try:
            token = await self._generate(user, expires_in_s)
        except HyphaError:
            raise
        except Exception:
            logger.exception("The hook that generates tokens failed")
            raise ServerFault("The sign-in provider failed to generate a token.") from None
        if not isinstance(token, str) or not token:
            logger.error("The hook that generates tokens gave %s instead of text", type(token).__name__)
            raise ServerFault("The sign-in provider failed to generate a token.")
        return token


def _shown(error: Exception) -> str:
    """What a stranger may read: a text that the hook's author wrote, never one about its code."""
    detail = error.message if isinstance(error, HyphaError) else getattr(error, "detail", None)
    if isinstance(detail, str) and detail:
        return detail[:300]
    if type(error) is Exception or type(error) in _SHOWN_ERRORS:
        return str(error)[:300] or "the token is not valid."
    logger.info("The hook that parses tokens raised %s: %s", type(error).__name__, error)
    return "the token is not valid."


def checked(user: User) -> User:
    """The user that a hook named, unless it cannot be one.

    Raises:
        NotAuthenticated: the id names no possible workspace, or is root's without the role `admin`.
    """
    try:
        check_workspace_id(user.own_workspace if user.id else "")
    except InvalidAddress:
        raise NotAuthenticated("Authentication error: the user id is not one that can be used.") from None
    if ADMIN_ROLE in user.roles:
        return user
    if user.id == "root":
        raise NotAuthenticated("Authentication error: only an administrator can be root.")
    if EVERYWHERE not in user.scope.workspaces:
        return user
    rights = {name: level for name, level in user.scope.workspaces.items() if name != EVERYWHERE}
    return replace(user, scope=replace(user.scope, workspaces=MappingProxyType(rights)))
