"""New databases, migrations, and databases of newer servers."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from hypha.errors import ConfigurationError
from hypha.store import Store, WorkspaceRecord, engines, schema
from hypha.store.base import Base

FEATURES = Path(schema.__file__).parents[1] / "features"
KEPT_BY_0010 = (
    "INSERT INTO workspaces (id, name, description, persistent, read_only, created_at)"
    " VALUES ('lab', '', '', false, false, 1.0)",
    "INSERT INTO workspace_environment (workspace, key, value) VALUES ('lab', 'k', '12345')",
    "INSERT INTO event_logs (workspace, user_id, event_type, timestamp, data)"
    " VALUES ('lab', 'alice', 'e', 1.0, '\"text\"')",
    "INSERT INTO queue_tasks (workspace, queue, data, size, created_at, attempts)"
    " VALUES ('lab', 'jobs', '123', 3, 1.0, 0)",
)
"""What a server of that revision wrote."""


def shape(connection: Connection) -> dict[str, Any]:
    """Tables, columns, indexes and foreign keys of a database."""
    found = inspect(connection)
    return {
        table: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)),
            sorted(found.get_pk_constraint(table)["constrained_columns"]),
            indexes(connection, table),
            foreign_keys(connection, table),
        )
        for table in found.get_table_names()
    }


def indexes(connection: Connection, table: str) -> list[tuple[str, str]]:
    """Name and text of each index; the databases are asked themselves, for those of expressions, too."""
    asked = (
        "SELECT name, coalesce(sql, '') FROM sqlite_master WHERE type = 'index' AND tbl_name = :table"
        if connection.dialect.name == "sqlite"
        else "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = CAST(:table AS regclass) AND NOT indisprimary"
    )
    rows = connection.execute(text(asked), {"table": table})
    return sorted((name, " ".join(made.split())) for name, made in rows)


def foreign_keys(connection: Connection, table: str) -> list[tuple[str, str, str]]:
    """Table, column and what happens at the end of the row that it names; no key has two columns."""
    if (
        connection.dialect.name == "sqlite"
    ):  # which is asked itself: SQLAlchemy reads some ways of declaring them
        rows = connection.execute(text(f"PRAGMA foreign_key_list({table})")).mappings()
        return sorted((row["table"], row["from"], row["on_delete"]) for row in rows)
    return sorted(
        (
            key["referred_table"],
            *key["constrained_columns"],
            key.get("options", {}).get("ondelete", "NO ACTION"),
        )
        for key in inspect(connection).get_foreign_keys(table)
    )


def start_over(connection: Connection) -> None:
    """Leave an empty database."""
    Base.metadata.drop_all(connection)
    connection.execute(text("DROP TABLE alembic_version"))


def upgrade(connection: Connection, to: str) -> None:
    """Run migrations as far as a revision."""
    from alembic import command

    command.upgrade(schema.migrations_of(connection), to)


async def test_migrations_give_the_same_shape_as_a_new_database(uri: str) -> None:
    for file in sorted(FEATURES.glob("*/tables.py")):
        importlib.import_module(f"hypha.features.{file.parent.name}.tables")

    def rebuild(connection: Connection) -> None:
        start_over(connection)
        upgrade(connection, "head")

    async with Store(uri) as store, store.writing() as connection:
        made = await connection.run_sync(shape)
        await connection.run_sync(rebuild)
        migrated = await connection.run_sync(shape)
        assert await connection.run_sync(schema.revision) == schema.HEAD
    assert "workspaces" in made
    assert {name: migrated.get(name) for name in made} == made, "migrations may have tables of other features"


async def test_a_table_that_a_database_of_today_lacks_is_made(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.db"
    async with Store(uri) as store, store.writing() as connection:
        made = await connection.run_sync(shape)
        await connection.execute(text("DROP TABLE facts"))
    async with Store(uri) as store:
        assert await store.facts.get("k") is None
        async with store.reading() as connection:
            assert await connection.run_sync(shape) == made


def test_head_is_the_newest_migration() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert scripts.get_current_head() == schema.HEAD


async def test_a_database_of_a_newer_server_is_refused(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.db"
    async with Store(uri) as store, store.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer version"):
        await Store(uri).open()


async def test_an_interrupted_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.db"

    def fail(connection: Connection) -> None:
        schema.prepare(connection)
        raise RuntimeError("killed")

    store = Store(uri)
    with pytest.raises(RuntimeError):
        async with store.writing() as connection:
            await connection.run_sync(fail)
    async with store.reading() as connection:
        assert await connection.run_sync(shape) == {}
    await store.close()
    async with Store(uri) as again:
        assert await again.facts.get("nothing") is None


async def test_two_servers_may_open_a_new_database_at_once(uri: str) -> None:
    if uri == ":memory:":
        pytest.skip("a database in memory has one server")
    stores = [Store(uri) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    for number, store in enumerate(stores):
        await store.workspaces.create(WorkspaceRecord(f"lab-{number}"))
    for store in stores:
        async with store.reading() as connection:
            versions = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars()
            assert list(versions) == [schema.HEAD], "one of them made it"
        assert [found.id for found in await store.workspaces.list(owners=None)] == [
            f"lab-{number}" for number in range(len(stores))
        ]
        await store.close()


async def test_opening_waits_for_whoever_writes_the_new_file(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        assert await store.facts.get("nothing") is None
    other.close()


async def test_opening_gives_up_on_a_file_that_stays_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.3)
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigurationError, match="database is locked"):
        await Store(f"sqlite:///{tmp_path}/x.db").open()
    other.close()


def test_many_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from hypha.store import Store\n"
        "async def main():\n"
        "    sys.stdin.read()\n"
        "    for number in range(20):\n"
        "        await (await Store(f'sqlite:///{sys.argv[1]}/{number}.db').open()).close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    openers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.close()  # which lets it begin
        opener.stdin = None
    assert [opener.communicate(timeout=60)[1] for opener in openers] == [b""] * len(openers)


def test_a_new_database_needs_no_migration_tool() -> None:
    code = (
        "import asyncio, sys\n"
        "from hypha.store import Store\n"
        "async def main():\n"
        "    await (await Store(':memory:').open()).close()\n"
        "asyncio.run(main())\n"
        "assert not [name for name in sys.modules if name.startswith('alembic')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


async def test_what_an_older_server_kept_is_counted(uri: str) -> None:
    def keep(connection: Connection) -> None:
        start_over(connection)
        upgrade(connection, "0010")
        for statement in KEPT_BY_0010:
            connection.execute(text(statement))
        schema.prepare(connection)

    async with Store(uri) as store:
        async with store.writing() as connection:
            await connection.run_sync(keep)
        found = await store.usage.of("lab")
    assert found["workspace_environment"] == (1, 5)
    assert found["queue_tasks"] == (1, 3)
    assert found["event_logs"] == (1, len('"text"'))


async def test_what_an_older_server_left_waits_for_the_next_start(uri: str) -> None:
    def leave(connection: Connection) -> None:
        start_over(connection)
        upgrade(connection, "0012")
        for statement in KEPT_BY_0010[:2]:
            connection.execute(
                text(statement.replace("key, value", "key, value, size").replace("5')", "5', 5)"))
            )
        connection.execute(text("INSERT INTO subscriptions VALUES ('lab', 'c', '[\"x\"]')"))
        schema.prepare(connection)

    async with Store(uri) as store:
        async with store.writing() as connection:
            await connection.run_sync(leave)
        assert await store.environment.all("lab") != {}, "the table of workspaces was not made anew"
        await store.lease.take("server", "http://127.0.0.1:1")
        assert await store.workspaces.adopt() == ["lab"]
        assert await store.subscriptions.adopt() == {("lab", "c"): frozenset({"x"})}
