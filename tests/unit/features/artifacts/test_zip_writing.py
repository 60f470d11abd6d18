"""Archives of committed files are the same from any byte on, and read no more than they must."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hypha.features.artifacts.file_records import File
from hypha.features.artifacts.zip_writing import SKIPPED_AT_ONCE, Archive, Checksums
from hypha.objects.local import LocalObjects
from hypha.objects.store import Reading

CONTENTS = {"a.txt": b"hello", "b/long.bin": bytes(range(256)) * 40, "empty": b"", "last": b"the end"}


class Counting(LocalObjects):
    """A store that tells how many bytes were opened."""

    opened = 0

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        reading = await super().open(key, start, stop)
        self.opened += reading.stop - reading.start
        return reading


async def stored(folder: Path) -> tuple[Counting, list[File]]:
    store = await Counting.open_at(folder, "bucket")
    files = []
    for path, content in CONTENTS.items():
        file = File(path, "v0", len(content), "", "", "", 1_700_000_000.0)
        await store.put(file.key("f"), content)
        files.append(file)
    return store, files


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.mark.spec("artifacts-C9.1")
async def test_every_part_of_an_archive_is_that_of_the_whole(tmp_path: Path) -> None:
    store, files = await stored(tmp_path)
    checksums = Checksums(100)
    archive = Archive(store, "f", files, checksums)
    whole = await joined(archive.pieces(0, archive.size))
    assert len(whole) == archive.size
    with zipfile.ZipFile(io.BytesIO(whole)) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in read.namelist()} == CONTENTS
    places = sorted({*range(0, 120), *range(0, archive.size, 311), archive.size - 1, archive.size})
    for known in (checksums, Checksums(100)):
        for start in places:
            stop = min(archive.size, start + 700)
            part = Archive(store, "f", files, known if known is checksums else Checksums(100))
            assert await joined(part.pieces(start, stop)) == whole[start:stop], start
            assert await joined(part.pieces(start, archive.size)) == whole[start:], start
    await store.close()


async def test_what_is_known_of_an_archive_is_not_read_again(tmp_path: Path) -> None:
    store, files = await stored(tmp_path)
    checksums = Checksums(100)
    archive = Archive(store, "f", files, checksums)
    await joined(archive.pieces(0, 60))
    assert store.opened <= len(CONTENTS["a.txt"]) + len(CONTENTS["b/long.bin"])
    await joined(archive.pieces(0, archive.size))
    store.opened = 0
    await joined(archive.pieces(archive.size - 20, archive.size))
    assert store.opened == 0  # the directory alone
    await joined(archive.pieces(5000, 6000))
    assert store.opened == 1000  # within the long file
    await store.close()


async def test_what_was_pushed_out_while_a_file_was_read_is_not_lost(tmp_path: Path) -> None:
    store, files = await stored(tmp_path)
    whole = await joined((archive := Archive(store, "f", files, Checksums(100))).pieces(0, 10**6))
    checksums = Checksums(len(files))
    await joined(Archive(store, "f", files, checksums).pieces(0, archive.size))

    class Pushing(Counting):
        async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
            for number in range(len(files)):  # another archive
                checksums.put(f"other {number}", 0)
            return await super().open(key, start, stop)

    pushing = await Pushing.open_at(tmp_path, "bucket")
    assert await joined(Archive(pushing, "f", files, checksums).pieces(0, archive.size)) == whole


@pytest.mark.parametrize("from_end", [10, 400_000])
async def test_members_that_are_passed_over_do_not_hold_up_others(tmp_path: Path, from_end: int) -> None:
    store = await Counting.open_at(tmp_path, "bucket")
    files = [File(f"{number:04}", "v0", 1, "", "", "", 1_700_000_000.0) for number in range(5000)]
    checksums = Checksums(len(files))
    for file in files:
        checksums.put(file.key("f"), 0)
    archive = Archive(store, "f", files, checksums)
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(count)

    count()
    await anext(archive.pieces(archive.size - from_end, archive.size))
    assert turns > len(files) / SKIPPED_AT_ONCE
    assert store.opened == 0
