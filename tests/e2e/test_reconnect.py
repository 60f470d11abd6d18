"""Lost links, restarts and kicks as clients see them (docs/spec/reconnecting.md)."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from hypha.testing import (
    FaultProxy,
    RawCallError,
    RawClient,
    RawRefused,
    ServerProcess,
    eventually,
    free_port,
)
from tests.kit.clients import Connect, ConnectRaw, NewWorker, StartServer, is_back
from tests.kit.people import Person, make_person
from tests.kit.quick import Watch, check_quick

Resume = Callable[[RawClient], Awaitable[RawClient]]


@pytest_asyncio.fixture(loop_scope="session")
async def callee(connect_raw: ConnectRaw, alice: Person) -> RawClient:
    """A client of alice that offers `svc` and answers only what a test tells it to."""
    client = await connect_raw(alice, client_id="callee")
    await client.offer("svc")
    return client


@pytest_asyncio.fixture(loop_scope="session")
async def caller(connect_raw: ConnectRaw, alice: Person) -> RawClient:
    """Another client of alice."""
    return await connect_raw(alice, client_id="caller")


@pytest.fixture
def resume(connect_raw: ConnectRaw) -> Resume:
    """Open a new connection of a client with its reconnection token."""

    async def again(client: RawClient) -> RawClient:
        info = client.info
        return await connect_raw(client_id=info["client_id"], reconnection_token=info["reconnection_token"])

    return again


async def lose(client: RawClient, witness: RawClient) -> None:
    """Drop a client's link and return when the server has surely seen it."""
    await client.abort()
    for _ in range(6):
        await witness.call_manager("echo", "fence")


@pytest.mark.spec("wire-42", "wire-44")
async def test_cut_client_is_back_and_its_callers_notice_nothing(
    connect: Connect, connect_raw: ConnectRaw, server: ServerProcess, alice: Person
) -> None:
    listener = await connect_raw(alice)
    await listener.call_manager("subscribe", ["client_disconnected", "service_removed", "service_added"])
    async with FaultProxy(server.url) as proxy:
        provider = await connect(alice, client_id="provider", url=proxy.url)
        heard: list[Any] = []
        provider.on("news", lambda event: heard.append(event["data"]))
        await provider.subscribe("news")
        await provider.register_service({"id": "svc", "hello": lambda: "hello"})
        await listener.wait_event("service_added")
        caller = await connect(alice)
        service = await caller.get_service("svc")

        async def attempt() -> float:
            links = proxy.accepted
            with Watch() as watch:
                proxy.cut_all()
                await eventually(lambda: proxy.accepted > links, what="the new link")
                assert await service.hello() == "hello"
            await eventually(lambda: is_back(provider), what="the end of the reconnect")
            return watch.seconds

        await check_quick(attempt, within_s=2.0)
        assert await (await caller.get_service("svc")).hello() == "hello"
        await caller.emit({"type": "news", "to": "*", "data": 1})
        await eventually(lambda: heard == [1], what="the event after the reconnect")
        await listener.call_manager("echo", "fence")
        kinds = [frame.main["type"] for frame in listener.frames if frame.main["type"] != "method"]
        assert kinds == ["service_added"]
        await provider.disconnect()


@pytest.mark.spec("wire-42", "resume-3")
async def test_held_calls_arrive_in_order_after_the_first_binary_frame(
    callee: RawClient, caller: RawClient, resume: Resume, alice: Person
) -> None:
    await lose(callee, caller)
    sessions = [
        await caller.start_call(f"{alice.workspace}/callee", "services.svc.run", n) for n in range(20)
    ]
    await caller.call_manager("echo", "fence")
    again = await resume(callee)
    await again.is_alive()
    assert again.calls.empty(), "frames were sent before the client's first binary frame"
    await again.call_manager("echo", "first binary frame")
    got = [await again.wait_call() for _ in sessions]
    assert [frame.extra["args"][0] for frame in got] == list(range(20))
    assert [frame.main["session"] for frame in got] == sessions
    for frame in got:
        await again.resolve(frame, frame.extra["args"][0])
    assert [await caller.answer_of(session) for session in sessions] == list(range(20))


@pytest.mark.spec("resume-3")
async def test_held_calls_reach_a_silent_client_after_a_second(
    callee: RawClient, caller: RawClient, resume: Resume, alice: Person
) -> None:
    await lose(callee, caller)
    await caller.start_call(f"{alice.workspace}/callee", "services.svc.run", 1)
    again = await resume(callee)
    start = time.monotonic()
    await again.wait_call()
    assert 0.5 < time.monotonic() - start < 3.0


