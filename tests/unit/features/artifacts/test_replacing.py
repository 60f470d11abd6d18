"""Artifacts that take the place of others: whole or not at all, and nothing of the new goes with the old."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hypha.errors import HyphaError, InvalidRequest, QuotaExceeded, StorageFull, VersionConflict
from hypha.features.artifacts.garbage import UNRECORDED_S
from hypha.store import Store
from hypha.store.usage import Quota
from tests.kit.postgres import PostgresServer
from tests.unit.features.artifacts.lab import Lab


@pytest.fixture(params=["memory", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])])
def uri(request: pytest.FixtureRequest) -> str:
    """URI of an empty database: nothing here depends on the file of one."""
    if request.param == "memory":
        return ":memory:"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


async def test_a_draft_in_the_place_of_another_artifact_keeps_its_uploads(lab: Lab) -> None:
    await lab.filled("data", a_txt="old")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", b_txt="old, too")
    await lab.create("data", {"name": "New"}, overwrite=True, stage=True)
    await lab.upload("data", c_txt="new")
    assert [key.rpartition("/")[2] for key in await lab.on_disk()] == ["c.txt"]
    assert (await lab.manager.commit("data", context=lab.owner))["file_count"] == 1
    assert await lab.content("data", "c.txt") == "new"


@pytest.mark.parametrize("stage", [False, True])
async def test_an_artifact_takes_its_own_place_with_its_files(lab: Lab, stage: bool) -> None:
    made = await lab.filled("data", a_txt="a", b__c_txt="c")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", d_txt="staged")
    copy = await lab.manager.duplicate("data", "data", overwrite=True, stage=stage, context=lab.owner)
    assert (copy["_id"], len(copy["versions"])) == (made["_id"], 0 if stage else 1)
    lab.now += UNRECORDED_S  # the note that the copy might have been broken off is gone
    assert [key.rpartition("/")[2] for key in await lab.on_disk()] == ["a.txt", "c.txt"]
    if stage:
        assert "artifact_files" not in {k for k, v in (await lab.used()).items() if v != (0, 0)}
        copy = await lab.manager.commit("data", context=lab.owner)
    assert (copy["file_count"], copy["versions"][0]["version"]) == (2, "v0")
    assert [await lab.content("data", path) for path in ("a.txt", "b/c.txt")] == ["a", "c"]
    assert (await lab.used())["artifact_files"] == (2, 2)
    await lab.manager.delete("data", context=lab.owner)
    assert (await lab.on_disk(), set((await lab.used()).values())) == ([], {(0, 0)})


def copying(lab: Lab, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[Any]]) -> None:
    """Let something happen when files of a copy are in place and no record names them yet."""
    copy_many = lab.objects.copy_many

    async def copied(*args: Any) -> Any:
        done = await copy_many(*args)
        with monkeypatch.context() as patch:  # commits copy, too
            patch.setattr(lab.objects, "copy_many", copy_many)
            await meanwhile()
        return done

    monkeypatch.setattr(lab.objects, "copy_many", copied)


class Killed(BaseException):
    """The server ends here."""


def failing(error: BaseException) -> Callable[[], Awaitable[None]]:
    """Something that happens and fails."""

    async def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("stage", [False, True])
async def test_a_copy_that_fails_leaves_what_it_would_replace(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, stage: bool
) -> None:
    await lab.filled("data", a_txt="new", b_txt="new")
    await lab.filled("target", a_txt="old")
    before = await lab.on_disk(), await lab.used()
    again = {"overwrite": True, "stage": stage, "context": lab.owner}
    errors: list[BaseException] = [StorageFull("There is no room."), Killed()]
    for error in errors:
        with monkeypatch.context() as patch:
            copying(lab, patch, failing(error))
            with pytest.raises(type(error)):
                await lab.manager.duplicate("data", "target", **again)
            with pytest.raises(type(error)):
                await lab.manager.duplicate("data", "elsewhere", **again)
    with pytest.raises(HyphaError, match="does not exist"):
        await lab.manager.read("elsewhere", stage=True, context=lab.owner)
    if not stage:
        lab.people.file_quota = Quota(3, 10**9, "files of artifacts", "")
        with pytest.raises(QuotaExceeded):
            await lab.manager.duplicate("data", "target", **again)
    assert await lab.content("target", "a.txt") == "old"
    await lab.garbage.sweep()
    lab.now += UNRECORDED_S  # of a server that was killed
    assert (await lab.on_disk(), await lab.used()) == before


async def test_a_copy_that_took_too_long_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await lab.filled("data", a_txt="new")
    await lab.filled("target", a_txt="old")

    async def wait() -> None:
        lab.now += UNRECORDED_S

    copying(lab, monkeypatch, wait)
    with pytest.raises(VersionConflict, match="too long"):
        await lab.manager.duplicate("data", "target", overwrite=True, context=lab.owner)
    assert (await lab.content("target", "a.txt"), len(await lab.on_disk())) == ("old", 2)


async def test_what_was_changed_while_files_were_copied_is_not_replaced(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.filled("data", a_txt="new")
    await lab.filled("target", a_txt="old")
    changes: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("target", lambda: lab.manager.edit("target", {"name": "T"}, context=lab.owner)),
        ("target", lambda: lab.manager.delete("target", context=lab.owner)),
        ("target", lambda: lab.create("target", {"name": "of somebody else"})),
    ]
    for alias, change in changes:
        with monkeypatch.context() as patch:
            copying(lab, patch, change)
            with pytest.raises(VersionConflict):
                await lab.manager.duplicate("data", alias, overwrite=True, context=lab.owner)
    assert (await lab.manager.read("target", context=lab.owner))["manifest"] == {"name": "of somebody else"}
    assert len(await lab.on_disk()) == 1


@pytest.mark.parametrize(("alias", "stage"), [("target", True), ("new", True), ("new", False)])
async def test_the_daily_look_spares_what_is_being_copied(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, alias: str, stage: bool
) -> None:
    await lab.filled("data", a_txt="a")
    await lab.filled("target", a_txt="old")

    async def look() -> None:
        await lab.garbage.find_left_behind()
        await lab.garbage.sweep()

    with monkeypatch.context() as patch:
        copying(lab, patch, look)
        made = await lab.manager.duplicate("data", alias, overwrite=True, stage=stage, context=lab.owner)
    if stage:
        made = await lab.manager.commit(alias, context=lab.owner)
    assert (made["file_count"], await lab.content(alias, "a.txt")) == (1, "a")


async def test_a_copy_fits_the_schema_of_its_collection(lab: Lab) -> None:
    schema = {"type": "object", "required": ["size"]}
    await lab.create("box", type="collection", config={"collection_schema": schema})
    await lab.filled("data", a_txt="a")
    with pytest.raises(InvalidRequest, match="ValidationError"):
        await lab.manager.duplicate("data", "copy", target_parent_id="box", context=lab.owner)
    draft = await lab.manager.duplicate("data", "copy", target_parent_id="box", stage=True, context=lab.owner)
    assert draft["versions"] == []
