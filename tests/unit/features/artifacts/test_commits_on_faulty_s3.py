"""Promise: on an S3 that fails, dawdles and breaks off a commit is seen whole or not at all, and ends.

Once the storage is well again everything goes on, and what was left behind goes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from hypha.errors import HyphaError
from hypha.objects.local import LocalObjects
from hypha.store import Store
from tests.kit.faulty import FaultyProxy, behind_faults
from tests.kit.s3 import S3Server, running
from tests.unit.features.artifacts.lab import Lab

pytest.importorskip("obstore")

BUCKET, RATE, ROUNDS = "hypha-test", 0.5, 8
ENDS_WITHIN_S = 90

Files = dict[str, str]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running("nanio") as server:
        yield server


@pytest_asyncio.fixture
async def on_faulty(s3: S3Server, tmp_path: Path) -> AsyncIterator[tuple[Lab, FaultyProxy]]:
    async with behind_faults(s3, BUCKET) as (objects, proxy):
        async with Store(f"sqlite:///{tmp_path}/records.db") as store:
            yield Lab(store, cast("LocalObjects", objects)), proxy
        proxy.rate = 0
        await objects.delete_folder("lab")


async def found(lab: Lab) -> Files:
    """What a reader finds."""
    return {name: await lab.content("shelf", name) for name in await lab.names("shelf")}


async def staged(lab: Lab, number: int, old: Files) -> Files:
    """Stage a new content of each file, and one file in place of another; what a commit makes of it."""
    names = ["a.txt", "b.txt", "c.txt", f"only{number}.txt"]
    await lab.manager.discard_changes("shelf", context=lab.owner)
    await lab.manager.edit("shelf", stage=True, context=lab.owner)
    for name in set(old) - set(names):
        await lab.manager.remove_file("shelf", name, context=lab.owner)
    content = {name: f"{name} {number}" for name in names}
    for name, text in content.items():
        await lab.manager.write_file("shelf", name, text, context=lab.owner)
    return content


async def tried(lab: Lab, proxy: FaultyProxy, version: str | None) -> bool:
    """Commit while the storage fails; whether it was done."""
    proxy.rate = RATE
    try:
        await asyncio.wait_for(lab.manager.commit("shelf", version, context=lab.owner), ENDS_WITHIN_S)
    except HyphaError as error:
        assert "secret inner words" not in error.message and "127.0.0.1" not in error.message
        return False
    finally:
        proxy.rate = 0
    return True


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 12))])
async def test_a_commit_is_there_whole_or_not_at_all(on_faulty: tuple[Lab, FaultyProxy], seed: int) -> None:
    lab, proxy = on_faulty
    proxy.seed, dice = seed, random.Random(seed)
    proxy.__post_init__()
    await lab.create("shelf")
    await lab.manager.edit("shelf", stage=True, context=lab.owner)
    old = await staged(lab, 0, {})
    await lab.manager.commit("shelf", context=lab.owner)
    refused = 0
    for number in range(1, ROUNDS + 1):
        new = await staged(lab, number, old)
        is_done = await tried(lab, proxy, dice.choice([None, f"version-{number}"]))
        assert await found(lab) == (new if is_done else old)
        if not is_done:
            refused += 1
            await lab.manager.commit("shelf", context=lab.owner)
        old = new
        assert await found(lab) == old
    report = await lab.manager.verify("shelf", context=lab.owner)
    assert report["files"] == len(old) and not report["damaged"], report
    lab.now += 10 * 86400
    folder = (await lab.parts.access.find("shelf", lab.owner)).folder
    assert not [key for key in await lab.on_disk() if key.startswith(f"{folder}/stage/")]
    assert sum(proxy.done[fault] for fault in ("500", "503", "half", "cut", "slow")) > ROUNDS
