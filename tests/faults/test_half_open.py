"""Promise: half-open and frozen peers are found out and never own an id twice (faults F2, F3)."""

from __future__ import annotations

import asyncio
import time

import pytest

from hypha.testing import Direction, FaultProxy, RawClient, ServerProcess, eventually
from hypha.testing.rawclient import RawCallError, RawRefused
from tests.conftest import Connect, ConnectRaw, NewWorker, Person, StartServer, make_person


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F3")
@pytest.mark.parametrize(
    "direction",
    [
        None,
        pytest.param(Direction.UP, marks=pytest.mark.slow),
        pytest.param(Direction.DOWN, marks=pytest.mark.slow),
    ],
)
async def test_client_behind_a_stalled_link_comes_back(
    connect: Connect, server: ServerProcess, alice: Person, direction: Direction | None
) -> None:
    async with FaultProxy(server.url) as proxy:
        config = {"url": proxy.url, "ping_interval": 1, "ping_timeout": 2, "client_id": "provider"}
        provider = await connect(alice, **config)
        await provider.register_service({"id": "svc", "hello": lambda: "hello"})
        caller = await connect(alice)
        service = await caller.get_service("svc")
        for link in proxy.open_links:
            link.stall(*([direction] if direction else []))
        start = time.monotonic()

        async def is_answered() -> bool:
            return bool(await service.hello() == "hello")

        await eventually(is_answered, within_s=25, what="a call after the stall")
        assert time.monotonic() - start < 20
        assert proxy.accepted >= 2
        await provider.disconnect()


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F2")
async def test_frozen_client_that_was_replaced_never_shares_its_id(
    python_worker: NewWorker, connect_raw: ConnectRaw, server: ServerProcess, alice: Person
) -> None:
    frozen = await python_worker()
    await frozen.connect(server.url, token=alice.token, client_id="owner")
    await frozen.serve("lab")
    caller = await connect_raw(alice)
    frozen.freeze()
    start = time.monotonic()
    session = await caller.start_call(f"{alice.workspace}/owner", "services.lab.run", "a", 0, interval_s=1.0)
    with pytest.raises((RawCallError, TimeoutError)):
        await caller.answer_of(session, timeout_s=2)
    assert time.monotonic() - start < 3
    successor = await connect_raw(alice, client_id="owner")
    await successor.offer("lab", {"run": lambda *_: "successor"})
    frozen.thaw()
    await asyncio.wait_for(caller.call_manager("echo", 1), 5)
    for number in range(30):
        assert (
            await caller.call(f"{alice.workspace}/owner", "services.lab.run", f"b-{number}", 0) == "successor"
        )
        await asyncio.sleep(0.05)
    assert successor.closed is None
    assert set(await frozen.runs()) <= {"a"}


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F2", "wire-42")
async def test_late_client_waits_while_its_successor_is_between_two_links(
    connect_raw: ConnectRaw, server: ServerProcess, alice: Person
) -> None:
    late = await connect_raw(alice, client_id="owner")
    token = late.info["reconnection_token"]
    await late.abort()
    successor = await connect_raw(alice, client_id="owner")
    newer = successor.info["reconnection_token"]
    await successor.abort()
    with pytest.raises(RawRefused) as busy:
        await RawClient.connect(server.ws_url, client_id="owner", reconnection_token=token)
    assert (busy.value.message, busy.value.code) == ("", 1013), "it may try again"
    back = await RawClient.connect(server.ws_url, client_id="owner", reconnection_token=newer)
    assert await back.is_alive()
    with pytest.raises(RawRefused, match="already exists and is active"):
        await RawClient.connect(server.ws_url, client_id="owner", reconnection_token=token)
    assert await back.is_alive()
    await back.close()


@pytest.mark.timeout(60)
@pytest.mark.spec("faults-F2")
async def test_frozen_server_goes_on_where_it_stopped(
    start_server: StartServer, python_worker: NewWorker, connect: Connect
) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    worker = await python_worker()
    await worker.connect(own.url, token=alice.token, client_id="callee")
    await worker.serve("lab")
    caller = await connect(alice, url=own.url)
    service = await caller.get_service("lab")
    own.freeze()
    call = asyncio.ensure_future(service.run("during", 0))
    await asyncio.wait({call}, timeout=2.0)
    assert not call.done()
    own.thaw()
    assert await asyncio.wait_for(call, 10) == "during"
    assert (await worker.runs()) == {"during": 1}
