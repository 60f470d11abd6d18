"""Promise: half-open and frozen peers are found out and never own an id twice."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest

from hypha.testing import Direction, FaultProxy, RawClient, ServerProcess, eventually
from hypha.testing.clients import Worker
from hypha.testing.rawclient import RawCallError, RawRefused
from tests.kit.clients import Connect, ConnectRaw, NewWorker, StartServer
from tests.kit.people import Person, make_person


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


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.spec("faults-F2")
async def test_clients_frozen_for_a_second_to_a_minute_and_a_half_return_with_their_services(
    connect: Connect, python_worker: NewWorker, node_worker: NewWorker, server: ServerProcess, alice: Person
) -> None:
    caller = await connect(alice, method_timeout=5)

    async def freeze(start: NewWorker, name: str, seconds: float) -> None:
        worker = await start()
        await worker.connect(server.url, token=alice.token, client_id=name)
        await worker.serve(name)
        worker.freeze()
        await asyncio.sleep(seconds)
        worker.thaw()
        await eventually(lambda: _runs_once(caller, worker, name), within_s=20, what=f"{name} after the thaw")

    lengths = (1, 12, 45, 95)
    await asyncio.gather(
        *(freeze(python_worker, f"python-{seconds}", seconds) for seconds in lengths),
        *(freeze(node_worker, f"node-{seconds}", seconds) for seconds in lengths),
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("faults-F2")
@pytest.mark.parametrize("seconds", [1, 30, 90])
async def test_clients_of_a_frozen_server_are_back_after_the_thaw(
    start_server: StartServer,
    python_worker: NewWorker,
    node_worker: NewWorker,
    connect: Connect,
    seconds: int,
) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    workers = {"python": await python_worker(), "node": await node_worker()}
    for name, worker in workers.items():
        await worker.connect(own.url, token=alice.token, client_id=name)
        await worker.serve(name)
    own.freeze()
    await asyncio.sleep(seconds)
    own.thaw()
    caller = await connect(alice, url=own.url, method_timeout=5)
    for name, worker in workers.items():  # their own pauses grow up to 64 s meanwhile
        await eventually(
            lambda name=name, worker=worker: _runs_once(caller, worker, name),  # type: ignore[misc]
            within_s=75,
            what=f"{name} after the thaw",
        )
    listed = await caller.list_clients()
    assert sorted(
        entry["id"].split("/")[1] for entry in listed if entry["id"].endswith(("/python", "/node"))
    ) == [
        "node",
        "python",
    ]


async def _runs_once(caller: Any, worker: Worker, name: str) -> bool:
    """True when a fresh call is answered by this very worker, which ran it once."""
    call = uuid.uuid4().hex
    try:
        answer = await (await caller.get_service(f"{name}:{name}")).run(call)
    except Exception:
        return False
    return bool(answer == call and (await worker.runs())[call] == 1)


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.spec("faults-F2")
async def test_client_that_hears_nothing_while_it_works_answers_in_the_end(
    python_worker: NewWorker, start_server: StartServer
) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    busy = await python_worker()
    await busy.connect(own.url, token=alice.token, client_id="busy")
    await busy.serve("lab")
    async with await RawClient.connect(own.ws_url, token=alice.token) as caller:
        busy.freeze()  # as the Python client is while a plain function runs in its event loop
        session = await caller.start_call(
            f"{alice.workspace}/busy", "services.lab.run", "a", 0, interval_s=120
        )
        with pytest.raises(TimeoutError):
            await caller.answer_of(session, timeout_s=80)
        busy.thaw()
        assert await caller.answer_of(session, timeout_s=10) == "a"
    assert await busy.runs() == {"a": 1}
    assert "is dead" not in own.log
