"""The repositories: per-field writes, nothing lost between concurrent writers."""

from __future__ import annotations

import asyncio

import pytest

from hypha.errors import AlreadyExists
from hypha.store import Bookmark, ServiceType, Store, WorkspaceRecord
from hypha.store.issued_tokens import IssuedTokenRecord, TokenKind

LAB = WorkspaceRecord(
    "lab-1",
    "Lab",
    "a lab",
    owners=("alice", "Bob@Example.org"),
    persistent=True,
    icon="icon.png",
    covers=["a.png"],
    docs={"d": 1},
    config={"k": [1]},
    created_by="alice",
    created_at=12.5,
)


async def test_a_workspace_comes_back_as_it_was(store: Store) -> None:
    assert await store.workspaces.create(LAB) is None
    assert await store.workspaces.get("lab-1") == LAB
    assert await store.workspaces.get("lab-2") is None
    with pytest.raises(AlreadyExists, match="Workspace already exists: lab-1"):
        await store.workspaces.create(LAB)


async def test_fields_are_written_one_by_one(store: Store) -> None:
    await store.workspaces.create(LAB)
    await asyncio.gather(
        store.workspaces.update("lab-1", {"name": "New"}),
        store.workspaces.update("lab-1", {"description": "other"}),
        store.workspaces.update("lab-1", {}, owners=["carol"]),
    )
    found = await store.workspaces.get("lab-1")
    assert found is not None
    assert (found.name, found.description, found.owners, found.icon) == (
        "New",
        "other",
        ("carol",),
        "icon.png",
    )
    assert not await store.workspaces.update("gone", {"name": "x"})
    with pytest.raises(ValueError, match="unknown fields"):
        await store.workspaces.update("lab-1", {"id": "x"})


async def test_the_quota_counts_what_a_person_made(store: Store) -> None:
    await store.workspaces.create(WorkspaceRecord("ws-user-alice", created_by="alice"))
    for number in range(2):
        made = WorkspaceRecord(f"a-{number}", created_by="alice")
        assert await store.workspaces.create(made, quota=2) is None
    assert await store.workspaces.create(WorkspaceRecord("a-9", created_by="alice"), quota=2) == 2
    assert await store.workspaces.get("a-9") is None
    assert await store.workspaces.create(WorkspaceRecord("b-9", created_by="bob"), quota=2) is None


async def test_listing_by_owner_id_and_match(store: Store) -> None:
    await store.workspaces.create(LAB)
    await store.workspaces.create(WorkspaceRecord("a-1", "Lab", owners=("bob",)))
    await store.workspaces.create(WorkspaceRecord("z-1", owners=("carol",)))

    async def ids(**query: object) -> list[str]:
        return [record.id for record in await store.workspaces.list(**query)]  # type: ignore[arg-type]

    assert await ids(owners=None) == ["a-1", "lab-1", "z-1"]
    assert await ids(owners=None, offset=1, limit=1) == ["lab-1"]
    assert await ids(owners=["alice"]) == ["lab-1"]
    assert await ids(owners=["nobody", "bob@example.ORG"]) == ["lab-1"]
    assert await ids(owners=["ALICE"]) == []
    assert await ids(owners=["bob"], ids=["z-1"]) == ["a-1", "z-1"]
    assert await ids(owners=None, match={"name": "Lab", "persistent": True}) == ["lab-1"]
    assert await ids(owners=None, match={"owners": ["alice", "Bob@Example.org"]}) == ["lab-1"]


async def test_deleting_a_workspace_deletes_all_that_is_in_it(store: Store) -> None:
    await store.environment.set(LAB, "K", b"v")
    await store.bookmarks.put(LAB, Bookmark("workspace", "w"), 1.0)
    await store.service_types.add(LAB, ServiceType("t"), 1.0)
    await store.events.add(LAB, "alice", "log", {"x": 1}, 1.0)
    await store.subscriptions.put("lab-1", "c", ["x"])
    await store.workspaces.delete(["lab-1", "unheard-of"])
    await store.workspaces.create(LAB)
    assert await store.environment.all("lab-1") == {}
    assert await store.bookmarks.all("lab-1") == []
    assert await store.service_types.all("lab-1") == []
    assert await store.events.count("lab-1", "alice", None, None, None) == []
    assert await store.subscriptions.adopt() == {}


async def test_temporary_workspaces_are_found(store: Store) -> None:
    await store.workspaces.create(LAB)
    await store.workspaces.ensure(WorkspaceRecord("t-1"))
    await store.workspaces.ensure(WorkspaceRecord("t-1", name="second writing changes nothing"))
    assert await store.workspaces.temporary() == ["t-1"]


@pytest.mark.spec("core-M5", "core-11.2.2")
async def test_twenty_concurrent_writers_of_different_keys_all_survive(store: Store) -> None:
    await asyncio.gather(*(store.environment.set(LAB, f"k{n}", bytes([n])) for n in range(20)))
    assert await store.environment.all("lab-1") == {f"k{n}": bytes([n]) for n in range(20)}
    await asyncio.gather(*(store.environment.set(LAB, "same", bytes([n])) for n in range(20)))
    assert len(await store.environment.all("lab-1")) == 21


