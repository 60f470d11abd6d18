"""Files of an app that go into the folder of a session before it runs: `files_to_stage` of a manifest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hypha.workers.app_files import download, listed
from hypha.workers.base import WorkerConfig, WorkerError

MOST_STAGED_FILES = 1_000
MOST_STAGED_BYTES = 1024 * 1_048_576
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Staged:
    """One wish: a file, or a folder with all that is in it, and where it goes."""

    source: str
    target: str
    is_folder: bool


def wishes(given: object) -> list[Staged]:
    """What `files_to_stage` asks for: `a.csv`, `folder/`, `from:to`, `from/:to/`; None asks for nothing.

    Raises:
        WorkerError: it is no list of such texts, or a path leads out of the folder.
    """
    if given is None:
        return []
    if not isinstance(given, list | tuple) or len(given) > MOST_STAGED_FILES:
        raise WorkerError(f"files_to_stage is a list of at most {MOST_STAGED_FILES} paths.")
    return [_wish(item) for item in given]


def _wish(item: object) -> Staged:
    if not isinstance(item, str) or not item.strip():
        raise WorkerError("Each of files_to_stage is a path, such as data.csv, data/ or from.csv:to.csv.")
    source, colon, target = item.strip().partition(":")
    if not colon:
        target = source
    is_folder = source.endswith("/")
    if colon and target.endswith("/") and not is_folder:
        target += source.rpartition("/")[2]
    return Staged(_inside(source, item), _inside(target, item), is_folder)


def _inside(path: str, item: str) -> str:
    """A path that stays below where it begins."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or "\\" in path:
        raise WorkerError(f"files_to_stage: {item[:200]!r} leads out of the folder.")
    return "/".join(parts)


async def stage(config: WorkerConfig, folder: Path) -> int:
    """Put the files that a manifest names into a folder where nothing runs yet; how many there are.

    Raises:
        WorkerError: one is not there; there are too many, or they are too large together.
    """
    room = _Room(config, folder)
    for wish in wishes(config.manifest.get("files_to_stage")):
        if wish.is_folder:
            await room.put_folder(wish.source, wish.target, _DEEPEST)
        else:
            await room.put(wish.source, wish.target)
    return room.count


class _Room:
    """What may still be put into a folder."""

    def __init__(self, config: WorkerConfig, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._left = MOST_STAGED_BYTES
        self.count = 0

    async def put(self, source: str, target: str) -> None:
        """Put one file."""
        self.count += 1
        if self.count > MOST_STAGED_FILES:
            raise WorkerError(f"At most {MOST_STAGED_FILES} files are staged: put them into an archive.")
        path = self._folder / target
        try:
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            self._left -= await download(self._config, source, path, self._left)
        except OSError as error:
            raise WorkerError(f"The file {target} cannot be staged: {error.strerror}.") from None

    async def put_folder(self, source: str, target: str, levels: int) -> None:
        """Put everything that is in a folder."""
        if not levels:
            raise WorkerError(f"files_to_stage: {source} has more than {_DEEPEST} levels.")
        names = await listed(self._config, source, MOST_STAGED_FILES + 1)
        if not names:
            raise WorkerError(f"files_to_stage: there is no folder {source}, or nothing is in it.")
        for name, is_folder in names:
            name = name.strip("/").rpartition("/")[2]
            inside, below = _inside(f"{source}/{name}", name), _inside(f"{target}/{name}", name)
            if is_folder:
                await self.put_folder(inside, below, levels - 1)
            else:
                await self.put(inside, below)
