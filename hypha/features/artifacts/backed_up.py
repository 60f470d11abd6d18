"""Which objects the records of artifacts need: what a backup must hold beside them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from hypha.features.artifacts.paths import joined
from hypha.features.artifacts.tables import Artifact, ArtifactFile
from hypha.objects.homes import folder_at

ROWS = 1000


def needed_objects(database: Connection) -> Iterator[tuple[str, str]]:
    """Key and sha-256 of the committed files in the server's own store, once for each version of theirs."""
    file, of = ArtifactFile, Artifact
    query = (
        select(of.workspace, of.id, file.place, file.folder, file.name, file.sha256)
        .join(of, of.id == file.artifact)
        .where(of.home.is_(None))
    )
    rows = database.execution_options(yield_per=ROWS).execute(query)
    for workspace, artifact, place, folder, name, sha256 in rows:
        yield f"{folder_at(workspace, None)}/{artifact}/{place}/{joined(folder, name)}", sha256
