"""Handshake: who gets in, as whom, and how refusals read (docs/spec/wire-protocol.md#connecting)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid

import pytest
import websockets
from websockets.asyncio.client import connect as open_socket

from hypha.testing import FaultProxy, RawClient, RawRefused, ServerProcess, eventually, mint_token
from hypha.testing.rawclient import pack, unpack
from tests.kit.clients import Connect, ConnectRaw, StartServer
from tests.kit.people import Person
from tests.kit.quick import Watch, check_quick

CONFIG_KEYS = (
    "workspace client_id user manager_id server_id hypha_version public_base_url local_base_url "
    "reconnection_token reconnection_token_life_time login_service_url auth0_client_id auth0_domain "
    "auth0_audience auth0_issuer visibility require_context type"
).split()
USER_KEYS = {"id", "roles", "is_anonymous", "scope", "email", "parent", "expires_at", "current_workspace"}


@pytest.mark.spec("wire-1", "core-M1")
async def test_anonymous_client_lands_in_its_own_workspace(connect: Connect) -> None:
    client = await connect()
    user = client.config.user
    assert user["is_anonymous"] is True
    assert user["id"].startswith("anonymouz-")
    assert client.config.workspace == f"ws-user-{user['id']}"
    status = await client.check_status()
    assert status["status"] == "ready"
    assert status["user_permission"] == "a"


@pytest.mark.spec("core-M2")
async def test_server_config_has_every_documented_key(connect: Connect) -> None:
    client = await connect()
    assert not [key for key in CONFIG_KEYS if key not in client.config]


@pytest.mark.spec("wire-1")
async def test_connection_info_has_the_documented_shape(
    connect_raw: ConnectRaw, server: ServerProcess
) -> None:
    raw = await connect_raw()
    info = raw.info
    assert info["public_base_url"] == server.url
    assert isinstance(info["local_base_url"], str) and isinstance(info["hypha_version"], str)
    assert info["reconnection_token"].count(".") == 2
    assert info["reconnection_token_life_time"] == 172800
    assert USER_KEYS <= set(info["user"])
    assert info["user"]["scope"]["workspaces"][raw.workspace] == "a"
    assert info["user"]["scope"]["current_workspace"] == raw.workspace


@pytest.mark.spec("wire-1")
async def test_two_clients_get_the_same_manager_id(connect_raw: ConnectRaw) -> None:
    first, second = await connect_raw(), await connect_raw()
    assert first.info["manager_id"] == second.info["manager_id"]


@pytest.mark.spec("wire-3")
async def test_generated_token_joins_the_owners_workspace(connect: Connect) -> None:
    owner = await connect()
    token = await owner.generate_token()
    guest = await connect(token=token, workspace=owner.config.workspace)
    assert guest.config.workspace == owner.config.workspace
    assert guest.config.user["parent"] == owner.config.user["id"]
    assert guest.config.user["id"] != owner.config.user["id"]


@pytest.mark.spec("wire-3")
async def test_token_bound_to_a_workspace_needs_no_workspace_argument(connect: Connect) -> None:
    owner = await connect()
    guest = await connect(token=await owner.generate_token())
    assert guest.config.workspace == owner.config.workspace


@pytest.mark.spec("wire-4")
async def test_anonymous_client_is_refused_in_somebody_elses_workspace(
    connect: Connect, alice: Person
) -> None:
    await connect(alice)
    with pytest.raises(ConnectionAbortedError, match=r"Permission denied|does not exist"):
        await connect(workspace=alice.workspace)


@pytest.mark.spec("wire-4", "core-A2")
async def test_unknown_workspace_is_refused_by_name(connect: Connect, alice: Person) -> None:
    with pytest.raises(
        ConnectionAbortedError, match=r"'Workspace no-such-place does not exist or is not accessible'"
    ):
        await connect(alice, workspace="no-such-place")


@pytest.mark.spec("wire-4", "core-A2")
async def test_workspace_without_permission_is_refused(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    await connect(alice)
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(bob, workspace=alice.workspace)
    assert f"Permission denied for workspace: {alice.workspace}" in refusal.value.message
    assert refusal.value.code == 1001


@pytest.mark.spec("wire-5", "core-A2")
async def test_garbage_token_is_an_authentication_error(connect: Connect, connect_raw: ConnectRaw) -> None:
    with pytest.raises(ConnectionAbortedError, match=r"^Authentication error"):
        await connect(token="not-a-token")
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(token="not-a-token")
    assert refusal.value.message.startswith("Authentication error: Error decoding token headers.")
    assert refusal.value.code == 1008


@pytest.mark.spec("wire-5", "core-A2")
async def test_expired_token_says_that_it_expired(connect_raw: ConnectRaw, server: ServerProcess) -> None:
    token = mint_token(server.secret or "", "late", life_s=-60)
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(token=token)
    assert "Authentication error: The token has expired. Please fetch a new one" in refusal.value.message
    assert refusal.value.code == 1008


@pytest.mark.spec("wire-5", "core-A2")
@pytest.mark.parametrize(
    "fields",
    [
        {"secret": "another-secret-that-is-long-enough-for-hs256"},
        {"claims": {"aud": "https://elsewhere.example/"}},
        {"claims": {"iss": "https://elsewhere.example/"}},
        {"header": {"alg": "none"}},
        {"header": {"alg": "HS512"}},
        {"claims": {"sub": None}},
        {"claims": {"exp": "soon"}},
    ],
    ids=[
        "foreign-secret",
        "foreign-audience",
        "foreign-issuer",
        "no-algorithm",
        "wrong-algorithm",
        "no-sub",
        "bad-exp",
    ],
)
async def test_wrongly_signed_or_foreign_token_is_refused(
    connect_raw: ConnectRaw, server: ServerProcess, fields: dict
) -> None:
    fields = {"secret": server.secret, **fields}
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(token=mint_token(user_id="forger", **fields))
    assert refusal.value.message.startswith("Authentication error")
    assert refusal.value.code == 1008


@pytest.mark.spec("wire-6", "core-A2", "core-A4")
async def test_token_bound_to_a_client_id_is_refused_for_another(
    connect: Connect, connect_raw: ConnectRaw
) -> None:
    owner = await connect()
    token = await owner.generate_token({"client_id": "only-this-one"})
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(token=token, client_id="another-one")
    expected = "Client id mismatch: this token is restricted to client with client_id='only-this-one'"
    assert expected in refusal.value.message
    bound = await connect_raw(token=token, client_id="only-this-one")
    assert bound.workspace == owner.config.workspace


@pytest.mark.spec("core-A2")
async def test_token_bound_to_a_workspace_is_refused_for_another(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect()
    token = await owner.generate_token()
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(token=token, workspace=alice.workspace)
    expected = (
        f"Current workspace encoded in the token ({owner.config.workspace}) does not match the specified"
    )
    assert expected in refusal.value.message


@pytest.mark.spec("wire-16.11", "core-A4")
async def test_purpose_limited_token_is_refused_for_a_connection(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    token = alice.token_for("rw", extra_scopes=["file:download"])
    with pytest.raises(RawRefused, match=r"Specialized token"):
        await connect_raw(token=token)


@pytest.mark.spec("core-A4")
async def test_plain_oauth_scopes_are_harmless(connect_raw: ConnectRaw, server: ServerProcess) -> None:
    user = f"oauth-{uuid.uuid4().hex[:8]}"
    raw = await connect_raw(token=mint_token(server.secret or "", user, extra_scopes=["openid", "profile"]))
    assert raw.workspace == f"ws-user-{user}"


@pytest.mark.spec("wire-7", "core-11.1.7")
async def test_duplicate_of_a_live_client_is_refused_without_effect(
    connect: Connect, connect_raw: ConnectRaw
) -> None:
    first = await connect(client_id="holder")
    await first.register_service({"id": "svc", "hello": lambda: "still here"})
    token = await first.generate_token()
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(token=token, client_id="holder")
    expected = f"Client already exists and is active: {first.config.workspace}/holder"
    assert expected in refusal.value.message
    assert refusal.value.code == 1001
    other = await connect(token=token)
    service = await other.get_service("holder:svc")
    assert await service.hello() == "still here"


@pytest.mark.spec("wire-7")
async def test_id_of_a_client_that_died_without_goodbye_is_free_again(
    connect: Connect, connect_raw: ConnectRaw
) -> None:
    owner = await connect()
    token = await owner.generate_token()
    dead = await connect_raw(token=token, client_id="phoenix")
    await dead.abort()
    start = time.monotonic()
    reborn = await connect_raw(token=token, client_id="phoenix")
    assert reborn.info["client_id"] == "phoenix"
    assert time.monotonic() - start < 6.0


@pytest.mark.spec("wire-8")
async def test_silent_socket_is_closed_after_five_seconds(server: ServerProcess) -> None:
    async with open_socket(server.ws_url) as socket:
        start = time.monotonic()
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            while True:
                await asyncio.wait_for(socket.recv(), 10)
        assert 4.0 < time.monotonic() - start < 8.0
        assert socket.close_code == 1008
        assert (socket.close_reason or "").startswith("Authentication payload timeout")


@pytest.mark.spec("wire-8")
@pytest.mark.parametrize("query", ["workspace=w", "client_id=c", "token=t", "reconnection_token=r"])
async def test_credentials_in_the_query_ask_for_an_upgrade(server: ServerProcess, query: str) -> None:
    async with open_socket(f"{server.ws_url}?{query}") as socket:
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 5)
        assert socket.close_code == 1008
        assert (socket.close_reason or "").startswith("Connection rejected, please  upgrade to")


@pytest.mark.spec("wire-9", "wire-16.8")
@pytest.mark.parametrize(
    "client_id",
    ["a/b", "a:b", "a*", "*", "a@b", "a b", "a\nb", "a\x00b", "", None, "x" * 10_000],
    ids=[
        "slash",
        "colon",
        "star-inside",
        "star",
        "at",
        "space",
        "newline",
        "nul",
        "empty",
        "missing",
        "10kB",
    ],
)
async def test_client_id_with_separators_or_patterns_is_refused(
    server: ServerProcess, client_id: str | None
) -> None:
    with pytest.raises(RawRefused) as refusal:
        await RawClient.connect(server.ws_url, first={"client_id": client_id})
    assert refusal.value.message.startswith("Failed to establish connection: ")
    assert refusal.value.code == 1001
    assert len(refusal.value.reason.encode()) <= 123


@pytest.mark.spec("wire-16.8")
async def test_reserved_client_ids_cannot_be_taken(connect_raw: ConnectRaw, root: Person) -> None:
    probe = await connect_raw()
    login = await probe.call_manager("get_service_info", "public/hypha-login")
    server_id = login["id"].removeprefix("public/").partition(":")[0]
    for client_id in (probe.info["manager_id"], "manager-pretender", server_id):
        with pytest.raises(RawRefused):
            await connect_raw(root, client_id=client_id, workspace="public")


@pytest.mark.spec("wire-8")
@pytest.mark.parametrize(
    "first", ["not json", "[1, 2]", '"text"', "null", b"\x82\xa1a\x01", "[" * 5000, '{"client_id": 5}'],
    ids=["text", "array", "string", "null", "binary", "nested", "number-as-id"],
)  # fmt: skip
async def test_first_message_that_is_no_json_object_is_refused(
    server: ServerProcess, first: str | bytes
) -> None:
    with pytest.raises(RawRefused) as refusal:
        await RawClient.connect(server.ws_url, first=first)
    assert refusal.value.message.startswith("Failed to ")
    assert refusal.value.code in (1001, 1003)


@pytest.mark.spec("wire-16.13")
async def test_first_message_over_64_kb_is_refused(server: ServerProcess) -> None:
    with pytest.raises(RawRefused) as refusal:
        await RawClient.connect(server.ws_url, first={"client_id": "big", "padding": "x" * 70_000})
    assert refusal.value.code in (1003, 1009)


@pytest.mark.spec("wire-1")
async def test_unknown_keys_of_the_first_message_are_ignored(server: ServerProcess) -> None:
    first = {"client_id": f"odd-{uuid.uuid4().hex[:8]}", "reconnection_token": None, "colour": "green"}
    async with await RawClient.connect(server.ws_url, first=first) as raw:
        assert raw.info["client_id"] == first["client_id"]


@pytest.mark.spec("wire-4")
async def test_long_refusals_are_cut_in_the_close_frame_and_whole_in_the_text(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    workspace = "ä-" + "long" * 28
    with pytest.raises(RawRefused) as refusal:
        await connect_raw(alice, workspace=workspace)
    assert refusal.value.code == 1001
    assert len(refusal.value.reason.encode()) <= 123
    assert refusal.value.message.startswith(refusal.value.reason.removesuffix("...")[:60])


@pytest.mark.spec("wire-10", "core-M6")
async def test_read_only_client_connects_quietly_and_may_look(
    connect: Connect, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    await connect(alice)
    caplog.set_level(logging.ERROR)
    reader = await connect(token=alice.token_for("r"))
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert isinstance(await reader.list_services(), list)
    assert (await reader.check_status())["user_permission"] == "r"


@pytest.mark.spec("wire-10")
async def test_read_only_client_may_not_register_a_service(connect: Connect, alice: Person) -> None:
    await connect(alice)
    reader = await connect(token=alice.token_for("r"))
    with pytest.raises(Exception, match=r"(?i)permission denied for workspace"):
        await reader.register_service({"id": "svc", "hello": lambda: 1})


@pytest.mark.spec("wire-10", "wire-16.7", "core-M6")
@pytest.mark.parametrize("target", ["*", "{workspace}/*"])
async def test_read_only_client_may_not_broadcast(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, target: str
) -> None:
    owner = await connect(alice)
    listener = await connect_raw(alice)
    await listener.call_manager("subscribe", ["shout", "fence"])
    reader = await connect_raw(token=alice.token_for("r"))
    await reader.emit("shout", target.format(workspace=alice.workspace), data=1)
    assert await reader.is_alive()
    await owner.emit({"type": "fence", "to": "*"})
    await listener.wait_event("fence")
    assert not [frame for frame in listener.frames if frame.main["type"] == "shout"]


@pytest.mark.spec("wire-10")
async def test_read_only_client_reconnects_once_and_stays(
    connect: Connect, alice: Person, server: ServerProcess
) -> None:
    await connect(alice)
    async with FaultProxy(server.url) as proxy:
        reader = await connect(token=alice.token_for("r"), url=proxy.url)
        connection = reader.rpc._connection
        proxy.cut_all()
        await eventually(lambda: proxy.accepted == 2 and connection._reconnected_event is None, within_s=10)
        assert (await reader.check_status())["status"] == "ready"
        assert proxy.accepted == 2
        await reader.disconnect()


@pytest.mark.spec("wire-11")
async def test_idle_socket_is_closed_and_a_pinging_one_stays(start_server: StartServer) -> None:
    own = await start_server(env={"HYPHA_WS_IDLE_TIMEOUT": "2"})
    idle = await RawClient.connect(own.ws_url)
    pinging = await RawClient.connect(own.ws_url)

    async def keep_pinging() -> None:
        while True:
            assert await pinging.is_alive()
            await asyncio.sleep(0.5)

    task = asyncio.create_task(keep_pinging())
    try:
        code, reason = await idle.wait_closed(timeout_s=8)
        assert code == 1001
        assert reason.startswith("Idle timeout")
        assert any(text.get("type") == "error" for text in idle.texts)
        assert pinging.closed is None
    finally:
        task.cancel()
        await pinging.close()


@pytest.mark.spec("wire-12")
async def test_json_ping_is_answered_with_pong(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    await raw.send_text({"type": "ping"})
    assert await raw.wait_text("pong") == {"type": "pong"}


@pytest.mark.spec("wire-12")
async def test_refresh_token_gives_a_token_that_reconnects(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    await raw.send_text({"type": "refresh_token"})
    token = (await raw.wait_text("reconnection_token"))["reconnection_token"]
    await raw.abort()
    again = await connect_raw(client_id=raw.info["client_id"], reconnection_token=token)
    assert again.address == raw.address
    assert again.info["user"]["id"] == raw.info["user"]["id"]


@pytest.mark.spec("wire-12")
@pytest.mark.parametrize(
    "text",
    ['{"type":"dance"}', "{bad", '["ping"]', "5", '{"type":"ping","pad":"' + "x" * 1001 + '"}', "ü" * 5000],
    ids=["unknown", "bad-json", "array", "number", "long-ping", "long-text"],
)  # fmt: skip
async def test_odd_text_messages_leave_the_connection_alone(connect_raw: ConnectRaw, text: str) -> None:
    raw = await connect_raw()
    await raw.send_text(text)
    assert await raw.is_alive()
    assert await raw.call_manager("echo", 1) == 1


@pytest.mark.spec("wire-13")
@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\x00", b"garbage that is no msgpack", b"\x81", b"\x81\xa4type", b"\x93\x01\x02\x03",
        b"\x81\xa4type\xa6method", b"\xdf\xff\xff\xff\xff", b"\x81" * 4000, b"\x81\x01\x02",
        b"\x91" * 100_000,
    ],
    ids=[
        "empty", "reserved-byte", "integer", "text", "cut-map", "cut-value", "array",
        "no-target", "huge-header", "nested-maps", "integer-key", "nested-arrays",
    ],
)  # fmt: skip
async def test_malformed_binary_frame_leaves_the_connection_alone(
    connect_raw: ConnectRaw, data: bytes
) -> None:
    raw = await connect_raw()
    await raw.send_bytes(data)
    assert await raw.is_alive()
    assert await raw.call_manager("echo", "fine") == "fine"


@pytest.mark.spec("wire-16.13")
async def test_frame_over_16_mib_is_refused_and_others_are_unaffected(
    connect: Connect, connect_raw: ConnectRaw
) -> None:
    bystander = await connect()
    raw = await connect_raw()
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        await raw.send_bytes(b"\x00" * (20 * 1024 * 1024))
    code, _ = await raw.wait_closed(timeout_s=10)
    assert code in (1009, 1006, None)
    assert await bystander.echo("unaffected") == "unaffected"


@pytest.mark.spec("wire-1")
async def test_frames_sent_before_connection_info_are_kept(server: ServerProcess) -> None:
    raw_first = {"client_id": f"eager-{uuid.uuid4().hex[:8]}"}
    probe = await RawClient.connect(server.ws_url)
    manager = probe.manager
    await probe.close()
    async with open_socket(server.ws_url, max_size=None) as socket:
        await socket.send(json.dumps(raw_first))
        main = {"type": "method", "to": manager, "method": "services.default.echo", "session": "early"}
        await socket.send(pack(main, {"args": ["early bird"], "promise": "*", "t": 5.0}))
        info = json.loads(await asyncio.wait_for(socket.recv(), 5))
        assert info["type"] == "connection_info"
        while True:
            frame = unpack(await asyncio.wait_for(socket.recv(), 5))
            if frame.method == "early.resolve":
                assert frame.extra["args"] == ["early bird"]
                break


@pytest.mark.spec("wire-16.8")
async def test_reconnection_token_is_bound_to_client_and_workspace(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    raw = await connect_raw(alice)
    token = raw.info["reconnection_token"]
    with pytest.raises(RawRefused, match=r"Client id mismatch, disconnecting"):
        await connect_raw(client_id="somebody-else", reconnection_token=token)
    with pytest.raises(RawRefused, match=r"Invalid scope, workspace mismatch"):
        await connect_raw(client_id=raw.info["client_id"], workspace="other-place", reconnection_token=token)
    assert await raw.is_alive()


@pytest.mark.spec("wire-16.13")
async def test_slow_handshakes_do_not_keep_others_out(server: ServerProcess, connect_raw: ConnectRaw) -> None:
    sockets = [await open_socket(server.ws_url) for _ in range(50)]
    try:

        async def attempt() -> float:
            with Watch() as watch:
                raw = await connect_raw()
                assert await raw.call_manager("echo", 1) == 1
            return watch.seconds

        await check_quick(attempt, within_s=2.0)
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


@pytest.mark.spec("wire-7")
async def test_nobody_else_takes_the_id_of_a_client_whose_link_broke(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    away = await connect_raw(alice, client_id="worker")
    await away.offer("job", {"run": lambda: "done"})
    await away.abort()
    for level in ("r", "rw"):
        with pytest.raises(RawRefused, match="may come back"):
            await connect_raw(token=alice.token_for(level), workspace=alice.workspace, client_id="worker")
    back = await connect_raw(client_id="worker", reconnection_token=away.info["reconnection_token"])
    services = await back.call_manager("list_services")
    assert f"{back.address}:job" in [service["id"] for service in services]


@pytest.mark.spec("wire-7")
async def test_a_token_for_the_id_or_with_admin_permission_takes_it(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    away = await connect_raw(token=alice.token_for("rw"), workspace=alice.workspace, client_id="worker")
    for fields in ({"level": "rw", "client_id": "worker"}, {"level": "a"}):
        await away.abort()
        token = alice.token_for(**fields)
        away = await connect_raw(token=token, workspace=alice.workspace, client_id="worker")
