"""Attacks on artifacts: too many, too large, too much at once."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from hypha.errors import (
    FrameTooLarge,
    HyphaError,
    InvalidRequest,
    LimitReached,
    QuotaExceeded,
    UnprocessableContent,
)
from hypha.features.artifacts.filters import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_KEYWORDS,
    MAX_SOUGHT_CHARS,
    MAX_TEXT_CHARS,
    MAX_WILDCARDS,
    FilterBuilder,
)
from hypha.features.artifacts.http_zip import ZipRoute
from hypha.features.artifacts.renderer import Renderer, Template, TemplateFailed, source_of
from hypha.features.artifacts.zip_directory import InvalidZip
from hypha.features.artifacts.zip_index import ZipIndexes
from hypha.store.usage import Quota
from tests.faults.bounds.kit import Kit
from tests.unit.features.artifacts.lab import Lab

Job = Callable[[], Any]
OF_FEATURE = "hypha.features.artifacts"
OF_OWN_PAGE = "of the server's own page of an artifact, which leaves out what is more"

INTERNAL = {
    f"{OF_FEATURE}.applications._KEPT": "manifests that are remembered; the oldest are read anew",
    f"{OF_FEATURE}.homes.MAX_OPEN_HOMES": "clients for storages; the others are made anew",
    f"{OF_FEATURE}.homes._FAILURES_KEPT": "of storages that failed just now; the others are tried again",
    f"{OF_FEATURE}.places._MAX_PREFIX_BYTES": "of a secret, whose bytes are bounded, and of keys in S3",
    f"{OF_FEATURE}.http_view.MAX_SHOWN_FILES": OF_OWN_PAGE,
    f"{OF_FEATURE}.view_page.MAX_ITEMS": OF_OWN_PAGE,
    f"{OF_FEATURE}.view_page.MAX_TEXT_CHARS": OF_OWN_PAGE,
    f"{OF_FEATURE}.view_config.MAX_HEADERS": "an artifact with more header fields for its pages sets none",
    f"{OF_FEATURE}.zip_writing.KEPT_CHECKSUMS": "checksums of files, the oldest are computed anew",
    f"{OF_FEATURE}.zip_index.MAX_KEPT": "indexes of zips; the oldest are made anew",
    f"{OF_FEATURE}.zip_index.MAX_KEPT_BYTES": "on disk, of the same",
    f"{OF_FEATURE}.zip_index.MAX_MADE_AT_ONCE": "indexes of zips; others wait",
    f"{OF_FEATURE}.rendering.MAX_TOLD_CHARS": "length of a text that the server itself writes",
}


async def lab_of(kit: Kit) -> Lab:
    """A lab of the attack's own."""
    return await kit.stack.enter_async_context(Lab.opened(await kit.store(), kit.folder))


async def at_once(job: Job) -> Any:
    """Work without a share."""
    return job()


async def refused(error: type[HyphaError], *calls: Any) -> None:
    """Every call is refused with an error."""
    for call in calls:
        with pytest.raises(error):
            await call


async def artifacts(kit: Kit) -> None:
    lab = await lab_of(kit)
    lab.people.quota = Quota(2, 2000, "artifacts", "")
    await refused(QuotaExceeded, lab.create("large", {"name": "x" * 1100}))
    await lab.create("one")
    await lab.create("two")
    await refused(
        QuotaExceeded,
        lab.create("three"),
        lab.manager.edit("one", manifest={"name": "x" * 2000}, stage=True, context=lab.owner),
        lab.manager.edit("one", manifest={"name": "x" * 1000}, context=lab.owner),
        lab.manager.set_secret("one", "key", "x" * 2000, context=lab.owner),
    )


async def artifact_files(kit: Kit) -> None:
    lab = await lab_of(kit)
    lab.people.file_quota = Quota(2, 100, "files of artifacts", "")
    await refused(
        QuotaExceeded, lab.filled("many", a_txt="", b_txt="", c_txt=""), lab.filled("large", a_txt="x" * 101)
    )
    await lab.filled("data", a_txt="x" * 60)
    await refused(QuotaExceeded, lab.manager.duplicate("data", "copy", context=lab.owner))


async def one_artifact(kit: Kit) -> None:
    lab = await lab_of(kit)
    deep: Any = "end"
    for _ in range(70):
        deep = [deep]
    await refused(
        FrameTooLarge,
        lab.create("a", {"name": "x" * 1024 * 1024}),
        lab.create("a", config={"more": "x" * 256 * 1024}),
    )
    await refused(
        InvalidRequest,
        lab.create("a", {"deep": deep}),
        lab.create("a", type="x" * 129),
        lab.create("a" * 65),
        lab.create("{uuid}" * 17),
        lab.create("{uuid}" + "a" * 260),
    )
    await lab.create("a", stage=True)
    await refused(InvalidRequest, lab.manager.put_file("a", "x/" * 350 + "y", context=lab.owner))


