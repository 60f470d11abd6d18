"""Opening, durability, faults."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hypha.errors import (
    BackendUnavailable,
    ConfigurationError,
    InvalidRequest,
    LimitReached,
    RateLimited,
)
from hypha.limits.turns import on_behalf_of
from hypha.store import Store, WorkspaceRecord, engines
from hypha.store.sql import MAX_SEARCHES_WAITING
from hypha.testing import eventually

LAB = WorkspaceRecord("lab", owners=("o",))


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mysql://u:hidden@h/d", "'mysql' is not supported"),
        ("no uri", "cannot be read"),
        ("", "cannot be read"),
        ("sqlite:////no/such/folder/x.db", "folder of the database does not exist"),
        ("sqlite:////tmp/lab?1/x.db", "write %3F for it"),
        ("sqlite:////tmp/lab?1=2/x.db", "write %3F for it"),
        ("postgresql://u:hidden@h:port/d", "cannot be read"),
    ],
)
def test_unusable_uris_are_refused_in_one_sentence(uri: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Store(uri)
    assert "hidden" not in str(caught.value)


def test_postgres_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'hypha-server\[postgres\]'"):
        Store("postgresql://u@h/d")


async def test_sqlite_keeps_the_promised_settings(tmp_path: Path) -> None:
    async with Store(f"sqlite:///{tmp_path}/x.db") as store, store.reading() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 5000]


@pytest.mark.parametrize(
    "uri", ["sqlite:///{}/x.db?timeout=soon", "postgresql://u:hidden@127.0.0.1:9/d?strength=11"]
)
async def test_wrong_options_of_a_uri_are_told_in_one_sentence(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ConfigurationError, match="an option of its URI is wrong") as caught:
        await Store(uri.format(tmp_path)).open()
    assert "hidden" not in str(caught.value)


async def test_escapes_in_a_uri_stand_for_their_letters(tmp_path: Path) -> None:
    (tmp_path / "lab?1").mkdir()
    async with Store(f"sqlite:///{tmp_path}/lab%3F1/%2520.db?timeout=3") as store:
        assert "3F1/%2520.db" in store.shown and "timeout" not in store.shown
        file = tmp_path / "lab?1" / "%20.db"
        assert file.stat().st_mode & 0o777 == 0o600
        assert os.listdir(tmp_path) == ["lab?1"]


async def test_what_was_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.db"
    async with Store(uri) as store:
        await store.environment.set(LAB, "K", b"v")
    async with Store(uri) as store:
        assert await store.environment.get("lab", "K") == b"v"


async def test_an_acknowledged_write_survives_the_death_of_the_process(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys\n"
        "from hypha.store import Store, WorkspaceRecord\n"
        "async def main():\n"
        "    store = await Store(sys.argv[1]).open()\n"
        "    await store.environment.set(WorkspaceRecord('lab'), 'K', b'v')\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    uri = f"sqlite:///{tmp_path}/x.db"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, uri)
    assert await process.wait() == 9
    async with Store(uri) as store:
        assert await store.environment.get("lab", "K") == b"v"


async def test_a_failed_transaction_changes_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with store.writing() as connection:
            await connection.execute(text("INSERT INTO facts VALUES ('k', 'v')"))
            raise RuntimeError("stop")
    assert await store.facts.get("k") is None


async def test_a_locked_database_gives_a_helpful_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.01)
    path = tmp_path / "x.db"
    async with Store(f"sqlite:///{path}") as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailable, match=r"busy.*try again"):
            await store.facts.set("k", "v")
        assert await store.facts.get("k") is None  # readers are not disturbed
        other.close()
        watch = asyncio.create_task(store.watch())
        await eventually(lambda: store.condition.state().is_ok)
        await store.facts.set("k", "v")
        watch.cancel()


async def test_a_read_only_database_gives_a_helpful_error(tmp_path: Path) -> None:
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        async with store.reading() as connection:
            await connection.execute(text("PRAGMA query_only=ON"))
            with pytest.raises(BackendUnavailable, match="read-only") as caught:
                async with store.writing() as writer:
                    await writer.execute(text("PRAGMA query_only=ON"))
                    await writer.execute(text("INSERT INTO facts VALUES ('secret', 'v')"))
    assert "INSERT" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (sqlite3.OperationalError("database or disk is full"), "full"),
        (sqlite3.OperationalError("disk I/O error"), "cannot be read"),
        (sqlite3.DatabaseError("file is not a database"), "cannot be read"),
        (sqlite3.OperationalError("unable to open database file /x/y"), "cannot be opened"),
        (sqlite3.OperationalError("no such table: events"), "missing"),
        (ConnectionRefusedError(111, "refused"), "does not answer"),
    ],
)
def test_faults_are_told_without_details(fault: Exception, words: str) -> None:
    error = engines.translated(fault)
    assert isinstance(error, BackendUnavailable)
    assert words in str(error) and "/x/y" not in str(error)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigurationError, match=f"{path} cannot be opened .file is not a database"):
        await Store(f"sqlite:///{path}").open()


async def test_a_database_out_of_reach_is_named_without_its_password() -> None:
    pytest.importorskip("asyncpg")
    with pytest.raises(ConfigurationError, match="cannot be opened") as caught:
        await Store("postgresql+asyncpg://hub:swordfish@127.0.0.1:1/records").open()
    assert "hub:***@127.0.0.1:1/records" in str(caught.value) and "swordfish" not in str(caught.value)


async def test_text_that_no_database_takes_is_the_callers_mistake(store: Store) -> None:
    with pytest.raises(InvalidRequest):
        await store.facts.set("k", "\ud800")


@pytest.mark.parametrize("value", [[], {"a": 1}, 2**70, object()])
async def test_values_of_odd_types_are_the_callers_mistake(store: Store, value: Any) -> None:
    with pytest.raises(InvalidRequest):
        await store.issued_tokens.list(
            created_by=value, workspace=None, now=0.0, used_since=0.0, offset=0, limit=1
        )
    with pytest.raises(InvalidRequest):
        await store.facts.set("k", value)
    assert store.condition.state().is_ok, "no caller's mistake makes the server look ill"


async def test_readers_and_writers_run_side_by_side(store: Store) -> None:
    async def write(number: int) -> None:
        await store.facts.set(f"k{number}", "v")

    async def read() -> None:
        await store.facts.get("k0")

    await asyncio.gather(*(write(n) for n in range(20)), *(read() for _ in range(20)))
    assert [await store.facts.get(f"k{n}") for n in range(20)] == ["v"] * 20


async def test_closing_releases_the_file(tmp_path: Path) -> None:
    store = await Store(f"sqlite:///{tmp_path}/x.db").open()
    await store.facts.get("k")
    assert open_files(tmp_path)
    await store.close()
    assert not open_files(tmp_path)


def open_files(folder: Path) -> list[str]:
    """Which files of a folder this process holds open."""
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("needs /proc")
    targets = [os.readlink(handle) for handle in handles.iterdir() if handle.exists()]
    return [target for target in targets if target.startswith(str(folder))]


async def test_many_writes_of_one_party_do_not_hold_up_those_of_another(store: Store) -> None:
    done: list[str] = []

    async def write(party: str) -> None:
        with on_behalf_of(party):
            async with store.writing() as connection:
                await connection.execute(text("SELECT 1"))
            async with store.reading() as connection:
                await connection.execute(text("SELECT 1"))
        done.append(party)

    greedy = [asyncio.create_task(write("greedy")) for _ in range(200)]
    await asyncio.sleep(0)
    await write("other")
    assert len(done) < 100
    await asyncio.gather(*greedy)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


async def test_a_search_that_takes_long_is_broken_off_and_hurts_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypha.store.sql.SEARCH_S", 0.1)
    with pytest.raises(LimitReached, match="takes too long"):
        async with store.searching() as connection:
            await connection.execute(text(ENDLESS))
    store.condition.check()
    assert store.condition.state().is_ok
    async with store.searching() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    async with store.reading() as connection:  # others have no such limit
        assert (await connection.execute(text("SELECT 3"))).scalar_one() == 3


@pytest.mark.parametrize("kind", ["searching", "reading"])
async def test_what_nobody_waits_for_any_more_is_not_worked_on(store: Store, kind: str) -> None:
    async def endless() -> None:
        async with getattr(store, kind)() as connection:
            await connection.execute(text(ENDLESS))

    work = asyncio.ensure_future(endless())
    await asyncio.sleep(0.2)  # it has begun, in a thread
    work.cancel()
    done, _ = await asyncio.wait((work,), timeout=20)
    assert done, "the thread went on"
    for _ in range(5):
        async with store.reading() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_search_holds_up_neither_those_of_others_nor_their_lists(tmp_path: Path) -> None:
    async def one(party: str, kind: str) -> None:
        with on_behalf_of(party):
            async with getattr(store, kind)() as connection:
                assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1

    async with Store(f"sqlite:///{tmp_path}/records.db") as store, asyncio.timeout(30):
        with on_behalf_of("slow"):
            async with store.searching():
                await one("other", "searching")
                await one("slow", "listing")
                with on_behalf_of("slow, too"):
                    async with store.searching():
                        await one("other", "listing")
                        await one("slow", "reading")


async def test_a_list_that_takes_long_is_broken_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypha.store.sql.SEARCH_S", 0.1)
    with pytest.raises(LimitReached, match="takes too long"):
        async with store.listing() as connection:
            await connection.execute(text(ENDLESS))
    async with store.listing() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_one_party_has_one_search_at_a_time_and_a_bounded_crowd(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = most = 0

    async def search() -> None:
        nonlocal running, most
        async with store.searching():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    with on_behalf_of("greedy"):
        crowd = [asyncio.ensure_future(search()) for _ in range(MAX_SEARCHES_WAITING + 3)]
        done = await asyncio.gather(*crowd, return_exceptions=True)
    assert most == 1 and sum(isinstance(each, RateLimited) for each in done) == 2
