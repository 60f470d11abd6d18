"""Promise: one server at a time uses a database; the second is refused before it changes anything."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from hypha.errors import ConfigurationError, LeaseLost
from hypha.store import Store, WorkspaceRecord
from hypha.store import claim as claims
from hypha.testing import eventually
from tests.kit.postgres import PostgresServer

URL = "http://127.0.0.1:9527"
HOLDER = """
import asyncio, sys
from hypha.store import Store
async def main():
    await Store(sys.argv[1]).open("http://127.0.0.1:1")
    print("held", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture(params=["file", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URI of an empty database that others can open."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database()
    return f"sqlite:///{tmp_path}/records.db"


async def test_the_second_server_is_refused_in_one_sentence(uri: str) -> None:
    async with Store(uri):  # tools may look into it meanwhile
        pass
    first, second = Store(uri), Store(uri)
    await first.open(URL)
    try:
        with pytest.raises(ConfigurationError, match=r"is in use: .* is already running with it") as refused:
            await second.open("http://127.0.0.1:2")
        assert "\n" not in refused.value.message
        async with Store(uri) as tool:
            assert await tool.facts.get("nothing") is None
    finally:
        await first.close()
    await second.close()
    await (third := Store(uri)).open(URL)
    await third.close()


async def test_a_refused_server_has_changed_nothing(tmp_path: Path) -> None:
    uri = f"sqlite+aiosqlite:///{tmp_path}/new.sqlite"
    lock = claims.FileLock.take(tmp_path / "new.sqlite-lock", URL)
    with pytest.raises(ConfigurationError, match=r"the server at http://127.0.0.1:9527 \(process \d+\)"):
        await Store(uri).open("http://127.0.0.1:2")
    lock.close()
    store = Store(uri)
    async with store.reading() as connection:
        assert not (await connection.execute(text("SELECT name FROM sqlite_master"))).all()
    await store.close()


async def test_a_link_to_the_file_is_the_same_database(tmp_path: Path) -> None:
    first = Store(f"sqlite+aiosqlite:///{tmp_path}/one.sqlite")
    await first.open(URL)
    (tmp_path / "other.sqlite").symlink_to(tmp_path / "one.sqlite")
    with pytest.raises(ConfigurationError, match="is in use"):
        await Store(f"sqlite+aiosqlite:///{tmp_path}/other.sqlite").open(URL)
    await first.close()


async def holding(uri: str) -> asyncio.subprocess.Process:
    """A server's process that has the database."""
    program = [sys.executable, "-c", HOLDER, uri]
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None and await process.stdout.readline() == b"held\n"
    return process


async def test_the_claim_of_a_killed_server_ends_with_it(uri: str) -> None:
    process = await holding(uri)
    process.kill()
    await process.wait()
    store = await Store(uri).open(URL)
    await store.close()


async def test_a_frozen_server_keeps_its_claim(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PATIENCE_S", 0.5)
    process = await holding(uri)
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ConfigurationError, match=r"is in use: .* is already running with it"):
            await Store(uri).open(URL)
    finally:
        process.kill()
        await process.wait()


async def test_a_server_whose_claim_went_while_it_was_frozen_changes_nothing_any_more(uri: str) -> None:
    frozen = await Store(uri).open(URL)
    await frozen.workspaces.create(WorkspaceRecord("lab"))
    await frozen.claim.close()  # as when its machine is cut off: the database ends its session
    async with await Store(uri).open("http://127.0.0.1:2") as second:
        assert await second.workspaces.adopt() == ["lab"]
        assert await frozen.workspaces.end("lab", with_tokens=True) is None
        with pytest.raises(LeaseLost, match="Another server has taken over"):
            await frozen.subscriptions.put("lab", "c", ["x"])
        await frozen.close()
        assert await second.workspaces.get("lab") is not None
        assert await second.lease.renew(), "the one that closes ends its own lease alone"


async def test_what_a_server_owned_is_the_next_one_s(uri: str) -> None:
    async with await Store(uri).open(URL) as store:
        await store.workspaces.create(WorkspaceRecord("stopped"))
    process = await holding(uri)
    process.kill()
    await process.wait()
    async with await Store(uri).open(URL) as store:
        assert await store.workspaces.adopt() == ["stopped"]
        async with store.reading() as connection:
            there = (await connection.execute(text("SELECT id FROM replicas"))).scalars()
            assert list(there) == [store.replica], "no lease of a killed server stays"


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(180)
async def test_a_broken_session_claims_again_and_tells_when_another_server_was_quicker(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(claims, "PATIENCE_S", 0.2)
    uri = postgres.new_database()
    lost, first = asyncio.Event(), await Store(uri).open(URL)
    keeping = asyncio.create_task(first.claim.keep(lost.set))
    before = await backend_of(first)
    await first_is_cut(first)
    await eventually_held(first, before)
    with pytest.raises(ConfigurationError, match="is in use"):
        await Store(uri).open(URL)
    assert not lost.is_set()
    monkeypatch.setattr(claims, "LOOK_EVERY_S", 0.5)
    await first_is_cut(first)
    second = await Store(uri).open(URL)
    async with asyncio.timeout(10):
        await lost.wait()
        await keeping
    await first.close()
    await second.close()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(180)
async def test_a_holder_that_is_gone_a_moment_later_is_not_taken_for_oneself(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PATIENCE_S", 0.2)
    monkeypatch.setattr(claims, "_HOLDER", "SELECT NULL")
    uri = postgres.new_database()
    first = await Store(uri).open(URL)
    with pytest.raises(ConfigurationError, match="is in use"):
        await Store(uri).open(URL)
    await first.close()


async def backend_of(store: Store) -> int | None:
    """The process of PostgreSQL that holds the claim; None if none does."""
    async with store.reading() as connection:
        found: int | None = await connection.scalar(text(claims._HOLDER))
        return found


async def first_is_cut(store: Store) -> None:
    async with store.reading() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend({await backend_of(store)})"))


async def eventually_held(store: Store, before: int | None) -> None:
    async def is_held() -> bool:
        return await backend_of(store) not in (None, before)

    await eventually(is_held)
