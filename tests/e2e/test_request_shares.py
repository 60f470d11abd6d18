"""Requests that go on and bodies that don't come: each hurts its sender only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import httpx
import psutil
import pytest

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connect, StartServer, shared_server
from tests.kit.people import make_person

ELSEWHERE = "127.0.0.2"
MIB = 1024 * 1024
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def begin_upload(server: ServerProcess, path: str, size: int, address: str = "127.0.0.1") -> Stream:
    """A POST whose body stops after so many bytes of twice as many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {2 * size}\r\n"
    )
    writer.write(head.encode() + b"\r\n" + b" " * size)
    return reader, writer


async def status_of(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])


def from_elsewhere(server: ServerProcess, **more: Any) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
    return httpx.AsyncClient(base_url=server.url, transport=transport, timeout=20, **more)


impatient = shared_server(env={"HYPHA_BODY_PATIENCE": "1"})


@pytest.mark.spec("faults-F14")
@pytest.mark.parametrize(
    "path",
    ["/{ws}/services/lab/hello", "/rpc?client_id=x&workspace=y", "/{ws}/apps/pages/", "/{ws}/apps/web/"],
)
async def test_bodies_that_stop_are_refused_in_time(
    impatient: ServerProcess, connect: Connect, path: str
) -> None:
    client = await connect(url=impatient.url)
    await client.register_service({"id": "lab", "config": {"visibility": "public"}, "hello": lambda *_: "hi"})
    await client.register_service(
        {"id": "pages", "type": "functions", "config": {"visibility": "public"}, "index": lambda event: "hi"}
    )

    async def serve(args: Any) -> None:
        while (await args["receive"]()).get("more_body"):
            pass

    await client.register_service(
        {"id": "web", "type": "asgi", "config": {"visibility": "public"}, "serve": serve}
    )
    reader, writer = await begin_upload(impatient, path.format(ws=client.config.workspace), 2000)
    async with asyncio.timeout(15):
        assert 400 <= await status_of(reader) < 500
    writer.close()


async def test_unfinished_bodies_of_one_address_hold_no_more_than_its_share(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(env={"HYPHA_UNFINISHED_BODIES_PER_ADDRESS": str(50 * MIB)})
    client = await connect(url=own.url)
    await client.register_service(
        {"id": "lab", "config": {"visibility": "public"}, "size": lambda text: len(text)}
    )
    path = f"/{client.config.workspace}/services/lab/size"
    process = psutil.Process(own.pid)
    before = process.memory_info().rss
    streams = await asyncio.gather(*(begin_upload(own, path, 20 * MIB) for _ in range(15)))

    async def refused() -> bool:
        return sum(len(reader._buffer) > 0 for reader, _ in streams) >= 13  # type: ignore[attr-defined]

    await eventually(refused, within_s=20, what="those above the share to be refused")
    assert process.memory_info().rss - before < 120 * MIB
    statuses = {await status_of(r) for r, _ in streams if r._buffer}  # type: ignore[attr-defined]
    assert statuses == {429}
    async with from_elsewhere(own) as http:
        answer = await http.post(path, json={"text": "x" * (15 * MIB)})
        assert (answer.status_code, answer.json()) == (200, 15 * MIB)
    for _, writer in streams:
        writer.transport.abort()


async def test_calls_that_never_end_leave_room_for_others(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(
        env={"HYPHA_MAX_RUNNING_REQUESTS": "60", "HYPHA_MAX_RUNNING_REQUESTS_PER_ADDRESS": "50"}
    )
    provider = await connect(url=own.url)
    never = asyncio.Event()

    async def wait() -> None:
        await never.wait()

    await provider.register_service(
        {"id": "lab", "config": {"visibility": "public"}, "wait": wait, "hello": lambda: "hi"}
    )
    base = f"/{provider.config.workspace}/services/lab"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=own.url, limits=limits, timeout=30) as greedy:
        calls = [asyncio.create_task(greedy.get(f"{base}/wait")) for _ in range(80)]
        await eventually(lambda: sum(call.done() for call in calls) == 30, within_s=15)
        answers = [call.result() for call in calls if call.done()]
        assert {answer.status_code for answer in answers} == {429}
        assert all(answer.headers["retry-after"] for answer in answers)
        start = time.monotonic()
        async with from_elsewhere(own) as http:
            assert (await http.get(f"{base}/hello")).json() == "hi"
        signed_in = {"authorization": f"Bearer {make_person(own).token}"}
        assert (await greedy.get(f"{base}/hello", headers=signed_in)).json() == "hi"
        assert time.monotonic() - start < 5
        never.set()
        with contextlib.suppress(httpx.HTTPError):
            await asyncio.gather(*calls)
        assert (await greedy.get(f"{base}/hello")).json() == "hi"


async def test_bodies_of_many_values_that_are_complete_together_are_parsed_in_several_turns(
    connect: Connect, start_server: StartServer
) -> None:
    """The servers of all tests tell of turns that take too long, and the test fails then."""
    server = await start_server(env={"HYPHA_HTTP_RATE_LIMIT": "0"})
    body = b'{"data":[' + b",".join([b"{}"] * 20_000) + b"]}"
    client = await connect(make_person(server, "ann"), url=server.url)
    await client.register_service({"id": "sink", "config": {"visibility": "public"}, "take": lambda data: 1})
    head = (
        f"POST /{client.config.workspace}/services/sink/take HTTP/1.1\r\nHost: x\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    links = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(30)]
    try:
        for _, writer in links:
            writer.write(head + body[:-1])
            await writer.drain()
        for _, writer in links:
            writer.write(body[-1:])
        answers = [await reader.readline() for reader, _ in links]
    finally:
        for _, writer in links:
            writer.close()
    assert len(answers) == 30 and all(answer.startswith(b"HTTP/1.1 ") for answer in answers)
    assert sum(b" 200 " in answer for answer in answers) > 10, answers
