"""A database that the reference implementation wrote opens, with all that is in it, and only once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hypha.auth.scopes import Level
from hypha.features.artifacts.adopting import Adopting
from hypha.features.artifacts.secrets import Secrets
from hypha.store import Store
from hypha.testing import ServerProcess
from tests.kit.postgres import PostgresServer
from tests.unit.features.artifacts.lab import Lab

POSTGRES = pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(180)])
IDS = [f"01900000-0000-7000-8000-00000000000{number}" for number in range(4)]
MADE = (
    """CREATE TABLE artifacts (
        id VARCHAR NOT NULL, type VARCHAR, workspace VARCHAR NOT NULL, parent_id VARCHAR, alias VARCHAR,
        manifest JSON, staging JSON, download_count FLOAT NOT NULL, view_count FLOAT NOT NULL,
        file_count INTEGER NOT NULL, created_at INTEGER NOT NULL, created_by VARCHAR,
        last_modified INTEGER NOT NULL, versions JSON, config JSON, secrets JSON,
        CONSTRAINT artifacts_pkey PRIMARY KEY (id), CONSTRAINT _workspace_alias_uc UNIQUE (workspace, alias),
        FOREIGN KEY(parent_id) REFERENCES artifacts (id))""",
    "CREATE INDEX ix_artifacts_workspace ON artifacts (workspace)",
    "CREATE INDEX ix_artifacts_parent ON artifacts (alias)",  # a name that we have, too
    """CREATE TABLE event_logs (
        id INTEGER NOT NULL, event_type VARCHAR NOT NULL, workspace VARCHAR NOT NULL,
        user_id VARCHAR NOT NULL, timestamp TIMESTAMP NOT NULL, data JSON,
        CONSTRAINT event_logs_pkey PRIMARY KEY (id))""",
    "CREATE INDEX ix_event_logs_workspace ON event_logs (workspace)",
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('9096f050eb04')",
)
ROW = """INSERT INTO artifacts VALUES (:id, :type, 'lab', :parent, :alias, :manifest, :staging, 1.5, 7, 2,
    1700000000, 'ann', 1700000009, :versions, :config, :secrets)"""


def version(name: str) -> dict[str, Any]:
    return {"version": name, "comment": f"of {name}", "created_at": 1_700_000_000}


ROWS: list[dict[str, Any]] = [
    {"type": "collection", "alias": "box", "manifest": {"name": "Box"}, "versions": [version("v0")],
     "config": {"permissions": {"*": "r"}}},
    {"type": "dataset", "alias": "data", "parent": IDS[0], "manifest": {"name": "Data"},
     "versions": [version("v0"), version("two")], "config": {"download_weights": {"a.txt": 1}},
     "secrets": {"KEY": "value"}},
    {"alias": "draft", "manifest": {"name": "Draft"}, "versions": [],
     "staging": [{"path": "new.txt"}, {"_intent": "new_version"}]},
    {"alias": "bare", "manifest": {"name": "Bare"}},
]  # fmt: skip


@pytest.fixture(params=["file", POSTGRES])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"sqlite:///{tmp_path}/old.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


async def write_reference(uri: str) -> None:
    store = Store(uri)
    async with store.writing() as connection:
        for statement in MADE:
            await connection.execute(text(statement))
        for number, row in enumerate(ROWS):
            values = {"id": IDS[number], "type": None, "parent": None}
            for name in ("manifest", "staging", "versions", "config", "secrets"):
                values[name] = json.dumps(row[name]) if name in row else None
            values |= {name: row[name] for name in ("type", "parent", "alias") if name in row}
            await connection.execute(text(ROW), values)
    await store.close()


@pytest.mark.spec("artifacts-C4.1")
async def test_all_that_the_reference_kept_is_there(uri: str, tmp_path: Path) -> None:
    await write_reference(uri)
    async with Store(uri) as store, Lab.opened(store, tmp_path) as lab:
        folder = f"lab/artifacts/{IDS[1]}"
        for path, content in (("v0/a.txt", b"old"), ("v1/a.txt", b"new"), ("v1/b/c.txt", b"more")):
            await lab.objects.put(f"{folder}/{path}", content)
        await lab.objects.put(f"{folder}/v0.json", b'{"manifest": {"name": "First"}, "config": {}}')
        await lab.objects.put(f"lab/artifacts/{IDS[2]}/v0/new.txt", b"staged")
        adopting = Adopting(lab.parts, Secrets(store, store.usage, lab.parts.seal))
        assert (await adopting.run(), await adopting.run()) == (4, 0)
        manager, owner = lab.manager, lab.owner
        data = await manager.read("data", context=owner)
        assert (data["_id"], data["type"], data["parent_id"]) == (IDS[1], "dataset", "lab/box")
        assert (data["download_count"], data["view_count"], data["file_count"]) == (1.5, 7, 2)
        assert (data["created_at"], data["created_by"], data["last_modified"]) == (
            1700000000,
            "ann",
            1700000009,
        )
        assert data["versions"] == [version("v0"), version("two")]
        assert (await manager.read("data", version="v0", context=owner))["manifest"] == {"name": "First"}
        assert (await lab.content("data", "a.txt"), await lab.content("data", "a.txt", version="v0")) == (
            "new",
            "old",
        )
        assert await manager.get_secret("data", "KEY", context=owner) == "value"
        assert (await manager.verify("data", all_versions=True, context=owner))["damaged"] == []
        anyone = lab.caller("anyone", "other")
        assert [item["alias"] for item in await manager.list("lab/box", context=anyone)] == ["data"]
        assert (await manager.read("draft", stage=True, context=owner))["staging"][0] == {"path": "new.txt"}
        assert (await manager.commit("draft", context=owner))["file_count"] == 1
        assert (await lab.content("draft", "new.txt"), (await lab.used())["artifacts"][0]) == ("staged", 4)
        await manager.edit("data", version="new", stage=True, context=owner)
        assert len((await manager.commit("data", context=owner))["versions"]) == 3
        assert (await manager.list(stage="all", context=lab.caller("bob", level=Level.READ))) != []
    async with Store(uri) as again, again.reading() as connection:
        kept = await connection.execute(text("SELECT count(*) FROM reference_artifacts_taken"))
        assert kept.scalar_one() == len(ROWS)


@pytest.mark.slow
@pytest.mark.spec("artifacts-C4.1")
async def test_a_server_starts_on_it_again_and_again(tmp_path: Path) -> None:
    uri = f"sqlite+aiosqlite:///{tmp_path}/old.db"
    await write_reference(uri)
    flags = [f"--database-uri={uri}", "--migrate-database=head"]
    for _ in range(2):
        server = await asyncio.to_thread(ServerProcess(flags=flags, data_dir=tmp_path / "data").start)
        try:
            assert "Traceback" not in server.log
        finally:
            await asyncio.to_thread(server.close)
    async with Store(uri) as store, store.reading() as connection:
        found = await connection.execute(text("SELECT alias FROM artifacts ORDER BY id"))
        assert list(found.scalars()) == ["box", "data", "draft", "bare"]