@pytest.mark.spec("wire-44")
async def test_subscriptions_survive_the_reconnect(
    resume: Resume, connect_raw: ConnectRaw, alice: Person
) -> None:
    first = await connect_raw(alice, client_id="listener")
    await first.call_manager("subscribe", ["news"])
    await first.abort()
    sender = await connect_raw(alice)
    await sender.emit("news", "*", data="during")
    await sender.call_manager("echo", "fence")
    again = await resume(first)
    await again.call_manager("echo", "awake")
    assert (await again.wait_event("news")).main["data"] == "during"
    again.frames.clear()
    await sender.emit("news", "*", data="after")
    assert (await again.wait_event("news")).main["data"] == "after"


@pytest.mark.spec("wire-42")
async def test_call_sent_before_the_cut_is_answered_after_it(
    callee: RawClient, caller: RawClient, resume: Resume
) -> None:
    session = await caller.start_call(callee.address, "services.svc.run")
    call = await callee.wait_call()
    await callee.abort()
    again = await resume(callee)
    await again.resolve(call, "late but right")
    assert await caller.answer_of(session) == "late but right"
    assert again.calls.empty(), "the call was sent twice"


@pytest.mark.spec("wire-42")
async def test_answer_waits_for_a_caller_that_lost_its_link(
    callee: RawClient, caller: RawClient, resume: Resume
) -> None:
    session = await caller.start_call(callee.address, "services.svc.run")
    call = await callee.wait_call()
    await caller.abort()
    await callee.resolve(call, 42)
    await callee.call_manager("echo", "fence")
    again = await resume(caller)
    await again.call_manager("echo", "awake")
    assert await again.answer_of(session) == 42


@pytest.mark.spec("resume-7")
async def test_newer_socket_takes_over_and_the_old_one_is_closed(
    resume: Resume, connect_raw: ConnectRaw, alice: Person
) -> None:
    first = await connect_raw(alice, client_id="twice")
    await first.offer("svc")
    watcher = await connect_raw(alice)
    await watcher.call_manager("subscribe", ["client_disconnected"])
    second = await resume(first)
    second._services = first._services
    await second.call_manager("echo", "awake")
    assert (await first.wait_closed())[0] == 1001
    await watcher.start_call(second.address, "services.svc.run")
    await second.wait_call()
    assert not [frame for frame in watcher.frames if frame.main["type"] == "client_disconnected"]


