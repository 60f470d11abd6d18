"""Counting what lies in the folders of a store: read from a note of the last stop, else file by file."""

from __future__ import annotations

import json
import os
import stat
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from hypha.objects.keys import word_of


def read_note(note: Path) -> dict[str, tuple[int, int]] | None:
    """What a server noted that stopped in order; None if there is no such note. It is good once."""
    try:
        text = note.read_text()
        note.unlink()
        return {str(owner): (int(count), int(size)) for owner, (count, size) in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_note(note: Path, kept: Mapping[str, tuple[int, int]]) -> None:
    """Leave a note for the next start."""
    temporary = note.with_name(note.name + "~")
    temporary.write_text(json.dumps(kept))
    os.replace(temporary, note)


def count_folder(folder: Path) -> dict[str, tuple[int, int]]:
    """Objects and bytes of each folder in it; the owner of files that lie in none is empty."""
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found = counted[word_of(entry.name)[0]]
                count, size = size_of(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                found = counted[""]
                count, size = 1, entry.stat(follow_symlinks=False).st_size
            else:
                continue
            found[0] += count
            found[1] += size
    return {owner: (count, size) for owner, (count, size) in counted.items()}


def size_of(folder: Path) -> tuple[int, int]:
    """Number and bytes of the files in a folder and below."""
    count = size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(path, name))
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                count += 1
                size += found.st_size
    return count, size
