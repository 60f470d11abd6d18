"""How workspaces come, stay and go (docs/spec/manager.md#life)."""

from __future__ import annotations

import asyncio

import pytest

from hypha.auth.scopes import Level
from hypha.auth.users import anonymous_user
from hypha.errors import WorkspaceNotFound
from hypha.store import Store
from hypha.testing.waiting import eventually
from hypha.workspaces.residents import ARRIVAL_S, IDLE_S
from tests.unit.workspaces.tenancy_kit import Settings, Tenants, acting, person

ALICE = person("alice")


async def test_the_systems_workspaces_always_exist(tenants: Tenants) -> None:
    for workspace in ("public", "ws-user-root", "ws-anonymous"):
        record = tenants.workspaces.get(workspace)
        assert record is not None and record.owners == ("root",)
        tenants.workspaces.client_joined(workspace)
        tenants.workspaces.client_left(workspace)
        assert tenants.workspaces.get(workspace) is not None
    tenants.clock.advance(10 * IDLE_S)
    assert tenants.workspaces.get("public") is not None


@pytest.mark.spec("core-P4")
async def test_a_temporary_workspace_ends_with_its_last_client(tenants: Tenants) -> None:
    first = await tenants.connect()
    workspace = first.workspace
    await tenants.environment.set(acting(first.user, workspace), "K", "v")
    assert await tenants.store.workspaces.get(workspace) is not None
    tenants.workspaces.client_joined(workspace)
    await tenants.leave(first)
    assert tenants.workspaces.get(workspace) is not None  # one is still there
    await tenants.leave(first)
    assert tenants.workspaces.get(workspace) is None
    assert await tenants.store.workspaces.get(workspace) is None
    assert await tenants.store.environment.all(workspace) == {}
    assert ("workspace_unloaded", workspace) in [(kind, place) for place, kind, _ in tenants.events]


@pytest.mark.spec("core-P4")
async def test_a_persistent_workspace_leaves_memory_only(tenants: Tenants) -> None:
    identity = await tenants.connect(token=tenants.token(ALICE))
    await tenants.environment.set(acting(ALICE), "K", "v")
    await tenants.leave(identity)
    assert tenants.workspaces.get("ws-user-alice") is None
    await tenants.connect(token=tenants.token(ALICE))
    assert await tenants.environment.get(acting(ALICE), "K") == "v"


@pytest.mark.spec("core-P4")
async def test_the_grace_period_is_honoured(store: Store) -> None:
    tenants = Tenants(store, Settings(workspace_unload_grace_period_s=20))
    identity = await tenants.connect()
    await tenants.leave(identity)
    tenants.clock.advance(19)
    assert tenants.workspaces.get(identity.workspace) is not None
    tenants.workspaces.client_joined(identity.workspace)
    tenants.clock.advance(60)
    assert tenants.workspaces.get(identity.workspace) is not None  # coming back cancelled it
    await tenants.leave(identity)
    tenants.clock.advance(21)
    assert tenants.workspaces.get(identity.workspace) is None


async def test_a_place_is_kept_between_admission_and_joining(tenants: Tenants) -> None:
    first = await tenants.connect()
    token = tenants.tokens.mint_reconnection(first.user, first.workspace, "c1")
    from hypha.wire.handshake import FirstMessage

    await tenants.admission.identify(FirstMessage("c1", reconnection_token=token))  # admitted, not joined
    await tenants.leave(first)
    assert tenants.workspaces.get(first.workspace) is not None
    tenants.clock.advance(ARRIVAL_S + 1)  # it never came
    assert tenants.workspaces.get(first.workspace) is None


async def test_a_refused_newcomer_leaves_nothing_in_memory(tenants: Tenants) -> None:
    from hypha.wire.handshake import FirstMessage

    before = len(tenants.workspaces.residents)
    await tenants.admission.identify(FirstMessage("c1"))
    assert len(tenants.workspaces.residents) == before + 1
    tenants.clock.advance(ARRIVAL_S + 1)
    assert len(tenants.workspaces.residents) == before


async def test_a_workspace_that_was_looked_at_leaves_memory_again(tenants: Tenants) -> None:
    await tenants.catalogue.create({"id": "the-lab", "persistent": True}, acting(ALICE))
    tenants.clock.advance(IDLE_S + 1)
    assert tenants.workspaces.get("the-lab") is None
    assert await tenants.workspaces.load("the-lab") is not None
    assert tenants.workspaces.get("the-lab") is not None
    tenants.clock.advance(IDLE_S + 1)
    assert tenants.workspaces.get("the-lab") is None


