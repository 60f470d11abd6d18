"""Whoever keeps something for a workspace hears that it ended, whichever way it ended."""

from __future__ import annotations

import asyncio

import pytest

from hypha.store import Store
from hypha.workspaces.endings import Endings
from tests.unit.workspaces.tenancy_kit import Tenants, acting, person


@pytest.fixture
def ended(tenants: Tenants) -> list[str]:
    """Workspaces of whose end a follower heard, in order."""
    return followed(tenants)


def followed(tenants: Tenants, *, stored_only: bool = False) -> list[str]:
    heard: list[str] = []

    async def hear(workspace: str) -> None:
        assert tenants.workspaces.get(workspace) is None
        assert await tenants.store.workspaces.get(workspace) is None
        heard.append(workspace)

    tenants.workspaces.endings.follow(hear, stored_only=stored_only)
    return heard


async def test_deleted(tenants: Tenants, ended: list[str]) -> None:
    ann = acting(person("ann"))
    await tenants.catalogue.create({"id": "the-lab", "persistent": True}, ann)
    assert ended == []
    await tenants.catalogue.delete("the-lab", ann)
    assert ended == ["the-lab"]


async def test_left_and_never_written(tenants: Tenants, ended: list[str]) -> None:
    await tenants.leave(await tenants.connect("c1"))
    assert len(ended) == 1 and ended[0].startswith("ws-user-anonymouz-")


async def test_left_and_written(tenants: Tenants, ended: list[str]) -> None:
    guest = await tenants.connect("c1")
    await tenants.environment.set(acting(guest.user), "A", "b")
    await tenants.leave(guest)
    assert ended == [guest.workspace]


async def test_who_follows_stored_ones_alone_hears_of_no_mere_visit(tenants: Tenants) -> None:
    stored, all_of_them = followed(tenants, stored_only=True), followed(tenants)
    await tenants.leave(await tenants.connect("c1"))
    guest = await tenants.connect("c2")
    await tenants.environment.set(acting(guest.user), "A", "b")
    await tenants.leave(guest)
    await tenants.catalogue.create({"id": "the-lab", "persistent": True}, acting(person("ann")))
    await tenants.catalogue.delete("the-lab", acting(person("ann")))
    assert stored == [guest.workspace, "the-lab"]
    assert len(all_of_them) == 3


async def test_not_while_it_lives_on(tenants: Tenants, ended: list[str]) -> None:
    token = tenants.token(person("ann"))
    await tenants.leave(await tenants.connect("c1", token=token))  # unloaded, and kept
    await tenants.catalogue.create({"id": "the-lab", "persistent": True}, acting(person("ann")))
    await tenants.catalogue.create({"id": "the-lab"}, acting(person("ann")), overwrite=True)
    assert ended == []


async def test_not_back_after_a_restart(tenants: Tenants, store: Store) -> None:
    guest = await tenants.connect("c1")
    await tenants.environment.set(acting(guest.user), "A", "b")
    after = tenants.restarted()
    ended = followed(after)
    await after.workspaces.start()
    after.clock.advance(after.settings.resume_window_s + 1)
    await after.settle()
    assert ended == [guest.workspace]


async def test_nobody_makes_it_anew_before_all_have_heard(tenants: Tenants) -> None:
    ann, is_cleaning, may_end = acting(person("ann")), asyncio.Event(), asyncio.Event()

    async def clean(_: str) -> None:
        is_cleaning.set()
        await may_end.wait()

    tenants.workspaces.endings.follow(clean)
    await tenants.catalogue.create({"id": "the-lab"}, ann)
    deleting = asyncio.create_task(tenants.catalogue.delete("the-lab", ann))
    await is_cleaning.wait()
    making = asyncio.create_task(tenants.catalogue.create({"id": "the-lab"}, ann))
    for _ in range(20):  # as far as it comes
        await asyncio.sleep(0)
    assert await tenants.store.workspaces.get("the-lab") is None
    may_end.set()
    await deleting
    assert (await making)["id"] == "the-lab"


async def test_one_that_fails_keeps_no_other_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    endings, heard = Endings(), []

    async def fail(_: str) -> None:
        raise RuntimeError("does not clean up")

    async def hear(workspace: str) -> None:
        heard.append(workspace)

    endings.follow(fail)
    endings.follow(hear)
    await endings.tell("the-lab")
    assert heard == ["the-lab"] and "does not clean up" in caplog.text
