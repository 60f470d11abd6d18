"""Contents of artifacts by their digests: shared by versions, used again, verified, and sent in parts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hypha.auth.scopes import Level
from hypha.errors import (
    Corrupted,
    InvalidRequest,
    LimitReached,
    PermissionDenied,
    QuotaExceeded,
    UploadNotFound,
)  # fmt: skip
from hypha.features.artifacts import file_records
from hypha.features.artifacts.artifact import FileNotFound, NotStaged
from hypha.features.artifacts.committing import Committing
from hypha.features.artifacts.file_records import Staged
from hypha.objects.store import ObjectInfo
from hypha.store import Store
from hypha.store.usage import Quota
from tests.kit.postgres import PostgresServer
from tests.unit.features.artifacts.lab import Lab

POSTGRES = pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(180)])


@pytest.fixture(params=["memory", POSTGRES])
def uri(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return ":memory:"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def place(lab: Lab, alias: str, path: str) -> Path:
    """Where a committed file lies on disk."""
    artifact = await lab.parts.access.find(alias, lab.owner)
    return lab.objects.folder / artifact.folder / path


async def new_version(lab: Lab, alias: str, **files: str) -> Any:
    await lab.manager.edit(alias, version="new", stage=True, context=lab.owner)
    await lab.upload(alias, **files)
    return await lab.manager.commit(alias, context=lab.owner)


async def test_what_many_versions_keep_is_stored_once(lab: Lab) -> None:
    await lab.filled("data", big_bin="x" * 5000)
    for _ in range(3):
        await new_version(lab, "data", big_bin="x" * 5000, small_bin="y")
    await lab.garbage.sweep()
    inodes = {(await place(lab, "data", f"v{number}/big.bin")).stat().st_ino for number in range(4)}
    assert len(inodes) == 1
    await lab.manager.delete("data", version="v0", context=lab.owner)
    await lab.garbage.sweep()
    assert await lab.content("data", "big.bin", version="v1") == "x" * 5000


async def test_where_copies_cost_room_versions_name_the_same_object(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(lab.objects), "shares_copies", False)
    await lab.filled("data", a_txt="same", b_txt="first")
    await new_version(lab, "data", a_txt="same", b_txt="second", c_txt="same")
    await new_version(lab, "data", a_txt="same")

    async def stored() -> list[str]:
        return sorted(key.partition("/v")[2] for key in await lab.on_disk())

    assert await stored() == ["0/a.txt", "0/b.txt", "1/b.txt", "1/c.txt"]
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="same")  # in place, and as it was
    await lab.manager.commit("data", context=lab.owner)
    lab.now += 10_000
    assert await stored() == ["0/a.txt", "0/b.txt", "1/b.txt", "1/c.txt"]
    await lab.manager.delete("data", version="v0", context=lab.owner)
    assert await stored() == ["0/a.txt", "1/b.txt", "1/c.txt"]
    assert [await lab.content("data", "a.txt", version=name) for name in ("v1", "v2")] == ["same", "same"]
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.manager.remove_file("data", "a.txt", context=lab.owner)
    await lab.manager.commit("data", context=lab.owner)
    lab.now += 10_000
    assert await stored() == ["0/a.txt", "1/b.txt", "1/c.txt"]
    await lab.manager.delete("data", version="v1", context=lab.owner)
    assert await stored() == []


async def test_one_version_that_is_saved_as_it_was_keeps_its_bytes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(lab.objects), "shares_copies", False)
    await lab.filled("data", a_txt="same")
    for content in ("same", "other"):
        await lab.manager.edit("data", stage=True, context=lab.owner)
        await lab.upload("data", a_txt=content)
        await lab.manager.commit("data", context=lab.owner)
        lab.now += 10_000
        await lab.garbage.sweep()
        assert await lab.content("data", "a.txt") == content
    await lab.create("data", overwrite=True)
    assert await lab.on_disk() == []


async def test_bytes_that_have_rotted_are_not_taken_for_those_that_come(lab: Lab) -> None:
    await lab.filled("data", a_txt="whole")
    old = await place(lab, "data", "v0/a.txt")
    rot(old, "whale")
    await new_version(lab, "data", a_txt="whole")
    assert (await lab.content("data", "a.txt"), old.read_text()) == ("whole", "whale")
    rot(await place(lab, "data", "v1/a.txt"), "white")
    await lab.manager.edit("data", version="new", stage=True, context=lab.owner)
    told = await lab.manager.reuse_files("data", {"a.txt": sha256("whole")}, context=lab.owner)
    assert told == {"reused": [], "missing": ["a.txt"]}


def rot(file: Path, text: str) -> None:
    """Let bytes change as a failing disk does: size and times stay."""
    before = file.stat()
    file.write_text(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_bit_rot_is_found_and_named(lab: Lab) -> None:
    await lab.filled("data", a_txt="first", b__c_txt="second", d_txt="third")
    await new_version(lab, "data", e_txt="fourth")
    whole = await lab.manager.verify("data", version="v0", context=lab.owner)
    assert whole == {"files": 3, "bytes": 16, "damaged": []}
    rot(await place(lab, "data", "v0/b/c.txt"), "sEcond")
    (await place(lab, "data", "v0/d.txt")).unlink()
    found = await lab.manager.verify("data", all_versions=True, context=lab.owner)
    assert [(each["version"], each["path"], each["problem"]) for each in found["damaged"]] == [
        ("v0", "d.txt", "missing"), ("v0", "b/c.txt", "changed"),
    ]  # fmt: skip
    assert (found["files"], found["damaged"][1]["sha256"]) == (4, sha256("second"))
    one = await lab.manager.verify("data", "v0", ["a.txt"], context=lab.owner)
    assert one == {"files": 1, "bytes": 5, "damaged": []}
    with pytest.raises(FileNotFound, match=r"nope.txt"):
        await lab.manager.verify("data", "v0", ["nope.txt"], context=lab.owner)


async def test_what_is_there_already_needs_no_upload(lab: Lab) -> None:
    await lab.filled("data", a_txt="same", b_txt="other")
    await lab.manager.edit("data", version="new", stage=True, context=lab.owner)
    wanted = {"moved/a.txt": sha256("same"), "new.txt": sha256("new")}
    told = await lab.manager.reuse_files("data", wanted, context=lab.owner)
    assert told == {"reused": ["moved/a.txt"], "missing": ["new.txt"]}
    staged = await lab.manager.list_contents("data", stage=True, context=lab.owner)
    assert [(file["path"], file["sha256"]) for file in staged["files"]] == [("moved/a.txt", sha256("same"))]
    await lab.manager.commit("data", context=lab.owner)
    assert await lab.content("data", "moved/a.txt") == "same"


def read_keys(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of objects that are read from now on."""
    opened, read = lab.objects.open, list[str]()

    async def noted(key: str, *args: Any) -> Any:
        read.append(key)
        return await opened(key, *args)

    monkeypatch.setattr(lab.objects, "open", noted)
    return read


