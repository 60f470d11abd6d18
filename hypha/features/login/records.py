"""Pending logins: programs that wait for a person to sign in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from hypha.features.login.tables import PendingLogin
from hypha.store.repository import Repository, insert_if_absent


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """One pending login; `answer` is None until a page has reported."""

    key_hash: str
    expires_at: float
    workspace: str | None = None
    token_life_s: float | None = None
    answer: bytes | None = None


class PendingLogins(Repository):
    """Shared by all replicas; every step is one statement that succeeds for one caller only."""

    async def add(self, record: LoginRecord, now: float, most: int) -> bool:
        """Write a new one and delete those that are over; False if `most` are pending already."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(PendingLogin).where(PendingLogin.expires_at <= now))
            count = await connection.scalar(select(func.count()).select_from(PendingLogin))
            if (count or 0) >= most:
                return False
            values = {
                "key_hash": record.key_hash,
                "workspace": record.workspace,
                "token_life_s": record.token_life_s,
                "answer": None,
                "expires_at": record.expires_at,
            }
            return await insert_if_absent(connection, PendingLogin, values)

    async def get(self, key_hash: str, now: float) -> LoginRecord | None:
        """One that is not over, or None."""
        statement = select(
            PendingLogin.expires_at, PendingLogin.workspace, PendingLogin.token_life_s, PendingLogin.answer
        ).where(PendingLogin.key_hash == key_hash, PendingLogin.expires_at > now)
        async with self._connections.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else LoginRecord(key_hash, row[0], row[1], row[2], row[3])

    async def answer(self, key_hash: str, answer: bytes, now: float) -> bool:
        """Write what was reported; False if it was answered before, or is over."""
        statement = (
            update(PendingLogin)
            .where(
                PendingLogin.key_hash == key_hash,
                PendingLogin.answer.is_(None),
                PendingLogin.expires_at > now,
            )
            .values(answer=answer)
        )
        async with self._connections.writing() as connection:
            return bool((await connection.execute(statement)).rowcount == 1)

    async def take(self, key_hash: str, now: float) -> bytes | None:
        """The answer, which is deleted with the record: one caller gets it."""
        statement = (
            delete(PendingLogin)
            .where(
                PendingLogin.key_hash == key_hash,
                PendingLogin.answer.is_not(None),
                PendingLogin.expires_at > now,
            )
            .returning(PendingLogin.answer)
        )
        async with self._connections.writing() as connection:
            found = (await connection.execute(statement)).scalar_one_or_none()
        return found
