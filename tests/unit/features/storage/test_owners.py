"""What an earlier workspace of a name left is nobody else's: set aside, whatever its size and names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from hypha.features.storage.backing import Folders
from hypha.features.storage.feature import share_of
from hypha.features.storage.folders import LEFT, LONG, LocalFolders, StoredFolders
from hypha.features.storage.owners import Owners
from hypha.objects.keys import MAX_KEY_BYTES, MAX_WORDS
from hypha.objects.local import LocalObjects
from hypha.objects.room import Share


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalObjects]:
    opened = LocalObjects(tmp_path, "files")
    yield opened
    await opened.close()


@pytest.fixture(params=["files", "objects"])
def folders(request: pytest.FixtureRequest, store: LocalObjects, tmp_path: Path) -> Folders:
    return LocalFolders(store, tmp_path) if request.param == "files" else StoredFolders(store)


async def second(key: str) -> str:
    return "second"


async def keys(store: LocalObjects, prefix: str) -> list[str]:
    return [info.key for info in (await store.list(prefix)).objects]


async def test_artifacts_of_a_new_workspace_are_not_set_aside_with_the_old_files(
    store: LocalObjects, folders: Folders, tmp_path: Path
) -> None:
    await folders.note("lab", "first")
    for name in ("lab/secret", "lab/deep/secret", "lab/artifacts/new/v0/data"):
        await store.put(name, b"1")
    await Owners(folders, second).claim("lab")
    assert await keys(store, "lab/") == ["lab/artifacts/new/v0/data"]
    found = await keys(store, f"{LEFT}/") or [str(path) for path in (tmp_path / LEFT).rglob("secret")]
    assert len(found) == 2 and await folders.noted("lab") == "second"
    assert store.room.of("lab") == (1, 1)


async def test_names_that_are_too_long_where_files_are_set_aside_stop_nobody(store: LocalObjects) -> None:
    long = "lab/" + "/".join(["x" * 200] * 5) + "y" * 11
    deep = "lab/" + "/".join(["d"] * (MAX_WORDS - 1))
    assert len(long) > MAX_KEY_BYTES - 20
    for name in (long, deep):
        await store.put(name, b"content")
    folders = StoredFolders(store)
    await folders.note("lab", "first")
    await Owners(folders, second).claim("lab")
    assert await keys(store, "lab/") == []
    left = await keys(store, f"{LEFT}/")
    assert len(left) == 4 and all(f"/{LONG}/" in key for key in left)
    names = [await (await store.open(key)).whole() for key in left if key.endswith(".name")]
    assert sorted(names) == sorted([long.encode(), deep.encode()])


async def test_what_is_set_aside_counts_for_no_workspace() -> None:
    quota = SimpleNamespace(quota=SimpleNamespace(count=1, size_bytes=1))
    workspaces = cast(Any, SimpleNamespace(get=lambda _: None, allowance=lambda record, kind: quota))
    assert share_of(workspaces, "lab") == Share(1, 1)
    for owner in ("", LEFT, ".owners", ".hypha-probe"):
        assert share_of(workspaces, owner) is None


async def test_the_claim_of_one_workspace_holds_up_no_other(folders: Folders) -> None:
    may_go_on, asked = asyncio.Event(), list[str]()
    noted = folders.noted

    async def slow(workspace: str) -> str:
        asked.append(workspace)
        if workspace == "slow":
            await may_go_on.wait()
        return await noted(workspace)

    folders.noted = slow  # type: ignore[method-assign]
    owners = Owners(folders, second)
    claims = [asyncio.create_task(owners.claim("slow")) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.wait_for(owners.claim("quick"), 10)
    may_go_on.set()
    await asyncio.gather(*claims)
    assert sorted(asked) == ["quick", "slow"]