async def test_content_that_many_files_share_is_read_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await lab.filled("data", a_txt="same")
    await lab.manager.edit("data", version="new", stage=True, context=lab.owner)
    read = read_keys(lab, monkeypatch)
    wanted = {f"{number}.txt": sha256("same") for number in range(20)}
    told = await lab.manager.reuse_files("data", wanted, context=lab.owner)
    assert told == {"reused": list(wanted), "missing": []}
    assert len(read) == 1
    read.clear()
    assert (await lab.manager.commit("data", context=lab.owner))["file_count"] == 20
    assert len(read) == 1


async def test_what_is_refused_is_not_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    await lab.filled("data", a_txt="same", b_txt="more")
    await lab.manager.edit("data", version="new", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="same", b_txt="more")
    lab.people.file_quota = Quota(2, 10, "files", "")
    read = read_keys(lab, monkeypatch)
    with pytest.raises(QuotaExceeded):
        await lab.manager.commit("data", context=lab.owner)
    assert read == []
    monkeypatch.setattr(file_records, "MAX_STAGED_FILES", 2)
    await lab.manager.reuse_files("data", {"a.txt": sha256("same")}, context=lab.owner)  # staged already
    read.clear()
    with pytest.raises(LimitReached):
        await lab.manager.reuse_files("data", {"c.txt": sha256("same")}, context=lab.owner)
    assert read == []


