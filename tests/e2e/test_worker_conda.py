"""The environment worker with uv and real kernels, called as the server calls it. Packages come from PyPI."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import ServerProcess
from tests.kit.app_files import AppFiles, app_files
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person
from tests.kit.quick import Watch, check_quick

MODULE = "hypha.workers.conda"
MANIFEST = {"name": "App", "type": "conda-jupyter-kernel", "dependencies": ["python=3.11", "numpy"]}
SERVING = """
import os
from hypha_rpc import connect_to_server

names = ("server_url", "workspace", "client_id", "token")
server = await connect_to_server({name: os.environ["HYPHA_" + name.upper()] for name in names})
await server.register_service({"id": "default", "double": lambda number: 2 * number})
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder whose path is short enough for sockets; it has the environments of all tests."""
    with tempfile.TemporaryDirectory(prefix="h") as name:
        yield Path(name)


def variables_of(place: Path) -> dict[str, str]:
    return {"CONDA_CACHE_DIR": str(place / "cache"), "CONDA_WORKING_DIR": str(place / "work")}


@pytest.mark.spec("apps-12.4.4")
async def test_it_runs_inside_the_server(
    start_server: StartServer, connect: Connect, root: Person, files: AppFiles, place: Path
) -> None:
    own = await start_server(flags=[f"--startup-functions={MODULE}:hypha_startup"], env=variables_of(place))
    client = await connect(root, url=own.url, workspace="public")
    found = await client.list_services({"type": "server-app-worker"})
    assert [(each["name"], each["config"]["visibility"]) for each in found] == [
        ("Environment worker", "protected")
    ]
    worker = await client.get_service(found[0]["id"])
    assert worker.supported_types == ["conda-jupyter-kernel", "python-env"] and worker.use_local_url is True
    manifest, _ = await worker.compile(MANIFEST, [])
    told: list[dict[str, Any]] = []
    more = {"workspace": "public", "manifest": manifest, "progress_callback": told.append}
    config = files.config(script="import numpy\nnumbers = numpy.arange(4)\nprint('ready')", **more)
    assert await worker.start(config) == config["id"]
    page = await worker.get_logs(config["id"], "stdout")
    assert page["items"] == [{"type": "stdout", "content": "ready\n"}]
    await check_code(worker, config["id"])
    await worker.stop(config["id"])
    with pytest.raises(Exception, match="own workspace"):
        await worker.start(files.config(workspace="elsewhere", manifest=manifest))
    stranger = await connect(make_person(own, "stranger"), url=own.url)
    with pytest.raises(Exception, match=r"[Pp]ermission"):
        await stranger.get_service(found[0]["id"])

    async def start_again() -> float:
        told.clear()
        with Watch() as watch:
            await worker.start(config)
        await worker.stop(config["id"])
        assert "The environment is there already" in [each["message"] for each in told]
        return watch.seconds

    await check_quick(start_again, 5.0)


async def check_code(worker: Any, session_id: str) -> None:
    """Code of a session: its results, what it keeps, what it raises, and how long it may take."""
    version = await worker.execute(session_id, "import numpy; numpy.__version__")
    assert version["status"] == "ok" and "data" in version["outputs"][0]
    live: list[dict[str, Any]] = []
    await worker.execute(session_id, "total = numbers.sum()")
    kept = await worker.execute(session_id, "print('sum'); int(total)", {"timeout": 60}, live.append)
    assert kept["outputs"][0] == {"type": "stream", "name": "stdout", "text": "sum\n"}
    assert kept["outputs"][1]["data"] == {"text/plain": "6"}
    assert [each["type"] for each in live] == ["stream", "execute_result"]
    rich = await worker.execute(
        session_id, "from IPython.display import HTML, display; display(HTML('<b>6</b>'))"
    )
    assert rich["outputs"][0]["data"]["text/html"] == "<b>6</b>"
    failed = await worker.execute(session_id, "1/0")
    assert failed["status"] == "error" and failed["error"]["ename"] == "ZeroDivisionError"
    late = await worker.execute(session_id, "import time; time.sleep(600)", {"timeout": 1})
    assert late["error"]["ename"] == "TimeoutError" and "interrupted" in late["error"]["evalue"]
    again = await worker.execute(session_id, "int(total)")
    assert again["outputs"][0]["data"] == {"text/plain": "6"}


async def test_it_runs_as_a_program_and_its_scripts_serve(
    server: ServerProcess, connect: Connect, alice: Person, files: AppFiles, place: Path
) -> None:
    options = ["--server-url", server.url, "--workspace", alice.workspace, "--service-id", "environments"]
    variables = {"HYPHA_TOKEN": alice.token, **variables_of(place)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, *options), env={**os.environ, **variables}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Worker registered: ") and line.endswith(":environments\n")
    client = await connect(alice)
    worker = await client.get_service("environments")
    own = {"workspace": alice.workspace, "client_id": "app-1", "server_url": server.url, "token": alice.token}
    files.tokens.add(alice.token)
    config = files.config(script=SERVING, manifest=MANIFEST, **own)
    assert await worker.start(config) == config["id"]
    service = await client.get_service("app-1:default")
    assert await service.double(21) == 42
    failing = files.config(2, script="raise RuntimeError('no camera')", manifest=MANIFEST, **own)
    failing |= {"id": f"{alice.workspace}/app-2", "client_id": "app-2"}
    with pytest.raises(Exception, match="RuntimeError: no camera"):
        await worker.start(failing)
    unknown = {**MANIFEST, "dependencies": ["ffmpeg"]}
    failing |= {"id": f"{alice.workspace}/app-3", "manifest": unknown}
    with pytest.raises(Exception, match="mamba, micromamba or conda must be installed"):
        await worker.start(failing)
    process.terminate()
    assert await process.wait() == 0
    assert os.listdir(place / "work") == []


def text_of(result: dict[str, Any]) -> str:
    """The text of what code gave."""
    return str(result["outputs"][0]["data"]["text/plain"])


@pytest.mark.spec("apps-12.4.4")
async def test_apps_with_environments_and_files_are_installed_and_started(
    start_server: StartServer, connect: Connect, place: Path
) -> None:
    own = await start_server(
        flags=["--enable-server-apps", f"--startup-functions={MODULE}:hypha_startup"], env=variables_of(place)
    )
    client = await connect(make_person(own, "ann"), url=own.url, method_timeout=300)
    apps = await client.get_service("public/server-apps")
    told: list[dict[str, Any]] = []
    await apps.install(
        source=f"{SERVING}\nprint(open('data.csv').read(), open('notes/deep/a.txt').read())",
        manifest={
            **MANIFEST,
            "version": "0.1.0",
            "files_to_stage": ["data.csv", "texts/:notes/"],
        },
        files=[
            {"path": "data.csv", "content": "1,2", "format": "text"},
            {"path": "texts/deep/a.txt", "content": "three", "format": "text"},
        ],
        app_id="numbers",
        timeout=300,
        progress_callback=told.append,
    )
    assert "Running the script" in [each["message"] for each in told]
    session = await apps.start("numbers", timeout=300)
    service = await client.get_service(f"{session['client_id']}:default")
    assert await service.double(21) == 42
    page = await apps.get_logs(session["id"], type="stdout")
    assert "1,2 three\n" in "".join(item["content"] for item in page["items"])
    assert text_of(await apps.execute(session["id"], "open('data.csv').read()")) == "'1,2'"
    late = await apps.execute(session["id"], "import time; time.sleep(600)", {"timeout": 1})
    assert late["error"]["ename"] == "TimeoutError"
    failed = await apps.execute(session["id"], "1/0")
    assert (failed["status"], failed["error"]["ename"]) == ("error", "ZeroDivisionError")
    await apps.stop(session["id"])
    with pytest.raises(Exception, match="no dependency"):
        await apps.install(
            source="1", manifest={**MANIFEST, "version": "0.1.0", "dependencies": ["-e ."]}, app_id="odd"
        )
    with pytest.raises(Exception, match="RuntimeError: no camera"):
        await apps.install(
            source="raise RuntimeError('no camera')", manifest={**MANIFEST, "version": "0.1.0"}, app_id="bad"
        )
    assert [each["id"] for each in await apps.list_apps()] == ["numbers"]


@pytest.mark.parametrize("missing", ["--server-url", "--workspace", "--token"])
def test_an_option_that_is_missing_is_told(missing: str) -> None:
    given = {"--server-url": "http://127.0.0.1:1", "--workspace": "w", "--token": "t"}
    words = [word for name, value in given.items() if name != missing for word in (name, value)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HYPHA_")}
    ended = subprocess.run(
        [sys.executable, "-m", MODULE, *words], env=variables, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Missing: {missing} (or HYPHA_{missing[2:].replace('-', '_').upper()})\n"
