"""The terminal worker inside a server and as a program, called as a client calls it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.terminal_lab import terminal_lab
from tests.kit.app_files import AppFiles, app_files
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

MODULE = "hypha.workers.terminal"
SHELL = {"name": "T", "type": "terminal", "startup_command": "env PS1='$ ' bash --norc"}
LONG = {"timeout": 60}


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


@pytest.mark.spec("apps-12.4.5")
async def test_inside_the_server_it_is_for_administrators_and_listed_workspaces(
    start_server: StartServer, connect: Connect, root: Person, files: AppFiles, tmp_path: Path
) -> None:
    own = await start_server(
        flags=["--enable-terminal-worker"],
        env={
            "TERMINAL_WORKING_DIR": str(tmp_path / "sessions"),
            "TERMINAL_AUTHORIZED_WORKSPACES": "lab, ws-user-nobody",
            "HYPHA_SECRET_OF_THE_SERVER": "hidden",
        },
    )
    client = await connect(root, url=own.url, workspace="public")
    found = await client.list_services({"type": "server-app-worker"})
    assert [(each["name"], each["config"]["visibility"]) for each in found] == [
        ("Terminal worker", "protected")
    ]
    worker = await client.get_service(found[0]["id"])
    config = files.config(workspace="public", manifest=SHELL)
    session = await worker.start(config)
    done = await worker.execute(session, "echo hello; pwd", LONG)
    first, folder = done["outputs"][0]["text"].split("\n")
    assert first == "hello" and folder.startswith(str(tmp_path))
    assert "echo hello; pwd\nhello" in await worker.get_logs(session, "screen")
    printed = (await worker.execute(session, "env", LONG))["outputs"][0]["text"]
    assert "hidden" not in printed and "TERMINAL_" not in printed and config["token"] not in printed
    pieces = [piece async for piece in await worker.execute_stream(session, "echo $((6*7))", LONG)]
    assert "42\n" in "".join(piece.get("content", "") for piece in pieces)
    assert pieces[-1]["type"] == "complete"

    stranger = await connect(make_person(own, "stranger"), url=own.url)
    with pytest.raises(Exception, match=r"[Pp]ermission"):
        await stranger.get_service(found[0]["id"])
    with pytest.raises(Exception, match="own workspace"):
        await worker.start(files.config(2, workspace="elsewhere", manifest=SHELL))
    await client.create_workspace({"id": "lab", "name": "lab"})
    lab = await connect(root, url=own.url, workspace="lab")
    theirs = await lab.get_service(found[0]["id"])
    with pytest.raises(Exception, match="own workspace"):
        await theirs.write_terminal(session, "id\n")
    assert await theirs.list_sessions() == []
    assert await theirs.start(files.config(3, workspace="lab", manifest=SHELL, id="lab/x")) == "lab/x"
    await worker.stop(session)
    assert not os.path.exists(folder)  # noqa: ASYNC240


@pytest.mark.spec("apps-12.4.5")
async def test_apps_get_terminals_with_their_files_where_workspaces_are_listed(
    start_server: StartServer, connect: Connect, root: Person, tmp_path: Path
) -> None:
    own, owner, client = await terminal_lab(start_server, connect, tmp_path)
    first = await connect(owner, url=own.url)
    apps = await client.get_service("public/server-apps")
    app = {
        "app_id": "shell",
        "manifest": {**SHELL, "version": "0.1.0", "files_to_stage": ["data/", "a.txt:to/b.txt"]},
        "files": [
            {"name": name, "content": name}
            for name in ("a.txt", "data/one.txt", "data/deep/two.txt", "not.txt")
        ],
        "wait_for_service": False,
    }
    await apps.install(**app)
    session = await apps.start("shell")
    worker = await client.get_service(session["worker_id"])
    done = await worker.execute(session["id"], "find . -type f | sort; cat data/deep/two.txt", LONG)
    assert done["outputs"][0]["text"].split("\n") == [
        "./data/deep/two.txt", "./data/one.txt", "./to/b.txt", "data/deep/two.txt"
    ]  # fmt: skip
    await apps.stop(session["id"])
    assert not list(tmp_path.glob("worker-*/session-*"))  # noqa: ASYNC240
    elsewhere = await first.get_service("public/server-apps")
    with pytest.raises(Exception, match=r"administrators alone|No server app worker"):
        await elsewhere.install(**app)


@pytest.mark.spec("apps-12.4.5")
async def test_it_runs_as_a_program_for_its_own_workspace(
    server: ServerProcess, connect: Connect, alice: Person, files: AppFiles, tmp_path: Path
) -> None:
    options = ["--server-url", server.url, "--workspace", alice.workspace, "--service-id", "terminals"]
    variables = {"HYPHA_TOKEN": alice.token, "TERMINAL_WORKING_DIR": str(tmp_path / "sessions")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, *options), env={**os.environ, **variables}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Worker registered: ") and line.endswith(":terminals\n")
    client = await connect(alice)
    worker = await client.get_service("terminals")
    session = await worker.start(files.config(workspace=alice.workspace, manifest=SHELL))
    told: list[Any] = []
    attached = asyncio.ensure_future(worker.attach(session, told.append))
    await worker.resize_terminal(session, 10, 40)
    await worker.write_terminal(session, "stty size\n")
    await eventually(lambda: told and "\n10 40\n" in told[-1]["content"])
    await worker.write_terminal(session, "exit\n")
    assert await attached == {"success": True}
    assert told[0]["type"] == "initial" and told[-1]["type"] == "update"
    process.terminate()
    assert await process.wait() == 0
    assert os.listdir(tmp_path / "sessions") == []


def test_a_token_that_is_missing_is_told() -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HYPHA_")}
    words = ["--server-url", "http://127.0.0.1:1", "--workspace", "w"]
    ended = subprocess.run(
        [sys.executable, "-m", MODULE, *words], env=variables, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Missing: --token (or HYPHA_TOKEN)\n"
