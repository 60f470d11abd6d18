"""What is inside zip archives: found without unpacking them, whoever made them."""

from __future__ import annotations

import asyncio
import io
import random
import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import pytest_asyncio
from starlette.types import Message

from hypha.errors import LimitReached
from hypha.features.artifacts import http_zip_files, zip_index
from hypha.features.artifacts.http_zip_files import ZipFilesRoute
from hypha.features.artifacts.zip_directory import MAX_DEPTH, Entry, InvalidZip, Place, words_of
from hypha.features.artifacts.zip_index import ZipIndex, ZipIndexes
from hypha.features.artifacts.zip_reading import Member
from hypha.limits.turns import on_behalf_of
from hypha.objects.local import LocalObjects
from hypha.objects.store import ObjectInfo
from hypha.web.bodies import ClientLeft
from hypha.web.leaving import unless_left
from hypha.web.scope import HOLDING

NOISE = random.Random(7).randbytes(300_000)


async def at_once(job: Callable[[], Any]) -> Any:
    return job()


class Archives:
    """A store with archives in it, and what reads them."""

    def __init__(self, store: LocalObjects) -> None:
        self.store, self.indexes = store, ZipIndexes(store)

    async def index(self, content: bytes, key: str = "a.zip") -> ZipIndex:
        return await self.indexes.of(await self.store.put(key, content), at_once)

    async def member(self, content: bytes, path: str) -> Member:
        index = await self.index(content)
        entry = index.find(words_of(path))
        assert entry is not None
        return Member(self.store, await self.store.head("a.zip"), index.place, entry, at_once)

    async def read(self, content: bytes, path: str, start: int = 0, stop: int | None = None) -> bytes:
        reading = await (await self.member(content, path)).open("", start, stop)
        try:
            return await reading.whole()
        finally:
            await reading.close()


