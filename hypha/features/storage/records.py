"""Uploads in parts, ends of files and of folders in the database; times are Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select, update

from hypha.features.storage.tables import EndedFolder, ObjectExpiry, ObjectUpload
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Repository, upsert
from hypha.store.workspaces import ensure


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in parts: its id and the key for which it is."""

    id: str
    key: str


class UploadRecords(Repository):
    """Uploads that were begun by workspaces, with whom they go."""

    async def add(self, record: WorkspaceRecord, upload: Upload, expires_at: float) -> None:
        """Remember an upload of a workspace."""
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            row = {"id": upload.id, "workspace": record.id, "key": upload.key, "expires_at": expires_at}
            await upsert(connection, ObjectUpload, row, ("id",))

    async def count(self, workspace: str) -> int:
        """How many a workspace has."""
        statement = select(func.count()).where(ObjectUpload.workspace == workspace)
        async with self._connections.reading() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def find(self, workspace: str, upload: str, now: float) -> Upload | None:
        """The upload of a workspace, None if it has none of this id that is still good."""
        statement = select(ObjectUpload.id, ObjectUpload.key).where(
            ObjectUpload.workspace == workspace, ObjectUpload.id == upload, ObjectUpload.expires_at > now
        )
        async with self._connections.reading() as connection:
            found = (await connection.execute(statement)).one_or_none()
        return None if found is None else Upload(*found)

    async def prolong(self, upload: str, expires_at: float) -> None:
        """Let an upload be good at least until then."""
        where = ObjectUpload.id == upload, ObjectUpload.expires_at < expires_at
        async with self._connections.writing() as connection:
            await connection.execute(update(ObjectUpload).where(*where).values(expires_at=expires_at))

    async def expired(self, now: float, limit: int) -> list[Upload]:
        """Those whose time is over."""
        statement = select(ObjectUpload.id, ObjectUpload.key).where(ObjectUpload.expires_at <= now)
        async with self._connections.reading() as connection:
            return [Upload(*row) for row in await connection.execute(statement.limit(limit))]

    async def remove(self, uploads: Sequence[str]) -> None:
        """Forget some."""
        async with self._connections.writing() as connection:
            await connection.execute(delete(ObjectUpload).where(ObjectUpload.id.in_(uploads)))


class ExpiryRecords(Repository):
    """When to look at objects that end by themselves."""

    async def set(self, key: str, expires_at: float) -> None:
        """Look at an object then."""
        async with self._connections.writing() as connection:
            await upsert(connection, ObjectExpiry, {"key": key, "expires_at": expires_at}, ("key",))

    async def due(self, now: float, limit: int) -> list[str]:
        """Keys that are to be looked at."""
        statement = select(ObjectExpiry.key).where(ObjectExpiry.expires_at <= now).limit(limit)
        async with self._connections.reading() as connection:
            return list((await connection.execute(statement)).scalars())

    async def remove(self, key: str, *, with_folder: bool = False) -> None:
        """Forget a key; `with_folder` also those below it."""
        where = ObjectExpiry.key == key
        if with_folder:
            where = or_(where, ObjectExpiry.key.startswith(f"{key}/", autoescape=True))
        async with self._connections.writing() as connection:
            await connection.execute(delete(ObjectExpiry).where(where))


class EndedRecords(Repository):
    """Folders of ended workspaces in which something may be left."""

    async def note(self, workspace: str, ended_at: float) -> None:
        """A workspace has ended, perhaps for another time."""
        async with self._connections.writing() as connection:
            row = {"workspace": workspace, "ended_at": ended_at}
            await upsert(connection, EndedFolder, row, ("workspace",))

    async def noted(self, workspace: str) -> float | None:
        """When it ended, None if nothing is left of it."""
        statement = select(EndedFolder.ended_at).where(EndedFolder.workspace == workspace)
        async with self._connections.reading() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def after(self, workspace: str, limit: int) -> list[str]:
        """Those behind one, in the order of their names."""
        statement = select(EndedFolder.workspace).where(EndedFolder.workspace > workspace)
        async with self._connections.reading() as connection:
            ordered = statement.order_by(EndedFolder.workspace).limit(limit)
            return list((await connection.execute(ordered)).scalars())

    async def forget(self, workspace: str, ended_at: float) -> None:
        """Nothing is left of what ended then; if it has ended again since, it stays noted."""
        where = (EndedFolder.workspace == workspace, EndedFolder.ended_at == ended_at)
        async with self._connections.writing() as connection:
            await connection.execute(delete(EndedFolder).where(*where))
