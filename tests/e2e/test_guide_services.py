"""The development guide's examples on services, run as they stand there (docs/guide-notes.md).

No postponed annotations here: the client library derives schemas from the real types.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypha_rpc import get_remote_service

from hypha.testing import NodeWorker, ServerProcess, free_port
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person


async def get(server: ServerProcess, path: str, person: Person | None = None) -> httpx.Response:
    """One GET, as somebody or as a stranger."""
    headers = {"Authorization": f"Bearer {person.token}"} if person else {}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
        return await http.get(path)


@pytest.mark.spec("core-M15", "apps-12.8.4")
async def test_probes_over_http(server: ServerProcess, connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    state = {"alive": True}

    def check_readiness() -> dict[str, str]:
        return {"status": "ok"}

    def check_liveness() -> dict[str, str]:
        if not state["alive"]:
            raise ValueError("the camera is not found")
        return {"status": "ok"}

    await client.register_probes({"readiness": check_readiness, "liveness": check_liveness})
    base = f"/{client.config.workspace}/services/probes"
    for name in ("readiness", "liveness"):
        answer = await get(server, f"{base}/{name}")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    state["alive"] = False
    answer = await get(server, f"{base}/liveness")
    assert answer.status_code == 503
    assert answer.json()["code"] == "probe_failed"
    assert "the camera is not found" in answer.json()["detail"]
    assert "Traceback" not in answer.text
    line = ["curl", "-sf", f"{server.url}{base}/liveness"]
    assert (await asyncio.to_thread(subprocess.run, line, capture_output=True)).returncode == 22
    await client.disconnect()
    assert (await get(server, f"{base}/readiness")).status_code in (404, 503)


async def test_require_context(server: ServerProcess, connect: Connect, alice: Person, bob: Person) -> None:
    client = await connect(alice)
    authorized_users = [bob.id]

    def test(x: Any, context: Any = None) -> str:
        current_user = context["user"]
        if current_user["id"] not in authorized_users:
            raise Exception(f"User {current_user['id']} is not authorized to access this service.")
        return f"Test: {x}"

    config = {"visibility": "public", "require_context": True}
    await client.register_service({"id": "test-service", "config": config, "test": test})
    service = await (await connect(bob)).get_service(f"{alice.workspace}/test-service")
    assert await service.test(1) == "Test: 1"
    path = f"/{alice.workspace}/services/test-service/test?x=1"
    assert (await get(server, path, bob)).json() == "Test: 1"
    forged = '&context={"user":{"id":"' + bob.id + '"}}'
    for answer in (await get(server, path), await get(server, path + forged)):
        assert answer.status_code == 500
        assert "is not authorized to access this service" in answer.json()["detail"]
    stranger = await (await connect()).get_service(f"{alice.workspace}/test-service")
    with pytest.raises(Exception, match="is not authorized"):
        await stranger.test(1)


async def test_require_context_per_method(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    await client.register_service(
        {
            "id": "some",
            "config": {"require_context": ["who"]},
            "who": lambda context=None: context["user"]["id"],
            "plain": lambda context=None: context,
        }
    )
    service = await (await connect(alice)).get_service("some")
    assert await service.who() == alice.id
    assert await service.plain() is None


async def test_a_protected_service_is_for_its_workspace(
    server: ServerProcess, connect: Connect, alice: Person, bob: Person
) -> None:
    provider = await connect(alice)
    config = {"visibility": "protected"}
    await provider.register_service({"id": "mine", "config": config, "f": lambda: "seen"})
    token = await provider.generate_token()
    member = await connect(token=token, workspace=provider.config.workspace)
    assert await (await member.get_service("mine")).f() == "seen"
    stranger = await connect(bob)
    with pytest.raises(Exception, match="Permission denied"):
        await stranger.get_service(f"{alice.workspace}/mine")
    path = f"/{alice.workspace}/services/mine/f"
    assert (await get(server, path)).status_code == 403
    assert (await get(server, path, bob)).status_code == 403
    assert (await get(server, path, alice)).json() == "seen"


async def test_private_is_taken_as_protected_where_it_arrives(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    config = {"visibility": "private"}
    with pytest.raises(AssertionError):  # the libraries refuse the guide's word themselves
        await client.register_service({"id": "mine", "config": config, "f": lambda: 1})
    manager = await client.rpc.get_manager_service({"timeout": 10})
    address = f"{alice.workspace}/{client.config.client_id}:mine"
    await manager.register_service({"id": address, "type": "generic", "config": config})
    info = await client.get_service_info(f"{alice.workspace}/mine")
    assert info["config"]["visibility"] == "protected"


async def test_an_unlisted_service_is_used_by_those_who_know_it(
    server: ServerProcess, connect: Connect, alice: Person, bob: Person
) -> None:
    provider = await connect(alice)
    await provider.register_service({"id": "quiet", "config": {"visibility": "unlisted"}, "f": lambda: 1})
    stranger = await connect(bob)
    listed = await stranger.list_services({"workspace": alice.workspace})
    assert not [service for service in listed if service["id"].endswith(":quiet")]
    assert await (await stranger.get_service(f"{alice.workspace}/quiet")).f() == 1
    assert (await get(server, f"/{alice.workspace}/services/quiet/f")).json() == 1


async def test_authorized_workspaces(
    server: ServerProcess, connect: Connect, alice: Person, bob: Person
) -> None:
    provider = await connect(alice)
    config = {"visibility": "protected", "authorized_workspaces": [bob.workspace]}
    await provider.register_service({"id": "shared", "config": config, "f": lambda: "shared"})
    friend = await connect(bob)
    assert await (await friend.get_service(f"{alice.workspace}/shared")).f() == "shared"
    path = f"/{alice.workspace}/services/shared/f"
    assert (await get(server, path, bob)).json() == "shared"
    assert (await get(server, path)).status_code == 403
    with pytest.raises(Exception, match="Permission denied"):
        await (await connect()).get_service(f"{alice.workspace}/shared")


async def test_get_remote_service_in_python(server: ServerProcess, connect: Connect, alice: Person) -> None:
    provider = await connect(alice, client_id="remote")
    config = {"visibility": "public"}
    await provider.register_service({"id": "hello-world", "config": config, "hello": lambda n: f"Hello {n}"})
    for name in ("remote:hello-world", "hello-world"):
        service = await get_remote_service(f"{server.url}/{alice.workspace}/services/{name}")
        assert await service.hello("World") == "Hello World"


@pytest.mark.node
async def test_get_remote_service_in_javascript(
    node: NodeWorker, server: ServerProcess, connect: Connect, alice: Person
) -> None:
    provider = await connect(alice, client_id="remote")
    config = {"visibility": "public"}
    await provider.register_service({"id": "hello-world", "config": config, "hello": lambda n: f"Hello {n}"})
    code = """
      const svc = await hypha.getRemoteService(args.service, {server_url: args.url});
      return await svc.hello("World");
    """
    url = f"{server.url}/{alice.workspace}/services/remote:hello-world"
    assert await node.run(code, service=url, url=server.url) == "Hello World"


async def test_environment_variables_in_python(connect: Connect, alice: Person) -> None:
    server = await connect(alice)
    await server.set_env("DATABASE_URL", "postgres://localhost:5432/mydb")
    await server.set_env("API_KEY", "your-secret-key")
    await server.set_env("API_KEY", None)
    assert await server.get_env("DATABASE_URL") == "postgres://localhost:5432/mydb"
    assert await server.get_env() == {"DATABASE_URL": "postgres://localhost:5432/mydb"}
    reader = await connect(alice.with_token(alice.token_for("r")), workspace=alice.workspace)
    for call in (reader.get_env("DATABASE_URL"), reader.set_env("a", "b")):
        with pytest.raises(Exception, match="Permission denied"):
            await call


@pytest.mark.node
async def test_environment_variables_in_javascript(
    node: NodeWorker, server: ServerProcess, alice: Person
) -> None:
    code = """
      const server = await connect({server_url: args.url, token: args.token});
      await server.setEnv({key: "DATABASE_URL", value: "postgres://localhost:5432/mydb", _rkwargs: true});
      await server.setEnv({key: "API_KEY", value: "your-secret-key", _rkwargs: true});
      await server.setEnv({key: "API_KEY", value: null, _rkwargs: true});
      return [await server.getEnv({key: "DATABASE_URL", value: null, _rkwargs: true}), await server.getEnv()];
    """
    found = await node.run(code, url=server.url, token=alice.token)
    url = "postgres://localhost:5432/mydb"
    assert found == [url, {"DATABASE_URL": url}]


STARTUP = '''"""Example startup function file for Hypha."""

async def hypha_startup(server):
    """Hypha startup function."""

    def test(x):
        print(f"Test: {x}")
        return x

    # Register a test service
    await server.register_service(
        {
            "id": "test-service",
            "config": {
                "visibility": "public",
                "require_context": False,
            },
            "test": test,
        }
    )
'''


async def test_startup_function_and_static_mounts(start_server: StartServer, tmp_path: Path) -> None:
    example = tmp_path / "example-startup-function.py"
    example.write_text(STARTUP)
    second = tmp_path / "example-startup-function2.py"
    second.write_text(STARTUP.replace("test-service", "second-service"))
    for name in ("webtools", "images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(f"<p>{name}")
    own = await start_server(
        flags=[
            "--startup-functions",
            f"{example}:hypha_startup",
            f"{second}:hypha_startup",
            "--static-mounts",
            f"/tools:{tmp_path}/webtools/",
            f"/images:{tmp_path}/images/",
        ]
    )
    for name in ("test-service", "second-service"):
        assert (await get(own, f"/public/services/{name}/test?x=5")).json() == 5
    for path, name in (("/tools", "webtools"), ("/images", "images"), ("/tools/index.html", "webtools")):
        assert f"<p>{name}" in (await get(own, path)).text


async def test_the_uvicorn_form(tmp_path: Path, connect: Connect) -> None:
    port = free_port()
    line = [sys.executable, "-m", "uvicorn", "hypha.server:app", "--host=127.0.0.1", f"--port={port}"]
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HYPHA_")},
        "HYPHA_PORT": str(port),
        "HYPHA_DATA_DIR": str(tmp_path / "data"),
    }
    quiet = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*line, env=env, stdout=quiet, stderr=quiet)
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url) as http, asyncio.timeout(30):
            while True:
                try:
                    if (await http.get("/health/readiness")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
            client = await connect(url=url)
            config = {"visibility": "public"}
            await client.register_service({"id": "hi", "config": config, "add": lambda a, b: a + b})
            answer = await http.get(f"/{client.config.workspace}/services/hi/add?a=1&b=2")
            assert answer.json() == 3
            await client.disconnect()
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            await process.wait()
