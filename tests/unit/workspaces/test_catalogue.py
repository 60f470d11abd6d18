"""Creating, listing and deleting workspaces (docs/spec/manager.md#workspaces)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import User, anonymous_user, root_user
from hypha.errors import (
    AlreadyExists,
    FrameTooLarge,
    HyphaError,
    InvalidRequest,
    PermissionDenied,
    QuotaExceeded,
    WorkspaceNotFound,
)
from tests.unit.workspaces.tenancy_kit import Tenants, acting, person

ALICE = person("alice", email="alice@example.org")
BOB = person("bob")


async def create(tenants: Tenants, user: User, overwrite: bool = False, **config: Any) -> dict[str, Any]:
    return await tenants.catalogue.create(config, acting(user), overwrite=overwrite)


async def ids(tenants: Tenants, user: User, **query: Any) -> list[str]:
    return [record.id for record in await tenants.catalogue.visible_to(user, **query)]


async def test_a_new_workspace_is_described_as_the_reference_does(tenants: Tenants) -> None:
    info = await create(
        tenants, ALICE, id="the-lab", description="d", config={"x": 1, "environs": {"S": "s"}}
    )
    assert info == {
        "type": "workspace",
        "id": "the-lab",
        "name": "the-lab",
        "description": "d",
        "persistent": False,
        "owners": ["alice"],
        "read_only": False,
        "icon": None,
        "covers": None,
        "docs": None,
        "service_types": {},
        "config": {"x": 1},
        "status": {"ready": False, "status": "loading"},
    }
    record = await tenants.workspaces.require("the-lab")
    assert (await tenants.workspaces.describe(record))["status"] == {"ready": True, "status": "ready"}


@pytest.mark.spec("core-M3")
async def test_anonymous_users_create_no_workspace(tenants: Tenants) -> None:
    with pytest.raises(PermissionDenied, match=r"^Only registered user can create workspace\."):
        await create(tenants, anonymous_user(), id="the-lab")


async def test_a_read_only_credential_creates_no_workspace(tenants: Tenants) -> None:
    kid = User("kid", parent="alice")
    with pytest.raises(PermissionDenied, match="Permission denied for workspace ws-user-alice"):
        await tenants.catalogue.create({"id": "the-lab"}, acting(kid, "ws-user-alice", Level.READ))


@pytest.mark.spec("core-M4")
@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"id": "ab"}, "Workspace name must contain at least one hyphen (e.g. my-workspace)."),
        (
            {"id": "A-b"},
            "Invalid workspace name: A-b, only lowercase letters, numbers and hyphens are allowed.",
        ),
        ({"id": "a-b/c"}, "Invalid workspace name: a-b/c, only lowercase"),
        ({"id": "a-b\n"}, "Invalid workspace name: "),
        (
            {"id": "a-" + "x" * 300},
            f"Invalid workspace name: a-{'x' * 48}…, it has 302 characters, at most 128 are allowed.",
        ),
        ({}, "Workspace id must be provided."),
        ({"id": ""}, "Workspace id must be provided."),
        ({"id": 7}, "Workspace id must be provided."),
        ("the-lab", "Workspace config must be an object"),
        ({"id": "a-b", "owners": [1]}, "'owners' must be a list"),
        ({"id": "a-b", "owners": ["x"] * 101}, "'owners' must be a list"),
        ({"id": "a-b", "persistent": "yes"}, "The workspace's 'persistent' must be true or false."),
        ({"id": "a-b", "name": 3}, "The workspace's 'name' must be text"),
        ({"id": "a-b", "config": []}, None),
        ({"id": "a-b", "config": [1]}, "The workspace's 'config' must be an object."),
        ({"id": "a-b", "config": {"x": b"raw"}}, "'config' must be plain data"),
        ({"id": "a-b", "docs": "x\x00"}, "'docs' must not hold NUL"),
    ],
)
async def test_bad_configs_are_refused(tenants: Tenants, config: Any, text: str | None) -> None:
    if text is None:
        await tenants.catalogue.create(config, acting(ALICE))
        return
    with pytest.raises(InvalidRequest) as caught:
        await tenants.catalogue.create(config, acting(ALICE))
    assert str(caught.value).startswith(text)


async def test_a_huge_config_is_refused(tenants: Tenants) -> None:
    with pytest.raises(FrameTooLarge):
        await create(tenants, ALICE, id="a-b", config={"x": "y" * 300_000})


async def test_root_needs_no_hyphen(tenants: Tenants) -> None:
    assert (await create(tenants, root_user(), id="lab"))["id"] == "lab"


@pytest.mark.spec("core-M4")
async def test_an_id_is_taken_once(tenants: Tenants) -> None:
    await create(tenants, ALICE, id="a-b")
    for user in (ALICE, BOB):
        with pytest.raises(AlreadyExists, match="Workspace already exists: a-b"):
            await create(tenants, user, id="a-b")
    results = await asyncio.gather(
        *(create(tenants, BOB, id="b-c") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, dict) for result in results) == 1
    assert sum(isinstance(result, AlreadyExists) for result in results) == 4


async def test_overwriting_is_for_owners_and_admins(tenants: Tenants) -> None:
    await create(tenants, ALICE, id="a-b", name="first")
    await tenants.environment.set(acting(ALICE, "a-b"), "K", "v")
    with pytest.raises(PermissionDenied, match="Permission denied: user bob cannot overwrite workspace a-b"):
        await create(tenants, BOB, True, id="a-b")
    info = await create(tenants, ALICE, True, id="a-b", name="second", persistent=True)
    assert (info["name"], info["owners"], info["persistent"]) == ("second", ["alice"], True)
    stored = await tenants.store.workspaces.get("a-b")
    assert stored is not None and (stored.name, stored.persistent) == ("second", True)
    assert await tenants.environment.get(acting(ALICE, "a-b"), "K") == "v"
    await create(tenants, root_user(), True, id="a-b", owners=["alice"])
    assert await create(tenants, ALICE, True, id="new-one")  # a missing one is created


async def test_system_workspaces_are_nobodys_to_change(tenants: Tenants) -> None:
    for user in (ALICE, root_user()):
        for workspace in ("ws-anonymous", "ws-user-root"):
            with pytest.raises(HyphaError):
                await create(tenants, user, True, id=workspace)
            with pytest.raises(PermissionDenied):
                await tenants.catalogue.delete(workspace, acting(user))
    with pytest.raises(PermissionDenied):
        await create(tenants, ALICE, id="api-docs")


@pytest.mark.spec("core-11.1.6")
async def test_the_prefix_of_personal_workspaces_is_reserved(tenants: Tenants) -> None:
    for user in (ALICE, root_user()):
        with pytest.raises(PermissionDenied, match="reserved"):
            await create(tenants, user, id="ws-user-bob")
    assert (await create(tenants, BOB, id="ws-user-bob"))["owners"] == ["bob"]


async def test_owners_always_hold_the_caller(tenants: Tenants) -> None:
    assert (await create(tenants, ALICE, id="a-1", owners=["bob"]))["owners"] == ["bob", "alice"]
    assert (await create(tenants, ALICE, id="a-2", owners=["ALICE@example.org"]))["owners"] == [
        "ALICE@example.org"
    ]
    kid = User("kid", parent="bob", email="bob@x.org")
    info = await tenants.catalogue.create({"id": "a-3"}, acting(kid, "ws-user-bob", Level.READ_WRITE))
    assert info["owners"] == ["kid", "bob"]


async def test_the_quota_counts_a_person_with_its_children(tenants: Tenants) -> None:
    for number in range(3):
        user = User(f"kid-{number}", parent="alice") if number else ALICE
        await tenants.catalogue.create({"id": f"a-{number}"}, acting(user, "ws-user-alice", Level.ADMIN))
    with pytest.raises(QuotaExceeded, match=r"user alice already owns 3 workspaces \(max 3\)"):
        await create(tenants, ALICE, id="a-9")
    await tenants.catalogue.delete("a-0", acting(ALICE))
    await create(tenants, ALICE, id="a-9")


async def test_a_new_workspace_is_bookmarked(tenants: Tenants) -> None:
    await create(tenants, ALICE, id="a-b", name="A", description="d")
    own = await tenants.workspaces.require("ws-user-alice")
    info = await tenants.workspaces.describe(own)
    assert info["config"]["bookmarks"] == [
        {"bookmark_type": "workspace", "id": "a-b", "name": "A", "description": "d"}
    ]


@pytest.mark.spec("core-M14")
async def test_deleting_is_for_owners_and_admins(tenants: Tenants) -> None:
    await create(tenants, ALICE, id="a-b", persistent=True)
    await tenants.environment.set(acting(ALICE, "a-b"), "K", "v")
    for stranger in (BOB, anonymous_user(), person("kid", parent="alice", email=ALICE.email)):
        with pytest.raises(PermissionDenied, match="Permission denied for workspace a-b"):
            await tenants.catalogue.delete("a-b", acting(stranger))
    assert "a-b" in await ids(tenants, ALICE)
    await tenants.catalogue.delete("a-b", acting(ALICE))
    assert "a-b" not in await ids(tenants, ALICE)
    assert tenants.deleted == ["a-b"]
    assert ("ws-user-alice", "workspace_deleted") in [(place, kind) for place, kind, _ in tenants.events]
    with pytest.raises(WorkspaceNotFound, match="Workspace not found: a-b"):
        await tenants.catalogue.delete("a-b", acting(ALICE))
    await create(tenants, BOB, id="a-b")
    assert await tenants.environment.get(acting(BOB, "a-b")) == {}


async def test_listing_shows_what_a_user_may_read(tenants: Tenants) -> None:
    await create(tenants, ALICE, id="a-1", owners=["carol@X.org"])
    await create(tenants, ALICE, id="a-2", persistent=True)
    await create(tenants, BOB, id="b-1")
    anonymous = await tenants.connect()
    assert await ids(tenants, ALICE) == ["a-1", "a-2", "ws-user-alice"]
    assert await ids(tenants, person("carol", email="Carol@x.org")) == ["a-1"]
    reader = person("dan", scope=Scope({"b-1": Level.READ}))
    assert await ids(tenants, reader) == ["b-1"]
    assert await ids(tenants, anonymous.user) == [anonymous.workspace]
    everything = await ids(tenants, root_user())
    assert set(everything) >= {"a-1", "a-2", "b-1", anonymous.workspace, "public", "ws-user-alice"}
    assert len(everything) == len(set(everything))
    assert await ids(tenants, ALICE, match={"persistent": True}) == ["a-2", "ws-user-alice"]
    assert await ids(tenants, root_user(), match={"id": "public"}) == ["public"]


async def test_pages_of_a_listing_follow_each_other(tenants: Tenants) -> None:
    await create(tenants, ALICE, id="a-1")
    await create(tenants, BOB, id="b-1")
    await tenants.connect()
    whole = await ids(tenants, root_user())
    paged = [
        one for offset in range(len(whole)) for one in await ids(tenants, root_user(), offset=offset, limit=1)
    ]
    assert paged == whole


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"offset": -1}, "Offset number must be greater than or equal to 0"),
        ({"offset": "x"}, "Offset number must be greater than or equal to 0"),
        ({"limit": 0}, "Limit must be greater than 0 and less than 256"),
        ({"match": {"owners": ["a"] * 30_000}}, "'match' takes plain values, 20 at most"),
        ({"match": {"id": "a" * 2000}}, "none above 1024 characters"),
        ({"match": {"name": ["a"]}}, "'match' takes plain values"),
        ({"match": {"owners": [["a"]]}}, "'match' takes plain values"),
        ({"limit": 257}, "Limit must be greater than 0 and less than 256"),
        ({"match": {"environs": "x"}}, "'match' must be an object"),
        ({"match": "x"}, "'match' must be an object"),
    ],
)
async def test_wrong_ranges_are_refused(tenants: Tenants, query: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        await ids(tenants, ALICE, **query)
    assert await ids(tenants, ALICE, limit=256) == []


async def test_owners_of_each_others_workspaces_do_not_wait_for_each_other(tenants: Tenants) -> None:
    ann, ben = person("ann"), person("ben")
    for user, other in ((ann, ben), (ben, ann)):
        config = {"id": user.own_workspace, "persistent": True, "owners": [other.id]}
        await tenants.catalogue.create(config, acting(user), overwrite=True)
    async with asyncio.timeout(5):
        await asyncio.gather(
            *(
                tenants.catalogue.create({"id": place}, acting(user), overwrite=True)
                for _ in range(5)
                for user, place in ((ann, ben.own_workspace), (ben, ann.own_workspace))
            )
        )
