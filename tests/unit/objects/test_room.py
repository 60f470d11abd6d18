"""What is kept is counted exactly, whatever was done, and bounded while it is written."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.errors import (
    AlreadyExists,
    FrameTooLarge,
    InvalidRequest,
    ObjectNotFound,
    QuotaExceeded,
    StorageFull,
    UploadNotFound,
)
from hypha.objects.local import LocalObjects
from hypha.objects.local.facts import FactsKeeper
from hypha.objects.room import Share
from hypha.objects.store import ObjectInfo

BUCKET = "hypha-test"


@pytest_asyncio.fixture(params=[True, False], ids=["attributes", "no attributes"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalObjects]:
    if not request.param:
        bare = lambda folder, probe: FactsKeeper(folder, has_attributes=False)  # noqa: E731
        monkeypatch.setattr(FactsKeeper, "of", staticmethod(bare))
    opened = LocalObjects(tmp_path, BUCKET)
    yield opened
    await opened.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def test_each_owner_has_a_count(store: LocalObjects) -> None:
    await store.put("ws-1/a", b"x" * 10)
    await store.put("ws-1/b/c", pieces(b"x" * 5, b"y" * 6))
    await store.put("ws-2/a", b"")
    await store.put("top", b"123")
    assert store.room.all() == {"ws-1": (2, 21), "ws-2": (1, 0), "": (1, 3)}
    await store.put("ws-1/a", b"z")
    await store.copy("ws-1/b/c", "ws-2/d")
    await store.copy("ws-1/b/c", "ws-2/d")
    assert store.room.all() == {"ws-1": (2, 12), "ws-2": (2, 11), "": (1, 3)}
    assert await store.delete_folder("ws-1") == 2 and await store.delete("top")
    assert store.room.all() == {"ws-2": (2, 11)}


async def test_many_copies_count_or_leave_nothing(store: LocalObjects) -> None:
    for n in range(4):
        await store.put(f"ws-1/{n}", b"x" * 10)
    await store.copy_many([(f"ws-1/{n}", f"ws-2/{n}") for n in range(4)])
    await store.copy_many([("ws-1/0", "ws-2/0"), ("ws-1/1", "ws-2/4")])
    assert store.room.all() == {"ws-1": (4, 40), "ws-2": (5, 50)}
    store.room.share_of = lambda _: Share(100, 59)
    with pytest.raises(QuotaExceeded):
        await store.copy_many([("ws-1/0", "ws-2/9")])
    with pytest.raises(ObjectNotFound):
        await store.copy_many([("ws-1/0", "ws-3/0"), ("ws-1/9", "ws-3/9")])
    assert store.room.of("ws-2") == (5, 50)
    assert [info.key for info in (await store.list("ws-2/")).objects] == [f"ws-2/{n}" for n in range(5)]


async def test_parts_count_until_they_are_a_file(store: LocalObjects) -> None:
    upload = await store.begin("ws-1/a")
    await store.put_part("ws-1/a", upload, 1, b"x" * 10)
    one = await store.put_part("ws-1/a", upload, 1, b"x" * 20)
    same = await store.put_part("ws-1/a", upload, 1, b"x" * 20)
    two = await store.put_part("ws-1/a", upload, 2, b"y")
    assert one == same and store.room.of("ws-1") == (2, 21)
    await store.complete("ws-1/a", upload, [(1, one), (2, two)])
    assert store.room.of("ws-1") == (1, 21)
    other = await store.begin("ws-1/b")
    await store.put_part("ws-1/b", other, 1, b"x" * 10)
    await store.abort("ws-1/b", other)
    assert store.room.of("ws-1") == (1, 21)


async def test_what_fails_counts_nothing(store: LocalObjects) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionError

    await store.put("ws-1/a", b"1")
    with pytest.raises(ConnectionError):
        await store.put("ws-1/b", broken())
    with pytest.raises(FrameTooLarge):
        await store.put("ws-1/b", pieces(b"x" * 2_000_000, b"x" * 2_000_000), max_bytes=3_000_000)
    with pytest.raises(AlreadyExists):
        await store.put("ws-1/a", b"22", if_absent=True)
    with pytest.raises(ObjectNotFound):
        await store.copy("ws-1/none", "ws-1/c")
    with pytest.raises(AlreadyExists):
        await store.copy("ws-1/a", "ws-1/a", if_absent=True)
    assert store.room.all() == {"ws-1": (1, 1)}


async def test_uploads_at_once_share_what_is_left(store: LocalObjects) -> None:
    store.room.share_of = lambda owner: Share(100, 5_000_000)
    puts = [store.put(f"ws-1/{n}", pieces(*[b"x" * 500_000] * 6)) for n in range(3)]
    done = await asyncio.gather(*puts, return_exceptions=True)
    refused = [each for each in done if isinstance(each, QuotaExceeded)]
    assert 2 <= len(refused) <= 3 and store.room.of("ws-1")[1] == 3_000_000 * (3 - len(refused))
    await store.put("ws-2/a", b"another workspace has its own")


async def test_at_the_bound_a_file_can_be_completed_and_deleted(store: LocalObjects) -> None:
    store.room.share_of = lambda owner: Share(2, 1000)
    upload = await store.begin("ws-1/a")
    tag = await store.put_part("ws-1/a", upload, 1, b"x" * 900)
    with pytest.raises(QuotaExceeded):
        await store.put_part("ws-1/a", upload, 2, b"x" * 101)
    await store.complete("ws-1/a", upload, [(1, tag)])
    with pytest.raises(QuotaExceeded):
        await store.copy("ws-1/a", "ws-1/b")
    assert store.room.of("ws-1") == (1, 900)
    await store.put("ws-1/c", b"")
    with pytest.raises(QuotaExceeded):
        await store.put("ws-1/e", b"")
    await store.delete("ws-1/a")
    await store.put("ws-1/b", b"x" * 1000)


async def test_uploads_at_once_are_no_more_files_than_one_after_another(store: LocalObjects) -> None:
    store.room.share_of = lambda owner: Share(3, 1000)
    upload = await store.begin("ws-1/large")
    await store.put("ws-1/first", b"1")

    async def copy(number: int) -> None:
        await store.copy("ws-1/first", f"ws-1/copy-{number}")

    puts = [store.put(f"ws-1/{number}", pieces(b"", b"x")) for number in range(6)]
    begun = [store.put_part("ws-1/large", upload, number, b"") for number in range(1, 7)]
    copies = [copy(number) for number in range(6)]
    done = await asyncio.gather(*puts, *begun, *copies, return_exceptions=True)
    assert sum(isinstance(each, QuotaExceeded) for each in done) == 16
    assert store.room.of("ws-1")[0] == 3
    await store.put("ws-2/a", b"another workspace has its own")


async def test_parts_are_bounded_by_number_as_files_are(store: LocalObjects) -> None:
    store.room.share_of = lambda owner: Share(3, 1000)
    upload = await store.begin("ws-1/a")
    sent = await asyncio.gather(
        *(store.put_part("ws-1/a", upload, number, b"") for number in range(1, 9)), return_exceptions=True
    )
    assert sum(isinstance(each, QuotaExceeded) for each in sent) == 5
    await store.abort("ws-1/a", upload)
    assert store.room.all() == {}


async def test_two_of_one_part_at_once_count_once(store: LocalObjects) -> None:
    upload = await store.begin("ws-1/a")
    tags = await asyncio.gather(*(store.put_part("ws-1/a", upload, 1, b"x" * 10) for _ in range(8)))
    tags += await asyncio.gather(*(store.put_part("ws-1/a", upload, 1, bytes([n] * 10)) for n in range(8)))
    assert store.room.of("ws-1") == (1, 10)
    await store.abort("ws-1/a", upload)
    assert store.room.all() == {}


async def test_a_part_that_comes_when_its_upload_is_over_is_told_so_and_counts_nothing(
    store: LocalObjects,
) -> None:
    upload = await store.begin("ws-1/a")
    has_begun, comes = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        has_begun.set()
        await comes.wait()
        yield b"y"

    part = asyncio.ensure_future(store.put_part("ws-1/a", upload, 1, slow()))
    await has_begun.wait()
    await store.abort("ws-1/a", upload)
    comes.set()
    with pytest.raises(UploadNotFound):
        await part
    assert store.room.all() == {}


async def test_completed_twice_at_once_an_upload_is_one_file(store: LocalObjects) -> None:
    upload = await store.begin("ws-1/a")
    tags = [(n, await store.put_part("ws-1/a", upload, n, b"x" * n)) for n in range(1, 20)]
    done = await asyncio.gather(
        *(store.complete("ws-1/a", upload, tags) for _ in range(4)), return_exceptions=True
    )
    assert all(isinstance(each, ObjectInfo | UploadNotFound | InvalidRequest) for each in done), done
    assert any(isinstance(each, ObjectInfo) for each in done)
    assert store.room.all() == {"ws-1": (1, 190)}


async def test_putting_parts_together_leaves_others_their_disk(store: LocalObjects) -> None:
    upload = await store.begin("ws-1/a")
    tag = await store.put_part("ws-1/a", upload, 1, b"x" * 100)
    store.room.disk.least_free_bytes = 10**18
    with pytest.raises(StorageFull):
        await store.complete("ws-1/a", upload, [(1, tag)])
    store.room.disk.least_free_bytes = 0
    assert store.room.of("ws-1") == (1, 100)
    await store.complete("ws-1/a", upload, [(1, tag)])
    assert store.room.all() == {"ws-1": (1, 100)}


async def test_a_disk_without_room_for_names_is_full(
    store: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = os.statvfs(store.folder)
    few = os.statvfs_result((*seen[:5], 100_000, 1_000, 1_000, *seen[8:10]))
    monkeypatch.setattr(os, "statvfs", lambda folder: few)
    await store.put("ws-1/a", b"x")
    store.room.disk.least_free_bytes = 1
    with pytest.raises(StorageFull):
        await store.put("ws-1/b", b"x")


async def test_a_copy_that_shares_its_bytes_needs_no_disk_for_them(
    store: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        await store.put(f"ws-1/{name}", b"x" * 2_000_000)
    seen, clock = os.statvfs(store.folder), [0.0]
    free = [1_500_000]
    told = lambda _: os.statvfs_result((1, 1, *seen[2:4], free[0], *seen[5:10]))  # noqa: E731
    monkeypatch.setattr(os, "statvfs", told)
    monkeypatch.setattr(store.room.disk, "_clock", lambda: clock[0])
    store.room.disk.least_free_bytes = 1_000_000
    pairs = [(f"ws-1/{name}", f"ws-2/{name}") for name in ("a", "b")]
    if not store._layout.facts.has_attributes:  # the bytes are copied
        with pytest.raises(StorageFull):
            await store.copy("ws-1/a", "ws-2/c")
        return
    for number in range(3):
        await store.copy("ws-1/a", f"ws-2/{number}")
    await store.copy_many(pairs)
    clock[0] += 1
    with pytest.raises(StorageFull):
        await store.put("ws-2/e", b"x" * 600_000)
    free[0], clock[0] = 400_000, clock[0] + 1
    with pytest.raises(StorageFull):
        await store.copy("ws-1/a", "ws-2/f")
    with pytest.raises(StorageFull):
        await store.copy_many([("ws-1/a", "ws-2/f")])
    assert store.room.all() == {"ws-1": (2, 4_000_000), "ws-2": (5, 10_000_000)}


async def test_a_full_disk_is_told_before_it_is(store: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    store.room.disk.least_free_bytes = shutil.disk_usage(store.folder).free - 3_000_000
    with pytest.raises(StorageFull):
        await store.put("ws-1/a", pieces(*[b"x" * 1_000_000] * 200))
    assert store.room.all() == {}


async def test_the_count_outlasts_a_stop_and_a_crash(store: LocalObjects, tmp_path: Path) -> None:
    await store.put("ws-1/a%b", b"x" * 10)
    await store.put("ws-1/a%b/c", b"x")
    upload = await store.begin("ws-2/a")
    await store.put_part("ws-2/a", upload, 1, b"12345")
    counted = {"ws-1": (2, 11), "ws-2": (1, 5)}
    crashed = LocalObjects(tmp_path, BUCKET)  # the one before has left no note
    assert crashed.room.all() == counted
    await crashed.close()
    (store.folder / "ws-1/by-hand").write_bytes(b"x" * 100)
    assert LocalObjects(tmp_path, BUCKET).room.all() == counted
    assert LocalObjects(tmp_path, BUCKET).room.all() == {**counted, "ws-1": (3, 111)}


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_history_the_count_is_what_lies_there(
    store: LocalObjects, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    names = ["w/a", "w/a/b", "w/c", "v/a", "top"]
    uploads: list[tuple[str, str, list[tuple[int, str]]]] = []

    async def step() -> None:
        key, size = chance.choice(names), chance.randrange(3000)
        match chance.randrange(8):
            case 0 | 1:
                await store.put(key, b"x" * size)
            case 2:
                await store.copy(key, chance.choice(names))
            case 3:
                await store.delete(key)
            case 4:
                await store.delete_folder(chance.choice(["w", "w/a", "v"]))
            case 5:
                uploads.append((key, await store.begin(key), []))
            case 6 if uploads:
                of, upload, parts = chance.choice(uploads)
                number = len(parts) + 1
                parts.append((number, await store.put_part(of, upload, number, b"y" * size)))
            case 7 if uploads:
                of, upload, parts = uploads.pop()
                await (store.complete(of, upload, parts) if parts else store.abort(of, upload))

    for _ in range(60):
        await asyncio.gather(*(step() for _ in range(3)), return_exceptions=True)
    kept = store.room.all()
    assert {owner: counted for owner, counted in kept.items()} == LocalObjects(tmp_path, BUCKET).room.all()
