"""Administration: kick, block, unload, usage, audit log, terminal (docs/permissions.md)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import RawCallError, RawClient, RawRefused, ServerProcess, eventually
from tests.kit.clients import Connect, ConnectRaw, NewWorker, StartServer, shared_server
from tests.kit.people import Person, make_person

PROXIED = {"X-Forwarded-For": "203.0.113.7"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(server: ServerProcess, module_connect: Connect) -> Any:
    """The service `admin-utils`, as root sees it."""
    client = await module_connect(token=server.root_token)
    return await client.get_service("ws-user-root/admin-utils")


async def call_admin(root: RawClient, function: str, *args: Any, **kwargs: Any) -> Any:
    """Call a function of `admin-utils`; its address changes with each start of the server."""
    service = await root.call_manager("get_service", "ws-user-root/admin-utils")
    method = service[function]
    return await root.call(method["_rtarget"], method["_rmethod"], *args, kwargs=kwargs or None)


@pytest.mark.spec("core-A12", "wire-46", "wire-16.16")
async def test_blocked_user_is_out_until_unblocked(
    admin: Any, connect: Connect, connect_raw: ConnectRaw, server: ServerProcess, alice: Person
) -> None:
    guest = await connect_raw(alice, client_id="guest")
    child_token = await (await connect(alice)).generate_token()
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        url = f"/{alice.workspace}/services/ws/check_status"
        assert (await http.get(url)).status_code == 200
        block = await admin.block_user(alice.id, reason="spam")
        assert block["expires_at"] - block["blocked_at"] == 3600
        assert await guest.wait_closed(5) == (1008, "User is blocked: spam")
        with pytest.raises(RawRefused, match=r"^User is blocked: spam"):
            await connect_raw(alice)
        with pytest.raises(RawRefused, match=r"^User is blocked: spam"):
            await connect_raw(token=child_token)
        with pytest.raises(RawRefused, match=r"^User is blocked: spam"):
            await connect_raw(client_id="guest", reconnection_token=guest.info["reconnection_token"])
        answer = await http.get(url)
        assert (answer.status_code, answer.json()["detail"]) == (403, "User is blocked: spam")
        stream = await http.get("/rpc", params={"client_id": "x"})
        assert (stream.status_code, stream.json()["detail"]) == (403, "User is blocked: spam")
        assert alice.id in [entry["user_id"] for entry in (await admin.list_blocked())["users"]]
        assert await admin.unblock_user(alice.id) is True
        assert await admin.unblock_user(alice.id) is False
        assert (await http.get(url)).status_code == 200
    assert (await connect_raw(alice)).workspace == alice.workspace


@pytest.mark.spec("core-A12", "wire-16.16")
async def test_reconnection_token_of_a_kicked_client_is_refused_over_restarts_too(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server()
    person = make_person(server, "erin")
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    worker = await connect_raw(person, url=server.ws_url, client_id="worker")
    back = worker.info["reconnection_token"]
    await call_admin(root, "kickout_client", person.workspace, "worker", reason="first round")
    assert await worker.wait_closed(5) == (1000, "first round")
    for kill in (None, False, True):
        if kill is not None:
            server.restart(kill=kill)
        with pytest.raises(RawRefused, match=r"removed by an administrator.*your own token"):
            await connect_raw(url=server.ws_url, client_id="worker", reconnection_token=back)
        with pytest.raises(RawRefused, match="removed by an administrator"):
            await connect_raw(url=server.ws_url, client_id="worker", token=back)
        async with httpx.AsyncClient(base_url=server.url) as http:
            stream = await http.get("/rpc", params={"client_id": "worker", "reconnection_token": back})
            assert stream.status_code == 401
            assert "removed by an administrator" in stream.json()["detail"]
            call = await http.get(
                f"/{person.workspace}/services/ws/check_status", headers={"Authorization": f"Bearer {back}"}
            )
            assert call.status_code == 401
    again = await connect_raw(person, url=server.ws_url, client_id="worker")
    info = again.info
    await again.abort()
    assert await connect_raw(
        url=server.ws_url, client_id="worker", reconnection_token=info["reconnection_token"]
    )


@pytest.mark.spec("core-A12")
async def test_startup_functions_cannot_be_kicked_out(
    start_server: StartServer, connect_raw: ConnectRaw, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        "async def start(server):\n"
        "    await server.register_service({'id': 'own', 'config': {'visibility': 'public'}, 'echo': str})\n"
    )
    server = await start_server(flags=[f"--startup-functions={tmp_path}/own.py:start"])
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    (own,) = await root.call_manager("list_services", "public/own")
    client_id = own["id"].partition("/")[2].partition(":")[0]
    with pytest.raises(RawCallError, match="runs inside the server"):
        await call_admin(root, "kickout_client", "public", client_id)
    assert await root.call(f"public/{client_id}", "services.own.echo", 1) == "1"


@pytest.mark.spec("core-A12", "wire-16.16")
async def test_kick_of_one_client_leaves_the_others_of_its_user_alone(
    admin: Any, connect_raw: ConnectRaw, bob: Person
) -> None:
    worker, other = await connect_raw(bob, client_id="worker"), await connect_raw(bob, client_id="other")
    await admin.kickout_client(bob.workspace, "worker")
    await worker.wait_closed(5)
    await other.abort()
    back = other.info["reconnection_token"]
    assert (await connect_raw(client_id="other", reconnection_token=back)).workspace == bob.workspace


@pytest.mark.node
@pytest.mark.spec("core-A12", "wire-2.4", "wire-16.16")
async def test_kicked_programs_learn_it_and_may_connect_anew(
    admin: Any, connect: Connect, node_worker: NewWorker, server: ServerProcess, bob: Person
) -> None:
    client = await connect(bob, client_id="python")
    node = await node_worker()
    await node.connect(server.url, token=bob.token, client_id="node")
    for client_id in ("python", "node"):
        await admin.kickout_client(bob.workspace, client_id)
    await eventually(lambda: client.rpc._connection._closed, within_s=10, what="the Python client to give up")
    with pytest.raises(Exception, match=r"(?i)closed"):
        await client.echo("still here?")

    async def node_gave_up() -> bool:
        return bool(await node.ask("is_closed"))

    await eventually(node_gave_up, within_s=10, what="the JavaScript client to give up")
    again = await connect(bob, client_id="python")
    assert await again.echo("here again") == "here again"


@pytest.mark.spec("core-A12", "wire-16.16")
async def test_kicked_client_over_http_asks_in_vain_and_its_calls_fail(
    admin: Any, connect: Connect, bob: Person, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(bob, client_id="python", transport="http")
    await admin.kickout_client(bob.workspace, "python")
    refused = "removed by an administrator"
    await eventually(lambda: refused in caplog.text, within_s=10, what="the refusal of its next stream")
    with pytest.raises(Exception, match="No stream is open"):
        await client.echo("still here?")
    usage = await admin.get_resource_usage()
    assert bob.id not in usage["connections_per_user"]


@pytest.mark.node
@pytest.mark.spec("core-A12", "wire-46", "wire-16.16")
@pytest.mark.parametrize("order", ["block-kick", "kick-block"])
async def test_kicked_and_blocked_clients_give_up_for_good(
    admin: Any, connect: Connect, node_worker: NewWorker, server: ServerProcess, bob: Person, order: str
) -> None:
    client = await connect(bob, client_id="python")
    node = await node_worker()
    await node.connect(server.url, token=bob.token, client_id="node")

    async def kick() -> None:
        for client_id in ("python", "node"):
            with contextlib.suppress(Exception):  # the block has closed it already, or it is on its way back
                await admin.kickout_client(bob.workspace, client_id, 1008, "not wanted")

    if order == "kick-block":
        await kick()
    await admin.block_user(bob.id, duration=0, reason="left for good")
    if order == "block-kick":
        await kick()
    await eventually(lambda: client.rpc._connection._closed, within_s=10, what="the Python client to give up")

    async def node_gave_up() -> bool:
        return bool(await node.ask("is_closed"))

    await eventually(node_gave_up, within_s=10, what="the JavaScript client to give up")
    usage = await admin.get_resource_usage()
    assert bob.workspace not in usage["connections_per_workspace"]
    assert bob.id not in usage["connections_per_user"]
    await admin.unblock_user(bob.id)


@pytest.mark.spec("core-A12")
async def test_blocks_survive_a_restart(start_server: StartServer, connect_raw: ConnectRaw) -> None:
    server = await start_server()
    person = make_person(server, "carol")
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    await call_admin(root, "block_user", person.id, duration=0, reason="kept")
    for kill in (False, True):
        await root.close()
        server.restart(kill=kill)
        with pytest.raises(RawRefused, match="User is blocked: kept"):
            await connect_raw(person, url=server.ws_url)
        root = await connect_raw(url=server.ws_url, token=server.root_token)
    blocked = await call_admin(root, "list_blocked")
    assert [entry["user_id"] for entry in blocked["users"]] == [person.id]
    span = blocked["users"][0]["expires_at"] - blocked["users"][0]["blocked_at"]
    assert span == 30 * 86400


@pytest.mark.spec("core-A12", "core-11.1.15")
async def test_address_blocks_cannot_be_evaded_with_forged_headers(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server(flags=["--trusted-proxies=127.0.0.2"])
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    guest = await connect_raw(url=server.ws_url)
    with pytest.raises(RawCallError, match="Not an IP address"):
        await call_admin(root, "block_ip", "127.0.0")
    await call_admin(root, "block_ip", "::ffff:127.0.0.1", reason="flood")
    assert (await guest.wait_closed(5))[0] == 1008
    with pytest.raises(RawRefused, match="IP is blocked: flood"):
        await connect_raw(url=server.ws_url)
    async with httpx.AsyncClient(base_url=server.url) as http:
        for headers in ({}, PROXIED, {"X-Forwarded-For": "127.0.0.2, 203.0.113.7"}):
            answer = await http.get("/public/services/", headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (403, "IP is blocked: flood")
        assert (await http.get("/health/readiness")).status_code == 200
        headers = {"Authorization": f"Bearer {server.root_token}"}
        assert (await http.get("/public/services/", headers=headers)).status_code == 200
    assert await root.is_alive()
    proxy = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=server.url, transport=proxy) as http:
        assert (await http.get("/public/services/", headers=PROXIED)).status_code == 200
        behind = await http.get("/public/services/", headers={"X-Forwarded-For": "127.0.0.1"})
        assert behind.status_code == 403


@pytest.mark.spec("core-11.1.2", "core-4.2", "apps-12.7.4")
async def test_admin_utilities_are_for_the_role_admin_alone(
    admin: Any, connect: Connect, connect_raw: ConnectRaw, server: ServerProcess, alice: Person
) -> None:
    with pytest.raises(Exception, match=r"(?i)permission denied"):
        await (await connect(alice)).get_service("ws-user-root/admin-utils")
    raw = await connect_raw(alice)
    target = admin["list_servers"].__rpc_object__["_rtarget"]
    with pytest.raises(RawCallError, match=r"(?i)permission"):
        await raw.call(target, "services.admin-utils.list_servers")
    reader = await connect_raw(token=alice.token_for("a", "ws-user-root"))
    with pytest.raises(RawCallError, match=r"is for the role admin alone"):
        await reader.call(target, "services.admin-utils.list_servers")
    headers = {"Authorization": f"Bearer {alice.token_for('a', 'ws-user-root')}"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        for given in ({}, headers):
            answer = await http.get("/ws-user-root/services/admin-utils/list_servers", headers=given)
            assert answer.status_code == 403
    assert len(await admin.list_servers()) == 1


async def test_workspace_is_unloaded_and_comes_back(
    admin: Any, connect_raw: ConnectRaw, alice: Person
) -> None:
    guest = await connect_raw(alice)
    assert alice.workspace in [w["id"] for w in await admin.list_workspaces()]
    assert await admin.unload_workspace(alice.workspace, wait=True) is True
    assert await guest.wait_closed(5) == (1001, f"Workspace unloaded: {alice.workspace}")
    assert alice.workspace not in [w["id"] for w in await admin.list_workspaces()]
    assert (await connect_raw(alice)).workspace == alice.workspace
    with pytest.raises(Exception, match="belongs to the system"):
        await admin.unload_workspace("public")
    with pytest.raises(Exception, match="not found"):
        await admin.unload_workspace("never-heard-of")


async def test_usage_and_metrics_are_plain_numbers(
    admin: Any, connect_raw: ConnectRaw, alice: Person
) -> None:
    guest = await connect_raw(alice)
    await guest.offer("svc")
    usage = await admin.get_resource_usage()
    assert usage["connections_per_user"][alice.id] == 1
    assert usage["connections_per_workspace"][alice.workspace] == 1
    assert usage["services_per_client"][guest.address] >= 1
    assert usage["limits"]["max_services_per_client"] == 1000
    figures = await admin.get_metrics()
    assert figures["clients_live"] > 1 and figures["frames_in"] > 1


async def test_audit_log_tells_what_happened_without_secrets(
    admin: Any, server: ServerProcess, connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    owner = await connect(alice)
    token = await owner.generate_token({"permission": "read"})
    await owner.revoke_token(token)
    with pytest.raises(RawRefused):
        await connect_raw(bob, workspace=alice.workspace)
    intruder = await connect_raw(bob)
    for _ in range(5):
        with pytest.raises(RawCallError):
            await intruder.call_manager("list_clients", alice.workspace)
    headers = {"Authorization": f"Bearer {bob.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        answer = await http.get("/ws-user-root/services/admin-utils/list_servers")
        assert answer.status_code == 403
    await admin.block_user("somebody-else", reason="test")
    await admin.unblock_user("somebody-else")
    mine = {entry["action"]: entry for entry in await admin.get_audit_log(user_id=alice.id)}
    assert set(mine) >= {"connected", "token_minted", "token_revoked"}
    assert mine["token_minted"]["detail"]["permission"] == "read"
    assert mine["connected"]["address"] == "127.0.0.1"
    refused = await admin.get_audit_log(action="access_refused", user_id=bob.id)
    assert sum(entry["count"] for entry in refused) >= 6
    assert {alice.workspace, "ws-user-root"} <= {entry["workspace"] for entry in refused}
    actions = [entry["action"] for entry in await admin.get_audit_log(user_id="root", limit=2)]
    assert actions == ["admin_unblock_user", "admin_block_user"]
    with pytest.raises(Exception, match="Offset number must be"):
        await admin.get_audit_log(offset=2**63)
    shown = json.dumps(await admin.get_audit_log(limit=1000))
    for secret in (token, alice.token, alice.secret, token.rpartition(".")[2]):
        assert secret not in shown


async def test_a_flood_of_refusals_is_counted_and_displaces_nothing(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server(env={"HYPHA_AUDIT_MAX_ENTRIES": "2000"})
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    owner = await connect_raw(make_person(server, "owner"), url=server.ws_url)
    await owner.call_manager("generate_token")
    await call_admin(root, "block_user", "somebody-else")
    stranger = await connect_raw(url=server.ws_url)
    count = 1500
    sessions = [
        await stranger.start_call(stranger.manager, "services.default.list_clients", f"ws-user-{number}")
        for number in range(count)
    ]
    with pytest.raises(RawCallError):
        await stranger.answer_of(sessions[-1], timeout_s=30)
    async with httpx.AsyncClient(base_url=server.url) as http:
        for number in range(200):
            await http.get(f"/ws-user-root/services/admin-utils/list_servers?again={number}")
        http.headers["authorization"] = f"Bearer {server.root_token}"
        url = "/ws-user-root/services/admin-utils/get_audit_log"
        found = (await http.post(url, json={"limit": 10_000})).json()
    refused = [entry for entry in found if entry["action"] == "access_refused"]
    assert sum(entry["count"] for entry in refused) == count + 200
    assert len(refused) <= 60
    over_http = [entry for entry in refused if entry["workspace"] == "ws-user-root"]
    assert sum(entry["count"] for entry in over_http) in (0, 200), "one entry, or counted beyond the quota"
    for entry in refused:
        assert entry["first"] <= entry["last"] == entry["timestamp"]
    others = {entry["action"] for entry in found} - {"access_refused"}
    assert others >= {"connected", "token_minted", "admin_block_user"}


async def test_audit_log_survives_a_kill_and_is_bounded(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server(env={"HYPHA_AUDIT_MAX_ENTRIES": "5"})
    person = make_person(server, "dora")
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    for _ in range(3):
        await (await connect_raw(person, url=server.ws_url)).close()
    before = await call_admin(root, "get_audit_log")
    assert any(entry["user_id"] == person.id for entry in before)
    server.restart(kill=True)
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    after = await call_admin(root, "get_audit_log")
    assert any(entry["user_id"] == person.id for entry in after)


with_terminal = shared_server(flags=["--enable-admin-terminal"])


@pytest_asyncio.fixture(loop_scope="session")
async def terminal(with_terminal: ServerProcess, connect: Connect) -> Any:
    """The service that holds the administrator's terminal."""
    root = await connect(url=with_terminal.url, token=with_terminal.root_token)
    return await root.get_service("ws-user-root/admin-utils")


