"""Taking a snapshot, while a server runs or not."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hypha import __version__
from hypha.assembly.features import listed_features
from hypha.cli.backup import records
from hypha.cli.backup.repository import (
    FOLDER,
    OBJECTS,
    RECORDS,
    Entry,
    Repository,
    Snapshot,
    finish,
    write_entries,
)
from hypha.cli.surroundings import folder_of
from hypha.datafolder import kept_files
from hypha.errors import ConfigurationError, ObjectNotFound
from hypha.objects.store import ObjectInfo, ObjectStore
from hypha.settings import Settings
from hypha.store import schema

TOGETHER = 8
TRIES = 3
PAGE = 1000

Told = Callable[[str], None]


@dataclass(slots=True)
class Copied:
    """What one pass over the objects did."""

    new: int = 0
    new_bytes: int = 0


async def open_store(settings: Settings, *, looks_on: bool) -> ObjectStore | None:
    """The store of files of a server with these settings; None where no feature keeps any."""
    for feature in listed_features():
        found = await feature.open_objects(settings, folder_of(settings), looks_on=looks_on)
        if found is not None:
            return found
    return None


async def take(settings: Settings, repository: Repository, told: Told) -> Snapshot:
    """Take a snapshot: the records as they were at one moment, and every object that they name.

    Objects are copied before the records are and once more after it; what is gone at the second time was
    there at the first. Where all the same one is missing, it is done again.

    Raises:
        ConfigurationError: something cannot be read, or objects that the records name are not there.
    """
    place = records.place_of(settings, folder_of(settings))
    store = await open_store(settings, looks_on=True)
    folder = repository.begin()
    try:
        known = _newest(repository)
        for _ in range(TRIES):
            entries, copied = await copy_objects(store, repository, known)
            (folder / RECORDS).unlink(missing_ok=True)
            await records.take_out(place, folder / RECORDS)
            later, also = await copy_objects(store, repository, {**known, **entries})
            known = {**entries, **later}
            missing, damaged = await asyncio.to_thread(_compare, folder / RECORDS, known)
            if not missing:
                break
        else:
            raise ConfigurationError(_lost(missing))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if store is not None:
            await store.close()
    for key in damaged:
        told(f"Not as it was committed, but kept as it is: {key}")
    write_entries(folder / OBJECTS, (known[key] for key in sorted(known)))
    _copy_folder(folder_of(settings), folder / FOLDER)
    facts = {
        "taken_at": time.time(), "version": __version__, "revision": schema.HEAD, "objects": len(known),
        "bytes": sum(entry.size for entry in known.values()), "damaged": damaged,
    }  # fmt: skip
    snapshot = finish(folder, facts)
    new, new_bytes = copied.new + also.new, copied.new_bytes + also.new_bytes
    told(
        f"{snapshot.name}: {len(known):,} files, {facts['bytes']:,} bytes; new: {new:,}, {new_bytes:,} bytes"
    )
    return snapshot


def _newest(repository: Repository) -> dict[str, Entry]:
    snapshots = repository.snapshots()
    return {entry.key: entry for entry in snapshots[-1].entries()} if snapshots else {}


async def copy_objects(
    store: ObjectStore | None, repository: Repository, known: dict[str, Entry]
) -> tuple[dict[str, Entry], Copied]:
    """Copy what is new; gives all objects that are there."""
    entries: dict[str, Entry] = {}
    copied = Copied()
    if store is None:
        return entries, copied
    async for infos in _pages(store):
        for start in range(0, len(infos), TOGETHER):
            some = infos[start : start + TOGETHER]
            for entry in await asyncio.gather(
                *(_copy(store, repository, known, each, copied) for each in some)
            ):
                if entry is not None:
                    entries[entry.key] = entry
    return entries, copied


async def _pages(store: ObjectStore) -> AsyncIterator[list[ObjectInfo]]:
    """All objects but notes of the server's own, which belong to where it runs."""
    after, rest = "", True
    while rest:
        page = await store.list("", after=after, limit=PAGE)
        yield [info for info in page.objects if not info.key.startswith(".")]
        after, rest = page.objects[-1].key if page.objects else "", page.rest and bool(page.objects)


async def _copy(
    store: ObjectStore, repository: Repository, known: dict[str, Entry], info: ObjectInfo, copied: Copied
) -> Entry | None:
    before = known.get(info.key)
    if before is not None and before.is_still(info) and repository.blob(before.sha256).exists():
        return before
    try:
        reading = await store.open(info.key)
    except ObjectNotFound:  # deleted meanwhile
        return None
    draft = repository.draft()
    try:
        async for chunk in reading.chunks():
            await asyncio.to_thread(draft.write, chunk)
        sha256 = await asyncio.to_thread(draft.keep)
    except BaseException:
        draft.drop()
        raise
    finally:
        await reading.close()
    copied.new += 1
    copied.new_bytes += reading.info.size
    return Entry.of(reading.info, sha256)


def _compare(file: Path, entries: dict[str, Entry]) -> tuple[list[str], list[str]]:
    """Objects that the records name and that are not there, or have other bytes than were committed."""
    missing, damaged = [], []
    for key, sha256 in needed_in(file):
        if key not in entries:
            missing.append(key)
        elif sha256 and entries[key].sha256 != sha256:
            damaged.append(key)
    return missing, sorted(set(damaged))


def needed_in(file: Path) -> Iterable[tuple[str, str]]:
    """Key and digest of the objects that the records in a SQLite file name."""
    with records.opened(file) as engine, engine.connect() as connection:
        for feature in listed_features():
            yield from feature.needed_objects(connection)


def _lost(missing: list[str]) -> str:
    shown = ", ".join(missing[:3])
    return (
        f"{len(missing):,} files that the records name are not there, such as {shown}. Nothing was backed "
        "up: `hypha-server artifact verify` says more."
    )


def _copy_folder(source: Path | None, target: Path) -> None:
    """Secrets and identity."""
    target.mkdir(mode=0o700)
    if source is None:
        return
    for name in kept_files(source):
        (target / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
