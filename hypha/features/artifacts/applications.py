"""Applications: manifests of committed artifacts, by which services are registered and chosen."""

from __future__ import annotations

from sqlalchemy import literal_column, select

from hypha.features.artifacts.ids import may_be_alias
from hypha.features.artifacts.tables import APPLICATION, Artifact
from hypha.limits import BoundedMap
from hypha.registry.applications import Application
from hypha.store.repository import Connections

_KEPT = 256
"""Answers kept in memory, that of an unknown id among them."""

_ARE_APPLICATIONS = (
    Artifact.type == literal_column(f"'{APPLICATION}'"),  # written out, so that the index for it is used
    Artifact.version_count > 0,
)


class ApplicationManifests:
    """Reads manifests, and remembers what it read until an application changes anywhere."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._workspaces: set[str] = set()
        self._kept: BoundedMap[tuple[str, str], tuple[Application | None]] = BoundedMap(_KEPT)

    async def load(self) -> None:
        """Learn which workspaces have applications."""
        query = select(Artifact.workspace).where(*_ARE_APPLICATIONS).distinct()
        async with self._connections.reading() as connection:
            self._workspaces.update((await connection.execute(query)).scalars())

    def has_any(self, workspace: str) -> bool:
        """Whether a workspace has applications."""
        return workspace in self._workspaces

    async def find(self, workspace: str, app_id: str) -> Application | None:
        """The application of an app id, which is the alias of its artifact; None if there is none."""
        if "\0" in workspace or not may_be_alias(app_id):  # the databases do not take every text
            return None
        key, kept = (workspace, app_id), self._kept
        known = kept.use(key)
        if known is None:
            known = (await self._read(workspace, app_id),)
            kept.put(key, known)  # what changed meanwhile has put another map in its place
        return known[0]

    async def _read(self, workspace: str, app_id: str) -> Application | None:
        query = select(Artifact.manifest).where(
            Artifact.workspace == workspace, Artifact.alias == app_id, *_ARE_APPLICATIONS
        )
        async with self._connections.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Application.parse(row.manifest)

    def committed(self, workspace: str) -> None:
        """An application came or changed."""
        self._workspaces.add(workspace)
        self._forget()

    async def removed(self, workspace: str) -> None:
        """Something was deleted in a workspace, or the workspace itself."""
        if workspace not in self._workspaces:
            return
        kept = self._forget()
        query = select(Artifact.id).where(Artifact.workspace == workspace, *_ARE_APPLICATIONS).limit(1)
        async with self._connections.reading() as connection:
            is_empty = (await connection.execute(query)).first() is None
        if is_empty and kept is self._kept:  # else something came meanwhile
            self._workspaces.discard(workspace)

    def _forget(self) -> BoundedMap[tuple[str, str], tuple[Application | None]]:
        self._kept = BoundedMap(_KEPT)
        return self._kept
