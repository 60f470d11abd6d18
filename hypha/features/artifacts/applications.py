"""Applications: manifests of committed artifacts, by which services are registered and chosen."""

from __future__ import annotations

from itertools import count

from sqlalchemy import literal_column, select

from hypha.features.artifacts.ids import may_be_alias
from hypha.features.artifacts.tables import APPLICATION, Artifact
from hypha.limits import BoundedMap
from hypha.registry.applications import Application
from hypha.store.repository import Connections

_KEPT = 256
"""Applications kept in memory."""

_ARE_APPLICATIONS = (
    Artifact.type == literal_column(f"'{APPLICATION}'"),  # written out, so that the index for it is used
    Artifact.version_count > 0,
)


class ApplicationManifests:
    """Reads manifests, and remembers what it read until an application of the workspace changes."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._workspaces: dict[str, int] = {}
        """Those that have applications, each with the number of its last change."""
        self._changes = count()
        """Numbers, of all workspaces together: none comes twice."""
        self._kept: BoundedMap[tuple[str, int, str], Application] = BoundedMap(_KEPT)
        """By workspace, its last change, and app id."""

    async def load(self) -> None:
        """Learn which workspaces have applications."""
        query = select(Artifact.workspace).where(*_ARE_APPLICATIONS).distinct()
        async with self._connections.reading() as connection:
            self._workspaces.update(
                dict.fromkeys((await connection.execute(query)).scalars(), next(self._changes))
            )

    def has_any(self, workspace: str) -> bool:
        """Whether a workspace has applications."""
        return workspace in self._workspaces

    async def find(self, workspace: str, app_id: str) -> Application | None:
        """The application of an app id, which is the alias of its artifact; None if there is none."""
        changes = self._workspaces.get(workspace)
        if changes is None or not may_be_alias(app_id):  # the databases do not take every text
            return None
        key = (workspace, changes, app_id)  # nobody looks for what was read before a change
        known = self._kept.use(key)
        if known is None:
            known = await self._read(workspace, app_id)
            if known is not None:
                self._kept.put(key, known)
        return known

    async def _read(self, workspace: str, app_id: str) -> Application | None:
        query = select(Artifact.manifest).where(
            Artifact.workspace == workspace, Artifact.alias == app_id, *_ARE_APPLICATIONS
        )
        async with self._connections.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Application.parse(row.manifest)

    def committed(self, workspace: str) -> None:
        """An application came, changed or went."""
        self._workspaces[workspace] = next(self._changes)

    async def removed(self, workspace: str) -> None:
        """Something was deleted in a workspace, or the workspace itself."""
        if workspace not in self._workspaces:
            return
        self.committed(workspace)
        changes = self._workspaces[workspace]
        query = select(Artifact.id).where(Artifact.workspace == workspace, *_ARE_APPLICATIONS).limit(1)
        async with self._connections.reading() as connection:
            is_empty = (await connection.execute(query)).first() is None
        if is_empty and self._workspaces.get(workspace) == changes:  # else something came meanwhile
            del self._workspaces[workspace]