@pytest.mark.spec("core-O5", "apps-12.7.4")
async def test_terminal_is_there_only_behind_its_flag_and_for_root(
    admin: Any, terminal: Any, with_terminal: ServerProcess, connect_raw: ConnectRaw
) -> None:
    assert "execute_command" not in admin
    assert (await terminal.start_terminal())["success"] is True
    assert await terminal.execute_command("1+1") == {"success": True, "output": "2"}
    assert (await terminal.execute_command("x = 20\nprint(x)\nx + 1"))["output"] == "20\n21"
    assert (await terminal.execute_command("store.server_id"))["success"] is True
    assert (await terminal.execute_command("await store.workspaces.load('public')"))["success"] is True
    failed = await terminal.execute_command("1/0")
    assert failed["success"] is False and "ZeroDivisionError" in failed["output"]
    await terminal.write_terminal("for i in range(2):\n    print('n', i)\n\n")
    screen = (await terminal.get_screen_content())["content"]
    assert "n 0\nn 1" in screen
    assert "n 1" in (await terminal.read_terminal())["output"]
    assert (await terminal.read_terminal())["output"] == ""
    assert (await terminal.resize_terminal(40, 120))["success"] is True
    stranger = await connect_raw(url=with_terminal.ws_url, token=make_person(with_terminal).token)
    with pytest.raises(RawCallError, match=r"(?i)permission"):
        await stranger.call(
            terminal["start_terminal"].__rpc_object__["_rtarget"],
            "services.admin-utils.execute_command",
            "1+1",
        )


