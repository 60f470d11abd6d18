"""Revoked tokens."""

from __future__ import annotations

from sqlalchemy import delete, select

from hypha.store.repository import Repository, upsert
from hypha.store.tables import RevokedToken


class RevokedTokens(Repository):
    """Fingerprints of tokens that no longer count, until they would have expired anyway."""

    async def add(self, fingerprint: str, expires_at: float) -> None:
        """Write one fingerprint."""
        row = {"fingerprint": fingerprint, "expires_at": expires_at}
        async with self._connections.writing() as connection:
            await upsert(connection, RevokedToken, row, ("fingerprint",))

    async def load(self, now: float) -> dict[str, float]:
        """All that still matter, with the time until which they do; the others are deleted."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(RevokedToken).where(RevokedToken.expires_at <= now))
            rows = await connection.execute(select(RevokedToken.fingerprint, RevokedToken.expires_at))
            return {fingerprint: expires_at for fingerprint, expires_at in rows}
