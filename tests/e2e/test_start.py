"""Starting and stopping a server (docs/running.md)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hypha import __version__
from hypha.testing import RawClient, ServerProcess, eventually, free_port
from hypha.testing.tokens import read_claims
from tests.kit.clients import Connect, StartServer, is_back
from tests.kit.people import make_person


async def get(url: str, **options: Any) -> httpx.Response:
    """GET a URL."""
    async with httpx.AsyncClient(timeout=10) as client:
        return await client.get(url, **options)


async def exits(start_server: StartServer, within_s: float = 50.0, **options: Any) -> tuple[int, str]:
    """Launch a server that should not start; returns exit code and output."""
    own = await start_server(wait=False, **options)
    code = await asyncio.to_thread(own.wait_exit, within_s)
    return code, own.log


def command_line(
    *arguments: str, env: dict[str, str] | None = None, module: str = "hypha"
) -> subprocess.CompletedProcess[str]:
    """Run `python -m <module>` to its end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HYPHA_")}
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        line, env={**clean, **(env or {})}, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.spec("core-L1")
async def test_readiness_answers_ok(server: ServerProcess) -> None:
    answer = await get(f"{server.url}/health/readiness")
    assert answer.status_code == 200
    assert answer.json()["status"] == "OK"


@pytest.mark.spec("core-L1")
async def test_start_is_quick_and_tells_where_to_go(start_server: StartServer) -> None:
    own = await start_server()
    used = psutil.Process(own.pid).cpu_times()
    assert used.user + used.system < 6.0
    assert str(own.port) in own.log
    assert str(own.data_dir) in own.log


@pytest.mark.spec("core-L2")
def test_port_given_twice_differently_under_uvicorn_is_refused(tmp_path: Path) -> None:
    env = {"HYPHA_PORT": "9101", "HYPHA_DATA_DIR": str(tmp_path / "data")}
    result = command_line("hypha.server:app", "--port", "9102", env=env, module="uvicorn")
    assert result.returncode != 0
    assert "ValueError" in result.stderr and "9101" in result.stderr and "9102" in result.stderr


@pytest.mark.spec("core-L2", "apps-12.9.2")
async def test_server_runs_under_uvicorn(start_server: StartServer, connect: Connect, tmp_path: Path) -> None:
    port = free_port()
    line = [sys.executable, "-m", "uvicorn", "hypha.server:app", "--host", "127.0.0.1", f"--port={port}"]
    own = await start_server(port=port, command=line, env={"HYPHA_DATA_DIR": str(tmp_path / "data")})
    alice = make_person(own, "alice")
    provider = await connect(alice, url=own.url, client_id="provider")
    await provider.register_service({"id": "svc", "echo": lambda value: value})
    caller = await connect(alice, url=own.url)
    assert await (await caller.get_service("svc")).echo(b"x" * 1_000_000) == b"x" * 1_000_000


@pytest.mark.spec("core-1.1")
@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"HYPHA_ROOT_TOKEN": "short"}, "32 characters"),
        ({"HYPHA_STATIC_MOUNTS": "/health:."}, "/health"),
        ({"HYPHA_STATIC_MOUNTS": "/tools:/no/such/folder"}, "/no/such/folder"),
    ],
)
def test_uvicorn_ends_at_once_with_settings_that_are_refused(env: dict[str, str], text: str) -> None:
    env = {"HYPHA_DATA_DIR": ":memory:", **env}
    result = command_line("hypha.server:app", "--port", str(free_port()), env=env, module="uvicorn")
    assert result.returncode != 0
    assert text in result.stderr and "Traceback" not in result.stderr


@pytest.mark.spec("core-L3")
async def test_flag_wins_over_variable_with_from_env(start_server: StartServer) -> None:
    own = await start_server(flags=["--from-env"], env={"HYPHA_PORT": str(free_port())})
    assert own.is_ready()
    assert "HYPHA_PORT" in own.log


