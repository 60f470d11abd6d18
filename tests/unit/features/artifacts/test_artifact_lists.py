"""Lists of artifacts, with the same answers on every database."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hypha.auth.scopes import Level
from hypha.errors import ArtifactNotFound, FrameTooLarge, InvalidRequest, PermissionDenied
from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


async def aliases(lab: Lab, **how: Any) -> list[str]:
    """Who is in a list, in its order."""
    context = how.pop("context", lab.owner)
    return [item["alias"] for item in await lab.manager.list(context=context, **how)]


async def filled(lab: Lab) -> None:
    """Some artifacts that differ."""
    for number, (alias, manifest) in enumerate(
        {
            "apple": {"name": "Delicious", "tags": ["x", "y"], "size": 3, "done": True},
            "banana": {"name": "dole", "tags": ["y"], "size": 20, "note": 'is "100%" ripe_'},
            "cherry": {"name": "Montmorency", "tags": [], "size": "many", "note": "100 of them"},
            "date": {"name": "Medjool", "done": False, "1": "digit", "nothing": None},
        }.items()
    ):
        lab.now = 1_700_000_000 + number
        await lab.create(alias, manifest, type="fruit" if number % 2 else "berry")


@pytest.mark.spec("artifacts-C1.16", "artifacts-C4.4")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"manifest": {"name": "D*"}}, "apple banana"),
        ({"manifest": {"name": {"$like": "*o*"}}}, "apple banana cherry date"),
        ({"manifest": {"name": "*oo*"}}, "date"),
        ({"manifest": {"name": "Delicious"}}, "apple"),
        ({"manifest": {"name": "delicious"}}, ""),
        ({"manifest": {"$or": [{"name": "Medjool"}, {"size": 20}]}}, "banana date"),
        ({"manifest": {"$and": [{"name": "D*"}, {"size": 20.0}]}}, "banana"),
        ({"manifest": {"tags": {"$in": ["x"]}}}, "apple"),
        ({"manifest": {"tags": {"$in": ["x", "y"]}}}, "apple banana"),
        ({"manifest": {"tags": {"$all": ["x", "y"]}}}, "apple"),
        ({"manifest": {"tags": ["y"]}}, "apple banana"),
        ({"manifest": {"tags": {"$in": [1, True, "%"]}}}, ""),
        ({"manifest": {"size": "3"}}, ""),
        ({"manifest": {"size": 3}}, "apple"),
        ({"manifest": {"done": True}}, "apple"),
        ({"manifest": {"done": False}}, "date"),
        ({"manifest": {"done": 1}}, ""),
        ({"manifest": {"note": None}}, "apple date"),
        ({"manifest": {"nothing": None, "1": "digit"}}, "date"),
        ({"manifest": {"name": "' OR 1=1 --"}}, ""),
        ({"type": "fruit"}, "banana date"),
        ({"alias": "date"}, "date"),
        ({"created_by": "alice", "type": "berry"}, "apple cherry"),
        ({"created_at": 1_700_000_002}, "cherry date"),
        ({"created_at": [1_700_000_001, 1_700_000_002]}, "banana cherry"),
        ({"created_at": [None, 1_700_000_000]}, "apple"),
        ({"version": "committed", "view_count": 0}, "apple banana cherry date"),
        ({"version": "stage"}, ""),
        ({"parent_id": None, "alias": "apple"}, "apple"),
        ({"config": {"permissions": {"alice": "*"}}, "alias": "apple"}, "apple"),
        ({"config": {"permissions": {"alice": "r"}}}, ""),
        ({"workspace": "other"}, ""),
    ],
)  # fmt: skip
async def test_filters_choose(lab: Lab, filters: dict[str, Any], expected: str) -> None:
    await filled(lab)
    assert await aliases(lab, filters=filters) == expected.split()


@pytest.mark.spec("artifacts-C1.16")
@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (None, "apple banana cherry date"),
        ("created_at", "apple banana cherry date"),
        ("created_at<", "apple banana cherry date"),
        ("created_at>", "date cherry banana apple"),
        ("-created_at", "date cherry banana apple"),
        ("manifest.size", "apple banana cherry date"),
        ("manifest.size>", "date cherry banana apple"),
        ("manifest.name", "apple date cherry banana"),
        ("config.nothing", "apple banana cherry date"),
        ("id; DROP TABLE artifacts", "apple banana cherry date"),
    ],
)
async def test_order(lab: Lab, order_by: str | None, expected: str) -> None:
    await filled(lab)
    assert await aliases(lab, order_by=order_by) == expected.split()


@pytest.mark.spec("artifacts-C1.16")
async def test_keywords_modes_and_pages(lab: Lab) -> None:
    await filled(lab)
    assert await aliases(lab, keywords=["100%"]) == ["banana"]
    assert await aliases(lab, keywords=["RIPE_"]) == ["banana"]
    assert await aliases(lab, keywords=["100", "them"]) == ["cherry"]
    assert await aliases(lab, keywords=["medjool"], filters={"type": "berry"}) == []
    either = await aliases(lab, keywords=["medjool"], filters={"type": "berry"}, mode="OR")
    assert either == ["apple", "cherry", "date"]
    page = await lab.manager.list(pagination=True, offset=1, limit=2, context=lab.owner)
    assert (page["total"], page["offset"], page["limit"]) == (4, 1, 2)
    assert [item["alias"] for item in page["items"]] == ["banana", "cherry"]
    pages = [await aliases(lab, offset=n, limit=1, order_by="view_count") for n in range(4)]
    assert [alias for page in pages for alias in page] == ["apple", "banana", "cherry", "date"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"filters": {"manifest.name": "x"}}, {"filters": {"secrets": 1}},
        {"filters": {"manifest": {"a b": 1}}},
        {"filters": {"manifest": {"name": {"$regex": "x"}}}},
        {"filters": {"manifest": {"name": {"a": 1}}}},
        {"filters": {"manifest": {"$or": {}}}}, {"filters": {"created_at": "x"}},
        {"filters": {"created_at": [1]}},
        {"filters": {"version": "v0"}}, {"filters": {"config": {"secrets": 1}}}, {"filters": ["x"]},
        {"filters": {"type": 1}}, {"filters": {"manifest": {"x": ["a", ["b"]]}}},
        {"order_by": "manifest.a b"},
        {"order_by": 7}, {"mode": "NOT"}, {"limit": 0}, {"limit": 1001}, {"offset": -1}, {"keywords": [1]},
        {"keywords": {"a": 1}}, {"stage": "some"}, {"filters": {"manifest": {"size": float("nan")}}},
    ],
)  # fmt: skip
async def test_what_is_no_question_is_refused(lab: Lab, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await lab.manager.list(context=lab.owner, **wrong)


@pytest.mark.spec("artifacts-C1.1", "artifacts-C2.11")
async def test_what_is_staged_is_listed_for_those_who_may_change_it(lab: Lab) -> None:
    await lab.create("done", config={"permissions": {"*": "r"}})
    await lab.create("draft", stage=True, config={"permissions": {"*": "r"}})
    await lab.manager.edit("done", manifest={"name": "next"}, stage=True, context=lab.owner)
    assert await aliases(lab) == ["done"]
    assert await aliases(lab, stage=True) == ["done", "draft"]
    assert await aliases(lab, stage="all") == ["done", "draft"]
    (done, _) = await lab.manager.list(stage=True, context=lab.owner)
    assert (done["manifest"], done["staging"]) == ({"name": "next"}, [{"_intent": "edit_version"}])
    visitor = lab.caller("visitor", workspace="lab")
    assert await aliases(lab, context=visitor) == ["done"]
    assert await aliases(lab, context=visitor, stage=True) == []
    assert await aliases(lab, context=visitor, stage="all") == ["done"]


@pytest.mark.spec("artifacts-C2.2")
async def test_everybody_sees_what_one_may(lab: Lab) -> None:
    await lab.create("hidden")
    await lab.create("open", config={"permissions": {"*": "r"}})
    await lab.create("for-bob", config={"permissions": {"bob": ["list"], "Bob@Lab.org": "n"}})
    await lab.create("by-mail", config={"permissions": {"BOB@lab.org": "l"}})
    await lab.create("members", config={"permissions": {"other/@": "l"}})
    await lab.create("box", type="collection", config={"permissions": {"@": "l"}})
    await lab.create("inside", parent_id="box")
    bob = lab.caller("bob", email="bob@lab.org")
    child = lab.caller("child", email="bob@lab.org", parent="bob")
    stranger = lab.caller("stranger", is_anonymous=True)
    elsewhere = lab.caller("carol", workspace="other")
    reader = lab.caller("reader", level=Level.READ)
    assert await aliases(lab, context=bob) == ["open", "for-bob", "by-mail", "box"]
    assert await aliases(lab, context=stranger) == ["open"]
    assert await aliases(lab, context=child) == ["open", "box"]
    assert len(await aliases(lab, context=reader)) == 6
    found = await lab.manager.search(pagination=True, context=bob)
    assert (found["total"], [item["alias"] for item in found["items"]][-2:]) == (5, ["box", "inside"])
    assert await aliases(lab, context=elsewhere) == []
    assert await aliases(lab, context=elsewhere, parent_id="lab/box") == ["inside"]
    with pytest.raises(PermissionDenied):
        await aliases(lab, context=stranger, parent_id="lab/box")
    with pytest.raises(ArtifactNotFound):
        await aliases(lab, parent_id="nowhere")
    views = [(await lab.manager.read("box", silent=True, context=lab.owner))["view_count"]]
    await aliases(lab, parent_id="box")
    await aliases(lab, parent_id="box", silent=True)
    await lab.manager.search("box", context=lab.owner)
    views.append((await lab.manager.read("box", silent=True, context=lab.owner))["view_count"])
    assert views[1] - views[0] == 1


@pytest.mark.spec("artifacts-C1.24")
async def test_an_inbox_shows_everybody_the_own_letters(lab: Lab) -> None:
    config = {"private_children": True, "recipient_field": "to", "permissions": {"*": "l"}}
    await lab.create("inbox", type="collection", config=config)
    for name in ("bob", "eve"):
        await lab.create(f"for-{name}", {"to": f"{name}@lab.org", "kind": "letter"}, parent_id="inbox")
    bob = lab.caller("bob", email="Bob@lab.org")
    nobody = lab.caller("nobody", is_anonymous=True)
    for how in (
        {}, {"mode": "OR", "filters": {"manifest": {"kind": "letter"}}},
        {"filters": {"manifest": {"to": "eve@lab.org"}}},
        {"mode": "OR", "filters": {"manifest": {"to": "eve@lab.org"}}},
    ):  # fmt: skip
        assert await aliases(lab, parent_id="inbox", context=bob, **how) == ["for-bob"]
    assert await aliases(lab, parent_id="inbox", context=nobody) == []
    assert await aliases(lab, parent_id="inbox") == ["for-bob", "for-eve"]


@pytest.mark.spec("artifacts-C1.24")
async def test_no_search_shows_letters_of_others_in_an_inbox(lab: Lab) -> None:
    config = {"private_children": True, "recipient_field": "send.to", "permissions": {"*": "r"}}
    await lab.create("inbox", type="collection", config=config)
    open_to_all = {"private_children": False, "recipient_field": "send.to", "permissions": {"*": "r"}}
    await lab.create("board", type="collection", config=open_to_all)
    for name in ("bob", "eve", 7):
        await lab.create(f"for-{name}", {"send.to": f"{name}@lab.org", "x": 1}, parent_id="inbox")
    await lab.create("note", {"send.to": "eve@lab.org"}, parent_id="board")
    levels = [level for level in Level if level != Level.ADMIN]
    bob = {level: lab.caller("bob", email="Bob@lab.org", level=level) for level in levels}
    nobody, both = lab.caller("nobody", is_anonymous=True), "all"

    async def found(context: Any, **how: Any) -> list[str]:
        items = await lab.manager.search(context=context, **how)
        return sorted(item["alias"] for item in items if item["alias"] not in ("inbox", "board"))

    for level, context in bob.items():
        lab.people.levels["bob", "lab"] = level
        for how in (
            {}, {"mode": "OR", "filters": {"manifest": {"x": 1}}, "keywords": ["lab.org"]}, {"stage": both},
        ):  # fmt: skip
            assert await found(context, **how) == ["for-bob", "note"], (level, how)
        inbox = {"filters": {"parent_id": "lab/inbox"}}
        assert await found(context, **inbox) == ["for-bob"]
        page = await lab.manager.search(context=context, pagination=True, **inbox)
        assert page["total"] == 1
    assert await found(nobody) == ["note"]
    assert await found(lab.owner) == ["for-7", "for-bob", "for-eve", "note"]
    with pytest.raises(InvalidRequest, match="true or false"):
        await lab.create("odd", config={**config, "private_children": 1})


async def test_a_list_is_bounded_by_what_it_shows(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    grants = {f"u{number}": "*" for number in range(200)}
    for number in range(3):
        await lab.create(f"shared-{number}", config={"permissions": grants})
    monkeypatch.setattr("hypha.features.artifacts.functions_lists.MAX_ANSWER_BYTES", 80_000)
    with pytest.raises(FrameTooLarge, match="fewer"):
        await lab.manager.list(context=lab.owner)
    assert len(await lab.manager.list(limit=1, context=lab.owner)) == 1


async def test_what_is_said_of_versions_counts(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def used() -> int:
        return (await lab.store.usage.of("lab"))["artifacts"][1]

    await lab.create("quiet")
    before = await used()
    for _ in range(3):
        await lab.manager.edit("quiet", version="new", comment="ä" * 1000, context=lab.owner)
    assert await used() > before + 6000
    await lab.manager.edit("quiet", comment="", context=lab.owner)
    assert before + 4000 < await used() < before + 6000
    monkeypatch.setattr("hypha.features.artifacts.listing.MAX_ANSWER_BYTES", 4000)
    with pytest.raises(FrameTooLarge):
        await lab.manager.list(context=lab.owner)
    for number in ("v1", "v2", "v3"):
        await lab.manager.delete("quiet", version=number, context=lab.owner)
    assert await used() == before


async def test_a_list_tells_of_so_many_staged_files(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypha.features.artifacts.functions_lists.MAX_STAGED_SHOWN", 3)
    monkeypatch.setattr("hypha.features.artifacts.file_records.READ_AT_ONCE", 2)
    for name, count in (("few", 2), ("many", 5)):
        await lab.create(name, stage=True)
        paths = [f"{number % 2}/{number}" for number in range(count)]
        await lab.manager.put_file(name, paths, context=lab.owner)
    items = {item["alias"]: item for item in await lab.manager.list(stage=True, context=lab.owner)}
    assert len(items["few"]["staging"]) == 3 and items["many"]["staging"] == [{"_intent": "new_version"}]
    whole = await lab.manager.read("many", stage=True, context=lab.owner)
    assert [file.get("path") for file in whole["staging"]] == ["0/0", "0/2", "0/4", "1/1", "1/3", None]


async def test_a_collection_says_which_fields_its_lists_show(lab: Lab) -> None:
    await lab.create("short", type="collection", config={"list_fields": ["manifest", "created_at"]})
    await lab.create("one", parent_id="short")
    (item,) = await lab.manager.list("short", context=lab.owner)
    assert set(item) == {"id", "alias", "manifest", "created_at"}
    with pytest.raises(InvalidRequest, match="list_fields"):
        await lab.create("wrong", config={"list_fields": ["secrets"]})


@pytest.mark.spec("artifacts-C1.15")
async def test_patterns_give_each_child_an_alias(lab: Lab) -> None:
    parts = {"animal": ["fox", "owl", "elk"], "color": ["red", "blue"]}
    await lab.create("zoo", type="collection", config={"id_parts": parts})
    made = [await lab.create("{animal}-{color}", parent_id="zoo") for _ in range(3)]
    for each in made:
        animal, _, color = each["alias"].partition("-")
        assert animal in parts["animal"] and color in parts["color"]
    assert len({each["alias"] for each in made}) == 3
    named = await lab.manager.create(manifest={"name": "x"}, context=lab.owner)
    assert named["alias"].count("-") == 3
    assert (await lab.create("x-{unknown}"))["alias"].count("-") == 5
    assert len((await lab.create("{uuid}"))["alias"]) == 32
    for wrong in (
        "a/b/c",
        "-",
        "~",
        "",
        " ",
        "a b",
        "ä",
        "..",
        made[0]["_id"],
        "x" * 65,
        "{animal",
        "{a}{b}",
    ):
        with pytest.raises(ValueError):
            await lab.create(wrong)


async def test_a_name_of_any_length_is_kept_and_hurts_nobody(lab: Lab) -> None:
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    await lab.create("named", {"name": f"m{long}"})
    await lab.create("after", {"name": "n"})
    assert await aliases(lab, order_by="manifest.name") == ["named", "after"]
    manifest = await lab.manager.read("named", context=lab.owner)
    assert manifest["manifest"]["name"] == f"m{long}"