async def test_a_variable_is_set_read_changed_and_removed(store: Store) -> None:
    await store.environment.set(LAB, "K", b"1")
    await store.environment.set(LAB, "K", b"2")
    assert await store.environment.get("lab-1", "K") == b"2"
    assert await store.environment.remove("lab-1", "K")
    assert not await store.environment.remove("lab-1", "K")
    assert await store.environment.get("lab-1", "K") is None


async def test_bookmarks_are_kept_once_in_order(store: Store) -> None:
    first = Bookmark("workspace", "w1", "W", "d", {"a": 1})
    await store.bookmarks.put(LAB, first, 1.0)
    await store.bookmarks.put(LAB, Bookmark("service", "s1"), 2.0)
    await store.bookmarks.put(LAB, first, 1.0)
    assert await store.bookmarks.all("lab-1") == [first, Bookmark("service", "s1")]
    assert await store.bookmarks.remove("lab-1", "workspace", "w1")
    assert not await store.bookmarks.remove("lab-1", "workspace", "w1")


async def test_a_service_type_is_registered_once(store: Store) -> None:
    echo = ServiceType("echo", "Echo", {"f": {"type": "function"}}, "d", {"x": 1}, "docs")
    assert await store.service_types.add(LAB, echo, 1.0)
    assert not await store.service_types.add(LAB, ServiceType("echo", "other"), 2.0)
    assert await store.service_types.get("lab-1", "echo") == echo
    assert await store.service_types.get("lab-1", "none") is None
    assert await store.service_types.add(LAB, ServiceType("echo", "other"), 2.0, overwrite=True)
    assert [found.name for found in await store.service_types.all("lab-1")] == ["other"]


async def test_events_are_found_by_user_type_and_time(store: Store) -> None:
    for number in range(5):
        await store.events.add(LAB, "alice", "a" if number % 2 else "b", {"n": number}, float(number))
    await store.events.add(LAB, "bob", "a", None, 9.0)

    async def numbers(*query: object) -> list[int]:
        return [event.data["n"] for event in await store.events.find("lab-1", "alice", *query)]  # type: ignore[arg-type]

    assert await numbers(None, None, None, 10) == [0, 1, 2, 3, 4]
    assert await numbers(None, None, None, 2) == [3, 4]
    assert await numbers("a", None, None, 10) == [1, 3]
    assert await numbers(None, 1.0, 3.0, 10) == [1, 2, 3]
    assert await store.events.count("lab-1", "alice", None, None, None) == [("a", 2), ("b", 3)]
    assert await store.events.count("lab-1", "alice", "b", 1.0, None) == [("b", 2)]


async def test_revoked_tokens_are_kept_until_they_expire(store: Store) -> None:
    await store.revoked_tokens.add("one", 10.0)
    await store.revoked_tokens.add("two", 20.0)
    await store.revoked_tokens.add("two", 20.0)
    assert await store.revoked_tokens.load(15.0) == {"two": 20.0}
    assert await store.revoked_tokens.load(0.0) == {"two": 20.0}


async def test_generated_tokens_are_counted_with_those_generated_with_them(store: Store) -> None:
    def token(
        name: str, maker: str, user: str, expires_at: float = 100.0, kind: TokenKind = "generated"
    ) -> IssuedTokenRecord:
        return IssuedTokenRecord(name, maker, user, "w", "read", None, "", 1.0, None, expires_at, kind)

    await store.issued_tokens.add(
        [
            token("a", "u", "child"),
            token("b", "child", "grandchild"),
            token("c", "grandchild", "u"),
            token("d", "u", "gone", 5.0),
            token("e", "gone", "its child"),
            token("f", "u", "u", kind="session"),
            token("g", "u", "program", kind="login"),
            token("h", "stranger", "other"),
        ]
    )
    assert await store.issued_tokens.count("u", 10.0) == 4
    assert await store.issued_tokens.count("child", 10.0) == 4, "a ring ends"
    assert await store.issued_tokens.count("stranger", 10.0) == 1
    assert await store.issued_tokens.count("nobody", 10.0) == 0


async def test_subscriptions_are_one_row_per_client(store: Store) -> None:
    await asyncio.gather(*(store.subscriptions.put("w", f"c{n}", {"b", "a"}) for n in range(5)))
    await store.subscriptions.put("w", "c0", {"z"})
    await store.subscriptions.put("w", "c1", ())
    await store.subscriptions.remove([("w", "c2"), ("other", "c3")])
    assert await store.subscriptions.adopt() == {
        ("w", "c0"): frozenset({"z"}),
        ("w", "c3"): frozenset({"a", "b"}),
        ("w", "c4"): frozenset({"a", "b"}),
    }


async def test_all_replicas_agree_on_a_fact(store: Store) -> None:
    found = await asyncio.gather(*(store.facts.get_or_set("manager_id", f"m{n}") for n in range(5)))
    assert len(set(found)) == 1
    await store.facts.set("manager_id", "other")
    assert await store.facts.get_or_set("manager_id", "x") == "other"


@pytest.mark.parametrize("data", [3, -2.5, True, None, "text", "3", [1], {"a": 1}])
async def test_an_event_may_carry_any_plain_value(store: Store, data: object) -> None:
    await store.events.add(LAB, "alice", "log", data, 1.0)
    assert [event.data for event in await store.events.find("lab-1", "alice", None, None, None, 5)] == [data]