@pytest.mark.spec("core-L3")
async def test_variables_are_read_with_from_env_and_without_arguments(
    start_server: StartServer, tmp_path: Path
) -> None:
    for arguments in (["-m", "hypha.server", "--from-env"], ["-m", "hypha"]):
        port = free_port()
        env = {
            "HYPHA_PORT": str(port),
            "HYPHA_HOST": "127.0.0.1",
            "HYPHA_DATA_DIR": str(tmp_path / str(port)),
        }
        own = await start_server(port=port, command=[sys.executable, *arguments], env=env)
        assert own.is_ready()


@pytest.mark.spec("core-L4")
@pytest.mark.parametrize(
    ("token", "text"),
    [("short", "32 characters"), ("myadminkey5f2c51e07b8d4a6fa0c3e5d7b1f8264", "admin")],
)  # fmt: skip
async def test_weak_root_token_is_refused(start_server: StartServer, token: str, text: str) -> None:
    code, log = await exits(start_server, root_token=token)
    assert code != 0
    assert text in log and "Traceback" not in log


@pytest.mark.spec("core-L5")
async def test_base_path_stands_before_every_route(start_server: StartServer, connect: Connect) -> None:
    own = await start_server(base_path="/my/engine")
    assert (await get(f"{own.url}/health/readiness")).status_code == 200
    assert (await get(f"http://127.0.0.1:{own.port}/health/readiness")).status_code == 404
    client = await connect(url=own.url)
    assert client.config.public_base_url == own.url
    for page in ("", "/"):
        assert (await get(f"{own.url}{page}")).headers["content-type"].startswith("text/html")
    await client.register_service({"id": "svc", "config": {"visibility": "public"}, "hello": lambda: "hi"})
    answer = await get(f"{own.url}/{client.config.workspace}/services/svc/hello")
    assert answer.json() == "hi"


@pytest.mark.spec("core-1.2")
async def test_public_base_url_is_announced(start_server: StartServer, connect: Connect) -> None:
    own = await start_server(flags=["--public-base-url=https://lab.example/hypha/"])
    client = await connect(url=own.url)
    assert client.config.public_base_url == "https://lab.example/hypha"


STARTUP = """
async def start(server):
    assert server["register_service"] is not None
    await server.register_service({
        "id": "startup-test",
        "config": {"visibility": "public", "require_context": True},
        "hello": hello,
    })

async def hello(name="you", context=None):
    return f"hello {name} from {context['ws']}"

async def second(server):
    service = await server.get_service("public/startup-test")
    assert (await service.hello("second")).startswith("hello second")
    await server.register_service({"id": "second-test", "config": {"visibility": "public"}, "two": lambda: 2})

async def broken(server):
    raise RuntimeError("the startup function broke")

def not_async(server):
    pass
"""


INTERFACES = """
async def start(server):
    root = server.get_root_user()
    await server.create_workspace({"id": "start-lab"})
    kept = await server.get_workspace_interface(root, "start-lab", "kept")
    await kept.register_service({"id": "svc", "config": {"visibility": "public"}, "where": lambda: "lab"})
    async with server["get_workspace_interface"](root, "start-lab", "passing") as passing:
        assert len(await passing.list_clients()) == 2
        assert await (await passing.get_service("svc")).where() == "lab"
"""


@pytest.mark.spec("core-1.4")
async def test_startup_functions_act_in_other_workspaces_too(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "labs.py").write_text(INTERFACES)
    own = await start_server(flags=["--startup-functions", f"{tmp_path}/labs.py:start"])
    client = await connect(url=own.url)
    assert await (await client.get_service("start-lab/svc")).where() == "lab"
    root = await connect(url=own.url, token=own.root_token, workspace="start-lab")

    async def only_kept() -> bool:
        ids = {entry["id"].split("/")[1] for entry in await root.list_clients()}
        return ids == {"kept", root.config.client_id}

    await eventually(only_kept, within_s=5)


