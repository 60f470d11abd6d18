"""Large bodies: own functions take little from strangers, public services much, at a bounded cost."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgpack
import orjson
import psutil
import pytest
import pytest_asyncio
from hypha_rpc import connect_to_server

from hypha.testing import RawCallError, ServerProcess
from tests.kit.clients import Connect, ConnectRaw, StartServer
from tests.kit.people import Person, make_person

MIB = 1024 * 1024
GZIP = {"content-encoding": "gzip"}
PUBLIC = {"id": "big", "config": {"visibility": "public"}}


def size(value: Any = None, other: Any = None, **more: Any) -> int:
    return len(value)


def count(n: int) -> list[Any]:
    return [[number] for number in range(100_000)] + list(range(n))


@pytest_asyncio.fixture(loop_scope="session")
async def http(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def base(connect: Connect, alice: Person) -> str:
    """Address of a public service that takes anything."""
    provider = await connect(alice)
    await provider.register_service({**PUBLIC, "size": size, "count": count, "same": lambda value: value})
    return f"/{alice.workspace}/services/big"


@pytest.mark.spec("core-H1")
async def test_gzip_of_several_members_is_one_body(http: httpx.AsyncClient, base: str) -> None:
    parts = [b"", b'{"value": "', b"x" * 300_000, b"", b'"}']
    body = b"".join(map(gzip.compress, parts))
    answer = await http.post(f"{base}/size", content=body, headers=GZIP)
    assert (answer.status_code, answer.json()) == (200, 300_000)


async def test_an_empty_first_member_does_not_drop_the_arguments(http: httpx.AsyncClient, base: str) -> None:
    body = gzip.compress(b"") + gzip.compress(b'{"value": [1, 2]}')
    answer = await http.post(f"{base}/same", content=body, headers=GZIP)
    assert (answer.status_code, answer.json()) == (200, [1, 2])


@pytest.mark.parametrize("garbage", [b"\0", b"garbage", b"\x1f\x8b\x08"])
async def test_what_stands_behind_gzip_data_is_refused(
    http: httpx.AsyncClient, base: str, garbage: bytes
) -> None:
    body = gzip.compress(b'{"value": [1, 2]}') + garbage
    answer = await http.post(f"{base}/same", content=body, headers=GZIP)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "compress", "gzip, br"])
async def test_other_codings_are_refused_with_those_that_are_taken(
    http: httpx.AsyncClient, base: str, coding: str
) -> None:
    answer = await http.post(f"{base}/same", content=b"[1]", headers={"content-encoding": coding})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip")


async def test_codings_may_come_as_a_list_or_in_several_lines(http: httpx.AsyncClient, base: str) -> None:
    once = gzip.compress(b"[5]")
    for headers, body in (
        ([("content-encoding", "gzip, identity")], once),
        ([("content-encoding", "identity"), ("content-encoding", "gzip")], once),
        ([("content-encoding", "gzip, gzip")], gzip.compress(once)),
    ):
        answer = await http.post(f"{base}/same", content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, 5), headers


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 400])
@pytest.mark.parametrize("padding", [0, 100_000])
async def test_an_integer_above_64_bits_never_becomes_a_float(
    http: httpx.AsyncClient, base: str, number: str, padding: int
) -> None:
    body = f'{{"value": [{number}]}}' + " " * padding
    answer = await http.post(f"{base}/same", content=body)
    assert answer.status_code == 400
    assert "64 bits" in answer.json()["detail"]
    exact = await http.post(f"{base}/same", content='{"value": [18446744073709551615, 1e30]}' + " " * padding)
    assert exact.json() == [18446744073709551615, 1e30]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json; charset=utf-8", '["é"]'.encode(), 200),
        ("application/json; Charset=UTF8", '["é"]'.encode(), 200),
        ("application/json; charset=iso-8859-1", b'["plain"]', 200),
        ("application/json; charset=iso-8859-1", '["é"]'.encode("latin-1"), 415),
        ("application/json; charset=utf-16", '["é"]'.encode("utf-16"), 415),
        ("application/json", '["é"]'.encode("utf-16"), 400),
        ("application/json", b"\xef\xbb\xbf" + '["é"]'.encode(), 200),
        ("application/json", b'["\\ud800"]', 400),
        ("application/json", b'["\xed\xa0\x80"]', 400),
        ("application/json", b"[NaN]", 400),
        ("application/json", b'{"value": 1, "value": 2}', 400),
        ("application/x-www-form-urlencoded", b"value=1", 415),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="value"\r\n\r\n1\r\n--x--',
            415,
        ),
        ("text/plain", b"1", 415),
    ],
)
async def test_a_body_is_understood_or_refused_with_a_reason(
    http: httpx.AsyncClient, base: str, content_type: str, body: bytes, status: int
) -> None:
    answer = await http.post(f"{base}/same", content=body, headers={"content-type": content_type})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["detail"]


async def test_a_refused_content_type_is_not_waited_for(server: ServerProcess, base: str) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    head = (
        f"POST {base}/same HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 50000000\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(5):
        assert b" 415 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("packed", [False, True])
async def test_own_functions_take_64_kib_from_strangers_and_more_from_others(
    http: httpx.AsyncClient, alice: Person, packed: bool
) -> None:
    body = orjson.dumps({"config": {"name": "x" * 80_000}})
    content, headers = (gzip.compress(body), GZIP) if packed else (body, {})
    url = "/public/services/ws/generate_token"
    stranger = await http.post(url, content=content, headers=headers)
    assert (stranger.status_code, stranger.json()["code"]) == (413, "frame_too_large")
    known = await http.post(
        url, content=content, headers={**headers, "authorization": f"Bearer {alice.token}"}
    )
    assert known.status_code == 400  # the name is too long


async def test_own_functions_take_64_kib_from_strangers_over_websocket_too(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    stranger, known = await connect_raw(), await connect_raw(alice)
    large = {f"permission{number}": 1 for number in range(5000)}
    with pytest.raises(RawCallError, match="FrameTooLarge: generate_token takes at most 65,536 bytes"):
        await stranger.call_manager("generate_token", large)
    with pytest.raises(RawCallError, match="100 keys at most"):
        await known.call_manager("generate_token", large)
    assert await stranger.call_manager("echo", "x" * 200_000) == "x" * 200_000


async def test_a_message_in_chunks_is_no_way_around_it(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    main = {"type": "method", "from": raw.address, "to": raw.manager, "session": "big"}
    main["method"] = "services.default.generate_token"
    message = msgpack.packb(main) + msgpack.packb({"args": [{"a": "x" * 100_000}], "promise": "*"})
    cache = "services.built-in.message_cache"
    await raw.call(raw.manager, f"{cache}.create", "key")
    await raw.call(raw.manager, f"{cache}.set", "key", 0, message)
    await raw.start_call(raw.manager, f"{cache}.process", "key")
    with pytest.raises(RawCallError, match="takes at most 65,536 bytes"):
        await raw.answer_of("big")


@pytest.mark.parametrize("as_msgpack", [False, True])
async def test_public_services_take_large_bodies_from_anybody(
    http: httpx.AsyncClient, base: str, as_msgpack: bool
) -> None:
    value = {"value": list(range(300_000)), "other": {"text": "é" * 600_000, "maps": [{"a": [1]}] * 20_000}}
    body = msgpack.packb(value) if as_msgpack else orjson.dumps(value)
    headers = {"content-type": "application/msgpack"} if as_msgpack else {}
    answer = await http.post(f"{base}/size", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    answer = await http.post(f"{base}/same", content=body.replace(b"other", b"value"), headers=headers)
    assert answer.status_code == 400  # the name comes twice
    named = orjson.dumps({"value": value})
    answer = await http.post(f"{base}/same", content=gzip.compress(named, 1), headers=GZIP)
    assert (answer.status_code, answer.json()) == (200, value)


@pytest.mark.parametrize("accept", ["application/json", "application/msgpack"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_result_of_very_many_values_arrives_whole(
    http: httpx.AsyncClient, base: str, accept: str, coding: str
) -> None:
    headers = {"accept": accept, "accept-encoding": coding}
    answer = await http.get(f"{base}/count?n=600000", headers=headers)
    assert answer.headers.get("content-encoding", "identity") == coding
    found = answer.json() if accept.endswith("json") else msgpack.unpackb(answer.content)
    assert found == [[number] for number in range(100_000)] + list(range(600_000))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [b"1,", b"[],", b'{"a":1},', b'"",', b" "])
async def test_twenty_bombs_of_a_stranger_hold_up_nobody(start_server: StartServer, shape: bytes) -> None:
    server = await start_server()
    body = gzip.compress(b"[" + shape * (64 * MIB // len(shape) - 2) + b"1]")
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    person = make_person(server)
    provider = await connect_to_server({"server_url": server.url, "token": person.token})
    await provider.register_service({**PUBLIC, "size": size})
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=90) as http,
        httpx.AsyncClient(base_url=server.url, timeout=10) as others,
    ):
        urls = ["/public/services/ws/echo"] * 20 + [f"/{person.workspace}/services/big/size"] * 20
        attack = asyncio.gather(*(http.post(url, content=body, headers=GZIP) for url in urls))
        peak, longest, end = 0, 0.0, time.monotonic() + 10
        while not attack.done() and time.monotonic() < end:
            begin = time.monotonic()
            assert (await others.get("/health/liveness")).status_code == 200
            longest = max(longest, time.monotonic() - begin)
            peak = max(peak, process.memory_info().rss)
        statuses = {answer.status_code for answer in await attack}
    await provider.disconnect()
    assert statuses <= {200, 400, 413, 429}
    assert peak - before < 500 * MIB
    assert longest < 3.0
