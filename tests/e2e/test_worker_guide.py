"""The guide's workers, letter by letter, called as the server calls them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.e2e.guide_worker import running_javascript_worker
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

GUIDE = Path(__file__).parent / "guide"


def config_of(workspace: str, server: ServerProcess) -> dict[str, Any]:
    """What the server gives to `start`."""
    return {
        "id": f"{workspace}/app-1",
        "app_id": "my-app",
        "workspace": workspace,
        "client_id": "app-1",
        "server_url": server.url,
        "public_base_url": "https://hypha.example",
        "app_files_base_url": f"{server.url}/{workspace}/artifacts/my-app/files",
        "token": None,
        "entry_point": None,
        "artifact_id": f"{workspace}/my-app",
        "timeout": 60,
        "manifest": {"name": "My app", "type": "custom-task"},
        "progress_callback": None,
        "disable_ssl": False,
        "app_type": "custom-task",
        "metadata": None,
    }


@pytest.mark.spec("apps-12.3.3")
async def test_the_python_worker_runs_as_a_startup_function(
    start_server: StartServer, connect: Connect, root: Person
) -> None:
    own = await start_server(flags=[f"--startup-functions={GUIDE / 'custom_worker.py'}:hypha_startup"])
    client = await connect(root, url=own.url, workspace="public")
    found = await client.list_services({"type": "server-app-worker"})
    assert [(each["name"], each["config"]["visibility"]) for each in found] == [
        ("Custom Worker", "protected")
    ]
    worker = await client.get_service(found[0]["id"])
    assert worker.supported_types == ["custom-task", "background-job"]
    config = config_of("lab", own)
    assert await worker.start(config) == config["id"]
    with pytest.raises(Exception, match="there already"):
        await worker.start(config)
    page = await worker.get_logs(config["id"])
    assert page["items"] == [{"type": "log", "content": "Started task for my-app"}]
    assert (page["total"], page["offset"], page["limit"]) == (1, 0, None)
    assert (await worker.get_logs(config["id"], "error", 0, 5))["items"] == []
    assert await worker.stop(config["id"]) is None
    with pytest.raises(Exception, match="not found"):
        await worker.get_logs(config["id"])
    stranger = await connect(make_person(own, "stranger"), url=own.url)
    with pytest.raises(Exception, match=r"[Pp]ermission"):
        await stranger.get_service(found[0]["id"])


@pytest_asyncio.fixture(loop_scope="session")
async def javascript_worker(server: ServerProcess, alice: Person, tmp_path: Path) -> AsyncIterator[str]:
    """The guide's worker in a workspace of its own, with an `id`; what it is registered as."""
    async with running_javascript_worker(server, alice, tmp_path) as worker_id:
        yield worker_id


@pytest.mark.node
@pytest.mark.spec("apps-12.3.2", "apps-12.3.3")
async def test_the_javascript_worker_answers_by_position(
    javascript_worker: str, server: ServerProcess, connect: Connect, alice: Person
) -> None:
    client = await connect(alice)
    found = await client.list_services({"type": "server-app-worker"})
    assert [(each["id"], each["config"]["visibility"]) for each in found] == [
        (javascript_worker, "protected")
    ]
    worker = await client.get_service(javascript_worker)
    assert worker.supported_types == ["javascript-custom", "js-worker"]
    config = config_of(alice.workspace, server)
    started = await worker.start(config)
    assert (started["session_id"], started["status"]) == (config["id"], "running")
    logs = {"log": [f"Session {config['id']} started"], "error": []}
    assert await worker.get_logs(config["id"]) == logs
    assert await worker.get_logs(config["id"], None, 0, 10) == logs
    assert await worker.stop(config["id"]) is None
    stranger = await connect(make_person(server, "stranger"))
    with pytest.raises(Exception, match=r"[Pp]ermission"):
        await stranger.get_service(javascript_worker)
