"""New databases, migrations, and databases of newer servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from hypha.errors import ConfigurationError
from hypha.store import Store, schema


def shape(connection: Connection) -> dict[str, Any]:
    """Tables, columns, indexes and foreign keys of a database."""
    found = inspect(connection)
    return {
        table: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)),
            sorted(found.get_pk_constraint(table)["constrained_columns"]),
            sorted((i["name"], tuple(i["column_names"])) for i in found.get_indexes(table)),
            sorted(
                (k["referred_table"], tuple(k["constrained_columns"]), k.get("options", {}).get("ondelete"))
                for k in found.get_foreign_keys(table)
            ),
        )
        for table in found.get_table_names()
    }


async def test_migrations_give_the_same_shape_as_a_new_database(uri: str, store: Store) -> None:
    async with store.reading() as connection:
        made = await connection.run_sync(shape)

    def rebuild(connection: Connection) -> None:
        schema.Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        schema._migrate(connection, None)

    async with store.writing() as connection:
        await connection.run_sync(rebuild)
        migrated = await connection.run_sync(shape)
        assert await connection.run_sync(schema.revision) == schema.HEAD
    assert migrated == made


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
    for store in stores:
        await store.close()


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
