"""The service `queue` with real clients: order, waiting, rights, and a server that is killed."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

from hypha.testing import NodeWorker, ServerProcess
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person
from tests.kit.quick import Watch, check_quick


@pytest.mark.spec("core-O3")
async def test_first_in_first_out_and_timeouts(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    queue = await client.get_service("public/queue")
    for n in range(3):
        await queue.push("o3", {"n": n})
    assert await queue.peek("o3") == [{"n": 0}]
    assert await queue.peek("o3", n=5) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert await queue.peek("o3", n=2.0) == [{"n": 0}, {"n": 1}]
    assert await queue.get_length("o3") == 3
    assert [(await queue.pop("o3"))["n"] for _ in range(3)] == [0, 1, 2]
    for timeout, least, most in ((0, 0, 0.5), (1, 0.9, 2), (0.3, 0.25, 1)):
        empty = partial(wait_in_vain, queue, timeout)
        await check_quick(empty, within_s=most, least_s=least)


async def wait_in_vain(queue: Any, timeout_s: float) -> float:
    """How long one waits for a task that does not come, in seconds."""
    with Watch() as watch:
        assert await queue.pop("o3", timeout=timeout_s) is None
    return watch.seconds


async def test_a_push_wakes_the_one_who_waits(connect: Connect, alice: Person) -> None:
    consumer = await (await connect(alice)).get_service("public/queue")
    producer = await (await connect(alice)).get_service("public/queue")

    async def attempt() -> float:
        waiting = asyncio.ensure_future(consumer.pop("wake", timeout=10))
        await asyncio.sleep(0.3)
        with Watch() as watch:
            await producer.push("wake", b"now")
            assert await waiting == b"now"
        return watch.seconds

    await check_quick(attempt, within_s=1.0)


async def test_a_lease_that_is_not_finished_comes_back(connect: Connect, alice: Person) -> None:
    queue = await (await connect(alice)).get_service("public/queue")
    await queue.push("leases", "job")
    held = await queue.pop("leases", timeout=0, lease=0.3)
    assert (held["task"], held["attempt"]) == ("job", 1)
    again = await queue.pop("leases", timeout=5, lease=30)
    assert again["attempt"] == 2
    with pytest.raises(Exception, match="on lease"):
        await queue.ack("leases", held["receipt"])
    await queue.ack("leases", again["receipt"])
    assert await queue.pop("leases", timeout=0) is None


async def test_who_may_use_a_queue(
    connect: Connect, server: ServerProcess, alice: Person, bob: Person
) -> None:
    queue = await (await connect(alice)).get_service("public/queue")
    await queue.push("rights", 1)
    other = await (await connect(bob)).get_service("public/queue")
    assert await other.get_length("rights") == 0
    reader = await connect(alice.with_token(alice.token_for("r")), workspace=alice.workspace)
    reading = await reader.get_service("public/queue")
    assert await reading.get_length("rights") == 1
    assert await reading.peek("rights") == [1]
    for call in (
        reading.push("rights", 2),
        reading.pop("rights", timeout=0),
        reading.ack("rights", "x"),
        reading.extend("rights", "x", 1),
    ):
        with pytest.raises(Exception, match="Permission denied"):
            await call
    with pytest.raises(Exception, match="Invalid queue name: 'a b'"):
        await queue.push("a b", 1)


async def test_queues_over_http(server: ServerProcess, alice: Person) -> None:
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=f"{server.url}/public/services/queue") as http:
        for function in ("push", "pop"):
            body = {"queue_name": "q", "task": 1} if function == "push" else {"queue_name": "q"}
            assert (await http.post(f"/{function}", json=body)).status_code == 403
        pushed = await http.post("/push", json={"queue_name": "http", "task": {"a": 1}}, headers=headers)
        assert (pushed.status_code, pushed.json()) == (200, None)
        popped = await http.get("/pop?queue_name=http&timeout=0.5", headers=headers)
        assert popped.json() == {"a": 1}

        async def nothing() -> float:
            with Watch() as watch:
                answer = await http.get("/pop?queue_name=http&timeout=0", headers=headers)
            assert answer.json() is None
            return watch.seconds

        await check_quick(nothing, within_s=1.0)
        bad = await http.get("/pop?queue_name=http&timeout=-1", headers=headers)
        assert bad.status_code == 400


@pytest.mark.node
async def test_queues_from_javascript(node: NodeWorker, server: ServerProcess, alice: Person) -> None:
    code = """
      const server = await connect({server_url: args.url, token: args.token});
      const queue = await server.getService("public/queue");
      await queue.push("js", {n: 1});
      const popped = await queue.pop({queue_name: "js", timeout: 1, _rkwargs: true});
      return [popped, await queue.pop("js", 0)];
    """
    assert await node.run(code, url=server.url, token=alice.token) == [{"n": 1}, None]


@pytest.mark.spec("core-O3")
async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    connect: Connect, start_server: StartServer
) -> None:
    own = await start_server()
    person = make_person(own, "queues")
    acknowledged: list[int] = []
    headers = {"Authorization": f"Bearer {person.token}"}

    async def push(http: httpx.AsyncClient, n: int) -> None:
        answer = await http.post("/push", json={"queue_name": "kill", "task": n})
        if answer.status_code == 200:
            acknowledged.append(n)

    async def pushing(first: int) -> None:
        base = f"{own.url}/public/services/queue"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=10) as http:
            for n in range(first, first + 10_000):
                await push(http, n)

    pushers = [asyncio.create_task(pushing(lane * 10_000)) for lane in range(4)]
    while len(acknowledged) < 60:  # noqa: ASYNC110 (the pushers tell nobody)
        await asyncio.sleep(0.01)
    await asyncio.to_thread(own.kill)
    await asyncio.gather(*pushers, return_exceptions=True)
    await asyncio.to_thread(own.start)
    client: Any = await connect(person, url=own.url)
    queue = await client.get_service("public/queue")
    found = []
    while (task := await queue.pop("kill", timeout=0)) is not None:
        found.append(task)
    assert set(acknowledged) <= set(found)
    assert len(set(found)) == len(found) <= len(acknowledged) + len(pushers)