async def test_many_files_are_worked_on_in_several_turns(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_records, "READ_AT_ONCE", 2)
    turns, paths = 0, [f"{number}.txt" for number in range(20)]

    def count() -> None:
        nonlocal turns, handle
        turns += 1
        handle = asyncio.get_running_loop().call_soon(count)

    infos = [ObjectInfo(path, 1, "etag", 0.0, sha256="known") for path in paths]
    handle = asyncio.get_running_loop().call_soon(count)
    files = await Committing(lab.parts)._hashed("v0", [Staged(path) for path in paths], infos)
    handle.cancel()
    assert [file.path for file in files] == paths
    assert turns >= 10


async def test_files_that_take_the_place_of_others_need_no_room(lab: Lab) -> None:
    await lab.filled("data", a_txt="1234", b_txt="5678")
    lab.people.file_quota = Quota(2, 9, "files", "")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="abcde", b_txt="fghi")
    await lab.manager.commit("data", context=lab.owner)
    assert (await lab.used())["artifact_files"] == (2, 9)
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="abcdef")
    with pytest.raises(QuotaExceeded):
        await lab.manager.commit("data", context=lab.owner)


async def test_contents_are_listed_page_by_page(lab: Lab) -> None:
    await lab.filled("data", a_txt="1", b__c_txt="2", d__e__f_txt="3")
    paths, after = [], ""
    while True:
        page = await lab.manager.list_contents("data", after=after, limit=1, context=lab.owner)
        paths += [file["path"] for file in page["files"]]
        if page["after"] is None:
            break
        after = page["after"]
    assert paths == ["a.txt", "b/c.txt", "d/e/f.txt"]
    nothing = await lab.manager.list_contents("data", stage=True, context=lab.owner)
    assert nothing == {"files": [], "after": None}


async def test_an_address_takes_the_file_that_was_said_and_no_other(lab: Lab) -> None:
    await lab.create("data", stage=True)
    url = await lab.manager.put_file("data", "a.txt", sha256=sha256("a"), context=lab.owner)
    assert f"X-Hypha-Sha256={sha256('a')}" in url
    urls = await lab.manager.put_file("data", ["a", "b"], sha256=["A" * 64, None], context=lab.owner)
    assert ("a" * 64 in urls["a"], "Sha256" in urls["b"]) == (True, False)
    for paths, digests in (("a", "x"), ("a", ["a" * 64]), (["a", "b"], ["a" * 64]), (["a", "b"], "a" * 64)):
        with pytest.raises(InvalidRequest):
            await lab.manager.put_file("data", paths, sha256=digests, context=lab.owner)