async def test_a_created_workspace_waits_for_its_first_client(tenants: Tenants) -> None:
    await tenants.catalogue.create({"id": "tmp-lab"}, acting(ALICE))
    tenants.clock.advance(10 * IDLE_S)
    await tenants.settle()
    assert tenants.workspaces.get("tmp-lab") is None
    identity = await tenants.connect(token=tenants.token(ALICE), workspace="tmp-lab")
    await tenants.leave(identity)
    assert await tenants.workspaces.load("tmp-lab") is None


@pytest.mark.spec("core-P4")
async def test_a_restart_keeps_temporary_workspaces_for_the_resume_window(tenants: Tenants) -> None:
    kept, lost = await tenants.connect("k"), await tenants.connect("l")
    for identity in (kept, lost):
        await tenants.environment.set(acting(identity.user, identity.workspace), "K", "v")
    token = tenants.tokens.mint_reconnection(kept.user, kept.workspace, "k")
    await tenants.workspaces.stop()
    tenants.workspaces.client_left(kept.workspace)  # links close while the server stops
    await tenants.settle()

    after = tenants.restarted()
    await after.workspaces.start()
    after.clock.advance(80)
    await after.connect("k", reconnection_token=token)
    after.clock.advance(20)
    await after.settle()
    assert await after.environment.get(acting(kept.user, kept.workspace), "K") == "v"
    assert await after.store.workspaces.get(lost.workspace) is None
    assert await after.store.environment.all(lost.workspace) == {}


async def test_unloading_and_coming_race_without_loss(tenants: Tenants) -> None:
    user = anonymous_user()
    token = tenants.token(user)
    for _ in range(20):
        identity = await tenants.connect(token=token)
        await tenants.environment.set(acting(user), "K", "v")
        tenants.workspaces.client_left(identity.workspace)  # its removal waits in the background
        again = await tenants.connect(token=token)
        await tenants.settle()
        assert tenants.workspaces.get(again.workspace) is not None
        await tenants.leave(again)
        assert await tenants.store.workspaces.get(user.own_workspace) is None


async def test_setting_something_while_the_last_client_leaves_leaves_no_orphan(tenants: Tenants) -> None:
    identity = await tenants.connect()
    context = acting(identity.user, identity.workspace)
    writing = asyncio.create_task(tenants.environment.set(context, "K", "v"))
    await asyncio.sleep(0)
    await tenants.leave(identity)
    await writing
    tenants.clock.advance(IDLE_S + 1)
    await tenants.settle()
    assert await tenants.store.workspaces.temporary() == []
    assert tenants.workspaces.get(identity.workspace) is None


async def test_overwriting_a_workspace_that_is_about_to_end_keeps_the_new_one(tenants: Tenants) -> None:
    await tenants.catalogue.create({"id": "tmp-lab"}, acting(ALICE))
    identity = await tenants.connect(token=tenants.token(ALICE), workspace="tmp-lab")
    async with tenants.workspaces.locked("tmp-lab"):
        overwriting = asyncio.create_task(
            tenants.catalogue.create({"id": "tmp-lab", "description": "new"}, acting(ALICE), overwrite=True)
        )
        await _queued(tenants, "tmp-lab", 1)
        tenants.workspaces.client_left(identity.workspace)  # its removal waits behind the overwriting
        await _queued(tenants, "tmp-lab", 2)
    await overwriting
    await tenants.settle()
    stored = await tenants.store.workspaces.get("tmp-lab")
    assert stored is not None and stored.description == "new"
    tenants.clock.advance(IDLE_S + 1)
    await tenants.settle()
    assert tenants.workspaces.get("tmp-lab") is None  # from memory only
    identity = await tenants.connect(token=tenants.token(ALICE), workspace="tmp-lab")
    await tenants.leave(identity)
    assert await tenants.workspaces.load("tmp-lab") is None


async def test_a_workspace_made_anew_while_the_one_before_ends_stays(tenants: Tenants) -> None:
    await tenants.catalogue.create({"id": "tmp-lab"}, acting(ALICE))
    identity = await tenants.connect(token=tenants.token(ALICE), workspace="tmp-lab")
    async with tenants.workspaces.locked("tmp-lab"):
        deleting = asyncio.create_task(tenants.catalogue.delete("tmp-lab", acting(ALICE)))
        await _queued(tenants, "tmp-lab", 1)
        making = asyncio.create_task(
            tenants.catalogue.create({"id": "tmp-lab", "description": "new"}, acting(ALICE))
        )
        await _queued(tenants, "tmp-lab", 2)
        removing = asyncio.create_task(tenants.workspaces.remove_if_empty("tmp-lab"))
        tenants.workspaces.client_left(identity.workspace)
        await _queued(tenants, "tmp-lab", 4)
    await asyncio.gather(deleting, making)
    assert not await removing
    await tenants.settle()
    stored = await tenants.store.workspaces.get("tmp-lab")
    assert stored is not None and stored.description == "new"


