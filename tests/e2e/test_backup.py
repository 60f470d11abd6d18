"""`hypha-server backup`, `restore` and `verify` against real servers (docs/deploying.md#backup)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person
from tests.kit.postgres import PostgresServer, running_postgres

pytestmark = pytest.mark.timeout(180)


def run(*words: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    """Run a command of `hypha-server`; gives what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "hypha", *words],
        capture_output=True, text=True, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def keeper_of(server: ServerProcess) -> Person:
    """Somebody with a token that the server's own secret signs."""
    server.secret = (Path(server.data_dir) / "secrets" / "jwt").read_text().strip()
    return make_person(server, "keeper")


async def fill(connect: Connect, server: ServerProcess, person: Person) -> dict[str, Any]:
    """An artifact with a file, a file of the workspace, a variable: what is to come back."""
    client = await connect(person, url=server.url)
    await client.set_env("KEPT", "a value")
    manager = await client.get_service("public/artifact-manager")
    artifact = await manager.create(alias="kept", manifest={"name": "Kept"}, stage=True)
    async with httpx.AsyncClient() as http:
        url = await manager.put_file(artifact["id"], "data/measured.bin")
        assert (await http.put(url, content=b"measured" * 50_000)).status_code == 200
        await manager.commit(artifact["id"])
        storage = await client.get_service("public/s3-storage")
        url = await storage.put_file("notes.txt")
        assert (await http.put(url, content=b"a note")).status_code == 200
    await client.disconnect()
    return {"id": artifact["id"]}


async def check(connect: Connect, server: ServerProcess, person: Person, kept: dict[str, Any]) -> None:
    """All of it is there."""
    client = await connect(person, url=server.url)
    assert await client.get_env("KEPT") == "a value"
    manager = await client.get_service("public/artifact-manager")
    assert (await manager.read(kept["id"]))["manifest"]["name"] == "Kept"
    storage = await client.get_service("public/s3-storage")
    async with httpx.AsyncClient() as http:
        url = await manager.get_file(kept["id"], "data/measured.bin")
        assert (await http.get(url)).content == b"measured" * 50_000
        answer = await http.get(await storage.get_file("notes.txt"))
        assert answer.content == b"a note"
    await client.disconnect()