@pytest_asyncio.fixture
async def archives(tmp_path: Path) -> AsyncIterator[Archives]:
    store = await LocalObjects.open_at(tmp_path, "bucket")
    yield Archives(store)
    await store.close()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, prefix: bytes = b"") -> bytes:
    target = io.BytesIO()
    target.write(prefix)
    with zipfile.ZipFile(target, "a" if prefix else "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 2, 29, 12, 30, 10)), content, method)
        archive.comment = b"PK\x05\x06 is in the comment"
    return target.getvalue()


def names(index: ZipIndex, path: str = "") -> list[str] | None:
    rows = index.page(words_of(path))
    return None if rows is None else [row[1] + "/" * row[0] for row in rows]


@pytest.mark.spec("artifacts-C9.2")
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\n"])
async def test_members_are_found_and_read_whole_and_in_part(
    archives: Archives, method: int, prefix: bytes
) -> None:
    files = {"b.txt": b"hello", "sub/ä.bin": NOISE, "sub/deep/c.txt": b"", "zeros": bytes(3_000_000)}
    content = zipped(files, method, prefix)
    index = await archives.index(content)
    assert names(index) == ["b.txt", "zeros", "sub/"]
    assert names(index, "sub/") == ["ä.bin", "deep/"]
    assert names(index, "nothing/") is None and index.find(("sub",)) is None
    for path, whole in files.items():
        assert await archives.read(content, path) == whole
    assert await archives.read(content, "sub/ä.bin", 1000, 2000) == NOISE[1000:2000]
    assert await archives.read(content, "sub/ä.bin", 299_990) == NOISE[299_990:]
    info = (await archives.member(content, "b.txt")).info
    assert (info.size, info.modified, info.content_type) == (5, 1_709_209_810, "text/plain")


async def test_archives_in_64_bits_are_read(archives: Archives) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(3):
            with archive.open(f"{number}.txt", "w", force_zip64=True) as member:
                member.write(b"x" * number)
    content = target.getvalue()
    end = content.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<LL", content, end + 12)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 3, 3, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    content = content[:end] + record + locator + last
    assert names(await archives.index(content)) == ["0.txt", "1.txt", "2.txt"]
    assert await archives.read(content, "2.txt") == b"xx"


async def test_a_directory_is_read_once_and_in_pieces(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_index, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(zip_index, "PAGE", 100)
    content = zipped({f"{number % 7}/{number:04}.txt": b"" for number in range(1500)})
    index = await archives.index(content)
    info = await archives.store.head("a.zip")
    assert await archives.indexes.of(info, at_once) is index
    found, after = [], (-1, "")
    while rows := index.page(("3",), after):
        found += [row[1] for row in rows]
        after = rows[-1][:2]
    assert found == [f"{number:04}.txt" for number in range(1500) if number % 7 == 3]
    assert await archives.index(content + b"", "b.zip") is not index


@pytest.mark.spec("artifacts-C9.3", "artifacts-C1.11")
async def test_names_that_climb_are_names(archives: Archives) -> None:
    content = zipped({"../x": b"1", "/etc/passwd": b"2", "a//b": b"3", "same": b"old"})
    index = await archives.index(content)
    assert names(index) == ["same", "../", "a/", "etc/"]
    assert names(index, "../") == ["x"]
    assert await archives.read(content, "../x") == b"1"


@pytest.mark.spec("artifacts-C9.2")
async def test_what_cannot_be_is_refused(archives: Archives, monkeypatch: pytest.MonkeyPatch) -> None:
    good = zipped({"a.txt": NOISE, "b.txt": b"bbb"})
    end = good.rindex(b"PK\x05\x06\0")
    directory = struct.unpack_from("<L", good, end + 16)[0]
    broken = [
        b"", b"no zip at all" * 100, good[:-1], b"PK\x05\x06" * 20_000,
        good[: directory + 1] + b"X" + good[directory + 2 :],  # an entry without its mark
        good[: end + 12] + struct.pack("<L", 0xFFFFFFF0) + good[end + 16 :],  # a directory larger than all
        good[: end + 4] + b"\1\0" + good[end + 6 :],  # several volumes
        zipped({"a/" * (MAX_DEPTH + 1): b""}), zipped({"a" * 5000: b""}),
    ]  # fmt: skip
    for content in broken:
        with pytest.raises(InvalidZip):
            await archives.index(content)
    monkeypatch.setattr(zip_index, "MAX_NODES", 1)
    with pytest.raises(LimitReached):
        await archives.index(good, "many.zip")


def changed(content: bytes, at: int, what: bytes) -> bytes:
    """An archive whose directory says something else of its first member."""
    entry = content.rindex(b"PK\x01\x02") + at
    return content[:entry] + what + content[entry + len(what) :]


@pytest.mark.spec("artifacts-C9.3")
@pytest.mark.parametrize(
    ("at", "what"),
    [
        (8, b"\1\0"),  # encrypted
        (10, struct.pack("<H", 12)),  # of another compression
        (16, struct.pack("<L", 7)),  # of another checksum
        (24, struct.pack("<L", 10)),  # smaller than it is
        (24, struct.pack("<L", 900_000)),  # larger
        (20, struct.pack("<L", 100)),  # cut
        (20, struct.pack("<L", 900_000)),  # reaches into the directory
        (42, struct.pack("<L", 900_000)),  # behind the end
        (42, struct.pack("<L", 5)),  # not where a member begins
    ],
)
async def test_a_member_that_is_not_what_the_directory_says_breaks_off(
    archives: Archives, at: int, what: bytes
) -> None:
    content = changed(zipped({"a.bin": NOISE}), at, what)
    with pytest.raises(InvalidZip):
        await archives.read(content, "a.bin")


async def test_every_length_is_unpacked_to_its_last_byte(archives: Archives) -> None:
    for size in (1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2_100_000):
        assert await archives.read(zipped({"a": bytes(size)}), "a") == bytes(size)


async def test_damage_anywhere_is_told_as_such(archives: Archives) -> None:
    content, dice = zipped({"a.txt": b"hello" * 20, "b/c.txt": NOISE[:500]}), random.Random(3)
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(dice.randrange(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            for path in ("a.txt", "b/c.txt"):
                index = await archives.index(bytes(damaged))
                if index.find(words_of(path)) is not None:
                    await archives.read(bytes(damaged), path)
        except InvalidZip:
            continue


async def test_work_stops_when_the_reader_has_left() -> None:
    hung_up, stopped = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def work() -> None:
        hung_up.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(ClientLeft):
        await unless_left(receive, work())
    assert stopped.is_set()


async def test_work_that_fails_or_ends_is_the_answer() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def fail() -> None:
        raise InvalidZip("no")

    await unless_left(receive, asyncio.sleep(0))
    with pytest.raises(InvalidZip):
        await unless_left(receive, fail())


@pytest.mark.parametrize("path", ["", "3/"])
async def test_a_folder_is_looked_up_page_by_page_in_turn(
    archives: Archives, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(zip_index, "PAGE", 100)
    monkeypatch.setattr(http_zip_files, "PAGE", 100)
    content = zipped({f"{number % 4}/{number:04}.txt": b"" for number in range(1000)} | {"3/a": b""})
    key, pages, jobs, sent = "a.zip", list[Any](), 0, list[Any]()
    await archives.index(content)
    page = ZipIndex.page
    monkeypatch.setattr(ZipIndex, "page", lambda *args: pages.append(args[2:]) or page(*args))

    class Crew:
        async def work(self, job: Callable[[], Any]) -> Any:
            nonlocal jobs
            jobs += 1
            return job()

    async def send(message: Any) -> None:
        sent.append(message)

    parts = SimpleNamespace(store=archives.store, crew=Crew())
    manager: Any = SimpleNamespace(parts=parts)
    nothing: Any = None
    route = ZipFilesRoute(manager, nothing)
    route._indexes = archives.indexes
    scope = {"method": "GET", "headers": [], HOLDING: SimpleNamespace(work=at_once)}
    found: Any = SimpleNamespace(key=key)
    await route._answer(found, key, path, scope, send)
    listed = orjson.loads(b"".join(each["body"] for each in sent[1:]))
    names = [f"{number:04}.txt" for number in range(3, 1000, 4)] + ["a"] if path else list("0123")
    assert [each["name"] for each in listed] == names
    assert pages == ([(), ((0, "0399.txt"),), ((0, "0799.txt"),)] if path else [()])  # each is looked up once
    assert jobs == 2 * len(pages)


async def test_archives_whose_files_lie_deep_cost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_index, "PAGE", 10)
    deep = ["/".join([f"{top}", *("x" * 60)]) for top in range(20)]
    paths = [f"{folder}/{number}.txt" for number in range(20) for folder in deep]
    index = ZipIndex(Place(0, 0))
    statements, folders = list[str](), 20 * 61
    index._database.set_trace_callback(statements.append)
    index.add([Entry(path, number, 0, 0, 0, 0, 0, 0) for number, path in enumerate(paths)])
    assert len(statements) < 3 * (folders + len(paths)) + 10
    statements.clear()
    found = index.find(words_of(f"{deep[7]}/5.txt"))
    assert found is not None and paths[found.offset] == found.path
    assert names(index, deep[3]) == sorted(f"{number}.txt" for number in range(20))[:10]
    assert names(index, f"{deep[3]}/x") is None and names(index, "3/x/x") == ["x/"]
    assert len(statements) < 10


async def test_what_is_kept_is_bounded_in_bytes_and_number(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = zipped({f"{number}{'a' * 4000}": b"" for number in range(60)})
    index = await archives.index(long)
    assert index.size_bytes > 60 * 4000
    monkeypatch.setattr(zip_index, "MAX_KEPT_BYTES", 3 * index.size_bytes)
    for most, kept in ((4, 3), (2, 2)):
        monkeypatch.setattr(zip_index, "MAX_KEPT", most)
        archives.indexes = ZipIndexes(archives.store)
        for number in range(5):
            await archives.index(long, f"{number}.zip")
        assert len(archives.indexes._kept) == kept


async def test_who_looks_into_many_archives_waits_for_itself(archives: Archives) -> None:
    infos = [await archives.store.put(f"{number}.zip", zipped({"a": b""})) for number in range(3)]
    making, most, both, go_on = 0, 0, asyncio.Event(), asyncio.Event()

    async def work(job: Callable[[], Any]) -> Any:
        nonlocal making, most
        making += 1
        most = max(most, making)
        if making == 2:
            both.set()
        await go_on.wait()
        making -= 1
        return job()

    async def look(info: ObjectInfo, party: str) -> None:
        with on_behalf_of(party):
            await archives.indexes.of(info, work)

    async with asyncio.TaskGroup() as tasks:
        for info in infos[:2]:
            tasks.create_task(look(info, "many"))
        tasks.create_task(look(infos[2], "few"))
        await both.wait()
        go_on.set()
    assert most == 2
