"""Promise: committed bytes are as they were, whenever the process is killed; commits are whole or not there.

A process puts, sends in parts, commits, discards and deletes; it is killed at a random instant.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from pathlib import Path

import pytest

from hypha.features.artifacts.sharing import digest
from hypha.store import Store
from hypha.testing import eventually
from tests.unit.features.artifacts.killed_keeper import ALIAS, Content, Keeper, allowed, database, keep, lines
from tests.unit.features.artifacts.lab import Lab

QUICK, ALL = 10, 200
MOST_LINES, MOST_WAIT_S = 16, 0.05
"""Of the journal, before the process is killed; and how long after the last of them."""


def processes() -> multiprocessing.context.ForkServerContext:
    """Where processes come from that have everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.features.artifacts.killed_keeper"])
    return context


async def found(lab: Lab) -> Content | None:
    """What a reader finds: the content of every file."""
    artifact = (await lab.manager.list(stage="all", context=lab.owner) or [None])[0]
    if artifact is None or not artifact["versions"]:
        return None
    names: list[str] = []
    for folder in (None, "b"):
        for entry in await lab.manager.list_files(ALIAS, folder, context=lab.owner):
            if entry["type"] == "file":
                names.append(f"{folder}/{entry['name']}" if folder else entry["name"])
    return {name: await lab.content(ALIAS, name) for name in names}


async def damaged(lab: Lab) -> list[str]:
    """Files of all versions whose bytes are not those of their records."""
    if await found(lab) is None:
        return []
    artifact, wrong = await lab.parts.access.find(ALIAS, lab.owner), []
    for version in artifact.versions:
        for file in await lab.parts.files.page(artifact.id, version.number):
            if await digest(lab.parts, file.key(artifact.folder)) != file.sha256:
                wrong.append(f"{version.name}/{file.path}")
    return wrong


async def killed(folder: Path, seed: int) -> None:
    """Let a process work, and kill it."""
    process = processes().Process(target=keep, args=(str(folder), seed))
    process.start()
    try:
        dice = random.Random(seed)
        wanted = dice.randint(1, MOST_LINES)
        await eventually(
            lambda: lines(folder) >= wanted or not process.is_alive(), within_s=60, interval_s=0.003
        )
        await asyncio.sleep(dice.random() * MOST_WAIT_S)
        assert process.is_alive()
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


@pytest.mark.timeout(120)
@pytest.mark.spec("artifacts-C1.9")
@pytest.mark.parametrize(
    "seed", [*range(QUICK), *(pytest.param(n, marks=pytest.mark.slow) for n in range(QUICK, ALL))]
)
async def test_committed_bytes_outlive_a_kill_at_any_instant(tmp_path: Path, seed: int) -> None:
    await killed(tmp_path, seed)
    async with Store(database(tmp_path)) as store, Lab.opened(store, tmp_path) as lab:
        before = await found(lab)
        assert before in allowed(tmp_path)
        assert await damaged(lab) == []
        await lab.garbage.find_left_behind()
        lab.now += 7200
        await lab.garbage.sweep()
        assert (await found(lab), await damaged(lab)) == (before, [])
        await goes_on(lab)


async def goes_on(lab: Lab) -> None:
    """What was staged can be dropped, and a commit works as if nothing had been."""
    artifacts = await lab.manager.list(stage="all", context=lab.owner)
    if artifacts:
        await lab.manager.discard_changes(ALIAS, context=lab.owner)
        if not artifacts[0]["versions"]:
            await lab.manager.delete(ALIAS, context=lab.owner)
    states: list[Content | None] = []
    keeper = Keeper(lab, random.Random(0), lambda _, state: states.append(state))
    keeper.files = await found(lab)
    await keeper.commit(is_new=False)
    assert await found(lab) == states[-1]
    assert await damaged(lab) == []