async def test_a_running_server_is_backed_up_and_comes_back_from_it(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    first = await start_server(data_dir=str(tmp_path / "first"), secret=None)
    person = keeper_of(first)
    kept = await fill(connect, first, person)
    backups, flags = str(tmp_path / "backups"), ("--data-dir", str(tmp_path / "first"))
    said = await asyncio.to_thread(run, "backup", backups, *flags)
    assert "new: 2," in said or "new: 3," in said  # what was staged goes soon after a commit
    assert (tmp_path / "backups").stat().st_mode & 0o077 == 0
    again = await asyncio.to_thread(run, "backup", backups, *flags)
    assert "new: 0, 0 bytes" in again
    assert len((await asyncio.to_thread(run, "backup", backups, "--list")).splitlines()) == 2
    await check(connect, first, person, kept)  # which went on meanwhile
    await asyncio.to_thread(first.stop)
    second_folder = tmp_path / "second"
    await asyncio.to_thread(run, "restore", backups, "--data-dir", str(second_folder))
    second = await start_server(data_dir=str(second_folder), secret=None)
    await check(connect, second, person, kept)  # with the token of before


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of backups with one snapshot of a server that ran once."""
    folder = tmp_path_factory.mktemp("backed-up")
    server = ServerProcess(data_dir=str(folder / "data"), secret=None)
    server.start()
    server.close()
    (folder / "data" / "objects" / "hypha-workspaces" / "ws-user-x").mkdir(parents=True)
    (folder / "data" / "objects" / "hypha-workspaces" / "ws-user-x" / "put-by-hand.txt").write_text("by hand")
    run("backup", str(folder / "backups"), "--data-dir", str(folder / "data"))
    yield folder / "backups"


def copy_of(backups: Path, tmp_path: Path) -> Path:
    shutil.copytree(backups, tmp_path / "copy")
    return tmp_path / "copy"


def test_one_damaged_byte_is_named_and_nothing_is_restored(backups: Path, tmp_path: Path) -> None:
    copy = copy_of(backups, tmp_path)
    assert "0 damaged" in run("verify", str(copy))
    (blob,) = (copy / "blobs").glob("*/*")
    blob.chmod(0o600)
    blob.write_bytes(b"by hanD")
    assert "damaged: ws-user-x/put-by-hand.txt" in run("verify", str(copy), code=1)
    said = run("restore", str(copy), "--data-dir", str(tmp_path / "new"), code=1)
    assert "put-by-hand.txt" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["records.sqlite", "objects.jsonl", "folder/secrets/jwt"])
def test_damaged_records_are_named(backups: Path, tmp_path: Path, name: str) -> None:
    (snapshot,) = (copy_of(backups, tmp_path) / "snapshots").iterdir()
    file = snapshot / name
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert f"damaged: {name}" in run("verify", str(tmp_path / "copy"), code=1)


def test_a_restore_that_was_killed_serves_nobody_and_is_done_again(backups: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    run("restore", str(backups), "--data-dir", str(folder))
    (snapshot,) = (backups / "snapshots").iterdir()
    (folder / "restoring").write_text(snapshot.name)  # as a killed one leaves it
    said = run("server", "--data-dir", str(folder), "--port", "0", code=1)
    assert "half restored" in said and snapshot.name in said
    run("restore", str(backups), "--data-dir", str(folder))
    assert not (folder / "restoring").exists()


def test_nothing_is_written_over(backups: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years")
    assert "not empty" in run("restore", str(backups), "--data-dir", str(tmp_path / "used"), code=1)
    said = run("backup", str(tmp_path / "used"), "--data-dir", str(tmp_path / "no-server"), code=1)
    assert "neither empty nor a folder of backups" in said
    assert sorted(each.name for each in (tmp_path / "used").iterdir()) in (
        ["thesis.txt"], ["lock", "secrets", "thesis.txt"]
    )  # fmt: skip


def test_what_cannot_be_backed_up_is_told_in_a_sentence(backups: Path, tmp_path: Path) -> None:
    for flags, text in (
        (("--data-dir", ":memory:"), "keeps nothing"),
        (("--data-dir", str(tmp_path / "missing")), "has a server run with these settings"),
    ):
        said = run("backup", str(tmp_path / "backups"), *flags, code=1)
        assert text in said and "Traceback" not in said
    assert "no folder of backups" in run("verify", str(tmp_path / "nowhere"), code=1)
    assert "no such snapshot" in run("restore", str(backups), "--snapshot", "1999", code=1)


def test_without_flags_of_the_server_its_variables_say_where_it_is(backups: Path, tmp_path: Path) -> None:
    (snapshot,) = (backups / "snapshots").iterdir()
    where = {"HYPHA_DATA_DIR": str(tmp_path / "named")}
    run("restore", str(backups), "--snapshot", snapshot.name, env=where)
    assert (tmp_path / "named" / "deployment.json").exists()


def test_nothing_is_restored_that_was_not_checked(backups: Path, tmp_path: Path) -> None:
    copy = copy_of(backups, tmp_path)
    (snapshot,) = (copy / "snapshots").iterdir()
    (snapshot / "folder" / "secrets" / "planted").write_text("x")
    run("restore", str(copy), "--data-dir", str(tmp_path / "new"))
    assert (tmp_path / "new" / "secrets" / "jwt").exists()
    assert not (tmp_path / "new" / "secrets" / "planted").exists()


def test_an_unfinished_snapshot_does_not_count_and_goes(backups: Path, tmp_path: Path) -> None:
    copy = copy_of(backups, tmp_path)
    (copy / "snapshots" / "20990101T000000Z").mkdir()
    assert len(run("backup", str(copy), "--list").splitlines()) == 1
    run("backup", str(copy), "--data-dir", str(backups.parent / "data"))
    assert not (copy / "snapshots" / "20990101T000000Z").exists()
    facts = [json.loads((each / "snapshot.json").read_text()) for each in (copy / "snapshots").iterdir()]
    assert len(facts) == 2


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    yield from running_postgres()


@pytest.mark.slow
async def test_a_server_moves_from_one_database_to_another(
    start_server: StartServer, connect: Connect, tmp_path: Path, postgres: PostgresServer
) -> None:
    uri = postgres.new_database()
    first = await start_server(data_dir=str(tmp_path / "first"), secret=None)
    person = keeper_of(first)
    kept = await fill(connect, first, person)
    await asyncio.to_thread(first.stop)
    backups = str(tmp_path / "backups")
    await asyncio.to_thread(run, "backup", backups, "--data-dir", str(tmp_path / "first"))
    second = str(tmp_path / "second")
    flags = ("--data-dir", second, "--database-uri", uri)
    await asyncio.to_thread(run, "restore", backups, *flags)
    assert "not empty" in await asyncio.to_thread(
        run, "restore", backups, "--data-dir", str(tmp_path / "third"), "--database-uri", uri, code=1
    )
    server = await start_server(data_dir=second, secret=None, flags=["--database-uri", uri])
    await check(connect, server, person, kept)
    await (await connect(person, url=server.url)).set_env("MORE", "after it")
    back = str(tmp_path / "back")
    await asyncio.to_thread(run, "backup", back, *flags)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(run, "restore", back, "--data-dir", str(tmp_path / "fourth"))
    last = await start_server(data_dir=str(tmp_path / "fourth"), secret=None)
    await check(connect, last, person, kept)
    client = await connect(person, url=last.url)
    assert await client.get_env("MORE") == "after it"
