"""The worker of Python scripts inside a server and as a program, called as the server calls it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypha.testing import ServerProcess, eventually
from tests.kit.app_files import AppFiles, app_files
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

MODULE = "hypha.workers.python_eval"
SERVING = """
import asyncio, os
from hypha_rpc import connect_to_server

async def main():
    names = ("server_url", "workspace", "client_id", "token")
    server = await connect_to_server({name: os.environ["HYPHA_" + name.upper()] for name in names})
    await server.register_service({"id": "default", "double": lambda number: 2 * number})
    print("ready", flush=True)
    await server.serve()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


async def test_it_runs_inside_the_server(
    start_server: StartServer, connect: Connect, root: Person, files: AppFiles, tmp_path: Path
) -> None:
    own = await start_server(
        flags=[f"--startup-functions={MODULE}:hypha_startup"],
        env={"HYPHA_PYTHON_WORKING_DIR": str(tmp_path / "sessions")},
    )
    client = await connect(root, url=own.url, workspace="public")
    found = await client.list_services({"type": "server-app-worker"})
    assert [(each["name"], each["config"]["visibility"]) for each in found] == [
        ("Python eval worker", "protected")
    ]
    worker = await client.get_service(found[0]["id"])
    assert worker.supported_types == ["python-eval"] and worker.use_local_url is True
    config = files.config(script="print(6 * 7)", workspace="public")
    assert await worker.start(config) == config["id"]
    page = await worker.get_logs(config["id"])
    assert {"type": "stdout", "content": "42\n"} in page["items"]
    await worker.stop(config["id"])
    config = files.config(script="import sys; sys.exit(3)", workspace="public", timeout=600)
    with pytest.raises(Exception, match="exit code 3"):
        await worker.start(config)
    with pytest.raises(Exception, match="own workspace"):
        await worker.start(files.config(workspace="elsewhere"))
    stranger = await connect(make_person(own, "stranger"), url=own.url)
    with pytest.raises(Exception, match=r"[Pp]ermission"):
        await stranger.get_service(found[0]["id"])


async def test_it_runs_as_a_program_and_its_scripts_serve(
    server: ServerProcess, connect: Connect, alice: Person, files: AppFiles, tmp_path: Path
) -> None:
    options = ["--server-url", server.url, "--workspace", alice.workspace, "--service-id", "runner"]
    variables = {"HYPHA_TOKEN": alice.token, "HYPHA_PYTHON_WORKING_DIR": str(tmp_path / "sessions")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, *options), env={**os.environ, **variables}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Worker registered: ") and line.endswith(":runner\n")
    client = await connect(alice)
    worker = await client.get_service("runner")
    own = {"workspace": alice.workspace, "client_id": "app-1", "server_url": server.url, "token": alice.token}
    files.tokens.add(alice.token)
    config = files.config(script=SERVING, **own)
    assert await worker.start(config) == config["id"]

    async def printed() -> str:
        page = await worker.get_logs(config["id"], "stdout")
        return str(page["items"][0]["content"])

    await eventually(printed, within_s=60)
    service = await client.get_service("app-1:default")
    assert await service.double(21) == 42
    reader = await connect(alice.with_token(alice.token_for("r")))
    theirs = await reader.get_service("runner")
    with pytest.raises(Exception, match="needs read_write"):
        await theirs.start(files.config(script="print(1)", **{**own, "client_id": "app-2"}))
    process.terminate()
    assert await process.wait() == 0
    assert os.listdir(tmp_path / "sessions") == []


OTHERS = [(f"hypha.workers.{name}", "--token") for name in ("browser", "conda", "docker", "k8s", "terminal")]


@pytest.mark.parametrize(
    ("module", "missing"), [(MODULE, "--server-url"), (MODULE, "--workspace"), (MODULE, "--token"), *OTHERS]
)
def test_an_option_that_is_missing_is_told(module: str, missing: str) -> None:
    given = {"--server-url": "http://127.0.0.1:1", "--workspace": "w", "--token": "t"}
    words = [word for name, value in given.items() if name != missing for word in (name, value)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HYPHA_")}
    ended = subprocess.run(
        [sys.executable, "-m", module, *words], env=variables, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Missing: {missing} (or HYPHA_{missing[2:].replace('-', '_').upper()})\n"
