"""Invitations to make an account, known by keyed hashes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.features.accounts.tables import InvitationRow
from hypha.store.repository import Repository, insert_if_absent

KEPT_AFTER_S = 30 * 86400.0
"""So long an invitation that is over is still listed."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """One invitation: for `email` (as it is compared) or, if that is empty, for anybody, `uses` times."""

    id: str
    code_hash: str
    email: str
    note: str
    uses: int
    used: int
    created_by: str
    created_at: float
    expires_at: float

    def is_good(self, folded: str, now: float) -> bool:
        """Whether an account with this address may be made with it."""
        return self.used < self.uses and self.expires_at > now and self.email in ("", folded)


_COLUMNS = tuple(getattr(InvitationRow, name) for name in Invitation.__dataclass_fields__)


class Invitations(Repository):
    """One row per invitation."""

    async def add(self, invitation: Invitation, most: int) -> bool:
        """Write one, and forget those that are over for long; False if there are `most` already."""
        over = delete(InvitationRow).where(InvitationRow.expires_at <= invitation.created_at - KEPT_AFTER_S)
        async with self._connections.writing() as connection:
            await connection.execute(over)
            count = await connection.execute(select(func.count()).select_from(InvitationRow))
            if int(count.scalar_one()) >= most:
                return False
            return await insert_if_absent(connection, InvitationRow, asdict(invitation))

    async def find(self, code_hash: str) -> Invitation | None:
        """The one of a code."""
        async with self._connections.reading() as connection:
            rows = await connection.execute(select(*_COLUMNS).where(InvitationRow.code_hash == code_hash))
            row = rows.first()
            return None if row is None else Invitation(*row)

    async def list(self, offset: int, limit: int) -> list[Invitation]:
        """All, the newest first."""
        statement = select(*_COLUMNS).order_by(InvitationRow.created_at.desc(), InvitationRow.id)
        async with self._connections.reading() as connection:
            return [
                Invitation(*row) for row in await connection.execute(statement.offset(offset).limit(limit))
            ]

    async def remove(self, invitation_id: str) -> bool:
        """Take one back; False if there is none of that id."""
        async with self._connections.writing() as connection:
            result = await connection.execute(delete(InvitationRow).where(InvitationRow.id == invitation_id))
            return bool(result.rowcount == 1)


async def drop_invitations_of(connection: AsyncConnection, maker: str) -> None:
    """Take back what somebody made, in the caller's transaction."""
    await connection.execute(delete(InvitationRow).where(InvitationRow.created_by == maker))


async def use_invitation(connection: AsyncConnection, code_hash: str, now: float) -> bool:
    """Count one use, in the transaction that makes the account; False if it is not good any more."""
    result = await connection.execute(
        update(InvitationRow)
        .where(InvitationRow.code_hash == code_hash, InvitationRow.used < InvitationRow.uses)
        .where(InvitationRow.expires_at > now)
        .values(used=InvitationRow.used + 1)
    )
    return bool(result.rowcount == 1)
