"""Who is kept out."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import delete, select

from hypha.store.repository import Repository, upsert
from hypha.store.tables import Block


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One block: `kind` is `user` or `ip`; times are Unix seconds."""

    kind: str
    subject: str
    reason: str
    created_by: str
    created_at: float
    expires_at: float


class BlockRecords(Repository):
    """Blocked users and addresses, until their time is over."""

    async def add(self, block: BlockRecord) -> None:
        """Write one block, or replace the one of the same subject."""
        async with self._connections.writing() as connection:
            await upsert(connection, Block, asdict(block), ("kind", "subject"))

    async def remove(self, kind: str, subject: str) -> None:
        """Delete one block."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(Block).where(Block.kind == kind, Block.subject == subject))

    async def load(self, now: float) -> list[BlockRecord]:
        """All that still hold; the others are deleted."""
        statement = select(
            Block.kind, Block.subject, Block.reason, Block.created_by, Block.created_at, Block.expires_at
        )
        async with self._connections.writing() as connection:
            await connection.execute(delete(Block).where(Block.expires_at <= now))
            return [BlockRecord(*row) for row in await connection.execute(statement)]
