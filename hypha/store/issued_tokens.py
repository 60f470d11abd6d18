"""Generated tokens, known by their fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, delete, select, update

from hypha.store.models import IssuedToken
from hypha.store.repository import Repository, insert


@dataclass(frozen=True, slots=True)
class IssuedTokenRecord:
    """What is known of a generated token; `created_by` is the user who asked for it."""

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
        self, *, created_by: str | None, workspace: str | None, now: float, offset: int, limit: int
    ) -> list[IssuedTokenRecord]:
        """Valid tokens of a maker or for a workspace, newest first."""
        statement = select(*_COLUMNS).where(IssuedToken.expires_at > now)
        if created_by is not None:
            statement = statement.where(IssuedToken.created_by == created_by)
        if workspace is not None:
            statement = statement.where(IssuedToken.workspace == workspace)
        statement = statement.order_by(IssuedToken.created_at.desc(), IssuedToken.fingerprint)
        async with self._connections.reading() as connection:
            rows = await connection.execute(statement.offset(offset).limit(limit))
            return [IssuedTokenRecord(*row) for row in rows]

    async def rename(self, fingerprint: str, name: str) -> None:
        """Set the name of one token."""
        statement = update(IssuedToken).where(IssuedToken.fingerprint == fingerprint).values(name=name)
        async with self._connections.writing() as connection:
            await connection.execute(statement)

    async def remove(self, fingerprint: str) -> None:
        """Forget one token."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(IssuedToken).where(IssuedToken.fingerprint == fingerprint))

    async def note_use(self, used: Mapping[str, float], now: float) -> None:
        """Set when tokens were used last, and forget those that have expired."""
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
            await connection.execute(delete(IssuedToken).where(IssuedToken.expires_at <= now))
