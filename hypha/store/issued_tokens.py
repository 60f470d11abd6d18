"""Tokens that were handed out, known by their fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal

from sqlalchemy import CTE, String, bindparam, cast, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.store.repository import Repository, insert
from hypha.store.tables import IssuedToken, RevokedToken

TokenKind = Literal["generated", "session", "login"]
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class IssuedTokenRecord:
    """What is known of a token; `created_by` is the user who asked for it, `made_with` that one's token.

    `kind` is `generated`, `session` (of a person who signed in) or `login` (of a program for which
    a person signed in).
    """

    fingerprint: str
    created_by: str
    user_id: str
    workspace: str
    permission: str
    client_id: str | None
    name: str
    created_at: float
    last_used_at: float | None
    expires_at: float
    kind: TokenKind = "generated"
    made_with: str | None = None


_COLUMNS = tuple(getattr(IssuedToken, name) for name in IssuedTokenRecord.__dataclass_fields__)


class IssuedTokens(Repository):
    """Rows live until the token has expired or was revoked."""

    async def add(self, tokens: Sequence[IssuedTokenRecord]) -> None:
        """Write several tokens in one transaction."""
        rows = [asdict(token) for token in tokens]
        async with self._connections.writing() as connection:
            await connection.execute(insert(connection, IssuedToken).on_conflict_do_nothing(), rows)

    async def get(self, fingerprint: str) -> IssuedTokenRecord | None:
        """One token, or None."""
        statement = select(*_COLUMNS).where(IssuedToken.fingerprint == fingerprint)
        async with self._connections.reading() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else IssuedTokenRecord(*row)

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
        """Tokens that have not expired or were used lately, newest first.

        Args:
            created_by: Only those of this maker, and those that were made with them in turn.
            workspace: Only those for this workspace.
        """
        statement = select(*_COLUMNS).where(
            or_(IssuedToken.expires_at > now, IssuedToken.last_used_at > used_since)
        )
        if created_by is not None:
            makers = _makers(created_by)
            statement = statement.where(IssuedToken.created_by.in_(select(makers.c.id)))
        if workspace is not None:
            statement = statement.where(IssuedToken.workspace == workspace)
        statement = statement.order_by(IssuedToken.created_at.desc(), IssuedToken.fingerprint)
        async with self._connections.reading() as connection:
            rows = await connection.execute(statement.offset(offset).limit(limit))
            return [IssuedTokenRecord(*row) for row in rows]

    async def count(self, user_id: str, now: float) -> int:
        """Number of valid tokens that a user generated, and that were generated with them in turn."""
        makers = _makers(user_id)
        statement = (
            select(func.count())
            .select_from(IssuedToken)
            .join(makers, IssuedToken.created_by == makers.c.id)
            .where(IssuedToken.kind == "generated", IssuedToken.expires_at > now)
        )
        async with self._connections.reading() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def is_made_by(self, token: IssuedTokenRecord, user_id: str) -> bool:
        """Whether a user made a token, or one from which it comes."""
        makers = _makers(user_id)
        statement = select(literal(True)).where(literal(token.created_by).in_(select(makers.c.id)))
        async with self._connections.reading() as connection:
            return (await connection.execute(statement)).first() is not None

    async def end(self, fingerprint: str, until: float, *, line: str | None) -> dict[str, float]:
        """Revoke a token, and with `line` those that were made with it in turn; one transaction.

        `line` is what stands for them in the tokens that are written down nowhere. Returns the
        fingerprints with the times until which they have to be known as revoked, `until` at least.
        """
        ended = {fingerprint: until}
        async with self._connections.writing() as connection:
            wanted = await _rows(connection, IssuedToken.fingerprint, [fingerprint])
            ended |= {row.fingerprint: max(row.expires_at, until) for row in wanted}
            if line is not None:
                ended |= await _descendants(connection, wanted, [fingerprint], until)
                ended[line] = max(ended.values())
            await _revoke(connection, ended)
        return ended

    async def rename(self, fingerprint: str, name: str) -> None:
        """Set the name of one token."""
        statement = update(IssuedToken).where(IssuedToken.fingerprint == fingerprint).values(name=name)
        async with self._connections.writing() as connection:
            await connection.execute(statement)

    async def remove(self, fingerprint: str) -> None:
        """Forget one token."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(IssuedToken).where(IssuedToken.fingerprint == fingerprint))

    async def note_use(self, used: Mapping[str, float], now: float, used_since: float) -> None:
        """Set when tokens were used last; forget expired ones that were not, and expired revocations."""
        table = IssuedToken.__table__
        statement = (
            update(table)  # type: ignore[arg-type]
            .where(table.c.fingerprint == bindparam("used_fingerprint"))
            .values(last_used_at=bindparam("used_at"))
        )
        rows = [{"used_fingerprint": name, "used_at": moment} for name, moment in used.items()]
        async with self._connections.writing() as connection:
            if rows:
                await connection.execute(statement, rows)
            await connection.execute(
                delete(IssuedToken).where(
                    IssuedToken.expires_at <= now, func.coalesce(IssuedToken.last_used_at, 0.0) <= used_since
                )
            )
            await connection.execute(delete(RevokedToken).where(RevokedToken.expires_at <= now))


