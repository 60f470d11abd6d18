"""Keys that name a home lead to its store and to no other; all others to the server's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.errors import BackendUnavailable, InvalidKey, ObjectNotFound
from hypha.objects.homes import AsGuest, Homes, Opened, RoutedObjects, RoutedUrls, folder_at, home_of
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import LocalUrls
from hypha.objects.store import ObjectInfo

LEAD = "secret/lead/"
AT_HOME, OTHER, OWN = (f"ws-1/artifacts/{each}1/v0" for each in ("@one/", "@two/", ""))


class Folders(Homes):
    """Each home is a folder; all keys of one begin with a secret."""

    gathered_bytes, gathered_part_bytes = 111, 11

    def __init__(self, folder: Path) -> None:
        self.stores = {name: LocalObjects(folder / name, "bucket") for name in ("one", "two")}
        self.asked: list[tuple[str, str]] = []

    @asynccontextmanager
    async def opened(self, workspace: str, home: str) -> AsyncIterator[Opened]:
        self.asked.append((workspace, home))
        if home not in self.stores:
            raise BackendUnavailable("There is no such home.")
        yield Opened(self.stores[home], LEAD)


@pytest_asyncio.fixture
async def routed(tmp_path: Path) -> AsyncIterator[RoutedObjects]:
    own, homes = LocalObjects(tmp_path / "own", "bucket"), Folders(tmp_path)
    store = RoutedObjects(own, AsGuest("bucket"))
    store.homes = homes
    yield store
    for each in (own, *homes.stores.values()):
        await each.close()


def stores_of(routed: RoutedObjects) -> dict[str, LocalObjects]:
    assert isinstance(routed.homes, Folders)
    return routed.homes.stores


async def content(store: RoutedObjects, key: str) -> bytes:
    reading = await store.open(key)
    try:
        assert reading.info.key == key
        return await reading.whole()
    finally:
        await reading.close()


def test_only_folders_of_artifacts_name_a_home() -> None:
    assert home_of("ws-1/artifacts/@k7/a/v0/x") == "k7" == home_of("ws-1/artifacts/@k7/")
    for key in (
        "ws-1/artifacts/a/@k7/x",
        "ws-1/files/@k7/x",
        "ws-1/x/artifacts/@k7/y",
        "artifacts/@k7/x",
        "",
    ):
        assert home_of(key) == ""
    assert folder_at("ws-1", None) == "ws-1/artifacts" and home_of(folder_at("ws-1", "k7") + "/x") == "k7"


async def test_usual_keys_ask_for_no_home(routed: RoutedObjects) -> None:
    await routed.put(f"{OWN}/a", b"1")
    await routed.copy_many([(f"{OWN}/a", f"{OWN}/b")])
    assert await content(routed, f"{OWN}/b") == b"1"
    assert [info.key for info in (await routed.list("ws-1/")).objects] == [f"{OWN}/a", f"{OWN}/b"]
    assert isinstance(routed.homes, Folders) and not routed.homes.asked


async def test_a_file_of_a_home_lies_there_alone(routed: RoutedObjects) -> None:
    key = f"{AT_HOME}/folder/a.txt"
    info = await routed.put(key, b"12345", content_type="text/plain", metadata={"a": "b"})
    assert (info.key, (await routed.head(key)).key) == (key, key)
    assert await content(routed, key) == b"12345"
    assert (await stores_of(routed)["one"].head(LEAD + key)).size == 5
    with pytest.raises(ObjectNotFound):
        await routed.own.head(key)
    page = await routed.list(f"{AT_HOME}/", recursive=False)
    assert (page.objects, page.folders) == ([], [f"{AT_HOME}/folder/"])
    assert [info.key for info in (await routed.list(f"{AT_HOME}/folder/", after=f"{key}"[:-1])).objects] == [
        key
    ]
    assert await routed.delete(key) and not await routed.delete(key)


async def test_copies_lead_from_home_to_home(routed: RoutedObjects) -> None:
    heard: list[str] = []
    await routed.put(f"{OWN}/a", b"own", content_type="text/x", metadata={"a": "b"})

    def told(infos: list[ObjectInfo]) -> None:
        heard.extend(info.key for info in infos)

    ways = ((OWN, AT_HOME), (AT_HOME, AT_HOME), (AT_HOME, OTHER), (OTHER, OWN))
    for number, (source, target) in enumerate(ways):
        before = "a" if not number else f"copy-{number - 1}"
        pairs = [(f"{source}/{before}", f"{target}/copy-{number}")]
        (info,) = await routed.copy_many(pairs, told)  # type: ignore[arg-type]
        assert info.key == f"{target}/copy-{number}"
        found = await routed.head(info.key)
        assert (found.content_type, dict(found.metadata)) == ("text/x", {"a": "b"})
        assert await content(routed, info.key) == b"own"
    assert heard == [f"{target}/copy-{number}" for number, (_, target) in enumerate(ways)]


async def test_uploads_in_parts_and_their_end(routed: RoutedObjects) -> None:
    key = f"{AT_HOME}/parts"
    upload = await routed.begin(key)
    etag = await routed.put_part(key, upload, 1, b"123")
    assert [part.number for part in await routed.parts(key, upload)] == [1]
    assert await routed.uploads_before(float("inf"), f"{AT_HOME}/") == [(key, upload)]
    assert (await routed.complete(key, upload, [(1, etag)])).key == key
    await routed.abort(key, await routed.begin(key))
    assert not await routed.uploads_before(float("inf"), f"{AT_HOME}/")
    assert await routed.delete_folder(f"{AT_HOME}/") == 1


async def test_errors_tell_nothing_of_the_lead(routed: RoutedObjects) -> None:
    with pytest.raises(ObjectNotFound) as missing:
        await routed.head(f"{AT_HOME}/nothing")
    with pytest.raises(InvalidKey) as climbing:
        await routed.put(f"{AT_HOME}/../../x", b"")
    with pytest.raises(InvalidKey) as long:
        await routed.put(f"{AT_HOME}/" + "/".join(["x" * 200] * 5)[: 1024 - len(AT_HOME) - 1], b"")
    for error in (missing, climbing, long):
        assert "secret" not in str(error.value) and "secret" not in repr(error.value)


async def test_without_homes_such_keys_are_refused(routed: RoutedObjects) -> None:
    for key in (f"{AT_HOME}/a", "ws-1/artifacts/@three/a"):
        routed.homes = routed.homes if "three" in key else None
        with pytest.raises(BackendUnavailable):
            await routed.put(key, b"")


async def test_addresses_of_homes_lead_through_the_server() -> None:
    through, direct = LocalUrls("bucket", "secret", "http://hub"), LocalUrls("bucket", "other", "http://s3")
    urls = RoutedUrls(direct, through)
    for key, begin in ((f"{AT_HOME}/a", "http://hub/"), (f"{OWN}/a", "http://s3/")):
        assert (await urls.get(key, expires_in=60)).startswith(begin)
        assert (await urls.put(key, expires_in=60)).startswith(begin)
        assert (await urls.part(key, "u", 1, expires_in=60)).startswith(begin)


async def test_memory_is_taken_for_the_store_that_takes_the_file(routed: RoutedObjects) -> None:
    assert routed.gathered(f"{AT_HOME}/a") == 111 and routed.gathered(f"{AT_HOME}/a", is_part=True) == 11
    assert routed.gathered(f"{OWN}/a") == routed.own.gathered_bytes