async def parts_of_an_artifact(kit: Kit) -> None:
    lab, me = await lab_of(kit), "owner"
    await lab.create("a")
    manager, context = lab.manager, lab.owner
    kit.lower(f"{OF_FEATURE}.committing.MAX_VERSIONS", 3)
    await refused(
        InvalidRequest,
        lab.create("b", config={"permissions": {f"{me}-{n}": "r" for n in range(1001)}}),
        lab.create("b", config={"permissions": {"x" * 513: "r"}}),
        lab.create("b", config={"download_weights": {str(n): 1 for n in range(10_001)}}),
        lab.create("b", secrets={str(n): 1 for n in range(101)}),
        manager.set_secret("a", "x" * 257, 1, context=context),
        manager.commit("a", version="x" * 129, context=context),
        manager.commit("a", comment="x" * 10_001, context=context),
    )
    await refused(FrameTooLarge, manager.set_secret("a", "x", "y" * 66_000, context=context))
    for number in range(100):
        await manager.set_secret("a", str(number), 1, context=context)
    await refused(InvalidRequest, manager.set_secret("a", "one-more", 1, context=context))
    for _ in range(2):
        await manager.edit("a", version="new", context=context)
    await refused(LimitReached, manager.edit("a", version="new", context=context))


async def files_at_once(kit: Kit) -> None:
    lab = await lab_of(kit)
    kit.lower(f"{OF_FEATURE}.http_zip.MAX_ZIPPED", 1)
    await lab.filled("two", a_txt="a", b_txt="b")
    credentials: Any = None
    two = await lab.parts.access.find("two", lab.owner)
    await refused(LimitReached, ZipRoute(lab.manager, credentials)._files(two, None, ()))
    kit.lower(f"{OF_FEATURE}.file_records.MAX_STAGED_FILES", 20)
    kit.lower(f"{OF_FEATURE}.contents.MAX_BYTES", 1000)
    await lab.create("a", stage=True)
    manager, context = lab.manager, lab.owner
    await refused(LimitReached, manager.put_file("a", [str(n) for n in range(21)], context=context))
    await manager.put_file("a", [str(n) for n in range(20)], context=context)
    await manager.put_file("a", [str(n) for n in range(20)], context=context)
    await refused(LimitReached, manager.put_file("a", "one-more", context=context))
    await refused(
        InvalidRequest,
        manager.put_file("a", [str(n) for n in range(10_001)], context=context),
        manager.get_file("a", [str(n) for n in range(10_001)], context=context),
        manager.list_files("a", limit=10_001, context=context),
        manager.read_file("a", "0", limit=10 * 1024 * 1024 + 1, context=context),
    )
    await refused(FrameTooLarge, manager.write_file("a", "0", "x" * 1001, context=context))
    kit.lower(f"{OF_FEATURE}.file_records.MAX_UPLOADS", 3)
    for number in range(3):
        await manager.put_file_start_multipart("a", str(number), 1, context=context)
    await refused(QuotaExceeded, manager.put_file_start_multipart("a", "3", 1, context=context))
    lab.now += 3700  # those are over
    await manager.put_file_start_multipart("a", "0", 1, context=context)
    assert len(await lab.objects.uploads_before(float("inf"))) == 4


async def insides_of_zips(kit: Kit) -> None:
    lab = await lab_of(kit)
    indexes = ZipIndexes(lab.objects)

    async def looked_into(name: str, *names: str) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for each in names:
                archive.writestr(each, b"")
        await indexes.of(await lab.objects.put(name, content.getvalue()), at_once)

    await refused(InvalidZip, looked_into("deep", "a/" * 101), looked_into("long", "a" * 4097))
    kit.lower(f"{OF_FEATURE}.zip_index.MAX_NODES", 3)
    await looked_into("three", "a/b", "c")
    await refused(LimitReached, looked_into("four", "a/b", "c", "d"))
    kit.lower(f"{OF_FEATURE}.zip_index.MAX_DIRECTORY_BYTES", 40)
    await refused(LimitReached, looked_into("wide", "a"))


