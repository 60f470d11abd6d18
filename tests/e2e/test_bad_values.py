"""What one party sends that cannot be read, or is too deep, ends one call and hurts nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgpack
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

PACKED = {"content-type": "application/msgpack"}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest_asyncio.fixture(loop_scope="session")
async def lab(server: ServerProcess, connect: Connect, alice: Person) -> AsyncIterator[httpx.AsyncClient]:
    client = await connect(alice, client_id="lab")

    async def steps() -> AsyncIterator[Any]:
        yield 1
        yield {(1, 2): "a"}

    config = {"visibility": "public"}
    functions = {
        "echo": lambda value: value,
        "deep": lambda levels: nested(levels),
        "numbers": lambda: {1: "a", 2.5: "b"},
        "tuples": lambda: {(1, 2): "a"},
        "steps": steps,
    }
    await client.register_service({"id": "svc", "config": config, **functions})
    base = f"{server.url}/{alice.workspace}/services/svc/"
    async with httpx.AsyncClient(base_url=base, timeout=40) as http:
        yield http


@pytest.mark.parametrize("levels", [95, 130, 190, 600])
@pytest.mark.parametrize("packed", [True, False])
async def test_a_deep_body_of_a_stranger_costs_the_provider_nothing(
    lab: httpx.AsyncClient, levels: int, packed: bool
) -> None:
    content = msgpack.packb([nested(levels)]) if packed else f"[{'[' * levels}1{']' * levels}]"
    answer = await lab.post("echo", content=content, headers=PACKED if packed else None)
    assert answer.status_code == (200 if levels < 100 else 400), answer.text
    if levels < 100:
        assert (msgpack.unpackb(answer.content) if packed else answer.json()) == nested(levels)
    later = await lab.get("echo", params={"value": "still here"})
    assert (later.status_code, later.json()) == (200, "still here")


@pytest.mark.parametrize("levels", [130, 300])
async def test_a_deep_result_ends_the_call_at_once_with_the_reason(
    lab: httpx.AsyncClient, levels: int
) -> None:
    answer = await lab.get("deep", params={"levels": levels})
    assert answer.status_code == 500
    assert "nested deeper than 100 levels" in answer.json()["detail"]
    assert (await lab.get("echo", params={"value": 1})).json() == 1


async def test_keys_that_are_numbers_are_text_in_json_and_numbers_in_msgpack(lab: httpx.AsyncClient) -> None:
    assert (await lab.get("numbers")).json() == {"1": "a", "2.5": "b"}
    answer = await lab.get("numbers", headers={"accept": "application/msgpack"})
    assert msgpack.unpackb(answer.content, strict_map_key=False) == {1: "a", 2.5: "b"}


async def test_keys_that_are_tuples_end_the_call_at_once_with_the_reason(lab: httpx.AsyncClient) -> None:
    begin = time.monotonic()
    answer = await lab.get("tuples")
    assert answer.status_code == 500
    assert "key that is not text" in answer.json()["detail"]
    stream = await lab.get("steps")
    assert stream.text.startswith('data: 1\n\ndata: {"error":')
    assert "key that is not text" in stream.text
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("levels", [600, 1500])
async def test_a_deep_call_of_a_stranger_keeps_the_providers_link(
    lab: httpx.AsyncClient, connect_raw: ConnectRaw, alice: Person, bob: Person, levels: int
) -> None:
    raw = await connect_raw(bob)
    packed = msgpack.packb({"type": "method", "from": raw.address, "to": f"{alice.workspace}/lab",
                            "method": "services.svc.echo", "session": "S"})  # fmt: skip
    body = b"\x82\xa4args\x91" + b"\x91" * levels + b"\x01" + b"\xa7promise\xa1*"
    await raw.send_bytes(packed + body)
    for strange in ({1: 2}, msgpack.ExtType(5, b"x"), msgpack.Timestamp(2**40), b"\xff"):
        await raw.start_call(f"{alice.workspace}/lab", "services.svc.echo", strange)
    answer = await lab.get("echo", params={"value": 1})
    assert (answer.status_code, answer.json()) == (200, 1)


async def test_broken_answers_of_one_provider_delay_no_other_call(
    lab: httpx.AsyncClient, connect_raw: ConnectRaw, bob: Person
) -> None:
    raw = await connect_raw(bob)
    await raw.offer("svc", visibility="public")
    url = f"{lab.base_url.copy_with(path='/')}{bob.workspace}/services/svc/run"
    calls = [asyncio.ensure_future(lab.get(str(url))) for _ in range(3)]
    for _ in calls:
        call = await raw.wait_call(10)
        session = call.main["session"]
        main = {
            "type": "method",
            "from": raw.address,
            "to": call.main["from"],
            "method": f"{session}.resolve",
        }
        await raw.send_bytes(msgpack.packb(main) + b"\x81\xa4args\x91\x81\x91\x01\x02")
    answers = await asyncio.wait_for(asyncio.gather(*calls), 15)
    assert [answer.status_code for answer in answers] == [500] * 3
    assert await raw.is_alive()
