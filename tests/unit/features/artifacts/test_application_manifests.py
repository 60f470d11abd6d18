"""Applications as the registry sees them: committed artifacts of that type, at once after each change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlalchemy import text

from hypha.features.artifacts.applications import ApplicationManifests
from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab

APP = {"name": "App", "service_selection_mode": "first", "services": [{"id": "work", "type": "compute"}]}


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.opened(store, tmp_path) as opened:
        yield opened


async def seen(lab: Lab, alias: str = "app") -> str | None:
    """The mode of an application, None if there is none; asked twice, for the answer is remembered."""
    first, second = [await lab.parts.applications.find("lab", alias) for _ in range(2)]
    assert first is second
    return None if first is None else first.mode


async def edit(lab: Lab, **fields: Any) -> None:
    await lab.manager.edit("app", context=lab.owner, **fields)


async def test_an_application_is_what_is_committed(lab: Lab) -> None:
    applications, manager, owner = lab.parts.applications, lab.manager, lab.owner
    assert await seen(lab) is None and not applications.has_any("lab")
    await lab.create("app", APP, type="application", stage=True)
    assert await seen(lab) is None
    await manager.commit("app", context=owner)
    assert await seen(lab) == "first" and applications.has_any("lab")
    await edit(lab, manifest={**APP, "service_selection_mode": "last"}, stage=True)
    assert await seen(lab) == "first"
    await manager.commit("app", context=owner)
    assert await seen(lab) == "last"
    await edit(lab, manifest={**APP, "service_selection_mode": "random"})
    assert await seen(lab) == "random"
    await edit(lab, type="generic")
    assert await seen(lab) is None
    await edit(lab, type="application")
    assert await seen(lab) == "random"


async def test_every_way_to_make_and_unmake_one_is_seen(lab: Lab) -> None:
    applications, manager, owner = lab.parts.applications, lab.manager, lab.owner
    await lab.create("data", {"name": "No application"})
    assert await seen(lab, "data") is None
    await lab.create("apps", {"name": "Apps"}, type="collection")
    await lab.create("app", APP, type="application", parent_id="apps")
    assert await seen(lab) == "first"
    assert await seen(lab, "copy") is None
    await manager.duplicate("app", "copy", context=owner)
    assert await seen(lab, "copy") == "first"
    await lab.create("copy", {"name": "Other"}, overwrite=True)
    assert await seen(lab, "copy") is None
    assert applications.has_any("lab")
    await manager.delete("apps", recursive=True, context=owner)
    assert await seen(lab) is None and not applications.has_any("lab")


async def test_what_can_be_no_alias_is_no_application(lab: Lab) -> None:
    for odd in ("", " ", "app\0", "\ud800", "x" * 65, "app ", "{app}", "-", "äpp"):
        assert await seen(lab, odd) is None, odd
    assert await lab.parts.applications.find("lab\0", "app") is None


async def test_a_start_learns_who_has_applications_by_an_index(lab: Lab) -> None:
    await lab.create("app", APP, type="application")
    anew = ApplicationManifests(lab.store)
    await anew.load()
    assert anew.has_any("lab") and not anew.has_any("other")
    async with lab.store.reading() as connection:
        if connection.dialect.name == "sqlite":
            plan = "EXPLAIN QUERY PLAN SELECT DISTINCT workspace FROM artifacts WHERE type = 'application'"
            assert "ix_artifacts_applications" in str((await connection.execute(text(plan))).all())


async def test_only_who_has_applications_costs_a_look_and_forgets_what_changed(lab: Lab) -> None:
    applications = lab.parts.applications
    looks: list[tuple[str, str]] = []
    read = applications._read

    async def counted(workspace: str, app_id: str) -> Any:
        looks.append((workspace, app_id))
        return await read(workspace, app_id)

    applications._read = counted  # type: ignore[method-assign]
    assert await applications.find("other", "app") is None and not looks
    await lab.create("app", APP, type="application")
    for _ in range(3):
        assert await applications.find("lab", "app") is not None
    for number in range(600):  # ids of nothing push nobody's answer out
        await applications.find("lab", f"none-{number}")
    applications.committed("other")
    looks.clear()
    assert await applications.find("lab", "app") is not None and not looks
    applications.committed("lab")
    assert await applications.find("lab", "app") is not None and looks == [("lab", "app")]
