"""What an artifact holds, file by file with digests: of a version, and of what was uploaded since."""

from __future__ import annotations

from typing import Any

from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.parts import Parts


class Inventory:
    """Pages of files with what is known of their contents."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def committed(self, artifact: Artifact, version: object, after: str, limit: int) -> dict[str, Any]:
        """Files of a version behind a path.

        Raises:
            UnknownVersion.
        """
        if not artifact.is_committed and version in (None, "latest"):
            return _page([], limit)
        number = artifact.version(version).number
        files = await self._parts.files.page(artifact.id, number, after, limit)
        return _page([_shown(file.path, file.size, file.sha256, file.modified) for file in files], limit)

    async def staged(self, artifact: Artifact, after: str, limit: int) -> dict[str, Any]:
        """Files that were uploaded for the next commit, behind a path."""
        if not artifact.is_staged:
            return _page([], limit)
        prefix = artifact.stage_key("")
        page = await self._parts.store.list(prefix, after=f"{prefix}{after}" if after else "", limit=limit)
        found = [
            _shown(info.key.removeprefix(prefix), info.size, info.sha256, info.modified)
            for info in page.objects
        ]
        return {"files": found, "after": found[-1]["path"] if found and page.rest else None}


def _page(files: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    return {"files": files, "after": files[-1]["path"] if len(files) == limit else None}


def _shown(path: str, size: int, sha256: str, modified: float) -> dict[str, Any]:
    return {"path": path, "size": size, "sha256": sha256 or None, "last_modified": modified}