@pytest.mark.spec("resume-14")
async def test_two_sockets_with_one_token_at_once_end_with_one_owner(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    first = await connect_raw(alice, client_id="race")
    await first.offer("svc")
    token = first.info["reconnection_token"]
    await first.abort()
    sockets = await asyncio.gather(
        *(connect_raw(client_id="race", reconnection_token=token) for _ in range(6)), return_exceptions=True
    )
    assert not [each for each in sockets if isinstance(each, BaseException)], (
        "JavaScript clients give up on that"
    )
    await eventually(
        lambda: sum(socket.closed is None for socket in sockets) == 1, what="one socket to be left"
    )
    owner = next(socket for socket in sockets if socket.closed is None)
    await owner.call_manager("echo", "awake")
    caller = await connect_raw(alice)
    await caller.start_call(owner.address, "services.svc.run")
    await owner.wait_call()


@pytest.mark.spec("resume-9", "resume-14")
@pytest.mark.parametrize("code", [1000, 1001])
async def test_orderly_close_followed_by_a_reconnect_loses_nothing(
    callee: RawClient, caller: RawClient, resume: Resume, alice: Person, code: int
) -> None:
    await caller.call_manager("subscribe", ["client_disconnected"])
    await callee.close(code)
    session = await caller.start_call(f"{alice.workspace}/callee", "services.svc.run", 7)
    again = await resume(callee)
    await again.call_manager("echo", "awake")
    call = await again.wait_call()
    await again.resolve(call, 7)
    assert await caller.answer_of(session) == 7
    assert not [frame for frame in caller.frames if frame.main["type"] == "client_disconnected"]


@pytest.mark.spec("resume-9", "wire-29")
async def test_goodbye_ends_the_client_within_seconds(
    callee: RawClient, caller: RawClient, alice: Person
) -> None:
    await caller.call_manager("subscribe", ["client_disconnected"])
    unanswered = await caller.start_call(callee.address, "services.svc.run")
    await callee.wait_call()
    await callee.close(1000)
    held = await caller.start_call(callee.address, "services.svc.run")
    start = time.monotonic()
    with pytest.raises(RawCallError, match=r"^NotDelivered|not connected"):
        await caller.answer_of(held)
    with pytest.raises(RawCallError, match=r"^OutcomeUnknown"):
        await caller.answer_of(unanswered)
    gone = await caller.wait_event("client_disconnected")
    assert gone.main["data"] == {"id": "callee", "workspace": alice.workspace}
    assert time.monotonic() - start < 3.0
    with pytest.raises(RawCallError, match=r"Service not found"):
        await caller.call_manager("get_service_info", "svc")


@pytest.mark.spec("wire-29")
async def test_outcome_unknown_uses_no_word_that_makes_clients_repeat(
    callee: RawClient, caller: RawClient
) -> None:
    session = await caller.start_call(callee.address, "services.svc.run")
    await callee.wait_call()
    await callee.close(1000)
    with pytest.raises(RawCallError) as failure:
        await caller.answer_of(session)
    phrases = (
        "Method expired or not found",
        "Session not found",
        "Peer",
        "Method not found",
        "Connection was closed",
        "Connection is closed",
    )
    assert not [phrase for phrase in phrases if phrase in str(failure.value)]


@pytest.mark.timeout(90)
@pytest.mark.spec("wire-29")
async def test_hold_time_and_resume_window_of_a_lost_client(
    callee: RawClient, caller: RawClient, resume: Resume, alice: Person
) -> None:
    await lose(callee, caller)
    start = time.monotonic()
    session = await caller.start_call(f"{alice.workspace}/callee", "services.svc.run", interval_s=60.0)
    with pytest.raises(RawCallError, match=r"^NotDelivered|not connected"):
        await caller.answer_of(session, timeout_s=15)
    assert 7.0 < time.monotonic() - start < 13.0
    start = time.monotonic()
    with pytest.raises(RawCallError, match=r"^NotDelivered|not connected"):
        await caller.call(f"{alice.workspace}/callee", "services.svc.run")
    assert time.monotonic() - start < 1.0
    again = await resume(callee)
    assert again.info["client_id"] == "callee"
    assert (await caller.call_manager("get_service_info", "svc"))["id"] == f"{alice.workspace}/callee:svc"


@pytest.mark.spec("resume-4")
async def test_held_call_ends_before_its_caller_gives_up(
    callee: RawClient, caller: RawClient, alice: Person
) -> None:
    await lose(callee, caller)
    start = time.monotonic()
    session = await caller.start_call(f"{alice.workspace}/callee", "services.svc.run", interval_s=2.0)
    with pytest.raises(RawCallError, match=r"^NotDelivered|not connected"):
        await caller.answer_of(session, timeout_s=6)
    assert 2.0 < time.monotonic() - start < 4.0


@pytest.mark.spec("wire-42")
async def test_live_client_wins_a_selection_against_a_held_one(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    held = await connect_raw(alice, client_id="held")
    await held.offer("svc", {"hello": lambda: "held"})
    live = await connect_raw(alice, client_id="live")
    await live.offer("svc", {"hello": lambda: "live"})
    caller = await connect_raw(alice)
    await lose(held, caller)
    for mode in ("first", "random", "last"):
        service = await caller.call_manager("get_service", "svc", kwargs={"config": {"mode": mode}})
        assert service["id"] == f"{alice.workspace}/live:svc"


@pytest.mark.spec("wire-42")
async def test_held_client_does_not_block_a_singleton(connect_raw: ConnectRaw, alice: Person) -> None:
    held = await connect_raw(alice)
    await held.offer("one", singleton=True)
    await held.abort()
    successor = await connect_raw(alice)
    await successor.offer("one", singleton=True)


@pytest.mark.spec("wire-42")
async def test_new_handshake_without_the_token_ends_the_held_state(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    caller = await connect_raw(alice)
    numbers = itertools.count()

    async def attempt() -> float:
        name = f"phoenix-{next(numbers)}"
        held = await connect_raw(alice, client_id=name)
        await held.offer("svc")
        await lose(held, caller)
        session = await caller.start_call(f"{alice.workspace}/{name}", "services.svc.run")
        await caller.call_manager("echo", "fence")
        with Watch() as watch:
            fresh = await connect_raw(alice, client_id=name)
        with pytest.raises(RawCallError, match=r"^NotDelivered|not connected"):
            await caller.answer_of(session)
        await fresh.call_manager("echo", "awake")
        assert fresh.calls.empty()
        with pytest.raises(RawCallError, match=r"Service not found"):
            await caller.call_manager("get_service_info", "svc")
        return watch.seconds

    await check_quick(attempt, within_s=1.0)


@pytest.mark.spec("resume-10")
async def test_identical_reregistration_after_resume_makes_no_service_events(
    resume: Resume, connect_raw: ConnectRaw, alice: Person
) -> None:
    first = await connect_raw(alice, client_id="again")
    await first.offer("svc")
    watcher = await connect_raw(alice)
    kinds = ["service_added", "service_removed", "client_updated", "client_connected", "client_disconnected"]
    await watcher.call_manager("subscribe", kinds)
    await first.abort()
    again = await resume(first)
    await again.offer("svc")
    await watcher.wait_event("client_updated")
    await watcher.call_manager("echo", "fence")
    assert {frame.main["type"] for frame in watcher.frames} <= {"method", "client_updated"}


@pytest.mark.spec("wire-43", "core-L10")
@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.timeout(90)
async def test_clients_return_by_themselves_after_a_restart(
    start_server: StartServer,
    connect: Connect,
    connect_raw: ConnectRaw,
    node_worker: NewWorker,
    how: str,
) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    node = await node_worker()
    await node.connect(own.url, token=alice.token, client_id="node")
    await node.serve("node-lab")
    provider = await connect(alice, url=own.url, client_id="provider")
    await provider.register_service({"id": "svc", "hello": lambda: "hello"})
    caller = await connect(alice, url=own.url)
    service = await caller.get_service("svc")
    manager_id = caller.config.manager_id
    raw = await connect_raw(alice, url=own.ws_url)
    await asyncio.to_thread(own.stop if how == "stop" else own.kill)
    code, _ = await raw.wait_closed()
    assert (code == 1001) == (how == "stop")
    await asyncio.to_thread(own.start)

    async def all_back() -> bool:
        return is_back(provider) and is_back(caller) and await caller.echo("there") == "there"

    await eventually(all_back, within_s=15, what="the Python clients to return")
    assert caller.rpc._connection.manager_id == manager_id
    assert await service.hello() == "hello"
    assert await (await caller.get_service("svc")).hello() == "hello"

    async def node_answers() -> bool:
        return await (await caller.get_service("node:node-lab")).echo("js") == "js"

    await eventually(node_answers, within_s=15, what="the JavaScript client to return")
    assert await node.call("provider:svc", "hello") == "hello"


@pytest.mark.spec("wire-44", "resume-11")
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_subscriptions_survive_a_restart(start_server: StartServer, connect: Connect, how: str) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    listener = await connect(alice, url=own.url, client_id="listener")
    heard: list[Any] = []
    listener.on("news", lambda event: heard.append(event["data"]))
    await listener.subscribe("news")
    await asyncio.to_thread(own.restart, kill=how == "kill")
    await eventually(lambda: is_back(listener), within_s=15)
    sender = await connect(alice, url=own.url)
    await sender.emit({"type": "news", "to": "*", "data": "after"})
    await eventually(lambda: heard == ["after"])


@pytest.mark.spec("wire-44")
async def test_subscriptions_are_there_again_for_a_client_that_slept_longer_than_the_window(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(env={"HYPHA_HOLD_TIME": "0.2", "HYPHA_RESUME_WINDOW": "0.5"})
    alice = make_person(own, "alice")
    watcher = await RawClient.connect(own.ws_url, token=alice.token)
    await watcher.call_manager("subscribe", "client_disconnected")
    async with FaultProxy(own.url) as proxy:
        sleeper = await connect(alice, url=proxy.url, client_id="sleeper")
        heard: list[Any] = []
        sleeper.on("news", lambda event: heard.append(event["data"]))
        await sleeper.subscribe("news")
        proxy.accepts = False
        proxy.cut_all()
        await watcher.wait_event("client_disconnected", timeout_s=10)
        proxy.accepts = True
        await eventually(lambda: is_back(sleeper), within_s=15, what="the sleeper to return")
        await watcher.emit("news", "*", data="awake")
        await eventually(lambda: heard == ["awake"], what="the listener to hear again")
        await sleeper.disconnect()
    stranger = await RawClient.connect(own.ws_url, token=alice.token, client_id="sleeper")
    await watcher.emit("news", "*", data="not for a new client of that name")
    await stranger.call_manager("echo", "fence")
    assert not [frame for frame in stranger.frames if frame.main["type"] == "news"]
    for raw in (watcher, stranger):
        await raw.close()


@pytest.mark.spec("wire-43")
async def test_call_pending_over_a_restart_is_answered(start_server: StartServer, connect: Connect) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    provider = await connect(alice, url=own.url, client_id="provider", method_timeout=30)
    release = asyncio.Event()
    called = asyncio.Event()

    async def wait() -> str:
        called.set()
        await release.wait()
        return "answered after the restart"

    await provider.register_service({"id": "svc", "wait": wait})
    caller = await connect(alice, url=own.url, method_timeout=30)
    call = asyncio.ensure_future((await caller.get_service("svc")).wait())
    await asyncio.wait_for(called.wait(), 5)
    await asyncio.to_thread(own.restart, kill=True)
    await eventually(lambda: is_back(provider) and is_back(caller), within_s=15)
    release.set()
    assert await asyncio.wait_for(call, 10) == "answered after the restart"


@pytest.mark.spec("wire-45")
async def test_client_keeps_trying_while_the_server_is_away(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server()
    async with FaultProxy(own.url) as proxy:
        client = await connect(url=proxy.url)
        proxy.accepts = False
        proxy.cut_all()
        await eventually(lambda: client.rpc._connection._reconnected_event is not None)
        proxy.accepts = True
        await eventually(lambda: is_back(client), within_s=10)
        assert await client.echo("in again") == "in again"
        await client.disconnect()


@pytest.mark.node
@pytest.mark.spec("wire-45")
@pytest.mark.parametrize("web_server", ["own", "uvicorn"])
@pytest.mark.spec("resume-8")
async def test_clients_keep_trying_while_the_server_is_busy_with_handshakes(
    start_server: StartServer, connect: Connect, node_worker: NewWorker, tmp_path: Path, web_server: str
) -> None:
    port, env = free_port(), {"HYPHA_MAX_CONCURRENT_CONNECTIONS": "2"}
    options: dict[str, Any] = {"flags": ["--from-env"], "env": env}
    if web_server == "uvicorn":
        line = ["-m", "uvicorn", "hypha.server:app", "--host", "127.0.0.1", f"--port={port}"]
        env = {**env, "HYPHA_DATA_DIR": str(tmp_path / "data")}
        options = {"command": [sys.executable, *line], "env": env}
    own = await start_server(port=port, **options)
    alice = make_person(own, "alice")
    watcher = await connect(alice, url=own.url)
    async with FaultProxy(own.url) as proxy:
        provider = await connect(alice, url=proxy.url, client_id="python")
        await provider.register_service({"id": "lab", "echo": lambda value: value})
        node = await node_worker()
        await node.connect(proxy.url, token=alice.token, client_id="node")
        await node.serve("lab")
        silent = [await open_socket(own.ws_url) for _ in range(2)]
        with pytest.raises(InvalidStatus, match="503"):
            await open_socket(own.ws_url)
        accepted = proxy.accepted
        proxy.cut_all()
        await eventually(lambda: proxy.accepted >= accepted + 2, within_s=10, what="refused attempts")
        for socket in silent:
            await socket.close()
        for client_id in ("python", "node"):

            async def answers(client_id: str = client_id) -> bool:
                service = await watcher.get_service(f"{client_id}:lab", timeout=2)
                return bool(await service.echo("in again") == "in again")

            await eventually(answers, within_s=20, what=f"{client_id} to get in")
        await provider.disconnect()


@pytest.mark.spec("wire-46", "wire-16.16")
async def test_client_whose_token_was_revoked_does_not_come_back(connect: Connect, alice: Person) -> None:
    owner = await connect(alice)
    guest = await connect(token=await owner.generate_token())
    token = guest.rpc._connection._token
    await owner.revoke_token(token)
    await eventually(lambda: guest.rpc._connection._closed, within_s=10, what="the client to give up")


@pytest.mark.spec("wire-43")
async def test_a_server_with_another_secret_refuses_old_reconnection_tokens(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    own = await start_server(secret="first-secret-that-is-long-enough-for-hs256")
    raw = await connect_raw(url=own.ws_url, client_id="old")
    await asyncio.to_thread(own.stop)
    own.secret = "second-secret-that-is-long-enough-for-hs256"
    await asyncio.to_thread(own.start)
    with pytest.raises(RawRefused, match=r"^Authentication error"):
        await connect_raw(url=own.ws_url, client_id="old", reconnection_token=raw.info["reconnection_token"])


@pytest.mark.spec("wire-43", "resume-12")
async def test_secret_and_manager_id_live_in_the_data_folder(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    own = await start_server(secret=None)
    raw = await connect_raw(url=own.ws_url, client_id="old")
    await asyncio.to_thread(own.restart)
    again = await connect_raw(
        url=own.ws_url, client_id="old", reconnection_token=raw.info["reconnection_token"]
    )
    assert again.info["manager_id"] == raw.info["manager_id"]
    assert again.address == raw.address
