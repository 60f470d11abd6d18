"""Files of artifacts as readers and writers find them: committed ones, staged ones, and their addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypha.errors import InvalidRequest, ObjectNotFound
from hypha.features.artifacts.artifact import Artifact, FileNotFound
from hypha.features.artifacts.file_records import File, Staged
from hypha.features.artifacts.parts import Parts
from hypha.features.artifacts.paths import joined, split
from hypha.objects.store import MAX_LISTED

MAX_PATHS = 10_000
"""Files that one call names."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that can be read: its path in the artifact, and its key in the object store."""

    path: str
    key: str


class FileView:
    """The files of an artifact as one reader sees them: of a version, or with what is staged."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def find(
        self, artifact: Artifact, version: object, paths: Sequence[str], *, staged: bool
    ) -> list[Found]:
        """Where the named files lie, in their order.

        Raises:
            FileNotFound: one is not there. UnknownVersion.
        """
        keys = await (
            self._staged_keys(artifact, paths) if staged else self._committed_keys(artifact, version, paths)
        )
        for path in paths:
            if path not in keys:
                raise FileNotFound(f"File '{path}' does not exist in the artifact {artifact.full_id}.")
        return [Found(path, keys[path]) for path in paths]

    async def _committed_keys(
        self, artifact: Artifact, version: object, paths: Sequence[str]
    ) -> dict[str, str]:
        if not artifact.is_committed and version in (None, "latest"):
            return {}
        number = artifact.version(version).number
        found = await self._parts.files.find(artifact.id, number, paths)
        return {path: file.key(artifact.folder) for path, file in found.items()}

    async def _staged_keys(self, artifact: Artifact, paths: Sequence[str]) -> dict[str, str]:
        """Keys as the next commit would leave them; what was announced and not uploaded isn't there."""
        if not artifact.is_staged:
            return await self._committed_keys(artifact, None, paths)
        staged = await self._parts.files.find_staged(artifact.id, paths)
        keys: dict[str, str] = {}
        if artifact.edited is not None:
            rest = [path for path in paths if path not in staged]
            keys = await self._committed_keys(artifact, None, rest)
        for path, file in staged.items():
            if not file.is_removed and await self.is_uploaded(artifact, path):
                keys[path] = artifact.stage_key(path)
        return keys

    async def is_uploaded(self, artifact: Artifact, path: str) -> bool:
        """Whether something was uploaded for an announced file."""
        try:
            await self._parts.store.head(artifact.stage_key(path))
        except ObjectNotFound:
            return False
        return True

    async def listed(
        self, artifact: Artifact, version: object, folder: str, offset: int, limit: int
    ) -> list[dict[str, Any]]:
        """One level of the committed files: those of the folder, then the folders in it."""
        if not artifact.is_committed and version in (None, "latest"):
            return []
        number = artifact.version(version).number
        files, folders = await self._parts.files.level(artifact.id, number, folder, offset, limit)
        shown = [_shown(split(file.path)[1], file.size, file.modified) for file in files]
        return [*shown, *({"type": "directory", "name": name} for name in folders)]

    async def listed_staged(
        self, artifact: Artifact, folder: str, offset: int, limit: int, *, pending: bool
    ) -> list[dict[str, Any]]:
        """The same as the next commit would leave them; with `pending` also what is yet to be uploaded."""
        if not artifact.is_staged:
            return await self.listed(artifact, None, folder, offset, limit)
        staged = {file.path: file for file in await self._parts.files.staged(artifact.id)}
        files, folders = await self._uploaded(artifact, folder)
        files = {name: entry for name, entry in files.items() if _is_announced(staged, folder, name)}
        for path, file in staged.items():
            inside, name = split(path)
            if inside == folder and not file.is_removed and pending and name not in files:
                files[name] = {**_shown(name, 0, None), "etag": None, "pending": True}
        if artifact.edited is not None:
            await self._add_committed(artifact, folder, staged, files, folders)
        for name, entry in files.items():
            known = staged.get(joined(folder, name))
            if known is not None and known.weight > 0:
                entry["download_weight"] = known.weight
        entries = [files[name] for name in sorted(files)]
        entries += [{"type": "directory", "name": name} for name in sorted(folders)]
        if pending:
            entries.sort(key=lambda entry: str(entry["name"]))
        return entries[offset : offset + limit]

    async def _uploaded(self, artifact: Artifact, folder: str) -> tuple[dict[str, dict[str, Any]], set[str]]:
        prefix = artifact.stage_key(f"{folder}/" if folder else "")
        files: dict[str, dict[str, Any]] = {}
        folders: set[str] = set()
        async for page in self._parts.store.pages(prefix):
            for info in page.objects:
                name = info.key.removeprefix(prefix)
                files[name] = _shown(name, info.size, info.modified)
            folders |= {each.removeprefix(prefix).rstrip("/") for each in page.folders}
        return files, folders

    async def _add_committed(
        self,
        artifact: Artifact,
        folder: str,
        staged: Mapping[str, Staged],
        files: dict[str, dict[str, Any]],
        folders: set[str],
    ) -> None:
        number, offset = artifact.version(None).number, 0
        while True:
            some, inner = await self._parts.files.level(artifact.id, number, folder, offset, MAX_LISTED)
            for file in some:
                if file.path not in staged:
                    name = split(file.path)[1]
                    files.setdefault(name, _shown(name, file.size, file.modified))
            folders |= set(inner)
            if len(some) + len(inner) < MAX_LISTED:
                return
            offset += MAX_LISTED

    async def all_of(self, artifact: Artifact, version: object) -> list[File]:
        """All committed files of a version, in order; at most `MAX_PATHS` more are read at a time."""
        number, files = artifact.version(version).number, list[File]()
        while some := await self._parts.files.page(
            artifact.id, number, files[-1].path if files else "", MAX_PATHS
        ):
            files += some
        return files


def download_weight(artifact: Artifact, paths: Sequence[str]) -> float:
    """What a download of these files counts together."""
    weights = artifact.config.get("download_weights") or {}
    return float(sum(weights.get(path, 0) for path in set(paths)))


def check_expiry(expires_in: object) -> float:
    """How long an address is good, in seconds.

    Raises:
        InvalidRequest: less than a minute, or more than a week.
    """
    is_number = isinstance(expires_in, int | float) and not isinstance(expires_in, bool)
    if not is_number or not 60 <= expires_in <= 604800:  # type: ignore[operator]
        raise InvalidRequest("expires_in is a number of seconds from 60 to 604800 (a week).")
    return float(expires_in)  # type: ignore[arg-type]


def _is_announced(staged: Mapping[str, Staged], folder: str, name: str) -> bool:
    known = staged.get(joined(folder, name))
    return known is not None and not known.is_removed


def _shown(name: str, size: int, modified: float | None) -> dict[str, Any]:
    return {"type": "file", "name": name, "size": size, "last_modified": modified}
