"""Artifacts that take the place of others: whole or not at all, and nothing of the new one goes with the old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab


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