@pytest.mark.spec("core-L6")
async def test_startup_functions_register_public_services(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "my_startup.py"
    file.write_text(STARTUP)
    own = await start_server(
        flags=["--startup-functions", f"{file}:start", "my_startup:second"], env={"PYTHONPATH": str(tmp_path)}
    )
    client = await connect(url=own.url)
    service = await client.get_service("public/startup-test")
    assert await service.hello("Eve") == f"hello Eve from {client.config.workspace}"
    assert await (await client.get_service("public/second-test")).two() == 2
    assert (await get(f"{own.url}/public/services/second-test/two")).json() == 2


@pytest.mark.spec("core-L6")
@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("broken", "the startup function broke"),
        ("not_async", "async"),
        ("missing", "missing"),
        (None, "no_such_module"),
    ],
)
async def test_failing_startup_function_ends_the_process_at_once(
    start_server: StartServer, tmp_path: Path, function: str | None, text: str
) -> None:
    file = tmp_path / "my_startup.py"
    file.write_text(STARTUP)
    target = f"{file}:{function}" if function else "no_such_module:start"
    code, log = await exits(start_server, flags=["--startup-functions", target])
    assert code != 0
    assert text in log


@pytest.fixture(scope="module")
def web_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page, a file, and a secret beside it."""
    outside = tmp_path_factory.mktemp("mounts")
    folder = outside / "web"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>index</h1>")
    (folder / "a.txt").write_text("file a")
    (folder / "sub" / "b.txt").write_text("file b")
    (outside / "secret.txt").write_text("swordfish")
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    return folder


@pytest.fixture(scope="module")
def own(web_folder: Path) -> Iterator[ServerProcess]:
    """A server with that folder mounted."""
    running = ServerProcess(flags=["--static-mounts", f"/tools:{web_folder}", f"/more:{web_folder}/sub"])
    try:
        yield running.start()
    finally:
        running.close()


@pytest.mark.spec("core-L7")
async def test_static_mounts_serve_files_and_index(own: ServerProcess) -> None:
    assert (await get(f"{own.url}/tools/a.txt")).text == "file a"
    assert (await get(f"{own.url}/more/b.txt")).text == "file b"
    for path in ("/tools", "/tools/"):
        answer = await get(f"{own.url}{path}", follow_redirects=True)
        assert (answer.status_code, answer.text) == (200, "<h1>index</h1>")
    assert (await get(f"{own.url}/tools/none.txt")).status_code == 404


@pytest.mark.spec("core-L7")
@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/../../secret.txt",
        "/link.txt",
        "/a.txt%00",
    ],
)
async def test_static_mounts_give_nothing_outside_their_folder(own: ServerProcess, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
    writer.write(f"GET /tools{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = (await asyncio.wait_for(reader.read(), 5)).decode(errors="replace")
    writer.close()
    assert answer.split()[1] in ("400", "403", "404")
    assert "swordfish" not in answer.partition("\r\n\r\n")[2]


@pytest.mark.spec("core-L7")
@pytest.mark.parametrize(
    "mount", ["/health:{folder}", "/ws:{folder}", "/a/b:{folder}", "tools:{folder}", "/tools:{folder}/none"]
)
async def test_colliding_or_missing_mounts_are_refused(
    start_server: StartServer, web_folder: Path, mount: str
) -> None:
    code, log = await exits(start_server, flags=["--static-mounts", mount.format(folder=web_folder)])
    assert code != 0
    assert "Traceback" not in log


@pytest.mark.spec("core-L8")
async def test_generate_token_command_makes_a_token_that_the_server_accepts(
    server: ServerProcess, connect: Connect
) -> None:
    result = await asyncio.to_thread(
        command_line, "generate-token", "--user-id", "u", "--workspace", "ws-user-u", "--permission", "admin",
        "--expires-in", "600", "--role", "tester", "--email", "u@lab.example",
        env={"HYPHA_JWT_SECRET": server.secret or ""},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    lines = result.stdout.strip().splitlines()
    assert "Generated token for user 'u'" in lines[0]
    token = lines[lines.index("Token:") + 1].strip()
    assert "ws:ws-user-u#a" in read_claims(token)["scope"]
    client = await connect(token=token)
    assert client.config.workspace == "ws-user-u"
    assert (await client.check_status())["user_permission"] == "a"
    assert client.config.user["roles"] == ["tester"] and client.config.user["email"] == "u@lab.example"


@pytest.mark.spec("core-1.9")
@pytest.mark.skipif(
    os.environ.get("HYPHA_TEST_TRANSPORT") == "asgi",
    reason="plain uvicorn closes the links of all clients before it waits for the requests that they answer",
)
@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_sigterm_lets_running_requests_end(
    start_server: StartServer, connect: Connect, transport: str
) -> None:
    own = await start_server()
    provider = await connect(url=own.url, transport=transport)
    called, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        called.set()
        await goes_on.wait()
        return "done"

    async def count() -> AsyncIterator[int]:
        yield 1
        await goes_on.wait()
        yield 2

    await provider.register_service(
        {"id": "svc", "config": {"visibility": "public"}, "slow": slow, "count": count}
    )
    base = f"{own.url}/{provider.config.workspace}/services/svc"
    async with httpx.AsyncClient(timeout=15) as http, http.stream("GET", f"{base}/count") as stream:
        items = stream.aiter_lines()
        assert await anext(items) == "data: 1"
        answer = asyncio.ensure_future(http.get(f"{base}/slow"))
        await asyncio.wait_for(called.wait(), 5)
        ended = asyncio.ensure_future(asyncio.to_thread(own.stop, 12.0))
        await eventually(lambda: not own.is_ready(), within_s=5)
        goes_on.set()
        assert (await answer).json() == "done"
        assert [line async for line in items if line] == ["data: 2", "data: [DONE]"]
    assert await ended == 0


@pytest.mark.spec("core-L10")
async def test_sigterm_closes_with_1001_and_ends_in_time(start_server: StartServer, connect: Connect) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    provider = await connect(alice, url=own.url, client_id="provider")
    await provider.register_service({"id": "svc", "hello": lambda: "hello"})
    raw = await RawClient.connect(own.ws_url)
    begin = time.monotonic()
    assert await asyncio.to_thread(own.stop, 12.0) == 0
    assert time.monotonic() - begin < 10.0
    code, reason = await raw.wait_closed()
    assert (code, reason) == (1001, "Server is shutting down")
    assert not [text for text in raw.texts if text.get("type") == "error"]
    await asyncio.to_thread(own.start)
    await eventually(lambda: is_back(provider), within_s=15)
    caller = await connect(alice, url=own.url)
    assert await (await caller.get_service("svc")).hello() == "hello"


@pytest.mark.spec("core-L10")
async def test_sigint_ends_the_server_too(start_server: StartServer) -> None:
    own = await start_server()
    os.kill(own.pid, signal.SIGINT)
    assert await asyncio.to_thread(own.wait_exit, 10.0) in (0, 130)
    assert "Traceback" not in own.log


@pytest.mark.spec("core-L9")
async def test_second_server_on_the_same_folder_names_the_first(start_server: StartServer) -> None:
    own = await start_server()
    code, log = await exits(start_server, data_dir=own.data_dir)
    assert code != 0
    assert f"the server at {own.url} (process {own.pid}) is already running" in log
    lines = log.strip().removesuffix("ERROR:    Application startup failed. Exiting.")  # plain uvicorn's
    assert "Traceback" not in log and len(lines.splitlines()) == 1
    assert own.is_ready()


@pytest.mark.spec("core-L9")
async def test_folder_of_a_killed_server_is_free_again(start_server: StartServer) -> None:
    own = await start_server()
    await asyncio.to_thread(own.restart, kill=True)
    assert own.is_ready()


@pytest.mark.spec("core-1.2")
async def test_database_of_its_own_is_named_at_start(start_server: StartServer, tmp_path: Path) -> None:
    uri = f"sqlite+aiosqlite:///{tmp_path}/records.db"
    own = await start_server(data_dir=":memory:", flags=["--database-uri", uri])
    assert f"Data: records in {uri}; all else in memory, not kept" in own.log


async def test_second_server_on_the_same_database_names_the_first(
    start_server: StartServer, tmp_path: Path
) -> None:
    flags = ["--database-uri", f"sqlite+aiosqlite:///{tmp_path}/records.db"]
    own = await start_server(data_dir=":memory:", flags=flags)
    code, log = await exits(start_server, data_dir=":memory:", flags=flags)
    assert code != 0
    assert f"is in use: the server at {own.url} (process {own.pid}) is already running with it" in log
    lines = log.strip().removesuffix("ERROR:    Application startup failed. Exiting.")  # plain uvicorn's
    assert "Traceback" not in log and len(lines.splitlines()) == 1
    assert own.is_ready()
    own.freeze()
    code, log = await exits(start_server, data_dir=":memory:", flags=flags)
    own.thaw()
    assert code != 0 and f"is in use: the server at {own.url}" in log, "a frozen one still has it"
    await asyncio.to_thread(own.restart, kill=True)
    assert own.is_ready()


@pytest.mark.spec("core-1.2")
async def test_database_that_cannot_be_opened_is_one_sentence_and_a_failure(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    uri = f"sqlite+aiosqlite:///{tmp_path}/broken.db"
    code, log = await exits(start_server, flags=["--database-uri", uri])
    assert code != 0
    assert log.startswith(f"hypha: The database {uri} cannot be opened") and len(log.splitlines()) == 1


@pytest.mark.spec("core-1.1")
async def test_port_in_use_is_one_sentence_and_a_failure(start_server: StartServer) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, log = await exits(start_server, port=port)
    assert code != 0
    assert str(port) in log and "Traceback" not in log


@pytest.mark.spec("core-1.1")
async def test_unusable_data_folder_is_one_sentence_and_a_failure(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    code, log = await exits(start_server, data_dir=tmp_path / "file")
    assert code != 0
    assert str(tmp_path / "file") in log and "Traceback" not in log


@pytest.mark.spec("core-1.2")
async def test_memory_data_dir_keeps_nothing_and_says_so(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    port = free_port()
    line = [sys.executable, "-m", "hypha.server", "--host=127.0.0.1", f"--port={port}", "--data-dir=:memory:"]
    own = await start_server(port=port, command=line)
    client = await connect(url=own.url)
    assert await client.echo(1) == 1
    assert "memory" in own.log
    assert not os.path.exists(":memory:")  # noqa: ASYNC240 (a quick look)


@pytest.mark.spec("core-1.2")
def test_unknown_flag_is_refused_with_the_nearest_name() -> None:
    result = command_line("--prot", "9", module="hypha.server")
    assert result.returncode != 0
    assert "--port" in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_mistyped_command_is_refused_with_the_nearest_name() -> None:
    result = command_line("genrate-token")
    assert result.returncode == 2
    assert "unknown command 'genrate-token': did you mean generate-token?" in result.stderr


def test_help_names_the_other_command() -> None:
    result = command_line("--help")
    assert result.returncode == 0
    assert "python -m hypha generate-token --help" in result.stdout


def test_version_is_told() -> None:
    result = command_line("--version", module="hypha.server")
    assert (result.returncode, result.stdout) == (0, f"Hypha {__version__}\n")


@pytest.mark.spec("core-1.2")
async def test_flags_of_later_features_are_accepted_with_one_warning(start_server: StartServer) -> None:
    flags = ["--enable-mcp", "--enable-a2a", "--enable-service-search", "--openai-api-key=sk-123"]
    own = await start_server(flags=flags)
    warnings = [line for line in own.log.splitlines() if "enable-mcp" in line]
    assert len(warnings) == 1 and all(flag.partition("=")[0] in warnings[0] for flag in flags)
    assert "sk-123" not in own.log


@pytest.mark.spec("core-1.2")
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/public/git/x", "git is not active in this version"),
        ("/public/mcp/x/mcp", "MCP is not active in this version"),
        ("/public/a2a/x", "A2A is not active in this version"),
        ("/public/apps", "the list of apps is not active in this version"),
        ("/ws/agent-skills/", "agent skills is not active in this version"),
        ("/triton/v2", "--triton-servers"),
    ],
)
async def test_routes_of_later_features_answer_404_with_the_reason(
    server: ServerProcess, path: str, text: str
) -> None:
    answer = await get(f"{server.url}{path}")
    assert answer.status_code == 404
    assert text in answer.json()["detail"]


@pytest.mark.spec("core-1.2")
async def test_several_workers_are_refused_without_redis(start_server: StartServer) -> None:
    code, log = await exits(start_server, flags=["--workers=2"])
    assert code != 0
    assert "Redis" in log and "Traceback" not in log


@pytest.mark.spec("core-1.3")
async def test_secrets_never_reach_the_log(start_server: StartServer, connect: Connect) -> None:
    own = await start_server(env={"HYPHA_LOGLEVEL": "DEBUG", "HYPHA_ACCESS_LOG": "true"})
    alice = make_person(own, "alice")
    client = await connect(alice, url=own.url)
    token = await client.generate_token()
    await get(f"{own.url}/{alice.workspace}/services", headers={"Authorization": f"Bearer {token}"})
    await client.revoke_token(token)
    for secret in (own.root_token, own.secret, alice.token, token, client.config.reconnection_token):
        assert secret is not None
        assert secret not in own.log and secret.split(".")[-1] not in own.log
        assert secret[:24] not in own.log or secret.startswith("eyJ")


@pytest.mark.spec("core-1.3")
async def test_clients_mistakes_are_no_tracebacks_in_the_log(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server()
    client = await connect(url=own.url)
    for mistake in (
        client.get_service("none"),
        client.get_env("none"),
        client.create_workspace({"id": "a-b"}),
    ):
        with pytest.raises(Exception, match=r".+"):
            await mistake
    with pytest.raises(ConnectionAbortedError):
        await connect(url=own.url, token="junk")
    assert "Traceback" not in own.log


@pytest.mark.spec("core-L10", "wire-47")
@pytest.mark.parametrize("web_server", ["own", "uvicorn"])
async def test_stop_ends_open_streams_and_sockets_at_once(
    start_server: StartServer, tmp_path: Path, web_server: str
) -> None:
    port = free_port()
    options: dict[str, Any] = {}
    if web_server == "uvicorn":
        line = ["-m", "uvicorn", "hypha.server:app", "--host", "127.0.0.1", f"--port={port}"]
        options = {"command": [sys.executable, *line], "env": {"HYPHA_DATA_DIR": str(tmp_path / "data")}}
    own = await start_server(port=port, **options)
    raw = await RawClient.connect(own.ws_url)
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("GET", f"{own.url}/rpc", params={"client_id": "stream"}) as stream,
    ):
        pieces = stream.aiter_raw()
        assert b"connection_info" in await anext(pieces)
        own.terminate()
        assert [piece async for piece in pieces] == []
        assert await raw.wait_closed() == (1001, "Server is shutting down")
        assert await asyncio.to_thread(own.wait_exit, 5.0) in (0, -signal.SIGTERM)
    assert "Traceback" not in own.log and "exceeded" not in own.log
