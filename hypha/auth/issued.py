"""Tokens that were handed out, as their makers see them: listed, named, revoked by id.

The id of a token is its fingerprint; the token itself is kept nowhere. Recording joins the tokens
that are minted at the same moment in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hypha.auth.revocation import Revocations, line_of
from hypha.auth.scopes import Level
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User
from hypha.errors import BackendUnavailable, NotFound, QuotaExceeded
from hypha.store.issued_tokens import IssuedTokenRecord, TokenKind

logger = logging.getLogger(__name__)

NOTE_USE_EVERY_S = 10.0
COUNT_KEPT_S = 5.0


class IssuedTokenStore(Protocol):
    """What is needed of the store."""

    async def add(self, tokens: Sequence[IssuedTokenRecord]) -> None:
        """Write several tokens."""

    async def get(self, fingerprint: str) -> IssuedTokenRecord | None:
        """One token, or None."""

    async def list(
        self,
        *,
        created_by: str | None,
        workspace: str | None,
        now: float,
        used_since: float,
        offset: int,
        limit: int,
    ) -> list[IssuedTokenRecord]:
        """Valid tokens, newest first."""

    async def is_made_by(self, token: IssuedTokenRecord, user_id: str) -> bool:
        """Whether a user made a token, or one from which it comes."""

    async def end(self, fingerprint: str, until: float, *, line: str | None) -> dict[str, float]:
        """Revoke a token, with `line` those that were made with it; what ended, until when that matters."""

    async def count(self, user_id: str, now: float) -> int:
        """Number of valid tokens that descend from a user."""

    async def rename(self, fingerprint: str, name: str) -> None:
        """Set a name."""

    async def note_use(self, used: dict[str, float], now: float, used_since: float) -> None:
        """Set when tokens were used last, and forget those that are over."""


class IssuedTokens:
    """The register of generated tokens and of sign-ins; those of anonymous users are not kept.

    Args:
        max_per_user: how many generated tokens of one person may be valid; 0: no limit.
    """

    def __init__(
        self,
        store: IssuedTokenStore,
        tokens: TokenAuthority,
        clock: Callable[[], float] = time.time,
        max_per_user: int = 0,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._max_per_user = max_per_user
        self._counts: dict[str, tuple[float, int]] = {}
        self._waiting: list[tuple[IssuedTokenRecord, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def _revocations(self) -> Revocations:
        return self._tokens.revocations

    async def reserve(self, maker: User) -> None:
        """Count one more token of the person who acts, before it is made.

        Administrators may make any number.

        Raises:
            QuotaExceeded: the person has too many that are valid.
        """
        limit, person = self._max_per_user, maker.person
        if not limit or maker.is_admin or maker.is_anonymous:
            return
        measured_at, count = self._counts.get(person, (-COUNT_KEPT_S, 0))
        if count >= limit or not 0 <= self._clock() - measured_at < COUNT_KEPT_S:
            measured_at, count = self._clock(), await self._store.count(person, self._clock())
            oldest = measured_at - COUNT_KEPT_S
            self._counts = {name: kept for name, kept in self._counts.items() if kept[0] > oldest}
        if count >= limit:
            raise QuotaExceeded(
                f"Token quota exceeded: user {person} has {count} generated tokens that are valid (max "
                f"{limit}). Revoke those that are not needed any more (list_tokens, revoke_token), or wait "
                "until some expire; a smaller expires_in lets them expire sooner."
            )
        self._counts[person] = measured_at, count + 1

    async def record(
        self,
        mark: str,
        user: User,
        maker: User,
        name: str | None,
        life_s: float,
        kind: TokenKind = "generated",
    ) -> None:
        """Write down a token that was made; it is on disk when this returns.

        Raises:
            BackendUnavailable: it could not be written, and must not be handed out.
        """
        if maker.is_anonymous:
            return
        made = record_of(mark, user, maker, name or "", self._clock(), life_s, kind)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((made, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await written

    async def close(self) -> None:
        """Wait until what is being written is on disk; the store is closed after this."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        """Write until nothing waits; what comes meanwhile goes into the next transaction."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: BaseException | None = None
            try:
                await self._store.add([record for record, _ in batch])
            except BaseException as raised:
                error = raised
            for _, written in batch:
                if not written.done():
                    _settle(written, error)
        self._writing = None

    async def list(
        self, *, created_by: str | None, workspace: str | None, offset: int, limit: int
    ) -> list[dict[str, Any]]:
        """Tokens of a maker, what was made with them included, or for a workspace; newest first.

        Those that have expired too, as long as a connection that came with one may go on.
        """
        now = self._clock()
        await self.flush_use()
        found = await self._store.list(
            created_by=created_by,
            workspace=workspace,
            now=now,
            used_since=self._used_since(now),
            offset=offset,
            limit=limit,
        )
        return [self._shown(token) for token in found if not self._revocations.is_revoked(token.fingerprint)]

    def _shown(self, token: IssuedTokenRecord) -> dict[str, Any]:
        return {
            "id": token.fingerprint,
            "name": token.name,
            "user_id": token.user_id,
            "workspace": token.workspace,
            "permission": token.permission,
            "client_id": token.client_id,
            "created_by": token.created_by,
            "created_at": token.created_at,
            "last_used_at": self._tokens.used.get(token.fingerprint, token.last_used_at),
            "expires_at": token.expires_at,
            "kind": token.kind,
        }

    async def get(self, token_id: str) -> IssuedTokenRecord:
        """One valid token by its id.

        Raises:
            NotFound: there is none.
        """
        found = await self._store.get(token_id)
        if found is None or self._is_over(found) or self._revocations.is_revoked(token_id):
            raise NotFound(f"Token not found: {token_id[:64]}")
        return found

    def _is_over(self, token: IssuedTokenRecord) -> bool:
        """Whether neither the token nor a reconnection token that comes from it can count any more."""
        now = self._clock()
        used = self._tokens.used.get(token.fingerprint, token.last_used_at) or 0.0
        return token.expires_at <= now and used <= self._used_since(now)

    def _used_since(self, now: float) -> float:
        return now - self._tokens.reconnection_life_s

    async def rename(self, token_id: str, name: str) -> None:
        """Give a token another name."""
        await self._store.rename(token_id, name)

    async def is_made_by(self, token: IssuedTokenRecord, user: User) -> bool:
        """Whether a user made a token, or one from which it comes, in reach of the credential in use."""
        if not user.reaches(token.workspace):
            return False
        return token.created_by == user.id or await self._store.is_made_by(token, user.id)

    async def revoke(self, mark: str, expires_at: float = 0.0, *, descendants: bool = True) -> int:
        """Make a token invalid for good, and all that were made with it; their connections are closed.

        Returns how many tokens ended.

        Raises:
            BackendUnavailable: it could not be written; the token itself is revoked until the next
                restart.
        """
        until = max(expires_at, self._clock() + self._revocations.outlive_s)
        self._revocations.apply({mark: until})
        line = line_of(mark) if descendants else None
        ended = await self._store.end(mark, until, line=line)
        self._revocations.apply(ended)
        return len(ended) - descendants

    async def end_session(self, token_id: str | None) -> None:
        """Make the token of a sign-in invalid; any other one, and what was made with it, stays as it is."""
        found = await self._store.get(token_id) if token_id else None
        if found is not None and found.kind == "session":
            await self.revoke(found.fingerprint, found.expires_at, descendants=False)

    async def note_use(self) -> None:
        """Write when tokens were used last, every now and then until cancelled."""
        while True:
            await asyncio.sleep(NOTE_USE_EVERY_S)
            await self.flush_use()

    async def flush_use(self) -> None:
        """Write when tokens were used last; on a fault of the database, some other time."""
        used, self._tokens.used = self._tokens.used, {}
        try:
            if used:
                now = self._clock()
                await self._store.note_use(used, now, self._used_since(now))
        except BackendUnavailable as error:
            logger.info("Last uses of tokens were not written: %s", error.message)


def record_of(
    mark: str, user: User, maker: User, name: str, now: float, life_s: float, kind: TokenKind
) -> IssuedTokenRecord:
    """What is kept of a token: the workspace and level that it gives, for whom, by whom, how long."""
    workspace, level = next(iter(user.scope.workspaces.items()), (user.own_workspace, Level.ADMIN))
    return IssuedTokenRecord(
        mark, maker.id, user.id, workspace, level.name.lower(), user.scope.client_id,
        name, now, None, now + life_s, kind, maker.credential,
    )  # fmt: skip


def _settle(written: asyncio.Future[None], error: BaseException | None) -> None:
    if error is None:
        written.set_result(None)
    elif isinstance(error, asyncio.CancelledError):
        written.cancel()
    else:
        written.set_exception(error)
