"""Plain files as objects: readable for a person, closed to links, whole after every fault of the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.errors import InvalidKey, ObjectNotFound, StorageFull
from hypha.objects.local import LocalObjects
from hypha.objects.local import draft as draft_module
from hypha.objects.local.draft import Draft
from hypha.objects.local.facts import FactsKeeper
from hypha.objects.local.layout import sync_folder

BUCKET = "hypha-test"


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalObjects]:
    opened = LocalObjects(tmp_path / "objects", BUCKET)
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects" / BUCKET


@pytest.fixture
def small_files() -> Iterator[None]:
    """The system refuses to let files grow beyond 1 MiB, as a full disk does."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_person_finds_the_files_by_their_names(store: LocalObjects, folder: Path) -> None:
    await store.put("ws-1/data/ü.csv", b"a,b")
    assert files(folder) == ["ws-1/data/ü.csv"]
    assert (folder / "ws-1/data/ü.csv").read_bytes() == b"a,b"
    assert (folder / "ws-1/data/ü.csv").stat().st_mode & 0o077 == 0


async def test_a_file_that_a_person_puts_or_changes_is_served_as_it_is(
    store: LocalObjects, folder: Path
) -> None:
    await store.put("a.csv", b"1", content_type="text/x", metadata={"k": "v"})
    before = (await store.head("a.csv")).etag
    (folder / "a.csv").write_bytes(b"22")
    (folder / "b.csv").write_bytes(b"3")
    info = await store.head("a.csv")
    assert (info.size, info.content_type, info.sha256, info.metadata) == (2, "text/csv", "", {})
    assert info.etag != before
    assert [found.key for found in (await store.list()).objects] == ["a.csv", "b.csv"]


@pytest.mark.parametrize("key", ["link", "folder/inside", "folder/new"])
async def test_links_lead_nowhere(store: LocalObjects, folder: Path, tmp_path: Path, key: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inside").write_bytes(b"secret")
    (folder / "link").symlink_to(outside / "inside")
    (folder / "folder").symlink_to(outside)
    with pytest.raises(ObjectNotFound):
        await store.head(key)
    with pytest.raises(ObjectNotFound):
        await store.open(key)
    assert not await store.delete(key)
    if "/" in key:
        with pytest.raises(InvalidKey):
            await store.put(key, b"1")
    assert [info.key for info in (await store.list()).objects] == []
    assert (await store.list(recursive=False)).folders == []
    assert files(outside) == ["inside"] and (outside / "inside").read_bytes() == b"secret"


async def test_empty_folders_do_not_stay(store: LocalObjects, folder: Path) -> None:
    await store.put("a/b/c", b"1")
    await store.delete("a/b/c")
    assert os.listdir(folder) == []


async def test_what_a_killed_server_left_unfinished_is_removed(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "objects", BUCKET)
    Draft(tmp_path / "objects/.drafts" / BUCKET).write(b"half")
    upload = await store.begin("big")
    await store.close()
    again = LocalObjects(tmp_path / "objects", BUCKET)
    assert files(tmp_path / "objects/.drafts") == []
    etag = await again.put_part("big", upload, 1, b"1")  # an upload goes on
    await again.complete("big", upload, [(1, etag)])
    assert files(tmp_path / "objects/.uploads") == []
    await again.close()


async def test_a_full_disk_is_told_and_changes_nothing(
    store: LocalObjects, tmp_path: Path, small_files: None
) -> None:
    await store.put("a", b"1")
    with pytest.raises(StorageFull, match="nothing was changed"):
        await store.put("a", b"x" * 2_000_000)
    upload = await store.begin("b")
    with pytest.raises(StorageFull):
        await store.put_part("b", upload, 1, b"x" * 2_000_000)
    parts = [(n, await store.put_part("b", upload, n, b"y" * 700_000)) for n in (1, 2)]
    with pytest.raises(StorageFull):
        await store.complete("b", upload, parts)
    reading = await store.open("a")
    assert await reading.whole() == b"1"
    await reading.close()
    assert files(tmp_path / "objects/.drafts") == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
async def test_faults_of_the_disk_at_the_last_moment_change_nothing(
    store: LocalObjects, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    await store.put("a", b"1", metadata={"k": "v"})

    def broken(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(StorageFull):
            await store.put("a", b"2")
    assert (await store.head("a")).metadata == {"k": "v"}
    await store.put("a", b"3")
    assert (await store.head("a")).size == 1


async def test_facts_of_another_state_of_a_file_are_not_believed(tmp_path: Path) -> None:
    keeper = FactsKeeper(tmp_path / "facts", has_attributes=False)
    file = tmp_path / "a.txt"
    file.write_bytes(b"1")
    facts = keeper.read(file, "a.txt", file.stat())
    keeper.place("a.txt", facts)
    assert keeper.read(file, "a.txt", file.stat()) == facts
    file.write_bytes(b"22")
    assert keeper.read(file, "a.txt", file.stat()).size == 2


async def test_facts_are_flushed_with_the_bytes(store: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("setxattr", "fsync", "replace"):
        real = getattr(os, name)

        def noted(*given: object, _real: object = real, _name: str = name) -> object:
            steps.append(_name)
            return _real(*given)  # type: ignore[operator]

        monkeypatch.setattr(os, name, noted)
    await store.put("a", b"1", content_type="text/x")
    assert steps in (
        ["setxattr", "fsync", "replace", "fsync"],
        ["fsync", "fsync", "replace", "replace", "fsync"],
    )


@pytest.mark.parametrize("what", ["put", "open"])
async def test_who_gives_up_while_a_file_is_opened_leaves_no_descriptor(
    store: LocalObjects, what: str
) -> None:
    await store.put("a", b"1")
    before = os.listdir("/proc/self/fd")
    for _ in range(20):
        task = asyncio.create_task(store.open("a") if what == "open" else store.put("b", b"2"))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(os.listdir("/proc/self/fd")) == len(before)


async def test_a_pipe_in_the_folder_holds_up_nobody(store: LocalObjects, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ObjectNotFound):
        await asyncio.wait_for(store.open("pipe"), 5)


async def test_a_fault_of_an_early_flush_is_told_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path, BUCKET)
    monkeypatch.setattr(draft_module, "FLUSH_BYTES", 1_000_000)
    flush, flushed = os.fsync, []

    def failing(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) == 1:  # the kernel tells a fault once; the flush at the end hears nothing of it
            raise OSError(errno.EIO, "no room")
        flush(descriptor)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1_100_000

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageFull):
        await store.put("a", pieces())
    assert flushed and (await store.list()).objects == [] and store.room.all() == {}
    await store.put("a", pieces())
    assert (await store.head("a")).size == 5_500_000
    await store.close()


def test_a_folder_that_is_gone_meanwhile_has_nothing_to_bring_to_disk(tmp_path: Path) -> None:
    sync_folder(tmp_path / "gone")
    sync_folder(tmp_path)


async def test_a_part_that_goes_while_the_parts_are_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjects(tmp_path, BUCKET)
    upload = await store.begin("ws/a")
    for number in (1, 2):
        await store.put_part("ws/a", upload, number, b"x" * number)
    look = Path.stat

    def stat(path: Path, **more: bool) -> os.stat_result:
        if path.name.startswith("00001."):
            raise FileNotFoundError
        return look(path, **more)

    monkeypatch.setattr(Path, "stat", stat)
    assert [part.number for part in await store.parts("ws/a", upload)] == [2]
    monkeypatch.undo()
    await store.close()
