"""What is cleaned up when, with a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from hypha.errors import UploadNotFound, WorkspaceNotFound
from hypha.features.storage.ended import EndedFolders
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.files import WorkspaceFiles
from hypha.features.storage.paths import FilePath
from hypha.features.storage.records import EndedRecords, ExpiryRecords, Upload, UploadRecords
from hypha.features.storage.upkeep import FORGOTTEN_AFTER_S, Upkeep
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import LocalUrls
from hypha.store import Store
from hypha.store.records import WorkspaceRecord


class Lab:
    """A store, its records, and the upkeep of both."""

    def __init__(self, objects: LocalObjects, store: Store) -> None:
        self.now = 0.0
        self.objects = objects
        self.uploads = UploadRecords(store)
        self.records = ExpiryRecords(store)
        self.expiries = Expiries(objects, self.records, lambda: self.now)
        self.ended = EndedFolders(objects, EndedRecords(store), self.expiries, lambda: self.now)
        self.upkeep = Upkeep(objects, self.uploads, self.expiries, 1.0, lambda: self.now)

    async def put(self, key: str, ttl: float | None = None) -> None:
        info = await self.objects.put(key, b"x", metadata=await self.expiries.note(key, ttl))
        self.now = max(self.now, info.modified)

    async def keys(self) -> list[str]:
        return [info.key for info in (await self.objects.list()).objects]


@pytest_asyncio.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    objects = LocalObjects(tmp_path, "hypha-workspaces")
    async with Store(":memory:") as store:
        yield Lab(objects, store)
    await objects.close()


async def test_a_file_goes_when_its_time_is_over(lab: Lab) -> None:
    await lab.put("ws/a", ttl=10)
    await lab.put("ws/b")
    await lab.upkeep.sweep()
    assert await lab.keys() == ["ws/a", "ws/b"]
    lab.now += 11
    await lab.upkeep.sweep()
    assert await lab.keys() == ["ws/b"] and await lab.records.due(lab.now + 1e9, 10) == []


async def test_who_writes_a_file_anew_makes_it_stay_or_go_later(lab: Lab) -> None:
    await lab.put("ws/stays", ttl=10)
    await lab.put("ws/later", ttl=10)
    await lab.objects.put("ws/stays", b"for good")  # by a way that knows nothing of ends
    await lab.put("ws/later", ttl=1000)
    lab.now += 11
    await lab.upkeep.sweep()
    assert await lab.keys() == ["ws/later", "ws/stays"]
    lab.now += 1000
    await lab.upkeep.sweep()
    assert await lab.keys() == ["ws/stays"]


async def test_a_file_that_was_noted_and_never_came_is_forgotten(lab: Lab) -> None:
    await lab.expiries.note("ws/never", 10)
    lab.now += 11
    await lab.upkeep.sweep()
    assert await lab.records.due(lab.now + 1e9, 10) == []


async def test_uploads_end_with_their_addresses(lab: Lab) -> None:
    record = WorkspaceRecord("ws", created_at=1.0)
    for name, until in (("soon", 10.0), ("later", 100.0)):
        upload = await lab.objects.begin(f"ws/{name}")
        await lab.objects.put_part(f"ws/{name}", upload, 1, b"x" * 100)
        await lab.uploads.add(record, Upload(upload, f"ws/{name}"), until)
    assert lab.objects.room.of("ws") == (2, 200)
    lab.now = 11.0
    assert await lab.uploads.count("ws") == 2
    await lab.upkeep.sweep()
    assert [key for key, _ in await lab.objects.uploads_before(1e12)] == ["ws/later"]
    assert await lab.uploads.count("ws") == 1 and lab.objects.room.of("ws") == (1, 100)


async def test_uploads_that_nobody_knows_any_more_end_too(lab: Lab) -> None:
    upload = await lab.objects.begin("ws/a")
    await lab.upkeep.sweep()
    (begun,) = await lab.objects.uploads_before(1e12)
    lab.now = 1e11 + FORGOTTEN_AFTER_S
    await lab.upkeep.sweep()
    assert await lab.objects.uploads_before(1e12) == [] and begun == ("ws/a", upload)


async def test_all_that_a_workspace_kept_goes_with_it_and_nothing_else(lab: Lab) -> None:
    for key in ("ws/a", "ws/b/c", "ws-2/a", "ws2"):
        await lab.put(key, ttl=10)
    mine, other = await lab.objects.begin("ws/u"), await lab.objects.begin("ws-2/u")
    lab.now += 1e9
    await lab.ended.ended("ws")
    await lab.upkeep.workspace_ended("ws")
    assert await lab.keys() == ["ws-2/a", "ws2"]
    assert sorted(await lab.records.due(1e12, 10)) == ["ws-2/a", "ws2"]
    with pytest.raises(UploadNotFound):
        await lab.objects.abort("ws/u", mine)
    await lab.objects.abort("ws-2/u", other)


async def test_files_of_a_workspace_that_had_no_row_go_too(lab: Lab) -> None:
    for key in ("ws/a", "ws-2/a"):
        await lab.put(key, ttl=10)
    lab.now += 1e9
    await lab.ended.ended("ws")
    assert await lab.keys() == ["ws-2/a"]
    assert await lab.records.due(1e12, 10) == ["ws-2/a"]


async def test_a_file_whose_workspace_ended_while_it_came_is_left_to_nobody(lab: Lab) -> None:
    generations = iter(["first", "second", "second", "second"])

    async def generation_of(key: str) -> str:
        return next(generations)

    urls, nothing = LocalUrls("hypha-workspaces", "secret", "http://server"), cast(Any, None)
    files = WorkspaceFiles(lab.objects, urls, lab.uploads, lab.expiries, nothing, generation_of=generation_of)
    with pytest.raises(WorkspaceNotFound):
        await files.put(FilePath("ws/late", "late"), b"x", "text/plain")
    assert await lab.keys() == []
    await files.put(FilePath("ws/good", "good"), b"x", "text/plain")
    assert await lab.keys() == ["ws/good"]
