"""Bookmarks of users, in their own workspaces."""

from __future__ import annotations

from sqlalchemy import delete, select

from hypha.store.models import BookmarkRow
from hypha.store.records import Bookmark, WorkspaceRecord
from hypha.store.repository import Repository, upsert
from hypha.store.workspaces import ensure


class Bookmarks(Repository):
    """One row per bookmark."""

    async def put(self, record: WorkspaceRecord, bookmark: Bookmark, now: float) -> None:
        """Write a bookmark, and the workspace if it lived in memory only."""
        row = {
            "workspace": record.id,
            "bookmark_type": bookmark.bookmark_type,
            "id": bookmark.id,
            "name": bookmark.name,
            "description": bookmark.description,
            "config": None if bookmark.config is None else dict(bookmark.config),
            "created_at": now,
        }
        async with self._connections.writing() as connection:
            await ensure(connection, record)
            await upsert(connection, BookmarkRow, row, ("workspace", "bookmark_type", "id"))

    async def remove(self, workspace: str, bookmark_type: str, target: str) -> bool:
        """Delete a bookmark; False if it wasn't there."""
        statement = delete(BookmarkRow).where(
            BookmarkRow.workspace == workspace,
            BookmarkRow.bookmark_type == bookmark_type,
            BookmarkRow.id == target,
        )
        async with self._connections.writing() as connection:
            return bool((await connection.execute(statement)).rowcount)

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
