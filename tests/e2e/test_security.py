"""Forged, damaged and cross-tenant frames (docs/spec/wire-protocol.md#identity)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any

import httpx
import msgpack
import psutil
import pytest

from hypha.testing import RawCallError, RawClient, RawRefused, ServerProcess, mint_token
from hypha.testing.rawclient import pack
from tests.kit.clients import Connect, ConnectRaw, StartServer
from tests.kit.people import Person

ROOT_CONTEXT = {
    "type": "method",
    "from": "*/manager",
    "ws": "public",
    "user": {"id": "root", "roles": ["admin"], "is_anonymous": False, "scope": {"workspaces": {"*": "a"}}},
}


async def _fence(raw: RawClient) -> None:
    """Return when the server has handled everything that this client sent before."""
    assert await raw.call_manager("echo", "fence") == "fence"


async def _refused_or_neutral(raw: RawClient, session: str) -> Any:
    """The answer of a call with a forged frame: None when it was dropped or refused."""
    await _fence(raw)
    try:
        return await raw.answer_of(session, timeout_s=0.5)
    except (RawCallError, TimeoutError):
        return None


@pytest.mark.spec("wire-50", "wire-16.1")
async def test_context_in_the_envelope_gives_no_rights_at_the_manager(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    await connect(alice)
    raw = await connect_raw(bob)
    session = await raw.start_call(
        raw.manager, "services.default.list_clients", alice.workspace, main={"ctx": ROOT_CONTEXT}
    )
    with pytest.raises(RawCallError, match=r"(?i)permission denied|does not exist|not found"):
        await raw.answer_of(session)


@pytest.mark.spec("wire-50", "wire-16.1", "wire-16.3")
async def test_forged_envelope_fields_never_reach_the_callee(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    def whoami(context: Any = None) -> Any:
        return {"from": context["from"], "ws": context["ws"], "user": context["user"]["id"]}

    provider = await connect(alice, client_id="provider")
    config = {"visibility": "public", "require_context": True}
    await provider.register_service({"id": "svc", "config": config, "whoami": whoami})
    raw = await connect_raw(bob)
    truth = {"from": raw.address, "ws": raw.workspace, "user": bob.id}
    target = f"{alice.workspace}/provider"
    for forged in (
        {"ctx": ROOT_CONTEXT},
        {"from": f"{alice.workspace}/somebody"},
        {"from": raw.manager},
        {"ws": alice.workspace},
        {"user": ROOT_CONTEXT["user"]},
        {"ctx": ROOT_CONTEXT, "from": raw.manager, "ws": "public", "user": ROOT_CONTEXT["user"]},
    ):
        seen = await raw.call(target, "services.svc.whoami", main=forged)
        assert {key: seen[key] for key in truth} == truth, forged


@pytest.mark.spec("wire-50", "wire-16.2")
@pytest.mark.parametrize("target", ["client", "manager"])
@pytest.mark.parametrize(
    "forged",
    [
        {"from": "*/manager"}, {"to": "elsewhere/x"}, {"ws": "public"}, {"user": ROOT_CONTEXT["user"]},
        {"ctx": ROOT_CONTEXT}, {"type": "method"}, {"method": "services.svc.secret"}, {"session": "x"},
        {"parent": "x"}, {"unheard-of": 1},
    ],
    ids=lambda forged: next(iter(forged)),
)  # fmt: skip
async def test_envelope_keys_in_the_second_object_are_refused(
    connect_raw: ConnectRaw, alice: Person, bob: Person, target: str, forged: dict[str, Any]
) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", visibility="public")
    raw = await connect_raw(bob)
    if target == "client":
        session = await raw.start_call(callee.address, "services.svc.hello", extra=forged)
    else:
        session = await raw.start_call(raw.manager, "services.default.echo", 1, extra=forged)
    assert await _refused_or_neutral(raw, session) is None
    assert callee.calls.empty()
    assert await raw.is_alive()


@pytest.mark.spec("wire-50", "wire-16.2")
@pytest.mark.parametrize("method", ["services.svc.hello", "s.resolve", "s.callback"])
async def test_what_belongs_into_a_body_is_refused_in_the_envelope(
    connect_raw: ConnectRaw, alice: Person, bob: Person, method: str
) -> None:
    """Receivers merge both maps, and only the body is looked into for functions of somebody else."""
    callee = await connect_raw(alice)
    await callee.offer("svc", visibility="public")
    raw = await connect_raw(bob)
    for key in ("args", "with_kwargs", "promise", "_enc", "data", "caller_public_key"):
        main = {**_main(raw, callee.address, method, key), key: [{"_rtype": "method", "_rtarget": "x"}]}
        await raw.send(main, {"t": 5.0})
        if method != "s.resolve":
            with pytest.raises(RawCallError, match="is not allowed in the envelope"):
                await raw.answer_of(key)
        del main["session"]
        await raw.send(main)
    assert await raw.is_alive() and await callee.is_alive()
    assert callee.calls.empty() and not any(frame.method == method for frame in callee.frames)


async def test_a_function_in_the_envelope_is_never_run_by_its_receiver(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    wiped, seen = [], []

    async def run(callback: Any = None, context: Any = None) -> str:
        seen.append(context)
        return await callback("x") if callback else "x"

    provider = await connect(alice, client_id="provider")
    instrument = await connect(alice, client_id="instrument")
    await instrument.register_service({"id": "tool", "wipe": wiped.append})
    config = {"visibility": "public", "require_context": True}
    await provider.register_service({"id": "svc", "config": config, "run": run})
    raw = await connect_raw(bob)
    wipe = {
        "_rtype": "method", "_rtarget": f"{alice.workspace}/instrument", "_rmethod": "services.tool.wipe",
        "_rpromise": False, "_rname": "wipe",
    }  # fmt: skip
    main = _main(raw, f"{alice.workspace}/provider", "services.svc.run", "s1")
    promise = {"resolve": wipe, "reject": wipe}
    for more in ({"args": [wipe]}, {"promise": promise}, {"caller_public_key": "ff"}):
        await raw.send({**main, **more}, {"t": 5.0})
        await raw.send({key: value for key, value in {**main, **more}.items() if key != "session"})
    assert await raw.call(main["to"], main["method"]) == "x"  # the only one that arrives
    assert not wiped and len(seen) == 1 and "caller_public_key" not in seen[0]


def _main(raw: RawClient, to: str, method: str, session: str) -> dict[str, Any]:
    return {"type": "method", "from": raw.address, "to": to, "method": method, "session": session}


@pytest.mark.spec("wire-50", "wire-16.2")
@pytest.mark.parametrize(
    "kind", ["third-object", "array", "integer", "duplicate-in-extra", "duplicate-in-main", "junk"]
)
async def test_frames_that_are_no_two_plain_maps_are_refused(
    connect_raw: ConnectRaw, alice: Person, bob: Person, kind: str
) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", visibility="public")
    raw = await connect_raw(bob)
    body = {"args": [], "promise": "*", "t": 5.0}
    main = pack(_main(raw, callee.address, "services.svc.hello", "odd"))
    duplicate_main = b"\x86" + main[1:] + msgpack.packb("to") + msgpack.packb(raw.address)
    duplicate_extra = b"\x84" + pack(body)[1:] + msgpack.packb("args") + msgpack.packb([1])
    frames = {
        "third-object": main + pack(body, {"from": "*/manager"}),
        "array": main + pack([1, 2]),
        "integer": main + b"\x05",
        "duplicate-in-extra": main + duplicate_extra,
        "duplicate-in-main": duplicate_main + pack(body),
        "junk": main + pack(body) + b"\xc1",
    }
    await raw.send_bytes(frames[kind])
    assert await _refused_or_neutral(raw, "odd") is None
    assert callee.calls.empty()
    assert await raw.is_alive()


@pytest.mark.spec("wire-50", "wire-16.4")
@pytest.mark.parametrize("where", ["main", "extra"])
async def test_forgery_inside_a_chunked_call_to_the_manager_gives_no_rights(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person, where: str
) -> None:
    await connect(alice)
    raw = await connect_raw(bob)
    forged = {"ctx": ROOT_CONTEXT, "from": raw.manager, "ws": alice.workspace, "user": ROOT_CONTEXT["user"]}
    main = _main(raw, raw.manager, "services.default.list_clients", "inner")
    body = {"args": [alice.workspace], "promise": "*", "t": 5.0}
    frame = pack({**main, **forged}, body) if where == "main" else pack(main, {**body, **forged})
    cache = "services.built-in.message_cache"
    await raw.call(raw.manager, f"{cache}.create", "key")
    await raw.call(raw.manager, f"{cache}.set", "key", 0, frame)
    try:
        await raw.call(raw.manager, f"{cache}.process", "key")
    except RawCallError:
        return
    with pytest.raises((RawCallError, TimeoutError)):
        await raw.answer_of("inner", timeout_s=1.0)


@pytest.mark.spec("wire-50")
async def test_context_argument_never_wins_at_the_manager(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    await connect(alice)
    raw = await connect_raw(bob)
    context = {"user": ROOT_CONTEXT["user"], "ws": alice.workspace}
    with pytest.raises(RawCallError, match=r"(?i)permission|TypeError|unexpected|not found"):
        await raw.call_manager("list_clients", alice.workspace, kwargs={"context": context})


@pytest.mark.spec("wire-51", "wire-16.6", "core-R12", "core-11.1.14")
@pytest.mark.parametrize("target", ["{other}/*", "{other}/listener", "*/*", "*/{manager}"])
async def test_events_do_not_cross_workspaces(
    connect_raw: ConnectRaw, alice: Person, bob: Person, target: str
) -> None:
    listener = await connect_raw(alice, client_id="listener")
    await listener.call_manager("subscribe", ["intrusion", "fence"])
    raw = await connect_raw(bob)
    to = target.format(other=alice.workspace, manager=raw.info["manager_id"])
    await raw.emit("intrusion", to, data=1)
    await _fence(raw)
    await listener.emit("fence", "*")
    await listener.wait_event("fence")
    assert not [frame for frame in listener.frames if frame.main["type"] == "intrusion"]


@pytest.mark.spec("wire-35", "core-11.1.14")
async def test_handmade_calls_reach_protected_services_of_no_other_workspace(
    connect_raw: ConnectRaw, server: ServerProcess, alice: Person, bob: Person, root: Person
) -> None:
    """The server refuses them itself, whatever the callee's library would have done."""
    callee = await connect_raw(alice)
    stranger = await connect_raw(bob)
    hello = {"hello": lambda: "hi"}
    await callee.offer("closed", hello)
    await callee.offer("open", hello, visibility="public")
    await callee.offer("unlisted", hello, visibility="unlisted")
    await callee.offer("shared", hello, authorized_workspaces=[stranger.workspace])
    for name in ("open", "unlisted", "shared"):
        assert await stranger.call(callee.address, f"services.{name}.hello") == "hi"
    seen = callee.calls.qsize()
    for method in ("services.closed.hello", "services.closed.deep.hello", "services.closed"):
        with pytest.raises(RawCallError, match=r"^PermissionError: .* protected method"):
            await stranger.call(callee.address, method)
    assert callee.calls.qsize() == seen
    many_dots = "services." + "." * 200_000
    with pytest.raises((RawCallError, TimeoutError)):
        await stranger.call(callee.address, many_dots, timeout_s=1)
    rights = {"ws-user-helper": "a", alice.workspace: "r"}
    member = await connect_raw(token=mint_token(alice.secret, "helper", workspaces=rights))
    assert await member.call(callee.address, "services.closed.hello") == "hi"
    neighbour = await connect_raw(token=alice.token_for("r"))
    assert await neighbour.call(callee.address, "services.closed.hello") == "hi"
    own = {"authorization": f"Bearer {root.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=own) as http:
        wanted = {"action": "access_refused", "user_id": bob.id}
        found = await http.post("/ws-user-root/services/admin-utils/get_audit_log", json=wanted)
    (entry,) = found.json()
    assert (entry["workspace"], entry["address"], entry["count"]) == (alice.workspace, "127.0.0.1", 3)


@pytest.mark.spec("wire-51")
async def test_events_reach_another_workspace_with_write_permission_there(
    connect: Connect, connect_raw: ConnectRaw, server: ServerProcess, alice: Person
) -> None:
    listener = await connect_raw(alice, client_id="listener")
    rights = {"ws-user-helper": "a", alice.workspace: "rw"}
    helper = await connect_raw(token=mint_token(alice.secret, "helper", workspaces=rights))
    await helper.emit("hint", listener.address, data=1)
    assert (await listener.wait_event("hint")).main["from"] == helper.address


RESERVED = [
    "client_connected", "client_updated", "client_disconnected", "service_added", "service_removed",
    "workspace_loaded", "workspace_ready", "workspace_changed", "workspace_deleted", "workspace_unloaded",
    "workspace_status_changed", "force-exit", "peer_not_found", "error",
]  # fmt: skip


@pytest.mark.spec("wire-51", "wire-16.6")
@pytest.mark.parametrize("name", RESERVED)
async def test_reserved_events_are_not_accepted_from_clients(
    connect_raw: ConnectRaw, alice: Person, name: str
) -> None:
    listener = await connect_raw(alice, client_id="listener")
    await listener.call_manager("subscribe", ["fence", *(n for n in RESERVED if "_" in n)])
    raw = await connect_raw(alice, client_id="forger")
    await _fence(raw)
    listener.frames.clear()
    for to in ("*", "listener"):
        await raw.emit(
            name, to, data={"id": "listener", "workspace": alice.workspace, "forged": True}, forged=True
        )
    await _fence(raw)
    await raw.emit("fence", "*")
    await listener.wait_event("fence")
    assert not [frame for frame in listener.frames if frame.main["type"] == name and b"forged" in frame.raw]


@pytest.mark.spec("wire-16.6")
async def test_method_frames_to_broadcast_addresses_are_refused(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect_raw(alice)
    await listener.offer("svc")
    raw = await connect_raw(alice)
    for to in ("*", f"{alice.workspace}/*", "other/*"):
        session = await raw.start_call(to, "services.svc.hello")
        assert await _refused_or_neutral(raw, session) is None
    assert listener.calls.empty()


@pytest.mark.spec("wire-16.8", "core-11.1.7")
async def test_refused_duplicate_does_not_disturb_the_first(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    first = await connect_raw(alice, client_id="holder")
    await first.offer("svc", {"hello": lambda: "genuine"})
    watcher = await connect_raw(alice)
    await watcher.call_manager("subscribe", ["client_disconnected", "service_removed"])
    for _ in range(3):
        with pytest.raises(RawRefused, match="Client already exists and is active"):
            await connect_raw(alice, client_id="holder")
    assert await watcher.call(first.address, "services.svc.hello") == "genuine"
    await _fence(watcher)
    assert not [frame for frame in watcher.frames if frame.main["type"] != "method"]


@pytest.mark.spec("wire-16.8")
async def test_live_id_cannot_be_taken_over_with_another_users_reconnection_token(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    first = await connect_raw(alice, client_id="holder")
    thief = await connect_raw(bob, client_id="holder")
    with pytest.raises(RawRefused):
        await connect_raw(
            client_id="holder", workspace=alice.workspace, reconnection_token=thief.info["reconnection_token"]
        )
    assert await first.is_alive()


@pytest.mark.spec("wire-16.11", "core-A3")
async def test_revoked_token_is_refused_and_its_open_sockets_are_closed(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect(alice)
    token = await owner.generate_token()
    guest = await connect_raw(token=token)
    await owner.revoke_token(token)
    await guest.wait_closed(timeout_s=5)
    with pytest.raises(RawRefused, match=r"Token has been revoked"):
        await connect_raw(token=token)
    with pytest.raises(RawRefused):
        await connect_raw(
            client_id=guest.info["client_id"], reconnection_token=guest.info["reconnection_token"]
        )


@pytest.mark.spec("wire-16.12", "core-11.1.12")
async def test_error_texts_name_no_files_modules_or_other_tenants(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    await connect(alice)
    raw = await connect_raw(bob)
    attempts: list[tuple[str, list[Any]]] = [
        ("get_service", [f"{alice.workspace}/secret-thing"]),
        ("get_service", [{"a": 1}]),
        ("get_service", []),
        ("list_services", [{"bad": 1}]),
        ("list_clients", [alice.workspace]),
        ("get_workspace_info", ["nowhere"]),
        ("delete_workspace", [alice.workspace]),
        ("parse_token", ["junk"]),
        ("revoke_token", [5]),
        ("create_workspace", [None]),
        ("set_env", []),
        ("register_service", ["junk"]),
        ("ping", [{}]),
        ("bookmark", [{}]),
        ("log_event", [5]),
        ("subscribe", [5]),
        ("register_service_type", [1]),
    ]
    for function, args in attempts:
        try:
            await raw.call_manager(function, *args)
        except RawCallError as error:
            text = f"{error} {error.trace}"
            assert not re.search(
                r"Traceback|\.py\b|/(home|usr|tmp|work|root|opt)/|sqlalchemy|msgpack", text
            ), function
            assert re.match(r"\w+: ", str(error)), (function, text)
    assert await raw.is_alive()


@pytest.mark.spec("wire-16.13")
async def test_deeply_nested_values_are_refused_and_others_unaffected(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", {"size": lambda value: 1}, visibility="public")
    raw = await connect_raw(bob)
    bomb = b"\x81\xa4args" + b"\x91" * 200_000 + b"\xc0"
    await raw.send_bytes(pack(_main(raw, callee.address, "services.svc.size", "bomb")) + bomb)
    await raw.send_bytes(pack(_main(raw, raw.manager, "services.default.echo", "bomb2")) + bomb)
    assert await _refused_or_neutral(raw, "bomb2") is None
    assert await callee.is_alive()
    assert await raw.call(callee.address, "services.svc.size", 1) == 1


@pytest.mark.spec("wire-13")
async def test_integer_map_keys_reach_nobody_as_envelope(connect_raw: ConnectRaw, alice: Person) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", {"echo": lambda value: value})
    raw = await connect_raw(alice)
    main = _main(raw, callee.address, "services.svc.echo", "odd")
    await raw.send_bytes(msgpack.packb({**main, 1: 2}) + pack({"args": [1], "promise": "*", "t": 5.0}))
    await raw.send_bytes(pack({**main, "session": "odd2"}) + msgpack.packb({"args": [1], 7: "*"}))
    await _fence(raw)
    assert callee.calls.empty()
    assert await raw.call(callee.address, "services.svc.echo", 3) == 3


@pytest.mark.spec("core-11.1.5", "core-11.1.18")
async def test_foreign_workspace_is_neither_readable_nor_bookmarkable(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    owner = await connect(alice)
    await owner.set_env("SECRET", "swordfish")
    stranger = await connect_raw(bob)
    for function, args in (
        ("get_workspace_info", [alice.workspace]),
        ("list_clients", [alice.workspace]),
        ("bookmark", [{"bookmark_type": "workspace", "id": alice.workspace}]),
        ("list_service_types", [alice.workspace]),
        ("cleanup", [alice.workspace]),
        ("delete_workspace", [alice.workspace]),
    ):
        with pytest.raises(RawCallError, match=r"(?i)permission|not found|does not exist"):
            await stranger.call_manager(function, *args)
    info = await owner.get_workspace_info(alice.workspace)
    assert "swordfish" not in json.dumps(info, default=str)
    assert "environs" not in info.get("config", {})


@pytest.mark.spec("core-11.1.6")
async def test_nobody_may_create_somebody_elses_own_workspace(
    connect: Connect, alice: Person, bob: Person
) -> None:
    intruder = await connect(bob)
    with pytest.raises(Exception, match=r"(?i)permission|reserved|not allowed"):
        await intruder.create_workspace({"id": alice.workspace, "name": "mine now"})
    owner = await connect(alice)
    assert (await owner.check_status())["user_permission"] == "a"


@pytest.mark.spec("core-11.1.3", "core-A10")
async def test_read_token_cannot_mint_through_its_parent(connect: Connect, alice: Person) -> None:
    owner = await connect(alice)
    reader = await connect(token=await owner.generate_token({"permission": "read"}))
    with pytest.raises(Exception, match=r"(?i)permission|only admin"):
        await reader.generate_token({"workspace": alice.workspace, "permission": "admin"})
    with pytest.raises(Exception, match=r"(?i)permission|only admin"):
        await reader.generate_token({"permission": "read"})


@pytest.mark.spec("core-11.1.4", "core-A11")
async def test_child_of_an_admin_has_no_right_outside_its_workspace(
    connect: Connect, connect_raw: ConnectRaw, server: ServerProcess, alice: Person, root: Person
) -> None:
    await connect(alice)
    admin = await connect(root)
    token = await admin.generate_token({"permission": "read"})
    child = await connect_raw(token=token)
    assert "admin" not in child.info["user"]["roles"]
    with pytest.raises(RawRefused, match=r"Permission denied|does not match|does not exist"):
        await connect_raw(token=token, workspace=alice.workspace)
    with pytest.raises(RawCallError, match=r"(?i)permission"):
        await child.call_manager("list_clients", alice.workspace)


@pytest.mark.spec("core-11.1.16")
async def test_foreign_tokens_cannot_be_revoked(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    victim = await connect(alice)
    token = await victim.generate_token()
    stranger = await connect(bob)
    with pytest.raises(Exception, match=r"(?i)permission"):
        await stranger.revoke_token(token)
    assert (await connect_raw(token=token)).workspace == alice.workspace


@pytest.mark.spec("core-11.1.16")
async def test_root_token_cannot_be_revoked(connect: Connect, connect_raw: ConnectRaw, root: Person) -> None:
    admin = await connect(root)
    with pytest.raises(Exception, match=r"(?i)root|permission|invalid"):
        await admin.revoke_token(root.token)
    assert (await connect_raw(root)).info["user"]["id"] == "root"


@pytest.mark.spec("wire-16.14")
@pytest.mark.timeout(90)
async def test_client_that_stops_reading_is_bounded_and_others_go_on(
    connect_raw: ConnectRaw, connect: Connect, server: ServerProcess, alice: Person, bob: Person
) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", visibility="public")
    callee.socket.transport.pause_reading()
    one, two = await connect(bob), await connect(bob)
    await one.register_service({"id": "echo", "echo": lambda value: value})
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    flooder = await connect_raw(bob)
    frame = pack(
        {"type": "method", "from": flooder.address, "to": callee.address, "method": "services.svc.take"},
        {"args": [b"x" * 200_000]},
    )

    async def flood() -> None:
        with contextlib.suppress(Exception):
            for _ in range(1000):
                await flooder.send_bytes(frame)

    task = asyncio.create_task(flood())
    try:
        service = await two.get_service("echo")
        for number in range(50):
            assert await asyncio.wait_for(service.echo(number), 5) == number
        assert process.memory_info().rss - before < 64 * 1024 * 1024
    finally:
        task.cancel()
        flooder.socket.transport.abort()
        callee.socket.transport.abort()


@pytest.mark.spec("core-11.1.13")
@pytest.mark.parametrize("source", ["Origin", "Referer", "Sec-Fetch-Site", "Upgrade-Insecure-Requests"])
async def test_cookie_of_a_user_does_not_work_for_another_site(
    connect: Connect, server: ServerProcess, alice: Person, source: str
) -> None:
    await (await connect(alice)).set_env("SECRET", "swordfish")
    special = {"Sec-Fetch-Site": "cross-site", "Upgrade-Insecure-Requests": "1"}
    value = special.get(source, "https://evil.example")
    url = f"{server.url}/{alice.workspace}/services/ws/get_env"
    async with httpx.AsyncClient(cookies={"access_token": alice.token}) as http:
        same = await http.get(url, headers={"Sec-Fetch-Site": "same-origin"})
        assert same.json() == {"SECRET": "swordfish"}
        other = await http.get(url, headers={source: value})
    assert other.status_code == 403 and "swordfish" not in other.text


@pytest.mark.spec("core-11.1.15")
async def test_forwarded_addresses_of_untrusted_peers_neither_evade_limits_nor_spoof_others(
    start_server: StartServer,
) -> None:
    server = await start_server(env={"HYPHA_HTTP_RATE_LIMIT": "1", "HYPHA_HTTP_BURST_LIMIT": "5"})
    async with httpx.AsyncClient(base_url=server.url) as http:
        answers = [
            await http.get("/public/services/", headers={"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(10)
        ]
    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert 429 in [answer.status_code for answer in answers[5:]]


@pytest.mark.spec("wire-16.15")
async def test_answers_do_not_carry_the_callees_user_record(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    callee = await connect_raw(alice)
    await callee.offer("svc", {"hello": lambda: "hi"}, visibility="public")
    caller = await connect_raw(bob)
    session = await caller.start_call(callee.address, "services.svc.hello")
    await caller.answer_of(session)
    answers = [frame for frame in caller.frames if frame.main.get("method") == f"{session}.resolve"]
    assert answers and not any("user" in frame.main for frame in answers)
    assert alice.id not in repr([frame.main.get("user") for frame in caller.frames])


@pytest.mark.spec("wire-16.8")
@pytest.mark.parametrize("client_id", ["a/b", "a:b", "*", "a@b", "a*", "manager-1"])
async def test_client_ids_with_separators_or_patterns_are_refused(
    connect_raw: ConnectRaw, client_id: str
) -> None:
    with pytest.raises(RawRefused, match=r"(?i)invalid client id|Failed to authenticate user to workspace"):
        await connect_raw(client_id=client_id)


@pytest.mark.spec("core-11.1.17")
async def test_tokens_in_addresses_are_ignored_and_no_log_shows_the_root_token(
    server: ServerProcess, alice: Person, root: Person, connect_raw: ConnectRaw
) -> None:
    await connect_raw(alice)
    async with httpx.AsyncClient(base_url=server.url) as http:
        url = f"/{alice.workspace}/services/ws/get_env"
        assert (await http.get(url, params={"token": root.token})).status_code == 403
    await connect_raw(root)
    assert root.token[:8] not in server.log


@pytest.mark.spec("core-11.1.9")
async def test_strangers_do_not_get_the_description_of_a_protected_service_of_the_server(
    connect_raw: ConnectRaw, alice: Person, root: Person
) -> None:
    admin = await connect_raw(root)
    found = await admin.call_manager("get_service", "ws-user-root/admin-utils")
    address = found["block_user"]["_rtarget"]
    for person in (None, alice):
        stranger = await connect_raw(person)
        for name in ("admin-utils", found["id"]):
            with pytest.raises(RawCallError, match="Permission denied for getting protected service"):
                await stranger.call(address, "services.built-in.get_service", name)
        assert await stranger.call(
            address.replace("ws-user-root", "public"), "services.built-in.get_service", "queue"
        )
    assert (await admin.call(address, "services.built-in.get_service", "admin-utils"))["block_user"]
