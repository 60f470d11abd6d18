"""Files of ended workspaces go to the last one, and those of the next workspace of the name stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.errors import BackendUnavailable
from hypha.features.storage.ended import EndedFolders
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.folders import StoredFolders
from hypha.features.storage.owners import Owners
from hypha.features.storage.records import EndedRecords, ExpiryRecords
from hypha.objects.local import LocalObjects
from hypha.objects.urls import OWN
from hypha.store import Store


class SlowObjects(LocalObjects):
    """Deletes nothing while it is `stuck`; fails for the folders that are `failing`."""

    stuck = False
    failing = ""

    async def delete_folder(self, prefix: str, *, spare: str = "") -> int:
        if self.stuck:
            await asyncio.Event().wait()
        if prefix == self.failing:
            raise BackendUnavailable("no")
        return await super().delete_folder(prefix, spare=spare)


class Lab:
    """A store of objects, the notes, and whoever reads them, anew after each restart."""

    def __init__(self, objects: SlowObjects, store: Store) -> None:
        self.objects = objects
        self.records = EndedRecords(store)
        self.expiries = ExpiryRecords(store)
        self.now = 0.0
        self.ended = self.restarted()

    def restarted(self, late_s: float = 0.0) -> EndedFolders:
        clock = lambda: self.now  # noqa: E731
        return EndedFolders(self.objects, self.records, Expiries(self.objects, self.expiries), clock, late_s)

    async def end_and_be_cut(self, workspace: str) -> None:
        self.objects.stuck = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await self.ended.ended(workspace)
        self.objects.stuck = False

    async def keys(self) -> list[str]:
        return [info.key for info in (await self.objects.list()).objects]


@pytest_asyncio.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    objects = SlowObjects(tmp_path, "files")
    async with Store(":memory:") as store:
        yield Lab(objects, store)
    await objects.close()


async def test_what_was_not_deleted_in_time_goes_after_a_restart(lab: Lab) -> None:
    for key in ("lab/a", "lab/b/c", "lab/artifacts/of-the-next/v0/x", "lab-2/a"):
        await lab.objects.put(key, b"1")
    await lab.expiries.set("lab/a", 1e12)
    await lab.end_and_be_cut("lab")
    assert len(await lab.keys()) == 4
    await lab.restarted().sweep()
    assert await lab.keys() == ["lab-2/a", "lab/artifacts/of-the-next/v0/x"]
    assert await lab.records.after("", 10) == [] and await lab.expiries.due(1e13, 10) == []
    await lab.objects.put("lab/new", b"1")
    await lab.restarted().sweep()
    assert "lab/new" in await lab.keys()


@pytest.mark.parametrize("generation", [OWN, "second"])
async def test_a_workspace_of_the_name_finds_nothing_and_keeps_what_it_writes(
    lab: Lab, generation: str
) -> None:
    async def generation_of(key: str) -> str:
        return generation

    await lab.objects.put("lab/old", b"1")
    await lab.end_and_be_cut("lab")
    owners = Owners(StoredFolders(lab.objects), generation_of, lab.ended.finish)
    await owners.claim("lab")
    assert not [key for key in await lab.keys() if key.startswith(("lab/", ".left/"))]
    await lab.objects.put("lab/new", b"1")
    await lab.ended.sweep()
    await owners.claim("lab")
    assert "lab/new" in await lab.keys()


async def test_a_workspace_that_kept_nothing_is_not_noted(lab: Lab) -> None:
    lab.objects.stuck = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await lab.ended.ended("visitor")
    assert await lab.records.after("", 10) == []


async def test_a_folder_that_cannot_be_deleted_stays_noted_and_holds_up_no_other(lab: Lab) -> None:
    for workspace in ("a", "b", "c"):
        await lab.objects.put(f"{workspace}/x", b"1")
        await lab.end_and_be_cut(workspace)
    lab.objects.failing = "b"
    await lab.ended.sweep()
    assert await lab.keys() == ["b/x"] and await lab.records.after("", 10) == ["b"]
    lab.objects.failing = ""
    await lab.ended.sweep()
    assert await lab.keys() == [] and await lab.records.after("", 10) == []


async def test_what_comes_late_past_the_server_goes_too(lab: Lab) -> None:
    ended = lab.restarted(late_s=3600)
    await lab.objects.put("lab/a", b"1")
    await ended.ended("lab")
    for lab.now in (10.0, 3590.0):
        await lab.objects.put("lab/late", b"1")
        await ended.sweep()
        assert await lab.keys() == [] and await lab.records.after("", 10) == ["lab"]
    lab.now = 3600.0
    await ended.sweep()
    assert await lab.records.after("", 10) == []
    await lab.objects.put("lab/b", b"1")
    await ended.ended("lab")
    await ended.finish("lab")  # somebody has the name again
    await lab.objects.put("lab/of-the-next", b"1")
    await ended.sweep()
    assert await lab.keys() == ["lab/of-the-next"]


async def test_what_comes_late_into_an_empty_folder_goes_too(lab: Lab) -> None:
    for late_s in (0.0, 3600.0):
        ended = lab.restarted(late_s)
        await ended.ended("lab")
        await ended.expect_late("lab")
        assert await lab.records.after("", 10) == (["lab"] if late_s else [])
    await lab.objects.put("lab/late", b"1")
    await ended.sweep()
    assert await lab.keys() == []


async def test_what_ends_once_more_stays_noted(lab: Lab) -> None:
    await lab.records.note("lab", 1.0)
    await lab.records.note("lab", 2.0)
    await lab.records.forget("lab", 1.0)
    assert await lab.records.noted("lab") == 2.0
