"""What every object store does; each is held against the same cases."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from hypha.errors import (
    AlreadyExists,
    Corrupted,
    FrameTooLarge,
    InvalidKey,
    InvalidRequest,
    ObjectNotFound,
    UploadNotFound,
)
from hypha.objects.local import LocalObjects
from hypha.objects.local.facts import FactsKeeper
from hypha.objects.store import ObjectInfo, ObjectStore
from tests.kit.s3 import GAPS, running

if TYPE_CHECKING:
    from hypha.objects.s3.store import S3Objects

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spec("artifacts-C11.1")]

BUCKET = "hypha-test"
CLIMBING = ["../x", "/x", "a/../../x", "a//b", "a\\b", "a\0", ""]


S3_SERVERS = ("moto", "rclone", "nanio")
STORES = [
    "local",
    "local without attributes",
    "S3: rclone",
    *(pytest.param(f"S3: {kind}", marks=pytest.mark.slow) for kind in ("moto", "nanio")),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s3_stores() -> AsyncIterator[Callable[[str], Awaitable[S3Objects]]]:
    """A bucket of each S3 server, which is started when the first case asks for it."""
    async with contextlib.AsyncExitStack() as open_:
        opened: dict[str, S3Objects] = {}

        async def bucket(kind: str) -> S3Objects:
            pytest.importorskip("obstore")
            from hypha.objects.s3.store import S3Objects

            if kind not in opened:
                server = open_.enter_context(running(kind))
                opened[kind] = S3Objects(server.endpoint(BUCKET))
                await opened[kind].start()
                open_.push_async_callback(opened[kind].close)
            return opened[kind]

        yield bucket


async def emptied(store: S3Objects) -> None:
    from hypha.objects.s3.listing import all_below

    async for page in all_below(store.control, ""):
        await store.control.delete([info.key for info in page])
    for key, upload, _ in await store.control.uploads():
        await store.control.abort(key, upload)


@pytest_asyncio.fixture(params=STORES, loop_scope="module")
async def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3_stores: Callable[[str], Awaitable[S3Objects]],
) -> AsyncIterator[ObjectStore]:
    kind = request.param.removeprefix("S3: ")
    if kind in S3_SERVERS:
        case = request.node.name.replace(f"[{request.param}", "[").replace("[-", "[")
        missing = [why for name, why in GAPS[kind].items() if case.startswith(name)]
        if missing:
            pytest.skip(f"{kind} {missing[0]}")
        remote = await s3_stores(kind)
        yield remote
        await emptied(remote)
        return
    if request.param == "local without attributes":
        bare = lambda folder, probe: FactsKeeper(folder, has_attributes=False)  # noqa: E731
        monkeypatch.setattr(FactsKeeper, "of", staticmethod(bare))
    opened = LocalObjects(tmp_path / "objects", BUCKET)
    yield opened
    await opened.close()


async def content(store: ObjectStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    reading = await store.open(key, start, stop)
    try:
        return await reading.whole()
    finally:
        await reading.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def keys(store: ObjectStore, prefix: str = "", **more: object) -> list[str]:
    return [info.key for info in (await store.list(prefix, **more)).objects]  # type: ignore[arg-type]


# -- put, head, open


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 70_000, b"0123456789" * 300_000])
async def test_bytes_come_back_as_they_were(store: ObjectStore, data: bytes) -> None:
    put = await store.put("ws-1/data.bin", data)
    assert await content(store, "ws-1/data.bin") == data
    assert put == await store.head("ws-1/data.bin")
    assert put.size == len(data) and put.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("sizes", [[n * 7919 % 300_000 for n in range(20)], [700] * 5_000, [2_500_000, 1]])
async def test_a_stream_is_kept_as_it_comes(store: ObjectStore, sizes: list[int]) -> None:
    parts = [bytes([n % 256]) * size for n, size in enumerate(sizes)]
    info = await store.put("stream", pieces(*parts))
    whole = b"".join(parts)
    assert await content(store, "stream") == whole
    assert (info.size, info.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


async def test_an_empty_stream_is_an_empty_object(store: ObjectStore) -> None:
    assert (await store.put("empty", pieces())).size == 0
    assert await content(store, "empty") == b""


async def test_type_and_metadata_are_kept(store: ObjectStore) -> None:
    await store.put("a.png", b"1", content_type="image/x-mine", metadata={"by": "Zoë", "n": "1"})
    info = await store.head("a.png")
    assert (info.content_type, info.metadata) == ("image/x-mine", {"by": "Zoë", "n": "1"})


async def test_the_etag_changes_with_the_content(store: ObjectStore) -> None:
    first = (await store.put("a", b"1")).etag
    second = (await store.put("a", b"2")).etag
    again = (await store.put("b", b"1")).etag
    assert first != second and first == again and '"' not in first


async def test_an_object_replaces_the_one_before_with_all_it_had(store: ObjectStore) -> None:
    await store.put("a", b"long content", content_type="text/plain", metadata={"x": "y"})
    await store.put("a", b"2")
    info = await store.head("a")
    assert (info.size, dict(info.metadata)) == (1, {})
    assert await content(store, "a") == b"2"


async def test_who_reads_goes_on_reading_what_is_replaced(store: ObjectStore) -> None:
    old = b"old" * 1_000_000
    await store.put("a", old)
    reading = await store.open("a")
    chunks = reading.chunks()
    got = [await anext(chunks)]
    await store.put("a", b"new")
    got += [chunk async for chunk in chunks]
    await reading.close()
    assert b"".join(got) == old and await content(store, "a") == b"new"


async def test_only_where_nothing_is(store: ObjectStore) -> None:
    await store.put("a", b"1", if_absent=True)
    with pytest.raises(AlreadyExists):
        await store.put("a", b"2", if_absent=True)
    assert await content(store, "a") == b"1"


async def test_of_many_at_once_one_is_first(store: ObjectStore) -> None:
    puts = [store.put("deep/er/a", b"%d" % n, if_absent=True) for n in range(8)]
    done = await asyncio.gather(*puts, return_exceptions=True)
    assert [isinstance(result, AlreadyExists) for result in done].count(True) == 7
    assert (await content(store, "deep/er/a")).isdigit()


async def test_bytes_with_another_checksum_are_refused(store: ObjectStore) -> None:
    await store.put("a", b"1")
    with pytest.raises(Corrupted):
        await store.put("a", b"2", sha256=hashlib.sha256(b"3").hexdigest())
    assert await content(store, "a") == b"1"
    await store.put("a", b"3", sha256=hashlib.sha256(b"3").hexdigest().upper())


async def test_more_than_allowed_is_refused_and_nothing_kept(store: ObjectStore) -> None:
    with pytest.raises(FrameTooLarge):
        await store.put("a", pieces(b"x" * 600, b"x" * 500), max_bytes=1000)
    with pytest.raises(ObjectNotFound):
        await store.head("a")
    await store.put("a", b"x" * 1000, max_bytes=1000)


async def test_a_source_that_breaks_leaves_what_was_there(store: ObjectStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionResetError

    await store.put("a", b"1")
    with pytest.raises(ConnectionResetError):
        await store.put("a", broken())
    assert await content(store, "a") == b"1"
    assert await keys(store) == ["a"]


async def test_a_put_that_is_given_up_leaves_what_was_there(store: ObjectStore) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        begun.set()
        await never.wait()

    await store.put("a", b"1")
    task = asyncio.create_task(store.put("a", slow()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await content(store, "a") == b"1"


async def test_metadata_is_bounded(store: ObjectStore) -> None:
    with pytest.raises(InvalidRequest):
        await store.put("a", b"1", metadata={"x": "y" * 4000})
    with pytest.raises(ObjectNotFound):
        await store.head("a")


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, 4, b"0123"), (5, None, b"56789"), (9, 10, b"9"), (3, 3, b""), (5, 99, b"56789"), (20, None, b"")],
)
async def test_a_range_is_cut_at_the_end(
    store: ObjectStore, start: int, stop: int | None, expected: bytes
) -> None:
    await store.put("a", b"0123456789")
    assert await content(store, "a", start, stop) == expected


async def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    await store.put("folder/a", b"1")
    for key in ("nothing", "folder", "folder/a/b"):
        with pytest.raises(ObjectNotFound):
            await store.head(key)
        with pytest.raises(ObjectNotFound):
            await store.open(key)


@pytest.mark.parametrize("key", CLIMBING)
@pytest.mark.spec("artifacts-W1")
async def test_keys_that_climb_are_refused_everywhere(store: ObjectStore, key: str) -> None:
    await store.put("ok", b"1")
    for attempt in (
        store.put(key, b"1"), store.head(key), store.open(key), store.delete(key), store.copy("ok", key),
        store.copy_many([("ok", key)]), store.copy_many([(key, "ok")]),
        store.copy(key, "ok"), store.begin(key), store.put_part(key, "0" * 32, 1, b""),
        store.complete(key, "0" * 32, []), store.abort(key, "0" * 32), store.delete_folder(key + "/"),
    ):  # fmt: skip
        with pytest.raises(InvalidKey):
            await attempt


# -- names


@pytest.mark.parametrize("order", [("a", "a/b", "a/b/c"), ("a/b/c", "a/b", "a")])
async def test_a_name_may_be_a_file_and_a_folder(store: ObjectStore, order: tuple[str, ...]) -> None:
    for key in order:
        await store.put(key, key.encode())
    for key in order:
        assert await content(store, key) == key.encode()
    assert await keys(store) == ["a", "a/b", "a/b/c"]
    await store.put("a", b"new")
    assert await content(store, "a") == b"new"
    assert await store.delete("a/b/c") and await store.delete("a/b")
    assert await content(store, "a") == b"new" and await keys(store) == ["a"]
    await store.put("a", b"newer")
    assert await content(store, "a") == b"newer" and await keys(store) == ["a"]
    assert await store.delete("a")
    assert await keys(store) == []


@pytest.mark.parametrize("key", ["a b/ü 日本.txt", "a%2Fb", "%+", "a%+", "..a", ".drafts/x", "x~", "a.json~"])
async def test_odd_names_come_back_as_they_are(store: ObjectStore, key: str) -> None:
    await store.put(key, b"1")
    assert await keys(store) == [key] and await content(store, key) == b"1"
    assert await store.delete(key) and await keys(store) == []


# -- list


async def test_a_list_is_in_the_order_of_keys(store: ObjectStore) -> None:
    names = ["a.txt", "a/b", "a/b.c", "a/b/c", "a-b", "b", "B", "ä", "a0"]
    for name in names:
        await store.put(name, b"1")
    assert await keys(store) == sorted(names)


async def test_a_prefix_may_end_within_a_word(store: ObjectStore) -> None:
    for name in ("ws-1/data/a", "ws-1/date", "ws-1/x", "ws-10/data", "ws-2/data"):
        await store.put(name, b"1")
    assert await keys(store, "ws-1/") == ["ws-1/data/a", "ws-1/date", "ws-1/x"]
    assert await keys(store, "ws-1/dat") == ["ws-1/data/a", "ws-1/date"]
    assert await keys(store, "ws-1") == ["ws-1/data/a", "ws-1/date", "ws-1/x", "ws-10/data"]
    assert await keys(store, "nothing/") == []


async def test_pages_lose_and_repeat_nothing(store: ObjectStore) -> None:
    names = [*sorted(f"d{n % 7}/e{n % 3}/f{n:03d}" for n in range(60)), "x", "y"]
    for name in names:
        await store.put(name, b"")
    for limit in (1, 7, 62, 100):
        seen: list[str] = []
        while True:
            page = await store.list(after=seen[-1] if seen else "", limit=limit)
            seen += [info.key for info in page.objects]
            assert len(page.objects) <= limit
            if not page.rest:
                break
        assert seen == names


async def test_one_level_shows_files_and_folders(store: ObjectStore) -> None:
    for name in ("w/a", "w/b/c", "w/b/d", "w/b", "w/e/f/g", "z"):
        await store.put(name, b"12")
    page = await store.list("w/", recursive=False)
    assert [info.key for info in page.objects] == ["w/a", "w/b"]
    assert page.folders == ["w/b/", "w/e/"] and not page.rest
    first = await store.list("w/", recursive=False, limit=3)
    assert first.rest and [*map(str, first.folders)] == ["w/b/"]
    second = await store.list("w/", recursive=False, after="w/b/")
    assert (second.objects, second.folders) == ([], ["w/e/"])


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_all_pages_of_a_folder_hold_each_object_and_folder_once(store: ObjectStore, limit: int) -> None:
    for name in ("w/a", "w/b/c", "w/b/d", "w/b", "w/e/f/g", "z"):
        await store.put(name, b"12")
    pages = [page async for page in store.pages("w/", limit=limit)]
    assert [info.key for page in pages for info in page.objects] == ["w/a", "w/b"]
    assert [folder for page in pages for folder in page.folders] == ["w/b/", "w/e/"]


async def test_a_list_tells_what_head_tells(store: ObjectStore) -> None:
    await store.put("a/b", b"123", content_type="text/x", metadata={"k": "v"})
    info = await store.head("a/b")
    if not isinstance(store, LocalObjects):  # S3 tells less in lists
        info = ObjectInfo(info.key, info.size, info.etag, info.modified)
    assert (await store.list("a/")).objects == [info]


# -- delete and copy


async def test_delete_tells_whether_something_was_there(store: ObjectStore) -> None:
    await store.put("a/b", b"1")
    assert not await store.delete("a")
    assert await store.delete("a/b")
    assert not await store.delete("a/b")


async def test_deleting_a_folder_takes_all_below_and_nothing_else(store: ObjectStore) -> None:
    for name in ("w/a", "w/b/c", "w", "wx/a"):
        await store.put(name, b"1")
    assert await store.delete_folder("w/") == 2
    assert await keys(store) == ["w", "wx/a"]
    assert await store.delete_folder("w/") == 0


async def test_a_part_of_another_digest_than_was_said_is_refused(store: ObjectStore) -> None:
    upload, digest = await store.begin("a"), hashlib.sha256(b"part").hexdigest()
    with pytest.raises(Corrupted):
        await store.put_part("a", upload, 1, b"other", sha256=digest)
    etag = await store.put_part("a", upload, 1, b"part", sha256=digest.upper())
    await store.complete("a", upload, [(1, etag)])
    assert await content(store, "a") == b"part"


async def test_a_folder_in_a_folder_that_is_deleted_may_be_spared(store: ObjectStore) -> None:
    for name in ("w/a", "w/b/c", "w/artifacts/x", "w/artifacts/y/z", "w/artifacts2/x", "x/artifacts/a"):
        await store.put(name, b"1")
    assert await store.delete_folder("w", spare="artifacts") == 3
    kept = ["w/artifacts/x", "w/artifacts/y/z", "x/artifacts/a"]
    assert await keys(store) == kept and await content(store, "w/artifacts/y/z") == b"1"
    assert await store.delete_folder("w", spare="artifacts") == 0
    assert await store.delete_folder("x", spare="none") == 1


async def test_a_copy_is_independent_of_its_source(store: ObjectStore) -> None:
    source = await store.put("a", b"1", content_type="text/x", metadata={"k": "v"})
    copied = await store.copy("a", "deep/b")
    assert (copied.etag, copied.content_type, copied.metadata) == (source.etag, "text/x", {"k": "v"})
    await store.put("a", b"2")
    assert await content(store, "deep/b") == b"1"
    await store.delete("a")
    assert await content(store, "deep/b") == b"1" and await store.head("deep/b") == copied


async def test_a_copy_onto_itself_and_onto_its_copy_changes_nothing(store: ObjectStore) -> None:
    await store.put("a", b"1", metadata={"k": "v"})
    await store.copy("a", "b")
    for source, target in (("a", "a"), ("a", "b"), ("b", "a")):
        await store.copy(source, target)
        assert await content(store, target) == b"1" and (await store.head(target)).metadata == {"k": "v"}
    assert await keys(store) == ["a", "b"]


async def test_many_copies_are_as_single_ones(store: ObjectStore) -> None:
    metadata = {"colour": "blue"}
    put = [await store.put(f"from/{n % 3}/{n}", b"%d" % n, metadata=metadata) for n in range(40)]
    await store.put("to/1/4", b"what was there")
    await store.put("to/2", b"in the way of a folder")
    pairs = [(info.key, info.key.replace("from", "to")) for info in put]
    copied = await store.copy_many(pairs)
    assert [info.key for info in copied] == [target for _, target in pairs]
    for n, (source, target) in enumerate(pairs):
        assert await content(store, target) == b"%d" % n
        assert copied[n] == await store.head(target)
        assert (copied[n].etag, copied[n].metadata, copied[n].sha256) == (
            put[n].etag, metadata, hashlib.sha256(b"%d" % n).hexdigest(),
        )  # fmt: skip
        await store.put(source, b"another one")
        assert await content(store, target) == b"%d" % n
    assert await content(store, "to/2") == b"in the way of a folder"
    assert await store.copy_many([]) == []


@pytest.mark.parametrize("missing", ["from/none", "from/folder", "none/a"])
async def test_many_copies_of_which_one_has_no_source_are_refused(store: ObjectStore, missing: str) -> None:
    await store.put("from/a", b"1")
    await store.put("from/folder/b", b"2")
    with pytest.raises(ObjectNotFound):
        await store.copy_many([("from/a", "to/a"), (missing, "to/b"), ("from/folder/b", "to/c")])
    await store.delete_folder("to/")
    assert await keys(store) == ["from/a", "from/folder/b"]


async def test_a_copy_of_nothing_or_onto_something_is_refused(store: ObjectStore) -> None:
    await store.put("a", b"1")
    await store.put("b", b"2")
    with pytest.raises(ObjectNotFound):
        await store.copy("nothing", "c")
    with pytest.raises(AlreadyExists):
        await store.copy("a", "b", if_absent=True)
    assert await content(store, "b") == b"2"


# -- uploads in parts


async def test_parts_are_put_together_in_their_order(store: ObjectStore) -> None:
    upload = await store.begin("big", content_type="text/x", metadata={"k": "v"})
    sent = {number: bytes([number]) * (200_000 + number) for number in (3, 1, 2)}
    etags = {n: await store.put_part("big", upload, n, pieces(data)) for n, data in sent.items()}
    with pytest.raises(ObjectNotFound):
        await store.head("big")
    info = await store.complete("big", upload, [(n, etags[n]) for n in (1, 2, 3)])
    assert await content(store, "big") == sent[1] + sent[2] + sent[3]
    assert info == await store.head("big")
    assert (info.content_type, info.metadata, info.etag[-2:]) == ("text/x", {"k": "v"}, "-3")
    with pytest.raises(UploadNotFound):
        await store.complete("big", upload, [(1, etags[1])])


async def test_a_part_may_be_sent_again(store: ObjectStore) -> None:
    upload = await store.begin("big")
    first = await store.put_part("big", upload, 1, b"wrong")
    second = await store.put_part("big", upload, 1, b"right")
    with pytest.raises(InvalidRequest):
        await store.complete("big", upload, [(1, first)])
    await store.complete("big", upload, [(1, f'"{second}"')])
    assert await content(store, "big") == b"right"


async def test_who_goes_on_with_an_upload_sees_which_parts_are_there(store: ObjectStore) -> None:
    upload = await store.begin("big")
    assert await store.parts("big", upload) == []
    etags = {number: await store.put_part("big", upload, number, b"x" * number) for number in (3, 1)}
    assert [(part.number, part.etag, part.size) for part in await store.parts("big", upload)] == [
        (1, etags[1], 1), (3, etags[3], 3),
    ]  # fmt: skip
    with pytest.raises(UploadNotFound):
        await store.parts("other", upload)


async def test_parts_that_are_together_not_what_was_said_are_refused_and_can_be_mended(
    store: ObjectStore,
) -> None:
    await store.put("big", b"before")
    wanted = hashlib.sha256(b"right one").hexdigest()
    upload = await store.begin("big", sha256=wanted.upper())
    parts = [
        (1, await store.put_part("big", upload, 1, b"wrong ")),
        (2, await store.put_part("big", upload, 2, b"one")),
    ]
    with pytest.raises(Corrupted):
        await store.complete("big", upload, parts)
    assert await content(store, "big") == b"before"
    parts[0] = (1, await store.put_part("big", upload, 1, b"right "))
    info = await store.complete("big", upload, parts)
    assert (info.sha256, (await store.head("big")).sha256) == (wanted, wanted)
    assert await content(store, "big") == b"right one"


async def test_parts_that_are_missing_doubled_or_out_of_order_are_refused(store: ObjectStore) -> None:
    upload = await store.begin("big")
    one, two = [await store.put_part("big", upload, n, b"%d" % n) for n in (1, 2)]
    for parts in ([], [(2, two), (1, one)], [(1, one), (1, one)], [(1, two)], [(3, one)], [(1, "../x")]):
        with pytest.raises(InvalidRequest):
            await store.complete("big", upload, parts)
    assert await keys(store) == []


@pytest.mark.parametrize("number", [0, -1, 10_001, True, "1", None])
async def test_numbers_of_parts_are_bounded(store: ObjectStore, number: int) -> None:
    upload = await store.begin("big")
    with pytest.raises(InvalidRequest):
        await store.put_part("big", upload, number, b"")


async def test_an_upload_belongs_to_its_key(store: ObjectStore) -> None:
    upload = await store.begin("mine")
    for key, wanted in (("yours", upload), ("mine", "0" * 32), ("mine", "../" + upload)):
        with pytest.raises(UploadNotFound):
            await store.put_part(key, wanted, 1, b"")
        with pytest.raises(UploadNotFound):
            await store.complete(key, wanted, [(1, "0" * 32)])
    await store.put_part("mine", upload, 1, b"")


async def test_an_upload_that_is_given_up_is_gone(store: ObjectStore) -> None:
    upload = await store.begin("big")
    etag = await store.put_part("big", upload, 1, b"1")
    await store.abort("big", upload)
    with pytest.raises(UploadNotFound):
        await store.complete("big", upload, [(1, etag)])


async def test_old_uploads_are_found(store: ObjectStore) -> None:
    upload = await store.begin("w/big")
    assert await store.uploads_before(0) == []
    assert [*await store.uploads_before(9e9)] == [("w/big", upload)]


async def test_many_at_once_do_not_cross(store: ObjectStore) -> None:
    async def cycle(n: int) -> None:
        key = f"f{n % 3}/g{n % 2}/k{n}"
        await store.put(key, b"%d" % n)
        assert await content(store, key) == b"%d" % n
        if n % 2:
            assert await store.delete(key)

    await asyncio.gather(*(cycle(n) for n in range(60)))
    assert len(await keys(store)) == 30