async def test_an_upload_in_parts_goes_on_where_it_stopped(lab: Lab) -> None:
    await lab.create("data", stage=True)
    key = (await lab.parts.access.find("data", lab.owner)).stage_key("big")
    manager, owner = lab.manager, lab.owner
    begun = await manager.put_file_start_multipart("data", "big", 2, sha256=sha256("onetwo"), context=owner)
    first = await lab.objects.put_part(key, begun["upload_id"], 1, b"one")
    lab.now += 3000
    again = await manager.put_file_resume_multipart("data", "big", 2, context=owner)
    assert again["upload_id"] == begun["upload_id"]
    assert [(part.get("etag"), part.get("size")) for part in again["parts"]] == [(first, 3), (None, None)]
    lab.now += 3000  # it was prolonged
    wrong = await lab.objects.put_part(key, begun["upload_id"], 2, b"TWO")
    parts = [{"part_number": 1, "etag": first}, {"part_number": 2, "etag": wrong}]
    with pytest.raises(Corrupted):
        await manager.put_file_complete_multipart("data", begun["upload_id"], parts, context=owner)
    parts[1]["etag"] = await lab.objects.put_part(key, begun["upload_id"], 2, b"two")
    await manager.put_file_complete_multipart("data", begun["upload_id"], parts, context=owner)
    with pytest.raises(UploadNotFound):
        await manager.put_file_resume_multipart("data", "big", 2, context=owner)
    (file,) = (await manager.list_contents("data", stage=True, context=owner))["files"]
    assert (file["sha256"], file["size"]) == (sha256("onetwo"), 6)
    other = await manager.put_file_start_multipart("data", "other", 1, context=owner)
    for path, upload in (("big", other["upload_id"]), ("other", "x" * 32), ("other", "../x")):
        with pytest.raises(UploadNotFound):
            await manager.put_file_resume_multipart("data", path, 1, upload, context=owner)
    for count in (0, 10_001):
        with pytest.raises(InvalidRequest):
            await manager.put_file_resume_multipart("data", "other", count, context=owner)


async def test_an_upload_goes_on_only_with_what_it_was_begun_with(lab: Lab) -> None:
    await lab.create("data", stage=True)
    manager, owner = lab.manager, lab.owner
    plain = await manager.put_file_start_multipart("data", "big", 2, context=owner)
    first = await manager.put_file_start_multipart("data", "big", 2, sha256=sha256("first"), context=owner)
    for upload in (None, plain["upload_id"], first["upload_id"]):
        with pytest.raises(UploadNotFound):
            await manager.put_file_resume_multipart(
                "data", "big", 2, upload, sha256=sha256("second"), context=owner
            )
    lab.now += 1
    second = await manager.put_file_start_multipart("data", "big", 2, sha256=sha256("second"), context=owner)
    for digest, begun in ((None, second), (sha256("first").upper(), first), (sha256("second"), second)):
        again = await manager.put_file_resume_multipart("data", "big", 2, sha256=digest, context=owner)
        assert again["upload_id"] == begun["upload_id"]
    with pytest.raises(InvalidRequest):
        await manager.put_file_resume_multipart("data", "big", 2, sha256="x", context=owner)


async def test_each_new_function_refuses_who_may_not(lab: Lab) -> None:
    await lab.filled("data", a_txt="a")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    reader = lab.caller("reader", level=Level.READ)
    stranger = lab.caller("stranger", "other")
    manager, wanted = lab.manager, {"a.txt": sha256("a")}
    for call in (
        manager.verify("lab/data", context=reader),
        manager.reuse_files("lab/data", wanted, context=reader),
        manager.put_file_resume_multipart("lab/data", "a.txt", 1, context=reader),
        manager.list_contents("lab/data", stage=True, context=reader),
        manager.list_contents("lab/data", context=stranger),
        manager.verify("lab/data", context=stranger),
    ):
        with pytest.raises(PermissionDenied):
            await call
    assert len((await manager.list_contents("lab/data", context=reader))["files"]) == 1
    giver = lab.caller("giver")
    await lab.create("drop", config={"permissions": {"giver": ["put_file"]}}, stage=True)
    with pytest.raises(PermissionDenied):  # it would tell who may not read what is there
        await manager.reuse_files("lab/drop", wanted, context=giver)


async def test_what_cannot_be_used_again_is_refused(lab: Lab) -> None:
    await lab.filled("data", a_txt="a")
    with pytest.raises(NotStaged):
        await lab.manager.reuse_files("data", {"b.txt": sha256("a")}, context=lab.owner)
    await lab.manager.edit("data", stage=True, context=lab.owner)
    for wrong in ({}, {"a": "b"}, {"../x": sha256("a")}, {"x": None}, ["a"]):
        with pytest.raises(InvalidRequest):
            await lab.manager.reuse_files("data", wrong, context=lab.owner)
