"""Bookmarks of users, in their own workspaces."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import ColumnElement, delete, select

from hypha.store.records import Bookmark, WorkspaceRecord
from hypha.store.repository import Connections, Repository, encoded_size, upsert
from hypha.store.tables import BookmarkRow
from hypha.store.usage import Allowance, Kind, Usage
from hypha.store.workspaces import ensure


class Bookmarks(Repository):
    """One row per bookmark."""

    def __init__(self, connections: Connections, usage: Usage) -> None:
        super().__init__(connections)
        self._usage = usage

    async def put(
        self,
        record: WorkspaceRecord,
        bookmark: Bookmark,
        now: float,
        allowance: Allowance | None = None,
    ) -> None:
        """Write a bookmark, and the workspace if it lived in memory only.

        Raises:
            QuotaExceeded: that would be more than is allowed; nothing is changed.
        """
        size = encoded_size(asdict(bookmark))
        where = _at(record.id, bookmark.bookmark_type, bookmark.id)
        row = {
            "workspace": record.id,
            "bookmark_type": bookmark.bookmark_type,
            "id": bookmark.id,
            "name": bookmark.name,
            "description": bookmark.description,
            "config": None if bookmark.config is None else dict(bookmark.config),
            "created_at": now,
            "size": size,
        }
        async with self._connections.writing() as connection:
            await ensure(connection, record, self._connections.replica)
            await self._usage.hold(connection, record, Kind.BOOKMARKS)
            before = await connection.execute(select(BookmarkRow.size).where(*where))
            known = before.scalar_one_or_none()
            added = (1, size) if known is None else (0, size - known)
            await self._usage.add(connection, record, Kind.BOOKMARKS, *added, allowance)
            await upsert(connection, BookmarkRow, row, ("workspace", "bookmark_type", "id"))

    async def remove(self, workspace: str, bookmark_type: str, target: str) -> bool:
        """Delete a bookmark; False if it wasn't there."""
        statement = delete(BookmarkRow).where(*_at(workspace, bookmark_type, target))
        async with self._connections.writing() as connection:
            await self._usage.remove(connection, workspace, Kind.BOOKMARKS, 0, 0)
            gone = await connection.execute(statement.returning(BookmarkRow.size))
            size = gone.scalar_one_or_none()
            if size is not None:
                await self._usage.remove(connection, workspace, Kind.BOOKMARKS, 1, size)
            return size is not None

    async def all(self, workspace: str) -> list[Bookmark]:
        """All bookmarks of a workspace, oldest first."""
        statement = (
            select(
                BookmarkRow.bookmark_type,
                BookmarkRow.id,
                BookmarkRow.name,
                BookmarkRow.description,
                BookmarkRow.config,
            )
            .where(BookmarkRow.workspace == workspace)
            .order_by(BookmarkRow.created_at, BookmarkRow.id)
        )
        async with self._connections.reading() as connection:
            return [Bookmark(*row) for row in await connection.execute(statement)]


def _at(workspace: str, bookmark_type: str, target: str) -> tuple[ColumnElement[bool], ...]:
    return (
        BookmarkRow.workspace == workspace,
        BookmarkRow.bookmark_type == bookmark_type,
        BookmarkRow.id == target,
    )
