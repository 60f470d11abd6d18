"""Manager functions on tokens (docs/spec/manager.md#tokens)."""

from __future__ import annotations

import re
from typing import Any

from hypha.auth.minting import TokenRequest, child_of
from hypha.auth.scopes import Level
from hypha.auth.tokens import fingerprint
from hypha.auth.users import Context, User
from hypha.builtins.permission import permission
from hypha.errors import (
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RateLimited,
    TokenExpired,
    WorkspaceNotFound,
)
from hypha.limits import Buckets
from hypha.networks import throttled
from hypha.registry.shown import LISTING_BYTES
from hypha.store.issued_tokens import IssuedTokenRecord
from hypha.values import check_offset, is_whole
from hypha.workspaces.parts import ManagerFunctions, Parts

MAX_TOKEN_CHARS = 16 * 1024
MAX_LISTED = 1000
MAX_REVOKED = 10_000
REVOKED_PER_S = 0.1
STRANGERS_MAX_REVOKED = 100
STRANGERS_REVOKED_PER_S = 0.01
"""Tokens that a person, or an address of anonymous users, revokes at once, and in the long run."""
MAX_NAME_CHARS = 320
_TOKEN_ID = re.compile(r"[0-9a-f]{32}")


class TokenFunctions(ManagerFunctions):
    """What a client may do with tokens."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._revoked = Buckets(REVOKED_PER_S, MAX_REVOKED)
        self._revoked_by_strangers = Buckets(STRANGERS_REVOKED_PER_S, STRANGERS_MAX_REVOKED)

    @permission(
        Level.READ_WRITE,
        on="target workspace",
        note="admin on target workspace; inside it, a read_write child of its owner up to its own level",
    )
    async def generate_token(self, config: dict[str, Any] | None = None, *, context: Context) -> str:
        """Make a token for somebody else, with at most the caller's own rights.

        Needs admin permission in the workspace of the token.

        Args:
            config: Map with expires_in (seconds, 3600), workspace (the current one), permission (`read`,
                `read_write`, `admin`), client_id (the only one allowed), extra_scopes, email, name (for
                list_tokens).
        """
        request = TokenRequest.parse(config)
        life_s = self._parts.tokens.check_life(request.expires_in_s, context.user)
        workspace = request.workspace or context.workspace
        rights = self._parts.workspaces
        place = await rights.load(workspace)
        level = await rights.level_in(context.user, workspace)
        parent_level = await rights.owner_level(context.user.parent, workspace)
        user = child_of(context, request, level, parent_level)
        guard, tokens = self._parts.guard, self._parts.tokens
        if guard.issued is not None:
            await guard.issued.reserve(context.user)
        token = await guard.issue_token(tokens, user, life_s, maker=context.user, name=request.name)
        if place is not None and not await rights.is_still(place):
            await guard.take_back_token(tokens, token)  # or it would be good for the next one of that id
            raise WorkspaceNotFound(f"Workspace ({workspace[:200]}) not found")
        if tokens.revocations.ends(context.user):  # meanwhile
            raise PermissionDenied("Permission denied: the token of this connection has been revoked.")
        granted = request.level.name.lower()
        mark = fingerprint(token)
        guard.note("token_minted", context, token_id=mark, target=workspace, permission=granted)
        return token

    def _spend_revocation(self, context: Context) -> None:
        """Count one revocation, which is remembered until the token would have expired.

        Raises:
            RateLimited: the caller made too many.
        """
        user = context.user
        if user.is_admin:
            return
        if user.is_anonymous:
            client = self._parts.hub.client(context.workspace, context.client_id or "")
            link = client.connection if client is not None else None
            wait_s = self._revoked_by_strangers.take(throttled(link.peer_address) if link is not None else "")
        else:
            wait_s = self._revoked.take(user.person)
        if wait_s:
            text = "You have revoked too many tokens: let them expire, a smaller expires_in helps."
            raise RateLimited(text, retry_after_s=wait_s)

    @permission(Level.ADMIN, on="token")
    async def revoke_token(self, token: str, *, context: Context) -> None:
        """Make a token invalid for good, with all that were made with it; their connections are closed.

        Own tokens, and as admin of a workspace its tokens.

        Args:
            token: The token, or its id from list_tokens.
        """
        issued = self._parts.guard.issued
        if issued is not None and isinstance(token, str) and _TOKEN_ID.fullmatch(token):
            known = await self._own_token(token, context)
            self._spend_revocation(context)
            count = await issued.revoke(known.fingerprint, known.expires_at)
            mark = known.fingerprint
        else:
            user, mark = await self._read(token), fingerprint(token)
            if not await self._is_maker(mark, context):
                await self._check_may_revoke(user, context)
            self._spend_revocation(context)
            count = await self._parts.guard.take_back_token(self._parts.tokens, token)
        self._parts.guard.note("token_revoked", context, token_id=mark, tokens=count)

    @permission(
        Level.ADMIN,
        on="token",
        note="none for own tokens; admin on target workspace for all of its tokens",
        gives_bytes=LISTING_BYTES // 4,
    )
    async def list_tokens(
        self, workspace: str | None = None, offset: int = 0, limit: int = 100, *, context: Context
    ) -> list[dict[str, Any]]:
        """List valid tokens, newest first: own ones and what they made in turn, or those for a workspace.

        Maps of id, name, kind (`generated`, `session`, `login`), user_id, workspace,
        permission, client_id, created_by, and Unix times created_at, last_used_at (roughly),
        expires_at.

        Args:
            workspace: All tokens for this workspace, of which the caller must be admin.
            offset: Results to skip.
            limit: Most results (1 to 1000).
        """
        check_offset(offset)
        if not is_whole(limit) or not 0 < limit <= MAX_LISTED:
            raise InvalidRequest(f"Limit must be from 1 to {MAX_LISTED}")
        if workspace is not None:
            await self._require(Level.ADMIN, workspace, context)
        issued = self._parts.guard.issued
        if issued is None:
            return []
        maker = context.user.id if workspace is None else None
        workspace = workspace or context.user.limit
        return await issued.list(created_by=maker, workspace=workspace, offset=offset, limit=limit)

    @permission(Level.ADMIN, on="token")
    async def rename_token(self, token_id: str, name: str, *, context: Context) -> None:
        """Give a token another name in list_tokens.

        Args:
            token_id: Its id from list_tokens.
            name: Text of at most 320 characters.
        """
        if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
            raise InvalidRequest(f"The name must be text of at most {MAX_NAME_CHARS} characters.")
        known = await self._own_token(token_id, context)
        if self._parts.guard.issued is not None:
            await self._parts.guard.issued.rename(known.fingerprint, name)

    async def _own_token(self, token_id: object, context: Context) -> IssuedTokenRecord:
        """A token that the caller generated, or one of a workspace of which it is admin."""
        issued = self._parts.guard.issued
        if issued is None or not isinstance(token_id, str) or not _TOKEN_ID.fullmatch(token_id):
            raise InvalidRequest("Name the token by its id from list_tokens.")
        known = await issued.get(token_id)
        if await issued.is_made_by(known, context.user):
            return known
        if await self._level(context, known.workspace) < Level.ADMIN:
            raise PermissionDenied(
                "Permission denied: the token belongs to somebody else, and you are not admin of its "
                "workspace."
            )
        return known

    async def _read(self, token: object) -> User:
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
            raise InvalidRequest("Invalid token: it must be text.")
        try:
            return await self._parts.tokens.read(token)
        except TokenExpired:
            raise InvalidRequest("Token has already expired") from None
        except NotAuthenticated as error:
            raise InvalidRequest(f"Invalid token: {error}") from None

    async def _is_maker(self, mark: str, context: Context) -> bool:
        """True if the caller generated the token."""
        issued = self._parts.guard.issued
        if issued is None:
            return False
        try:
            return await issued.is_made_by(await issued.get(mark), context.user)
        except NotFound:
            return False

    async def _check_may_revoke(self, owner: User, context: Context) -> None:
        caller = context.user
        if owner.id == "root" and owner.expires_at is None:
            raise PermissionDenied("Permission denied: the root token can only be changed in the settings.")
        if caller.is_admin or (owner.id == caller.id and caller.limit in (None, owner.limit)):
            return
        rights = [name for name, level in owner.scope.workspaces.items() if level]
        if not rights or any([await self._level(context, name) < Level.ADMIN for name in rights]):
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
        return (await self._parts.tokens.read(token)).to_wire()
