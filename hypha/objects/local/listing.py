"""Lists of objects in the order of their keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from hypha.objects.keys import names_of, word_of
from hypha.objects.local.layout import Layout
from hypha.objects.store import ObjectInfo, Page


def list_page(layout: Layout, prefix: str, after: str, skip: int, limit: int, recursive: bool) -> Page:
    """See `ObjectStore.list`; reads each folder on the way once."""
    folder, _, begin = prefix.rpartition("/")
    objects: list[ObjectInfo] = []
    folders: list[str] = []
    for key, entry in islice(_found(layout, folder, begin, after, recursive), max(0, skip), None):
        if len(objects) + len(folders) == limit:
            return Page(objects, folders, rest=True)
        if entry is None:
            folders.append(key)
        elif (info := _info(layout, key, entry)) is not None:
            objects.append(info)
    return Page(objects, folders)


def _found(
    layout: Layout, folder: str, begin: str, after: str, recursive: bool
) -> Iterator[tuple[str, os.DirEntry[str] | None]]:
    """Keys behind `after` with their files, and folders with None, in order."""
    lead = f"{folder}/" if folder else ""
    place = "/".join(names_of(folder)) if folder else ""
    for word, entry in _sorted(layout, place):
        if not word.startswith(begin):
            continue
        key = lead + word
        if entry is not None:
            if key > after:
                yield key, entry
        elif not recursive:
            if key > after and not after.startswith(key):
                yield key, None
        elif key > after or after.startswith(key):
            yield from _found(layout, key.removesuffix("/"), "", after, recursive)


def _sorted(layout: Layout, place: str) -> list[tuple[str, os.DirEntry[str] | None]]:
    """Words of a folder with their files; folders end in `/` and have None."""
    found: dict[str, os.DirEntry[str] | None] = {}
    for entry in layout.walk(place):
        word, is_beside = word_of(entry.name)
        if entry.is_symlink():
            continue
        if entry.is_dir():
            found[f"{word}/"] = None
        elif entry.is_file() and not (is_beside and word in found):
            found[word] = entry
    return sorted(found.items(), key=lambda pair: pair[0])


def _info(layout: Layout, key: str, entry: os.DirEntry[str]) -> ObjectInfo | None:
    place = os.path.relpath(entry.path, layout.root)
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError:  # deleted meanwhile
        return None
    return layout.facts.read(layout.root / place, place, stat).info(key)