ENDING = (
    "exit()", "quit(3)", "raise SystemExit", "import sys; sys.exit('over')", "raise KeyboardInterrupt",
    "raise GeneratorExit", "import asyncio; raise asyncio.CancelledError",
)  # fmt: skip


@pytest.mark.spec("core-O5")
async def test_statements_typed_in_the_terminal_end_nothing_but_themselves(
    terminal: Any, with_terminal: ServerProcess
) -> None:
    for statement in ENDING:
        ended = await terminal.execute_command(statement)
        assert ended["success"] is False, statement
        assert "only this statement ended" in ended["output"].lower(), statement
        await terminal.write_terminal(f"{statement}\nprint('still', 1 + 1)\n")
        assert "only this statement ended" in (screen := (await terminal.read_terminal())["output"]).lower()
        assert screen.endswith("still 2\n>>> "), statement
    late = await terminal.execute_command("import asyncio; await asyncio.sleep(3600)", timeout=0.2)
    assert late["success"] is False and "0.2 s" in late["output"]
    with pytest.raises(Exception, match="timeout must be"):
        await terminal.execute_command("1", timeout=0)
    async with httpx.AsyncClient(base_url=with_terminal.url) as http:
        assert (await http.get("/health/readiness")).status_code == 200


@pytest.mark.spec("core-O5")
async def test_unfinished_input_and_output_of_the_terminal_are_bounded(
    terminal: Any,
) -> None:
    for piece in ("(" * 60_000, "(1,\n" + "1,\n" * 500):
        await terminal.execute_command("1")
        await terminal.read_terminal()
        for _ in range(2):
            await terminal.write_terminal(piece)
        assert "dropped" in (await terminal.read_terminal())["output"]
        await terminal.write_terminal("print('at', 'no\x7f\x7fprompt')\n")
        assert "at prompt" in (await terminal.read_terminal())["output"]
    much = await terminal.execute_command("for i in range(100): print(str(i % 10) * 100_000)")
    assert much["success"] is True and 0 < len(much["output"]) <= 262_144
    assert much["output"].endswith("9" * 1000)


@pytest.mark.spec("core-O5")
async def test_terminal_needs_a_root_token(start_server: StartServer) -> None:
    server = await start_server(flags=["--enable-admin-terminal"], root_token=None)
    assert "--enable-admin-terminal is switched off: it needs --root-token" in server.log
