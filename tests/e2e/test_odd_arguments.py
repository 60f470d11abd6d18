"""Whatever anybody gives the functions of the server: each call ends with a sentence, never with a fault."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgpack
import pytest
import pytest_asyncio

from hypha.testing import RawClient, ServerProcess
from hypha.testing.rawclient import RawCallError
from tests.kit.people import make_person

P = msgpack.packb


def nested(levels: int, value: Any = 1) -> Any:
    for _ in range(levels):
        value = [value] if levels % 2 else {"a": value}
    return value


ODD: list[Any] = [
    None, True, 0, -1, 2**63, -(2**63), 1.5, float("nan"), float("inf"), 1e308, "", " ", "*", "/", "../x",
    "a/b", "a:b", "a@b", "a*", "\0", "x" * 5000, "日本", "__proto__", "hasOwnProperty", "public", "%2e", "{}",
    "9" * 400, b"", b"\xff" * 100, [], [None], ["a"], [[]], [{}], {}, {"a": 1}, {"": 1}, {"\0": 1},
    {"id": None}, {"id": 5}, {"config": 5}, {"type": {}}, {"name": {"a": 1}}, {"expires_in": float("nan")},
    {"expires_in": 2**63}, {"permission": {}}, {"$ref": "#"}, {"workspace": ["x"]},
    {"config": {"visibility": []}}, {"a": b"x"}, {"__proto__": 1}, {"id": "x", "workspace": "*"},
    {"_rtype": "method"}, {"_rtype": "ndarray", "_rdtype": "object", "_rvalue": b"x", "_rshape": [2**40]},
    {"_rtype": 5}, {"_rtype": "set", "_rvalue": 5}, {"_rtype": "error", "_rvalue": "x"},
    {"_rtype": "generator"}, [msgpack.Timestamp(1)], msgpack.Timestamp(2**33, 999_999_999),
    msgpack.ExtType(5, b"x"), nested(90), nested(99), nested(300), nested(401), ["a"] * 3000,
    {str(number): number for number in range(3000)},
]  # fmt: skip
PACKED = [
    b"\x81\xa1a\xa2\xff\xfe", b"\xa2\xff\xfe", b"\xd4\xff\x00", b"\x81\xc0\x01", b"\x81\x05\x01",
    b"\xd4\xfe\x00", b"\xa3\xed\xa0\x80", b"\x82\xa1a\x01\xa1a\x02", b"\x91" * 600 + b"\x01",
    b"\x81\xd6\xff" + bytes(4) + b"\x01",
]  # fmt: skip
"""What the packer does not make."""
OFFERED = frozenset({"hypha-login", "queue", "s3-storage", "artifact-manager"})
FAULTS = ("internal", "server_fault", "serverfault", "fault of the server")
Function = tuple[str, str, list[str]]
"""Where it is, its path, and its parameters."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(server: ServerProcess) -> AsyncIterator[list[RawClient]]:
    """A stranger, somebody in a workspace of their own, and the operator."""
    tokens = [{}, {"token": make_person(server, "odd").token}, {"token": server.root_token}]
    clients = [await RawClient.connect(server.ws_url, **token) for token in tokens]
    yield clients
    for client in clients:
        await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def functions(people: list[RawClient]) -> list[Function]:
    """All that somebody in a workspace sees of the server."""
    client = people[1]
    places = [(client.manager, "default")]
    for service in await client.call_manager("list_services", {"workspace": "public"}, timeout_s=20.0):
        address, _, name = service["id"].partition(":")
        if name.partition("@")[0] in OFFERED:
            places.append((address, name.partition("@")[0]))
    found: list[Function] = []
    for address, name in places:
        offered = await client.call(address, "services.built-in.get_service", name, timeout_s=20.0)
        for value in offered.values():
            if isinstance(value, dict) and value.get("_rtype") == "method":
                schema = (value.get("_rschema") or {}).get("parameters") or {}
                found.append((value["_rtarget"], value["_rmethod"], list(schema.get("properties") or {})))
    caches = ("create", "set", "append", "process", "remove")
    found += [(client.manager, f"services.built-in.message_cache.{name}", ["key"]) for name in caches]
    return [*found, (client.manager, "services.built-in.get_service", ["service_id"])]


def odd_body(rng: random.Random, parameters: Sequence[str]) -> bytes:
    """Arguments by position or name, some of them bytes that no packer makes."""
    rest = P("promise") + P("*") + P("t") + P(5.0)
    if rng.random() < 0.15:
        return b"\x83" + P("args") + b"\x91" + rng.choice(PACKED) + rest
    if not parameters or rng.random() < 0.3:
        return b"\x83" + P("args") + P([rng.choice(ODD) for _ in range(rng.randint(0, 3))]) + rest
    named = rng.sample(parameters, rng.randint(1, min(len(parameters), 3)))
    return (
        b"\x84"
        + P("args")
        + P([{name: rng.choice(ODD) for name in named}])
        + P("with_kwargs")
        + P(True)
        + rest
    )


async def called(client: RawClient, to: str, method: str, body: bytes) -> str:
    """How a call ended."""
    session = uuid.uuid4().hex
    main = {"type": "method", "from": client.address, "to": to, "method": method, "session": session}
    await client.send_bytes(P(main) + body)
    try:
        await client.answer_of(session, 30.0)
    except RawCallError as error:
        return str(error)
    return ""


async def call_all(
    people: list[RawClient], functions: list[Function], rng: random.Random, times: int
) -> None:
    for to, method, parameters in functions:
        bodies = [odd_body(rng, parameters) for _ in range(times)]
        calls = [called(rng.choice(people), to, method, body) for body in bodies]
        for body, answer in zip(bodies, await asyncio.gather(*calls), strict=True):
            assert not any(fault in answer.lower() for fault in FAULTS), (method, body[:200], answer)


async def test_no_argument_is_a_fault_of_the_server(
    people: list[RawClient], functions: list[Function], server: ServerProcess
) -> None:
    assert len(functions) > 35
    await call_all(people, functions, random.Random(uuid.uuid4().int), 6)
    assert all([await client.is_alive() for client in people])
    assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_no_argument_of_many_is_a_fault_of_the_server(
    people: list[RawClient], functions: list[Function], server: ServerProcess, seed: int
) -> None:
    await call_all(people, functions, random.Random(seed), 40)
    assert all([await client.is_alive() for client in people])
    assert "Traceback" not in server.log
