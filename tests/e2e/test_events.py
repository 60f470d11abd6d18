"""Events and subscriptions (docs/spec/wire-protocol.md#events)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hypha.testing import NodeWorker, RawCallError, ServerProcess, eventually
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

LIFE = ["client_connected", "client_updated", "client_disconnected", "service_added", "service_removed"]


async def _fence(sender: Any, listener: Any) -> None:
    """Return when everything broadcast before has reached the raw listener."""
    await listener.call_manager("subscribe", ["fence"])
    await sender.emit({"type": "fence", "to": "*"})
    await listener.wait_event("fence")


@pytest.mark.spec("wire-39", "core-M11")
async def test_life_of_clients_and_services_is_told_to_subscribers(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect_raw(alice)
    assert await listener.call_manager("subscribe", LIFE) is True
    other = await connect(alice, client_id="newcomer")
    connected = await listener.wait_event("client_connected")
    assert connected.main["data"] == {"id": f"{alice.workspace}/newcomer", "workspace": alice.workspace}
    await other.register_service({"id": "svc", "description": "a service", "hello": lambda: 1})
    added = (await listener.wait_event("service_added")).main["data"]
    assert added["id"] == f"{alice.workspace}/newcomer:svc"
    assert added["name"] == "svc" and added["type"] == "generic" and added["app_id"] == "*"
    assert added["config"]["visibility"] == "protected"
    assert added["config"]["workspace"] == alice.workspace
    assert set(added["config"]["created_by"]) == {"id"}
    assert "hello" in added["service_schema"]
    await other.unregister_service("svc")
    removed = (await listener.wait_event("service_removed")).main["data"]
    assert removed["id"] == added["id"]
    await other.disconnect()
    gone = (await listener.wait_event("client_disconnected")).main
    assert gone["data"] == {"id": "newcomer", "workspace": alice.workspace}


@pytest.mark.spec("wire-39")
async def test_built_in_registration_makes_no_service_event(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect_raw(alice)
    await listener.call_manager("subscribe", LIFE)
    other = await connect(alice)
    await _fence(other, listener)
    assert not [frame for frame in listener.frames if frame.main["type"] == "service_added"]


@pytest.mark.spec("core-2.4")
async def test_life_of_a_workspace_is_told_to_its_maker_and_its_members(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    maker, name = await connect_raw(alice), f"life-{alice.id}"
    life = ["workspace_loaded", "workspace_ready", "workspace_status_changed", "workspace_deleted"]
    await maker.call_manager("subscribe", life)
    await maker.call_manager("create_workspace", {"id": name, "description": "first"})
    for kind in ("workspace_loaded", "workspace_ready"):
        info = (await maker.wait_event(kind)).main["data"]
        assert (info["id"], info["description"], info["owners"]) == (name, "first", [alice.id])
    changed = (await maker.wait_event("workspace_status_changed")).main["data"]
    assert changed == {"workspace": name, "status": "ready"}
    member = await connect_raw(alice, workspace=name)
    await member.call_manager("subscribe", ["workspace_changed", "workspace_deleted"])
    await maker.call_manager("create_workspace", {"id": name, "description": "second"}, True)
    assert (await member.wait_event("workspace_changed")).main["data"]["description"] == "second"
    with pytest.raises(ConnectionError, match="Workspace unloaded"):  # it was in the workspace of before
        await member.wait_event("workspace_deleted")
    member = await connect_raw(alice, workspace=name)
    await member.call_manager("subscribe", ["workspace_deleted"])
    await maker.call_manager("delete_workspace", name)
    for client in (maker, member):
        assert (await client.wait_event("workspace_deleted")).main["data"]["id"] == name


@pytest.mark.spec("wire-39", "core-M10")
async def test_broadcast_is_delivered_only_while_subscribed(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    sender = await connect(alice)
    listener = await connect_raw(alice)
    await sender.emit({"type": "news", "to": "*", "data": "before"})
    await _fence(sender, listener)
    await listener.call_manager("subscribe", "news")
    await sender.emit({"type": "news", "to": "*", "data": "during"})
    assert (await listener.wait_event("news")).main["data"] == "during"
    assert await listener.call_manager("unsubscribe", "news") is True
    await sender.emit({"type": "news", "to": "*", "data": "after"})
    listener.frames.clear()
    await _fence(sender, listener)
    assert [frame.main.get("data") for frame in listener.frames if frame.main["type"] == "news"] == []


@pytest.mark.spec("wire-39", "core-M10")
async def test_handler_without_subscription_hears_nothing_and_with_it_hears_once(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    sender, listener = await connect(alice), await connect(alice)
    heard: list[Any] = []
    listener.on("news", lambda event: heard.append(event["data"]))
    await sender.emit({"type": "news", "to": "*", "data": 1})
    await listener.subscribe("news")
    await sender.emit({"type": "news", "to": "*", "data": 2})
    await eventually(lambda: 2 in heard)
    assert heard == [2]


@pytest.mark.spec("wire-40")
async def test_event_reaches_subscribers_with_the_true_sender(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect_raw(alice)
    await listener.call_manager("subscribe", "news")
    sender = await connect(alice, client_id="sender")
    event = {
        "type": "news",
        "to": "*",
        "data": {"q": 1},
        "from": "forged/one",
        "ws": "forged",
        "user": {"id": "root"},
    }
    await sender.emit(event)
    seen = (await listener.wait_event("news")).main
    assert seen["from"] == f"{alice.workspace}/sender"
    assert seen["to"] == f"{alice.workspace}/*"
    assert seen["ws"] == alice.workspace
    assert seen["user"]["id"] == alice.id
    assert seen["data"] == {"q": 1}


@pytest.mark.spec("wire-40")
async def test_direct_event_needs_no_subscription(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect_raw(alice, client_id="listener")
    sender = await connect(alice, client_id="sender")
    for target in ("listener", f"{alice.workspace}/listener"):
        await sender.emit({"type": "direct", "to": target, "data": target})
    frames = [
        await listener.wait_frame(lambda frame, t=t: frame.main.get("data") == t) for t in ("listener",)
    ]
    assert frames[0].main["from"] == f"{alice.workspace}/sender"
    assert frames[0].main["to"] == f"{alice.workspace}/listener"


@pytest.mark.spec("wire-40")
async def test_sender_hears_its_own_broadcast_when_subscribed(connect_raw: ConnectRaw, alice: Person) -> None:
    raw = await connect_raw(alice)
    await raw.call_manager("subscribe", "echo-event")
    await raw.emit("echo-event", "*", data=1)
    assert (await raw.wait_event("echo-event")).main["data"] == 1


@pytest.mark.spec("wire-41", "core-M10")
@pytest.mark.parametrize(
    "event", ["ws-user-other/x", "other/x", "ws-user-other", "ws-other:x", "ws-user-other/*", "*/x"]
)  # fmt: skip
async def test_subscribing_to_another_workspaces_name_is_forbidden(
    connect_raw: ConnectRaw, event: str
) -> None:
    raw = await connect_raw()
    with pytest.raises(RawCallError, match=r"forbidden"):
        await raw.call_manager("subscribe", event)
    with pytest.raises(RawCallError, match=r"forbidden"):
        await raw.call_manager("subscribe", ["harmless", event])


@pytest.mark.spec("wire-16.13")
async def test_subscriptions_per_connection_are_bounded(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    with pytest.raises(RawCallError, match=r"(?i)limit|too many|exceed"):
        for start in range(0, 200_000, 1000):
            await raw.call_manager("subscribe", [f"event-{number}" for number in range(start, start + 1000)])
    assert await raw.is_alive()


@pytest.mark.spec("wire-39")
async def test_client_disconnected_tells_real_clients_to_fail_pending_calls(
    connect: Connect, alice: Person
) -> None:
    provider, caller = await connect(alice, client_id="provider"), await connect(alice)
    called = asyncio.Event()

    async def slow() -> None:
        called.set()
        await asyncio.sleep(30)

    await provider.register_service({"id": "slow", "slow": slow})
    service = await caller.get_service("slow")
    heard: list[Any] = []
    caller.on("remote_client_disconnected", lambda event: heard.append(event["client_id"]))
    call = asyncio.ensure_future(service.slow())
    await asyncio.wait_for(called.wait(), 5)
    await provider.disconnect()
    with pytest.raises(Exception, match=r".+"):
        await asyncio.wait_for(call, 5)
    await eventually(lambda: f"{alice.workspace}/provider" in heard)


@pytest.mark.spec("wire-40")
async def test_event_over_512_kb_is_refused_and_the_connection_lives(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect_raw(alice)
    await listener.call_manager("subscribe", "large")
    sender = await connect_raw(alice)
    await sender.emit("large", "*", data=b"x" * 600_000)
    told = await sender.wait_event("error")
    assert "Event 'large' was not sent: ValueError: Events may not be larger" in told.main["message"]
    assert await sender.is_alive()
    await sender.emit("large", "*", data="small")
    assert (await listener.wait_event("large")).main["data"] == "small"


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_a_program_hears_that_its_event_was_refused_and_why(
    connect: Connect, alice: Person, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    reader = await connect(alice, token=alice.token_for("r"), transport=transport)
    reader.rpc.emit({"type": "progress", "to": "*", "data": 1})
    wanted = "Event 'progress' was not sent: PermissionError: Read-only client"
    await eventually(lambda: wanted in caplog.text, what="a line in the log of the library")
    assert isinstance(await reader.list_services(), list)


async def test_a_javascript_program_hears_it_too(
    node: NodeWorker, server: ServerProcess, alice: Person
) -> None:
    heard = await node.run(
        """
        const server = await connect({server_url: args.url, token: args.token});
        const heard = new Promise((resolve) => server.on("error", (event) => resolve(event.message)));
        server.emit({type: "client_connected", to: "*", data: 1});
        return heard;
        """,
        url=server.url,
        token=alice.token,
    )
    assert heard.startswith("Event 'client_connected' was not sent: PermissionError: Event name")


@pytest.mark.spec("wire-40")
async def test_events_near_the_limit_arrive_or_are_refused_but_never_get_lost(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    listener = await connect(alice)
    heard: list[int] = []
    listener.on("large", lambda event: heard.append(len(event["data"])))
    await listener.subscribe("large")
    sender = await connect_raw(alice)
    for size in range(512 * 1024 - 1500, 512 * 1024, 100):
        await sender.send({"type": "large", "to": "*", "session": f"s{size}", "data": b"x" * size})
    await sender.call_manager("echo", "fence")
    refused = [int(frame.method[1:].partition(".")[0]) for frame in sender.frames if "reject" in frame.method]
    sent = list(range(512 * 1024 - 1500, 512 * 1024, 100))
    await eventually(lambda: len(heard) + len(refused) >= len(sent), what="each event to end in some way")
    assert heard and refused and sorted([*heard, *refused]) == sent