async def end_sign_ins(
    connection: AsyncConnection,
    user_id: str,
    until: float,
    *,
    keep: str | None = None,
    generated_too: bool = False,
) -> dict[str, float]:
    """Revoke the sign-ins of a user, but the one of fingerprint `keep`; in the caller's transaction.

    With `generated_too` the tokens that descend from the user go as well. Returns the fingerprints
    with the times until which they have to be known as revoked, `until` at least.
    """
    own = await _rows(connection, IssuedToken.created_by, [user_id])
    wanted = [row for row in own if (generated_too or row.kind != "generated") and row.fingerprint != keep]
    ended = {row.fingerprint: max(row.expires_at, until) for row in wanted}
    if generated_too:
        ended |= await _descendants(connection, wanted, list(ended), until)
        ended.pop(keep or "", None)
    await _revoke(connection, ended)
    return ended


async def end_tokens_for(
    connection: AsyncConnection,
    workspace: str,
    *,
    until: float = 0.0,
    sessions_too: bool = False,
    keep: str | None = None,
) -> dict[str, float]:
    """Revoke the tokens for a workspace, not people's sign-ins unless told; in the caller's transaction.

    The one of fingerprint `keep` stays. Returns the fingerprints with the times until which they have to
    be known as revoked, `until` at least.
    """
    statement = select(IssuedToken.fingerprint, IssuedToken.expires_at).where(
        IssuedToken.workspace == workspace
    )
    if not sessions_too:
        statement = statement.where(IssuedToken.kind != "session")
    found = await connection.execute(statement)
    ended = {name: max(expires_at, until) for name, expires_at in found if name != keep}
    await _revoke(connection, ended)
    return ended


def _makers(user_id: str) -> CTE:
    """The ids of a user and of those whose tokens the user generated, and so on."""
    makers = select(cast(literal(user_id, String), String(320)).label("id")).cte("makers", recursive=True)
    children = select(IssuedToken.user_id).join(makers, IssuedToken.created_by == makers.c.id)
    return makers.union(children.where(IssuedToken.kind == "generated"))


async def _rows(connection: AsyncConnection, column: Any, values: Iterable[str]) -> list[Any]:
    found: list[Any] = []
    for some in _parts(values):
        statement = select(
            IssuedToken.fingerprint,
            IssuedToken.expires_at,
            IssuedToken.created_by,
            IssuedToken.user_id,
            IssuedToken.kind,
        ).where(column.in_(some))
        found += (await connection.execute(statement)).all()
    return found


async def _descendants(
    connection: AsyncConnection, roots: Iterable[Any], fingerprints: Iterable[str], until: float
) -> dict[str, float]:
    """The tokens that were made with some tokens, and so on, with the times until which they matter.

    What a generated token made is also known by its user, which no other token has.
    """
    ended: dict[str, float] = {}
    seen = set(fingerprints)
    marks, users = list(seen), [row.user_id for row in roots if row.user_id != row.created_by]
    while marks or users:
        found = await _rows(connection, IssuedToken.made_with, marks)
        found += await _rows(connection, IssuedToken.created_by, users)
        fresh = {row.fingerprint: row for row in found if row.fingerprint not in seen}
        ended |= {name: max(row.expires_at, until) for name, row in fresh.items()}
        seen |= fresh.keys()
        marks = list(fresh)
        users = [row.user_id for row in fresh.values() if row.user_id != row.created_by]
    return ended


async def _revoke(connection: AsyncConnection, ended: Mapping[str, float]) -> None:
    for some in _parts(ended):
        rows = [{"fingerprint": name, "expires_at": ended[name]} for name in some]
        await connection.execute(insert(connection, RevokedToken).on_conflict_do_nothing(), rows)
        await connection.execute(delete(IssuedToken).where(IssuedToken.fingerprint.in_(some)))


def _parts(names: Iterable[str]) -> Iterable[list[str]]:
    left = iter(list(names))
    while part := list(islice(left, _AT_ONCE)):
        yield part