async def artifact_pages(kit: Kit) -> None:
    def rendered(template: str) -> Any:
        async def job() -> Template:
            return Template(template, {})

        return renderer.render("a.html", "lab", job)

    renderer = Renderer()
    kit.stack.push_async_callback(renderer.close)
    await refused(TemplateFailed, rendered("{{ 'a' * 9000000 }}"))
    kit.lower(f"{OF_FEATURE}.renderer.MAX_JOB_BYTES", 3)
    await refused(TemplateFailed, rendered("a"))
    for name in ("MAX_WAITING", "MAX_WAITING_PER_PARTY"):
        kit.lower(f"{OF_FEATURE}.renderer.{name}", 0)
        full = Renderer()
        async with full._turns.taken("another"):
            await refused(LimitReached, full.render("a.html", "lab", lambda: pytest.fail()))
        kit.lower(f"{OF_FEATURE}.renderer.{name}", 9)
    kit.lower(f"{OF_FEATURE}.renderer.MAX_TEMPLATE_BYTES", 3)
    lab = await lab_of(kit)
    await lab.objects.put("template", b"four")
    await refused(UnprocessableContent, source_of(await lab.objects.open("template"), "a.html"))


async def verified_artifacts(kit: Kit) -> None:
    lab = await lab_of(kit)
    await lab.filled("two", a_txt="a", b_txt="b")
    manager, context = lab.manager, lab.owner
    await refused(InvalidRequest, manager.list_contents("two", limit=1001, context=context))
    kit.lower(f"{OF_FEATURE}.verifying.MAX_DAMAGED", 1)
    two = await lab.parts.access.find("two", lab.owner)
    await lab.objects.delete_folder(f"{two.folder}/v0")
    found = await manager.verify("two", context=context)
    assert (found["files"], len(found["damaged"])) == (2, 1)
    kit.lower(f"{OF_FEATURE}.verifying.MAX_VERIFYING", 0)
    await refused(LimitReached, manager.verify("two", context=context))
    kit.lower(f"{OF_FEATURE}.verifying.MAX_VERIFYING", 2)
    kit.lower(f"{OF_FEATURE}.verifying.MAX_VERIFYING_IN_ALL", 0)
    await refused(LimitReached, manager.verify("two", context=context))


async def artifact_filters(kit: Kit) -> None:
    lab = await lab_of(kit)
    kit.lower(f"{OF_FEATURE}.listing.MAX_ANSWER_BYTES", 10_000)
    for number in range(3):
        await lab.create(f"a{number}", {"name": "x" * 2000})
    await refused(InvalidRequest, lab.manager.list(limit=1001, context=lab.owner))
    await refused(FrameTooLarge, lab.manager.list(context=lab.owner))
    assert len(await lab.manager.list(limit=1, context=lab.owner)) == 1
    kit.lower(f"{OF_FEATURE}.functions_lists.MAX_STAGED_SHOWN", 1)
    await lab.create("draft", stage=True)
    await lab.manager.put_file("draft", ["a", "b"], context=lab.owner)
    (draft,) = await lab.manager.list(stage=True, context=lab.owner)
    assert draft["staging"] == [{"_intent": "new_version"}]
    deep: Any = {"a": 1}
    for _ in range(MAX_DEPTH + 1):
        deep = {"$or": [deep]}
    for wrong in (
        {"manifest": {"tags": ["x"] * MAX_CONDITIONS}},
        {"manifest": deep},
        {"type": "x" * (MAX_TEXT_CHARS + 1)},
        {"manifest": {"name": "*" * (MAX_WILDCARDS + 1)}},
        {"manifest": {"name": "x" * MAX_SOUGHT_CHARS + "*"}},
    ):
        with pytest.raises(InvalidRequest):
            FilterBuilder(False).conditions(wrong)
    for words in (["x"] * (MAX_KEYWORDS + 1), ["x" * (MAX_SOUGHT_CHARS + 1)]):
        with pytest.raises(InvalidRequest):
            FilterBuilder(False).keywords(words)


async def artifact_schemas(kit: Kit) -> None:
    lab = await lab_of(kit)
    doubled = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)}
    for number, schema in enumerate(
        (
            {"$ref": "#/$defs/a0", "$defs": {**doubled, "a30": {}}},
            {"$ref": "#"},
            {"properties": {"x": {"$ref": "#/properties/x"}}},
            {"$ref": "http://elsewhere.org/schema"},
            {"type": "nothing"},
        )
    ):
        await refused(InvalidRequest, lab.create(f"c{number}", config={"collection_schema": schema}))
    await lab.create(
        "c", config={"collection_schema": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}}
    )
    await lab.create("w", type="collection", config={"collection_schema": {"enum": list(range(2000))}})
    await refused(InvalidRequest, lab.create("m", {"x": "y" * 500_000}, parent_id="w"))
