"""Manager functions on tokens (core-api 2.2, 4.5)."""

from __future__ import annotations

from typing import Any

from hypha.auth.minting import TokenRequest, child_of
from hypha.auth.permissions import permission
from hypha.auth.scopes import Level
from hypha.auth.users import Context, User
from hypha.errors import InvalidRequest, NotAuthenticated, PermissionDenied, TokenExpired
from hypha.workspaces.parts import ManagerFunctions

MAX_TOKEN_CHARS = 16 * 1024


class TokenFunctions(ManagerFunctions):
    """What a client may do with tokens."""

    @permission(Level.READ_WRITE, on="target workspace")
    async def generate_token(self, config: dict[str, Any] | None = None, *, context: Context) -> str:
        """Make a token for somebody else, with at most the caller's own rights.

        Needs admin permission in the workspace of the token.

        Args:
            config: Map with expires_in (seconds, 3600), workspace (the current one), permission (`read`,
                `read_write`, `admin`), client_id (the only one allowed), extra_scopes, email.
        """
        request = TokenRequest.parse(config)
        life_s = self._parts.tokens.check_life(request.expires_in_s)
        workspace = request.workspace or context.workspace
        rights = self._parts.workspaces
        level = await rights.level_in(context.user, workspace)
        parent_level = await rights.owner_level(context.user.parent, workspace)
        return self._parts.tokens.mint(child_of(context, request, level, parent_level), life_s)

    @permission(Level.ADMIN, on="token")
    async def revoke_token(self, token: str, *, context: Context) -> None:
        """Make a token invalid for good and close the connections that came with it.

        Own tokens, and as admin of a workspace its tokens.

        Args:
            token: The token.
        """
        user = await self._read(token)
        self._check_may_revoke(user, context)
        await self._parts.tokens.revoke(token)

    async def _read(self, token: object) -> User:
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
            raise InvalidRequest("Invalid token: it must be text.")
        try:
            return await self._parts.tokens.authenticate(token)
        except TokenExpired:
            raise InvalidRequest("Token has already expired") from None
        except NotAuthenticated as error:
            raise InvalidRequest(f"Invalid token: {error}") from None

    def _check_may_revoke(self, owner: User, context: Context) -> None:
        caller = context.user
        if owner.expires_at is None:
            raise PermissionDenied("Permission denied: the root token can only be changed in the settings.")
        if caller.is_admin or owner.id == caller.id:
            return
        rights = [name for name, level in owner.scope.workspaces.items() if level]
        if not rights or any(context.level(name) < Level.ADMIN for name in rights):
            raise PermissionDenied(
                "Permission denied: you can revoke your own tokens and those of workspaces of which "
                "you are admin."
            )

    @permission(Level.READ)
    async def parse_token(self, token: str, *, context: Context) -> dict[str, Any]:
        """Check a token and return the user that it names.

        Args:
            token: The token.
        """
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
            raise InvalidRequest("Invalid token: it must be text.")
        return (await self._parts.tokens.authenticate(token)).to_wire()
