"""Bookmarks that users keep in their own workspaces (docs/spec/manager.md#settings)."""

from __future__ import annotations

import time

from hypha.auth.users import User
from hypha.errors import PermissionDenied
from hypha.store import Bookmark, Store
from hypha.store.usage import Kind
from hypha.workspaces.lifecycle import Workspaces


class Bookmarks:
    """Stores what a user marked; whether the user may see the target is checked before."""

    def __init__(self, workspaces: Workspaces, store: Store) -> None:
        self._workspaces = workspaces
        self._store = store

    async def add(self, user: User, bookmark: Bookmark) -> None:
        """Keep a bookmark in the user's own workspace; a second one of the same target replaces it.

        Raises:
            PermissionDenied: a generated or limited token acts, which has no workspace to keep it in.
        """
        if not user.reaches(user.own_workspace):
            user.require_unlimited("keeping bookmarks")
        if user.parent is not None:
            raise PermissionDenied(
                "Permission denied: a generated token has no bookmarks, use your own login."
            )
        async with self._workspaces.changing(user.own_workspace, user) as own:
            allowance = self._workspaces.allowance(own.record, Kind.BOOKMARKS)
            await self._store.bookmarks.put(own.record, bookmark, time.time(), allowance)

    async def remove(self, user: User, bookmark_type: str, target: str) -> bool:
        """Forget a bookmark of the user; False if there was none."""
        if not user.reaches(user.own_workspace):
            return False
        return await self._store.bookmarks.remove(user.own_workspace, bookmark_type, target)

    async def list(self, user: User) -> list[Bookmark]:
        """The user's bookmarks, oldest first."""
        if not user.reaches(user.own_workspace):
            return []
        return await self._store.bookmarks.all(user.own_workspace)
