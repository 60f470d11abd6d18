"""The artifact manager on every database: versions, files, refusals, and what is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from hypha.auth.scopes import Level
from hypha.errors import (
    AlreadyExists,
    ArtifactNotFound,
    HyphaError,
    InvalidRequest,
    LimitReached,
    PermissionDenied,
    QuotaExceeded,
    UploadNotFound,
)
from hypha.features.artifacts import tables
from hypha.features.artifacts.artifact import FileNotFound, NotStaged
from hypha.features.artifacts.file_records import Staged, rows_at
from hypha.features.artifacts.ids import Reference
from hypha.features.artifacts.schemas import check_against, check_schema
from hypha.store import Store
from hypha.store.usage import Quota
from tests.unit.features.artifacts.lab import Lab


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


async def rows(lab: Lab) -> dict[str, int]:
    """How many rows each table has."""
    kinds = [
        tables.Artifact,
        tables.ArtifactVersion,
        tables.ArtifactFile,
        tables.StagedFile,
        tables.ArtifactGrant,
    ]
    async with lab.store.reading() as connection:
        return {
            kind.__name__: (await connection.execute(select(func.count()).select_from(kind))).scalar_one()
            for kind in kinds
        }


async def test_a_version_that_is_edited_keeps_its_files_and_loses_none(lab: Lab) -> None:
    await lab.filled("data", a_txt="a", b__c_txt="c")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="A", n_txt="n")
    await lab.manager.remove_file("data", "b/c.txt", context=lab.owner)
    assert (await lab.content("data", "a.txt"), await lab.names("data")) == ("a", ["a.txt", "b"])
    assert await lab.content("data", "a.txt", stage=True) == "A"
    committed = await lab.manager.commit("data", context=lab.owner)
    assert (committed["file_count"], len(committed["versions"])) == (2, 1)
    assert [await lab.content("data", path) for path in ("a.txt", "n.txt")] == ["A", "n"]
    folder = f"lab/artifacts/{committed['_id']}"
    kept = await lab.on_disk()
    assert f"{folder}/v0/a.txt" in kept  # for those who have an address of it
    lab.now += 7200
    assert await lab.on_disk() == [f"{folder}/v0.1/a.txt", f"{folder}/v0.1/n.txt"]


async def test_what_is_kept_is_counted_to_the_byte(lab: Lab) -> None:
    made = await lab.filled("data", a_txt="12345", b_txt="1")
    await lab.manager.edit("data", version="new", manifest={"name": "longer"}, stage=True, context=lab.owner)
    await lab.upload("data", a_txt="123")
    await lab.manager.commit("data", context=lab.owner)
    await lab.manager.set_secret("data", "key", "value", context=lab.owner)
    assert (await lab.used())["artifact_files"] == (3, 9)
    await lab.manager.edit("data", manifest={"name": "x" * 500}, stage=True, context=lab.owner)
    await lab.upload("data", a_txt="1")
    await lab.manager.discard("data", context=lab.owner)
    await lab.manager.edit("data", manifest={"name": "y" * 50}, context=lab.owner)
    await lab.manager.set_download_weight("data", "a.txt", 2, context=lab.owner)
    await lab.manager.duplicate("data", "copy", context=lab.owner)
    assert (await lab.used())["artifact_files"] == (4, 12)
    await lab.manager.delete("data", version="v0", context=lab.owner)
    assert (await lab.used())["artifact_files"] == (2, 6)
    await lab.create("data", overwrite=True)
    assert (await lab.manager.read("data", context=lab.owner))["_id"] == made["_id"]
    for alias in ("data", "copy"):
        await lab.manager.delete(alias, context=lab.owner)
    assert set((await lab.used()).values()) == {(0, 0)}
    assert not any((await rows(lab)).values())
    assert await lab.on_disk() == []


@pytest.mark.spec("artifacts-C4.2")
async def test_of_two_artifacts_of_one_alias_one_is_made(lab: Lab) -> None:
    results = await asyncio.gather(*(lab.create("one") for _ in range(5)), return_exceptions=True)
    made = [result for result in results if isinstance(result, dict)]
    assert len(made) == 1
    assert all(isinstance(result, dict | AlreadyExists) for result in results)
    assert (await rows(lab))["Artifact"] == 1
    assert (await lab.used())["artifacts"][0] == 1


@pytest.mark.spec("artifacts-C4.3")
async def test_counters_are_exact_whoever_counts_at_once(lab: Lab) -> None:
    await lab.create("data", stage=True)
    await lab.upload("data", a_txt="a")
    await lab.manager.commit("data", context=lab.owner)
    await lab.manager.set_download_weight("data", "a.txt", 1, context=lab.owner)
    await asyncio.gather(*(lab.manager.get_file("data", "a.txt", context=lab.owner) for _ in range(50)))
    await asyncio.gather(*(lab.manager.read("data", context=lab.owner) for _ in range(20)))
    found = await lab.manager.read("data", silent=True, context=lab.owner)
    assert (found["download_count"], found["view_count"]) == (50, 20)
    await lab.manager.reset_stats("data", context=lab.owner)
    found = await lab.manager.read("data", silent=True, context=lab.owner)
    assert (found["download_count"], found["view_count"]) == (0, 0)


@pytest.mark.spec("artifacts-C4.5")
async def test_files_that_are_staged_at_once_are_all_staged(lab: Lab) -> None:
    await lab.create("data", stage=True)
    await asyncio.gather(
        *(lab.manager.put_file("data", f"{n}.txt", context=lab.owner) for n in range(20)),
    )
    status = await lab.manager.get_status("data", context=lab.owner)
    assert len(status["files"]) == 20


async def test_commits_at_once_make_one_version(lab: Lab) -> None:
    await lab.create("data", stage=True)
    await lab.upload("data", a_txt="a")
    made = await asyncio.gather(*(lab.manager.commit("data", context=lab.owner) for _ in range(5)))
    assert {len(each["versions"]) for each in made} == {1}
    assert await lab.content("data", "a.txt") == "a"


async def test_a_commit_that_fails_leaves_everything_as_it_was(lab: Lab) -> None:
    await lab.filled("data", a_txt="old")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="new", b_txt="b")
    await lab.manager.put_file("data", "c.txt", context=lab.owner)
    with pytest.raises(FileNotFound, match=r"File 'c.txt' does not exist in the artifact"):
        await lab.manager.commit("data", context=lab.owner)
    lab.people.file_quota = Quota(2, 4, "files of artifacts", "")
    await lab.manager.remove_file("data", "c.txt", context=lab.owner)
    await lab.upload("data", b_txt="too large")
    with pytest.raises(QuotaExceeded):
        await lab.manager.commit("data", context=lab.owner)
    assert (await lab.content("data", "a.txt"), await lab.names("data")) == ("old", ["a.txt"])
    assert (await lab.used())["artifact_files"] == (1, 3)
    lab.people.file_quota = Quota(2, 40, "files of artifacts", "")
    await lab.manager.commit("data", context=lab.owner)
    assert [await lab.content("data", path) for path in ("a.txt", "b.txt")] == ["new", "too large"]


async def test_bytes_that_are_sent_after_the_commit_change_nothing(lab: Lab) -> None:
    await lab.create("data", stage=True)
    await lab.upload("data", a_txt="committed")
    staged = await lab.parts.access.find("data", lab.owner)
    await lab.manager.commit("data", context=lab.owner)
    await lab.objects.put(staged.stage_key("a.txt"), b"late")
    assert await lab.content("data", "a.txt") == "committed"
    await lab.manager.edit("data", stage=True, context=lab.owner)
    assert await lab.content("data", "a.txt", stage=True) == "committed"


async def test_folders_are_listed_level_by_level_and_page_by_page(lab: Lab) -> None:
    paths = ["a.txt", "a/1", "a/2", "a/b/3", "a-b/4", "a0", "z/y/x", "a!/5"]
    await lab.create("data", stage=True)
    artifact = await lab.parts.access.find("data", lab.owner)
    await lab.manager.put_file("data", paths, context=lab.owner)
    for path in paths:
        await lab.objects.put(artifact.stage_key(path), b"x")
    assert await lab.names("data", stage=True) == ["a.txt", "a0", "a", "a!", "a-b", "z"]
    await lab.manager.commit("data", context=lab.owner)
    whole = await lab.names("data")
    assert (sorted(whole[:2]), sorted(whole[2:])) == (["a.txt", "a0"], ["a", "a!", "a-b", "z"])
    paged = [name for n in range(0, 6, 2) for name in await lab.names("data", offset=n, limit=2)]
    assert paged == whole
    assert await lab.names("data", "a") == ["1", "2", "b"]
    assert await lab.names("data", "a/b/") == ["3"]
    assert await lab.names("data", "z") == ["y"]
    assert await lab.names("data", "nothing") == []
    assert await lab.names("data", "/a/b") == ["3"]
    for path in ("/etc/x", "//a", "/../a"):
        with pytest.raises(InvalidRequest):
            await lab.names("data", path)
    for wrong in ({"limit": 0}, {"limit": 10_001}, {"offset": -1}, {"limit": True}):
        with pytest.raises(InvalidRequest):
            await lab.names("data", **wrong)


@pytest.mark.spec("artifacts-C1.22")
async def test_a_file_in_parts(lab: Lab) -> None:
    await lab.create("data", stage=True)
    await lab.create("other", stage=True)
    begun = await lab.manager.put_file_start_multipart("data", "big.bin", 2, context=lab.owner)
    assert [part["part_number"] for part in begun["parts"]] == [1, 2]
    artifact = await lab.parts.access.find("data", lab.owner)
    key, upload = artifact.stage_key("big.bin"), begun["upload_id"]
    etags = [await lab.objects.put_part(key, upload, n, bytes([n]) * 1000) for n in (1, 2)]
    parts = [{"part_number": 2, "etag": f'"{etags[1]}"'}, {"part_number": 1, "etag": etags[0]}]
    complete = lab.manager.put_file_complete_multipart
    with pytest.raises(HyphaError, match="expired or not found"):
        await complete("other", upload, parts, context=lab.owner)
    for wrong in ([], [{"part_number": 1}], "parts", [{"part_number": 1, "etag": "x"}] * 2):
        with pytest.raises(InvalidRequest):
            await complete("data", upload, wrong, context=lab.owner)  # type: ignore[arg-type]
    done = await complete("data", upload, parts, context=lab.owner)
    assert done == {"success": True, "message": "File uploaded successfully"}
    with pytest.raises(HyphaError, match="expired or not found"):
        await complete("data", upload, parts, context=lab.owner)
    await lab.manager.commit("data", context=lab.owner)
    (file,) = await lab.parts.files.page(artifact.id, 0)
    assert file.size == 2000
    assert len(file.sha256) == 64
    await lab.manager.edit("data", stage=True, context=lab.owner)
    late = await lab.manager.put_file_start_multipart("data", "late", 1, context=lab.owner)
    lab.now += 3700
    with pytest.raises(HyphaError, match="expired or not found"):
        await complete("data", late["upload_id"], parts, context=lab.owner)
    for count in (0, 10_001, True, 1.5):
        with pytest.raises(InvalidRequest, match="part_count"):
            await lab.manager.put_file_start_multipart("data", "x", count, context=lab.owner)  # type: ignore[arg-type]


async def test_an_upload_in_parts_that_is_refused_leaves_nothing_behind(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.create("data", {"name": "D"}, stage=True)
    monkeypatch.setattr("hypha.features.artifacts.file_records.MAX_UPLOADS", 0)
    with pytest.raises(QuotaExceeded):
        await lab.manager.put_file_start_multipart("data", "big.bin", 2, context=lab.owner)
    assert await lab.objects.uploads_before(float("inf")) == []
    committed = await lab.manager.commit("data", context=lab.owner)
    assert committed["file_count"] == 0


async def test_an_upload_that_is_given_up_takes_no_file_with_it(lab: Lab) -> None:
    await lab.filled("data", a_txt="committed")
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.upload("data", b_txt="staged")
    manager, owner = lab.manager, lab.owner
    for path in ("a.txt", "b.txt", "c.txt"):
        begun = await manager.put_file_start_multipart("data", path, 2, context=owner)
        await manager.remove_file("data", path, pending_only=True, context=owner)
        parts = [{"part_number": 1, "etag": "0" * 32}]
        with pytest.raises(UploadNotFound):
            await manager.put_file_complete_multipart("data", begun["upload_id"], parts, context=owner)
    lab.now += 1
    await lab.garbage.end_uploads()
    assert await lab.objects.uploads_before(float("inf")) == []
    await manager.remove_file("data", "b.txt", pending_only=True, context=owner)
    for path in ("a.txt", "c.txt", "nope"):
        with pytest.raises(FileNotFound, match="No upload of"):
            await manager.remove_file("data", path, pending_only=True, context=owner)
    await manager.commit("data", context=owner)
    assert [await lab.content("data", path) for path in ("a.txt", "b.txt")] == ["committed", "staged"]
    assert await lab.names("data") == ["a.txt", "b.txt"]


@pytest.mark.parametrize("end", ["discard", "commit", "delete"])
async def test_uploads_in_parts_end_with_what_was_staged(lab: Lab, end: str) -> None:
    await lab.create("data", {"name": "D"})
    await lab.manager.edit("data", stage=True, context=lab.owner)
    begun = await lab.manager.put_file_start_multipart("data", "big.bin", 2, context=lab.owner)
    ((key, upload),) = await lab.objects.uploads_before(float("inf"))
    await lab.objects.put_part(key, upload, 1, b"x" * 100)
    if end == "commit":
        await lab.manager.remove_file("data", "big.bin", context=lab.owner)
    await getattr(lab.manager, end)("data", context=lab.owner)
    await lab.garbage.sweep()
    assert await lab.objects.uploads_before(float("inf")) == [] and lab.objects.room.all() == {}
    assert begun["upload_id"] == upload


async def test_each_of_many_files_costs_one_look_into_the_index(lab: Lab) -> None:
    paths = [f"folder-{number}/file-{number}" for number in range(50)]
    async with lab.store.reading() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("the plans of SQLite are the ones that went wrong")
        for table in (tables.StagedFile, tables.ArtifactFile):
            where = [table.artifact == "a"]
            if table is tables.ArtifactFile:
                where.append(tables.ArtifactFile.version == 1)
            query = rows_at(table, (table.name,), paths, *where, is_postgres=False)
            text = query.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
            assert any("folder=? AND name=?" in row[3] for row in plan)


async def test_who_adds_to_an_artifact_that_is_deleted_meanwhile_is_told(lab: Lab) -> None:
    await lab.create("data", {"name": "D"}, stage=True)
    found = await lab.parts.artifacts.get(Reference(workspace="lab", alias="data"))
    assert found is not None
    record = lab.people.records["lab"]
    await lab.manager.delete("data", context=lab.owner)
    for change in (
        lab.manager._secrets.set(found, record, "key", "value", None),
        lab.manager._secrets.replace(found, record, {"key": "value"}, None),
        lab.manager.staging.announce(found, [Staged("a")]),
    ):
        with pytest.raises((ArtifactNotFound, LimitReached)):
            await change


async def test_a_file_named_twice_in_a_call_is_downloaded_once(lab: Lab) -> None:
    await lab.create("data", {"name": "D"}, config={"download_weights": {"a": 1}}, stage=True)
    await lab.manager.write_file("data", "a", "x", context=lab.owner)
    await lab.manager.commit("data", context=lab.owner)
    await lab.manager.get_file("data", ["a"] * 50, context=lab.owner)
    assert (await lab.manager.read("data", context=lab.owner))["download_count"] == 1


async def test_what_was_sent_of_uploads_whose_time_is_over_goes(lab: Lab) -> None:
    await lab.create("data", {"name": "D"}, stage=True)
    await lab.manager.put_file_start_multipart("data", "a", 1, expires_in=60, context=lab.owner)
    await lab.manager.put_file_start_multipart("data", "b", 1, expires_in=6000, context=lab.owner)
    lab.now += 100
    await lab.garbage.end_uploads()
    assert [key.rpartition("/")[2] for key, _ in await lab.objects.uploads_before(float("inf"))] == ["b"]


async def test_a_file_that_comes_after_the_commit_is_nobodys_and_goes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.create("data", {"name": "D"}, stage=True)
    before = await lab.parts.artifacts.get(Reference(workspace="lab", alias="data"))
    assert before is not None

    async def commit_meanwhile(*args: Any, **named: Any) -> Any:
        done = await put(*args, **named)
        await lab.manager.remove_file("data", "late", context=lab.owner)
        await lab.manager.commit("data", context=lab.owner)
        return done

    put = lab.objects.put
    monkeypatch.setattr(lab.objects, "put", commit_meanwhile)
    with pytest.raises(NotStaged, match="while the file came"):
        await lab.manager.write_file("data", "late", "x", context=lab.owner)
    monkeypatch.undo()
    await lab.manager.edit("data", stage=True, context=lab.owner)
    await lab.manager.write_file("data", "good", "y", context=lab.owner)
    await lab.objects.put(before.stage_key("later by its signed address"), b"z")
    await lab.garbage.find_left_behind()
    await lab.garbage.sweep()
    found = [info.key.rpartition("/")[2] for info in (await lab.objects.list()).objects]
    assert found == ["good"]


@pytest.mark.spec("artifacts-C1.23", "artifacts-C1.11")
async def test_contents_in_every_format(lab: Lab) -> None:
    await lab.create("data", stage=True)
    write, read = lab.manager.write_file, lab.manager.read_file
    for name, content, form in (
        ("t", "täxt", "text"), ("b", b"\x00\xff", "binary"), ("e", "AP8=", "base64"),
        ("j", {"ä": [1]}, "json"),
    ):  # fmt: skip
        written = await write("data", name, content, format=form, context=lab.owner)
        assert written["success"]
        assert (await read("data", name, format=form, stage=True, context=lab.owner))["content"] == content
    assert await lab.content("data", "j", stage=True) == '{\n  "ä": [\n    1\n  ]\n}'
    assert await lab.content("data", "t", stage=True, offset=3, limit=2) == "xt"
    assert await lab.content("data", "t", stage=True, limit=2) == "t"
    for wrong in (
        {"limit": 10485761}, {"limit": 0}, {"format": "xml"}, {"encoding": "idna"}, {"encoding": "zlib"},
        {"offset": -1}, {"format": "json", "limit": 3}, {"encoding": "ascii"},
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            await read("data", "t", stage=True, context=lab.owner, **wrong)
    for path in ("../v0.json", "/etc/x", "a/../../b", "a\\..\\b", ""):
        for call in (write("data", path, "x", context=lab.owner), read("data", path, context=lab.owner)):
            with pytest.raises(InvalidRequest):
                await call
    for content, form in ((1, "text"), ("x", "binary"), ("?", "base64"), (b"x", "text"), ({1, 2}, "json")):
        with pytest.raises(InvalidRequest):
            await write("data", "x", content, format=form, context=lab.owner)
    await lab.manager.commit("data", context=lab.owner)
    with pytest.raises(InvalidRequest, match="staging mode"):
        await write("data", "t", "x", context=lab.owner)
    with pytest.raises(FileNotFound):
        await read("data", "missing", context=lab.owner)


@pytest.mark.spec("artifacts-C1.17")
async def test_secrets_are_sealed_and_for_administrators(lab: Lab) -> None:
    await lab.create("data", secrets={"first": "1"}, config={"permissions": {"bob": "rw+"}})
    await lab.manager.set_secret("data", "K", "hidden-value", context=lab.owner)
    assert await lab.manager.get_secret("data", "K", context=lab.owner) == "hidden-value"
    assert await lab.manager.get_secret("data", context=lab.owner) == {"first": "1", "K": "hidden-value"}
    bob = lab.caller("bob")
    for call in (
        lab.manager.get_secret("data", "K", context=bob),
        lab.manager.set_secret("data", "K", 1, context=bob),
    ):
        with pytest.raises(PermissionDenied):
            await call
    async with lab.store.reading() as connection:
        kept = (await connection.execute(select(tables.ArtifactSecret.value))).scalars().all()
    assert len(kept) == 2 and not any(b"hidden" in value for value in kept)
    shown = [
        await lab.manager.read("data", context=lab.owner),
        await lab.manager.edit("data", manifest={"name": "x"}, stage=True, context=lab.owner),
        await lab.manager.duplicate("data", "copy", context=lab.owner),
    ]
    assert "hidden" not in str(shown) and "secrets" not in shown[0]
    assert await lab.manager.get_secret("copy", context=lab.owner) == {}
    await lab.manager.set_secret("data", "K", None, context=lab.owner)
    assert await lab.manager.get_secret("data", "K", context=lab.owner) is None
    for name, value in (("", 1), ("x" * 257, 1), ("x", "y" * 70_000), ("x", b"bytes"), (7, 1)):
        with pytest.raises(HyphaError):
            await lab.manager.set_secret("data", name, value, context=lab.owner)  # type: ignore[arg-type]


@pytest.mark.spec("artifacts-C1.19", "artifacts-C1.21")
async def test_collections_in_collections(lab: Lab) -> None:
    manager, me = lab.manager, lab.owner
    for alias, parent in (("top", None), ("middle", "top"), ("leaf", "middle")):
        await lab.create(alias, parent_id=parent, type="collection")
    assert (await manager.read("top", context=me))["config"]["child_count"] == 1
    for parent in ("top", "middle", "leaf"):
        with pytest.raises(InvalidRequest, match="circular"):
            await manager.set_parent("top", parent, context=me)
    moved = await manager.set_parent("leaf", "top", context=me)
    assert moved["parent_id"] == "lab/top"
    assert (await manager.set_parent("leaf", None, context=me))["parent_id"] is None
    await manager.set_parent("leaf", "middle", context=me)
    bob = lab.caller("bob")
    for call in (manager.set_parent("leaf", None, context=bob), manager.delete("leaf", context=bob)):
        with pytest.raises(PermissionDenied):
            await call
    with pytest.raises(InvalidRequest, match="has 1 children"):
        await manager.delete("top", context=me)
    for number in range(250):
        await lab.create(f"child-{number}", parent_id="middle")
    await lab.create("with-file", parent_id="leaf", stage=True)
    await lab.upload("with-file", a_txt="a")
    await manager.commit("with-file", context=me)
    await manager.delete("top", recursive=True, delete_files=True, context=me)
    assert not any((await rows(lab)).values())
    assert await lab.on_disk() == []
    assert set((await lab.used()).values()) == {(0, 0)}


@pytest.mark.spec("artifacts-C1.14")
async def test_children_fit_the_schema_of_their_collection(lab: Lab) -> None:
    schema = {"type": "object", "required": ["size"], "properties": {"size": {"type": "number"}}}
    await lab.create("strict", type="collection", config={"collection_schema": schema})
    with pytest.raises(InvalidRequest, match="ValidationError"):
        await lab.create("child", parent_id="strict")
    await lab.create("child", parent_id="strict", stage=True)
    with pytest.raises(InvalidRequest, match="ValidationError"):
        await lab.manager.commit("child", context=lab.owner)
    await lab.manager.edit("child", manifest={"size": 3}, stage=True, context=lab.owner)
    await lab.manager.commit("child", context=lab.owner)
    with pytest.raises(InvalidRequest, match="ValidationError"):
        await lab.manager.edit("child", manifest={"size": "3"}, context=lab.owner)


async def test_schemas_are_looked_at_beside_the_event_loop(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = "hypha.features.artifacts.schemas"
    threads: list[threading.Thread] = []

    def noting(function: Callable[..., None]) -> Callable[..., None]:
        def noted(*given: Any) -> None:
            threads.append(threading.current_thread())
            function(*given)

        return noted

    monkeypatch.setattr(f"{schemas}.check_schema", noting(check_schema))
    monkeypatch.setattr(f"{schemas}.check_against", noting(check_against))
    config = {"collection_schema": {"type": "object"}}
    await lab.create("strict", type="collection", config=config)
    await lab.manager.edit("strict", config=config, context=lab.owner)
    await lab.create("child", parent_id="strict", stage=True)
    await lab.manager.commit("child", context=lab.owner)
    await lab.manager.edit("child", manifest={"a": 1}, context=lab.owner)
    await lab.manager.duplicate("child", "copy", target_parent_id="strict", context=lab.owner)
    assert len(threads) >= 6
    assert threading.main_thread() not in threads


@pytest.mark.spec("artifacts-C1.18")
async def test_a_copy_has_the_files_and_nothing_else(lab: Lab) -> None:
    made = await lab.filled("data", a_txt="a", b__c_txt="c")
    copy = await lab.manager.duplicate("data", "copy", context=lab.owner)
    assert [version["version"] for version in copy["versions"]] == ["v0"]
    assert (copy["file_count"], copy["config"]["permissions"]) == (2, {"alice": "*"})
    assert await lab.content("copy", "b/c.txt") == "c"
    folder = lab.objects.folder / "lab/artifacts"
    one, other = (folder / each["_id"] / "v0/a.txt" for each in (made, copy))
    assert one.samefile(other)
    await lab.manager.delete("data", context=lab.owner)
    await lab.garbage.sweep()
    assert await lab.content("copy", "a.txt") == "a"
    draft = await lab.manager.duplicate("copy", "draft", stage=True, context=lab.owner)
    assert (draft["versions"], len(draft["staging"])) == ([], 3)
    with pytest.raises(InvalidRequest, match="not committed"):
        await lab.manager.duplicate("draft", "again", context=lab.owner)
    assert (await lab.manager.commit("draft", context=lab.owner))["file_count"] == 2


@pytest.mark.spec("artifacts-C1.12")
async def test_nobody_writes_where_one_may_not(lab: Lab) -> None:
    await lab.filled("data", a_txt="a")
    await lab.create("closed", config={"permissions": {"*": "r"}})
    eve = lab.caller("eve", workspace="other")
    lab.people.levels["eve", "other"] = Level.ADMIN
    manager = lab.manager
    calls: list[Any] = [
        lab.create("x", workspace="lab", context=eve),
        manager.create(artifact_id="lab/closed", manifest={"name": "x"}, overwrite=True, context=eve),
        manager.duplicate("lab/closed", "x", target_workspace="lab", context=eve),
        manager.edit("lab/closed", manifest={"name": "x"}, context=eve),
        manager.edit("lab/closed", manifest={"name": "x"}, stage=True, context=eve),
        manager.commit("lab/closed", context=eve),
        manager.discard("lab/closed", context=eve),
        manager.discard_changes("lab/closed", context=eve),
        manager.delete("lab/closed", context=eve),
        manager.delete("lab/closed", version="v0", context=eve),
        manager.reset_stats("lab/closed", context=eve),
        manager.set_parent("lab/closed", None, context=eve),
        manager.put_file("lab/closed", "x", context=eve),
        manager.write_file("lab/closed", "x", "x", context=eve),
        manager.remove_file("lab/closed", "x", context=eve),
        manager.put_file_start_multipart("lab/closed", "x", 1, context=eve),
        manager.put_file_complete_multipart("lab/closed", "x", [], context=eve),
        manager.set_download_weight("lab/closed", "x", 1, context=eve),
        manager.set_secret("lab/closed", "x", 1, context=eve),
        manager.get_secret("lab/closed", context=eve),
        *(read("lab/data", context=eve) for read in (manager.read, manager.list_files, manager.get_status)),
        manager.get_file("lab/data", "a.txt", context=eve),
        manager.read_file("lab/data", "a.txt", context=eve),
        manager.duplicate("lab/data", "x", context=eve),
        manager.read("lab/closed", stage=True, context=eve),
        manager.list_files("lab/closed", stage=True, context=eve),
    ]
    for call in calls:
        with pytest.raises(PermissionDenied):
            await call
    assert (await manager.read("lab/closed", context=eve))["manifest"] == {"name": "closed"}
    with pytest.raises(ArtifactNotFound):
        await manager.read("lab/nothing", context=eve)


async def test_where_artifacts_can_be(lab: Lab) -> None:
    lab.people.levels["alice", "passing"] = lab.people.levels["alice", "closed"] = Level.ADMIN
    with pytest.raises(PermissionDenied, match="non-persistent workspace passing"):
        await lab.create("x", workspace="passing")
    with pytest.raises(PermissionDenied, match="read-only"):
        await lab.create("x", workspace="closed")
    with pytest.raises(HyphaError):
        await lab.create("x", workspace="nowhere")
    lab.people.quota = Quota(1, 10**6, "artifacts", "")
    await lab.create("one")
    with pytest.raises(QuotaExceeded):
        await lab.create("two")
    assert (await rows(lab))["Artifact"] == 1


@pytest.mark.spec("artifacts-C1.13")
async def test_who_may_draft_may_not_commit(lab: Lab) -> None:
    await lab.create("box", type="collection", config={"permissions": {"*": "r", "@": "l+"}})
    bob = lab.caller("bob", workspace="other")
    manager = lab.manager
    with pytest.raises(PermissionDenied, match="'attach'"):
        await manager.create("b", parent_id="lab/box", manifest={"name": "b"}, context=bob)
    draft = await manager.create("b", parent_id="lab/box", manifest={"name": "b"}, stage=True, context=bob)
    assert draft["config"]["permissions"] == {"bob": "*"}
    with pytest.raises(PermissionDenied, match="'attach'"):
        await manager.commit("lab/b", context=bob)
    with pytest.raises(PermissionDenied, match="'attach'"):
        await manager.edit("lab/b", manifest={"name": "c"}, context=bob)
    assert (await manager.commit("lab/b", context=lab.owner))["parent_id"] == "lab/box"
    with pytest.raises(PermissionDenied, match="'mutate'"):
        await manager.edit("lab/b", manifest={"name": "c"}, context=bob)
    with pytest.raises(PermissionDenied, match="'detach'"):
        await manager.delete("lab/b", context=bob)


async def test_nobody_grants_more_than_one_has(lab: Lab) -> None:
    await lab.create("data", config={"permissions": {"bob": "rw"}})
    bob = lab.caller("bob")
    for stage in (True, False):
        with pytest.raises(PermissionDenied, match="more than you may do"):
            await lab.manager.edit("data", config={"permissions": {"bob": "*"}}, stage=stage, context=bob)
    await lab.manager.edit("data", config={"permissions": {"bob": "rw", "*": "r"}}, context=bob)


async def test_an_inbox_lets_its_recipients_delete(lab: Lab) -> None:
    config = {"private_children": True, "recipient_field": "to", "permissions": {"@": "l"}}
    await lab.create("inbox", type="collection", config={**config, "recipient_can_delete": True})
    await lab.create("for-bob", {"to": "Bob@Lab.org"}, parent_id="inbox")
    eve, bob = lab.caller("eve", email="eve@lab.org"), lab.caller("bob", email="bob@lab.org")
    child = lab.caller("child", email="bob@lab.org", parent="bob")
    for other in (eve, child):
        with pytest.raises(PermissionDenied):
            await lab.manager.delete("for-bob", context=other)
    with pytest.raises(PermissionDenied):
        await lab.manager.delete("for-bob", version="v0", context=bob)
    await lab.manager.delete("for-bob", context=bob)
    with pytest.raises(InvalidRequest, match="recipient_field"):
        await lab.create("wrong", type="collection", config={"private_children": True})


async def test_versions_that_go_leave_the_others_and_at_last_a_draft(lab: Lab) -> None:
    await lab.filled("data", a_txt="0")
    for number in (1, 2):
        await lab.manager.edit("data", {"name": str(number)}, version="new", stage=True, context=lab.owner)
        await lab.upload("data", a_txt=str(number))
        await lab.manager.commit("data", context=lab.owner)
    with pytest.raises(HyphaError, match="does not exist: it has v0, v1, v2"):
        await lab.manager.delete("data", version="v9", context=lab.owner)
    with pytest.raises(InvalidRequest, match="discard"):
        await lab.manager.delete("data", version="stage", context=lab.owner)
    await lab.manager.delete("data", version="v2", context=lab.owner)
    found = await lab.manager.read("data", context=lab.owner)
    assert (found["manifest"], found["file_count"]) == ({"name": "1"}, 1)
    assert await lab.content("data", "a.txt") == "1"
    await lab.manager.edit("data", version="new", stage=True, context=lab.owner)
    await lab.upload("data", a_txt="3")
    assert [v["version"] for v in (await lab.manager.commit("data", context=lab.owner))["versions"]] == [
        "v0", "v1", "v2",
    ]  # fmt: skip
    assert [await lab.content("data", "a.txt", version=name) for name in ("v0", "v1", "v2")] == [
        "0",
        "1",
        "3",
    ]
    for name in ("v0", "v1", "v2"):
        await lab.manager.delete("data", version=name, context=lab.owner)
    found = await lab.manager.read("data", stage=True, context=lab.owner)
    assert (found["versions"], found["staging"]) == ([], [{"_intent": "new_version"}])
    await lab.manager.commit("data", context=lab.owner)
    await lab.manager.delete("data", context=lab.owner)
    assert set((await lab.used()).values()) == {(0, 0)}


async def test_what_a_killed_server_left_is_found(lab: Lab) -> None:
    made = await lab.filled("data", a_txt="a")
    await lab.objects.put("lab/artifacts/01234567-0000-7000-8000-000000000000/v0/lost.txt", b"lost")
    await lab.objects.put("lab/own-file.txt", b"no artifact")
    await lab.garbage.find_left_behind()
    assert await lab.on_disk() == [f"lab/artifacts/{made['_id']}/v0/a.txt", "lab/own-file.txt"]
    await lab.garbage.workspace_ended("lab")
    assert await lab.on_disk() == ["lab/own-file.txt"]


async def test_artifacts_go_with_their_workspace(lab: Lab) -> None:
    await lab.create("box", type="collection")
    await lab.create("inside", parent_id="box", stage=True)
    await lab.upload("inside", a_txt="a")
    await lab.manager.commit("inside", context=lab.owner)
    await lab.store.workspaces.delete(["lab"])
    await lab.garbage.workspace_ended("lab")
    assert not any((await rows(lab)).values())
    assert await lab.on_disk() == []


async def test_numbers_that_json_has_not_are_kept_as_words(lab: Lab) -> None:
    odd = {"a": float("inf"), "b": [-float("inf"), {"c": float("nan")}], "d": None}
    made = await lab.create("odd", odd)
    assert made["manifest"] == {"a": "Infinity", "b": ["-Infinity", {"c": "NaN"}], "d": None}