@pytest.mark.parametrize("how", ["overwritten", "made anew"])
async def test_a_workspace_of_the_last_run_that_was_replaced_waits_for_its_first_client(
    tenants: Tenants, how: str
) -> None:
    await tenants.catalogue.create({"id": "tmp-lab"}, acting(ALICE))
    await tenants.workspaces.stop()
    again = tenants.restarted()
    await again.workspaces.start()
    if how == "made anew":
        await again.catalogue.delete("tmp-lab", acting(ALICE))
    await again.catalogue.create({"id": "tmp-lab"}, acting(ALICE), overwrite=how == "overwritten")
    again.clock.advance(10 * again.settings.resume_window_s)
    await again.settle()
    assert await again.store.workspaces.get("tmp-lab") is not None


async def _queued(tenants: Tenants, workspace: str, number: int) -> None:
    """Wait until so many wait for the lock of a workspace, beside who holds it."""
    await eventually(lambda: tenants.workspaces._locks._locks[workspace][1] - 1 == number)


async def test_looking_at_a_workspace_of_the_last_run_does_not_end_it_early(tenants: Tenants) -> None:
    identity = await tenants.connect()
    await tenants.environment.set(acting(identity.user, identity.workspace), "K", "v")
    await tenants.workspaces.stop()
    after = tenants.restarted()
    await after.workspaces.start()
    assert await after.workspaces.load(identity.workspace) is not None
    after.clock.advance(IDLE_S + 1)
    await after.settle()
    assert await after.store.workspaces.temporary() == [identity.workspace]
    after.clock.advance(40)
    await after.settle()
    assert await after.store.workspaces.temporary() == []


async def test_locks_are_forgotten(tenants: Tenants) -> None:
    await asyncio.gather(*(tenants.workspaces.load(f"no-{n}") for n in range(50)))
    assert len(tenants.workspaces._locks) == 0


async def test_one_load_serves_all_who_wait(tenants: Tenants) -> None:
    await tenants.catalogue.create({"id": "the-lab", "persistent": True}, acting(ALICE))
    tenants.clock.advance(IDLE_S + 1)
    found = await asyncio.gather(*(tenants.workspaces.load("the-lab") for _ in range(20)))
    assert len({id(record) for record in found}) == 1


async def test_rights_are_found_for_ids(tenants: Tenants) -> None:
    await tenants.catalogue.create({"id": "the-lab", "owners": ["bob"]}, acting(ALICE))
    level_in, owner_level = tenants.workspaces.level_in, tenants.workspaces.owner_level
    assert await level_in(ALICE, "the-lab") is Level.ADMIN
    assert await level_in(person("carol"), "the-lab") is Level.NONE
    assert await level_in(person("new"), "ws-user-new") is Level.ADMIN  # yet to be created
    assert await level_in(person("carol"), "ws-user-new") is Level.NONE
    assert await level_in(person("boss", roles=("admin",)), "anything") is Level.ADMIN
    assert await owner_level("bob", "the-lab") is Level.ADMIN
    assert await owner_level("bob", "ws-user-bob") is Level.ADMIN
    assert await owner_level("carol", "the-lab") is Level.NONE
    assert await owner_level(None, "the-lab") is Level.NONE


async def test_a_missing_workspace_is_named(tenants: Tenants) -> None:
    with pytest.raises(WorkspaceNotFound, match=r"Workspace \(no-such\) not found"):
        await tenants.workspaces.require("no-such")


async def test_the_acting_user_hears_that_a_workspace_was_loaded(tenants: Tenants) -> None:
    await tenants.connect(token=tenants.token(ALICE))
    place, kind, info = tenants.events[0]
    assert (place, kind, info["id"]) == ("ws-user-alice", "workspace_loaded", "ws-user-alice")
    assert "environs" not in info["config"]


async def test_places_of_those_who_never_come_are_given_up_while_others_are_there(tenants: Tenants) -> None:
    here = await tenants.connect()
    resident = tenants.workspaces.residents.get(here.workspace)
    assert resident is not None
    for _ in range(10):  # as for each HTTP caller, each resumed client, each task put into a queue
        await tenants.workspaces.open(here.workspace, here.user)
        tenants.clock.advance(ARRIVAL_S)
    assert len(resident.arrivals) <= 1
