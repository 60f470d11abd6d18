"""Attacks by HTTP: heads, bodies, and answers that are made large."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import re
import traceback
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.scopes import Level
from hypha.errors import (
    MAX_TEXT_CHARS,
    CallFailed,
    FrameTooLarge,
    HyphaError,
    InvalidRequest,
    LimitReached,
    RateLimited,
)
from hypha.gateways.asgi_apps.cookies import MAX_ATTRIBUTES, MAX_COOKIE_BYTES, AppCookies
from hypha.gateways.http import accept, codings, json_form
from hypha.gateways.http.errors import MAX_DETAIL_CHARS, call_error_answer
from hypha.gateways.http.json_form import JsonForm, JsonWriter, ResultNotJson
from hypha.gateways.http.openapi import DescribedService, documents, schemas, workspace_document
from hypha.gateways.http.parameters import MAX_FIELDS, MAX_OPTIONS, _types, split_query
from hypha.limits import Buckets, Party
from hypha.registry import query, search, shown
from hypha.registry.described import functions_of
from hypha.registry.search import SearchRequest
from hypha.testing import RawCallError
from hypha.transports.deadlines import LEAST_READ_BYTES_PER_S
from hypha.transports.grammar import MAX_APP_TARGET_BYTES
from hypha.web import credentials, forwarded, headers
from hypha.web.destinations import MAX_CHARS, Destinations
from hypha.web.downloads import DownloadLimits, Downloads, Slice
from hypha.web.files import SmallFiles
from hypha.web.heads import (
    MAX_COOKIES,
    MAX_HEAD_BYTES,
    MAX_HEAD_FIELDS,
    MAX_OFFERS,
    MAX_OFFERS_BYTES,
    MAX_TARGET_BYTES,
)
from hypha.web.origins import Origins
from hypha.web.uploads import Uploads, keep
from hypha.web.workbench import Workbench, WorkLimits
from hypha.wire.tracebacks import MAX_GROUP_SHOWN, MAX_READ_CHARS, read_ends, remote_error
from tests.faults.bounds.kit import KIB, MIB, Kit
from tests.kit.app_sockets import Visit, frame, small_account
from tests.kit.deadlines import check_that_a_reader_that_stops_is_let_go, opened_connections
from tests.kit.registry import record, size_of
from tests.kit.uploads import Sender, person
from tests.unit.gateways.http.fakes import FakeServer, services_of


async def first_line(kit: Kit, request: bytes, within_s: float = 10.0) -> bytes:
    """What a request is answered with; nothing if the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", kit.server.port)
    kit.stack.callback(writer.transport.abort)
    writer.write(request)
    async with asyncio.timeout(within_s):
        with contextlib.suppress(ConnectionError):
            return await reader.readline()
    return b""


async def request_head(kit: Kit) -> None:
    large = b"X-More: " + b"x" * MAX_HEAD_BYTES
    assert b" 431 " in await first_line(kit, b"GET /health HTTP/1.1\r\nHost: x\r\n" + large + b"\r\n\r\n")
    for many in (b"x: 1\r\n" * MAX_HEAD_FIELDS, b"Cookie: " + b"a=b;" * MAX_COOKIES + b"c=d\r\n"):
        assert b" 431 " in await first_line(kit, b"GET /health HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
    target = b"/" + b"x" * MAX_TARGET_BYTES
    assert b" 414 " in await first_line(kit, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    upgrade = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    for offered in (b"a," * MAX_OFFERS + b"a", b"a" * (MAX_OFFERS_BYTES + 1)):
        line = b"Sec-WebSocket-Protocol: " + offered + b"\r\n"
        opening = b"GET /ws-a/apps/b/ HTTP/1.1\r\nHost: x\r\n" + line + upgrade
        assert b" 431 " in await first_line(kit, opening)
    app = b"/ws-a/apps/b/" + b"x" * MAX_APP_TARGET_BYTES
    assert b" 414 " in await first_line(kit, b"GET " + app + b" HTTP/1.1\r\nHost: x\r\n" + upgrade)
    assert len(forwarded._list(b"1.2.3.4," * 10_000 + b"5.6.7.8")) <= forwarded.MAX_HOPS


async def head_time(kit: Kit) -> None:
    line = await first_line(kit, b"GET /health HTTP/1.1\r\nHost: x\r\nX-More: ", 5)
    assert not line or b" 408 " in line


async def body(kit: Kit) -> None:
    http = await kit.http(kit.person())
    answer = await http.post("/public/services/ws/echo", json=["x" * 400_000])
    assert answer.status_code == 413


async def body_pace(kit: Kit) -> None:
    head = b"POST /public/services/ws/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    line = await first_line(kit, head + b"Content-Length: 50000\r\n\r\n[", 5)
    assert b" 400 " in line


async def unfinished_bodies(kit: Kit) -> None:
    uploads = Uploads(100 * KIB, 40 * KIB, 1024.0, 20.0)
    refusals = 0
    for number in range(20):
        try:
            await Sender(uploads, f"a{number % 4}").sends(15 * KIB)
        except LimitReached:
            refusals += 1
    assert refusals and uploads.account.used <= 100 * KIB
    assert all(uploads.account.used_by(person(f"a{number}")) <= 40 * KIB for number in range(4))
    assert callable(keep)


async def large_bodies(kit: Kit) -> None:
    bench = Workbench(
        WorkLimits(caller_bytes=100, strangers_bytes=250, total_bytes=400, wait_s=0.05), max_tracked=20
    )
    kit.stack.callback(bench.close)
    stranger = Party("192.0.2.1", is_stranger=True)
    await bench.holding(stranger).grow(80)
    with pytest.raises(RateLimited):
        await bench.holding(stranger).grow(80)
    for number in range(100):
        party = Party(f"192.0.2.{number}", is_stranger=True)
        with contextlib.suppress(RateLimited):
            async with asyncio.timeout(1):
                await bench.holding(party).work(lambda: None)
    assert len(bench._accounts) <= 21 and bench.strangers_held.used <= 250


async def large_answers_on_their_way(kit: Kit) -> None:
    downloads = Downloads(DownloadLimits(4 * MIB, 10 * MIB, 16 * MIB, wait_s=0.05))

    async def never(part: Slice) -> None:
        await asyncio.Event().wait()

    parties = [Party(f"192.0.2.{number % 6}", is_stranger=True) for number in range(60)]
    readers = [asyncio.create_task(downloads.of(party).send(bytes(MIB), never)) for party in parties]
    kit.stack.callback(lambda: [reader.cancel() for reader in readers])
    await asyncio.sleep(0.2)
    assert 8 * MIB <= downloads.kept <= 10 * MIB
    assert all(downloads.account.used_by(party) <= 4 * MIB for party in parties)


async def packed_bodies(kit: Kit) -> None:
    empty = gzip.compress(b"")
    with pytest.raises(InvalidRequest):
        codings.gunzip(empty * (codings.MAX_MEMBERS + 1), 100)
    with pytest.raises(FrameTooLarge):
        codings.gunzip(gzip.compress(bytes(10 * MIB)), MIB)
    with pytest.raises(HyphaError):
        codings.codings_of(b", ".join([b"gzip"] * (codings.MAX_CODINGS + 1)))


async def fields_of_a_request(kit: Kit) -> None:
    with pytest.raises(InvalidRequest):
        split_query(b"&".join(b"a=%d" % number for number in range(MAX_FIELDS + 1)))
    looked_at = 0

    class Option(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            nonlocal looked_at
            looked_at += key == "type"
            return super().get(key, default)

    _types({"anyOf": [Option(anyOf=[Option(type="string")] * 200)] * 200})
    assert looked_at <= MAX_OPTIONS
    assert len(accept._parse("text/plain;q=0.1," * 10_000)) <= accept.MAX_RANGES


async def requests_at_once(kit: Kit) -> None:
    provider = await kit.raw(kit.person())
    await provider.offer("lab", visibility="public")
    path = f"/{provider.workspace}/services/{provider.info['client_id']}:lab/wait"
    http = await kit.http()
    answers = await asyncio.gather(*(http.get(path) for _ in range(15)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(429) == 5
    await kit.others_are_well()


async def unread_of_applications(kit: Kit) -> None:
    account = small_account(300 * KIB, 500 * KIB)
    visits = [Visit(account, Party(f"192.0.2.{number % 3}", is_stranger=True)) for number in range(12)]
    for visit in visits:
        await visit.open()
        await visit.sends(frame(bytes(120 * KIB)))
        assert all(account.used_by(each.party) <= 300 * KIB for each in visits)
        assert account.used <= 500 * KIB
    assert account.used >= 350 * KIB
    assert any(visit.ended == [1013] for visit in visits)


async def requests_per_second(kit: Kit) -> None:
    buckets = Buckets(1.0, 10.0, max_keys=20)
    assert sum(not buckets.take("a") for _ in range(100)) == 10
    for number in range(1000):
        buckets.take(f"b{number}")
    assert len(buckets) <= 21
    assert buckets.take("a"), "being forgotten gives nobody a new one"


async def answer_of_a_service(kit: Kit) -> None:
    provider = await kit.raw(kit.person())
    await provider.offer("lab", visibility="public")
    http = await kit.http()
    answer = await http.get(f"/{provider.workspace}/services/{provider.info['client_id']}:lab/never")
    assert answer.status_code == 504


async def unread_answers(kit: Kit) -> None:
    assert LEAST_READ_BYTES_PER_S == KIB
    async with opened_connections() as made:
        await check_that_a_reader_that_stops_is_let_go(*made)


async def numbers_in_json(kit: Kit) -> None:
    kit.patch.setattr(json_form, "MAX_NUMBERS", 1000)
    kit.patch.setattr(json_form, "MAX_BYTES", 1000)

    def array(count: int, shape: list[int]) -> dict[str, Any]:
        return {"_rtype": "ndarray", "_rvalue": bytes(count), "_rdtype": "uint8", "_rshape": shape}

    with pytest.raises(ResultNotJson):
        JsonWriter(JsonForm.asked_for([]))._array(array(2000, [2000]))
    with pytest.raises(ResultNotJson):
        JsonWriter(JsonForm.asked_for([]))._base64(bytes(2000))
    deep = JsonWriter(JsonForm.asked_for([]))._array(array(1, [1] * (json_form.MAX_DIMENSIONS + 1)))
    hollow = JsonWriter(JsonForm.asked_for([]))._array(array(0, [json_form.FEW_LISTS + 1, 0]))
    assert isinstance(deep, dict) and isinstance(hollow, dict), "given as they are"


async def error_texts(kit: Kit) -> None:
    answer = call_error_answer(CallFailed("ValueError: " + "x" * MIB), {"type": "http", "headers": []})
    assert MAX_DETAIL_CHARS <= len(answer.body) < 2 * MAX_DETAIL_CHARS
    assert len(InvalidRequest("x" * MIB).rpc_text) <= MAX_TEXT_CHARS + 100
    assert len(read_ends("x" * MIB)) <= MAX_READ_CHARS + 100
    try:
        raise ExceptionGroup("many", [ValueError(f"e{number}") for number in range(50)])
    except ExceptionGroup as group:
        told = "".join(traceback.format_exception(group))
    assert len(re.findall(r"\be\d+", remote_error(told, told)[1])) == MAX_GROUP_SHOWN


async def listings(kit: Kit) -> None:
    large = [record(number, 100 * KIB) for number in range(200)]
    assert size_of(shown.shown(large, lambda _: True)) <= shown.LISTING_BYTES
    brief = shown.shown([record(1, 2 * shown.WHOLE_BYTES)], lambda _: True)
    assert brief[0]["truncated"]
    client = await kit.raw()
    with pytest.raises(RawCallError):
        await client.call_manager(
            "list_services", {"limit": shown.MAX_LISTED + 1}, extra={"with_kwargs": True}
        )


async def searches(kit: Kit) -> None:
    with pytest.raises(InvalidRequest):
        SearchRequest.parse("x", limit=search.MAX_LIMIT + 1)
    assert len(SearchRequest.parse("x" * 10_000).words[0]) <= search.MAX_QUERY_CHARS
    words = SearchRequest.parse(" ".join(f"w{number}" for number in range(200))).words
    assert len(words) <= search.MAX_WORDS
    with pytest.raises(InvalidRequest):
        SearchRequest.parse("x", {"type": ["x"] * (search.MAX_FILTER_VALUES + 1)})
    with pytest.raises(InvalidRequest):
        SearchRequest.parse("x", return_fields=["x"] * (search.MAX_RETURN_FIELDS + 1))
    assert len(search._details(record(1, 300 * KIB))) <= search.MAX_DETAIL_CHARS
    with pytest.raises(InvalidRequest):
        query.parse_list_query({"id": "x" * (query.MAX_PART_CHARS + 1)}, "w")


async def openapi(kit: Kit) -> None:
    kit.patch.setattr(documents, "MAX_FUNCTIONS", 20)
    kit.patch.setattr(documents, "MAX_DOCUMENT_BYTES", 50 * KIB)
    services = services_of(FakeServer(), public_base_url="https://hub.example")

    def described(number: int, size: int) -> DescribedService:
        functions = {
            f"f{each}": {"type": "function", "function": {"name": f"f{each}", "description": "x" * size}}
            for each in range(15)
        }
        info = {"id": f"w/c:s{number}", "name": "s", "service_schema": functions}
        return DescribedService.of("w", f"c:s{number}", info, partial(functions_of, info))

    for size in (10, 4000):
        made = workspace_document(
            services, "w", [lambda n=n, size=size: described(n, size) for n in range(10)]
        )
        assert len(made["paths"]) <= 20
    kit.patch.setattr(schemas, "MAX_NODES", 50)
    kit.patch.setattr(schemas, "MAX_CHECKS", 50)
    pool = schemas.SchemaPool()
    for _ in range(20):
        pool.cleaned(
            {"type": "object", "properties": {f"p{n}": {"type": "string", "enum": ["a"]} for n in range(20)}}
        )
    assert pool.nodes_left <= 0 or pool.checks_left <= 50


async def headers_of_applications(kit: Kit) -> None:
    with pytest.raises(ValueError):
        headers.checked([(b"x-a", b"1")] * (headers.MAX_FIELDS + 1))
    with pytest.raises(ValueError):
        headers.checked([(b"x-a", b"1" * headers.MAX_FIELDS_BYTES)])
    cookies = AppCookies.of("a", "w", "s", b"/w/apps/s", b"/w/apps/s/")
    assert cookies.built_anew(b"a=1") and cookies.built_anew(b"a=" + b"x" * MAX_COOKIE_BYTES) is None
    built = cookies.built_anew(b"a=1" + b";b" * MAX_ATTRIBUTES + b"; HttpOnly")
    assert built is not None and b"HttpOnly" not in built


async def redirects(kit: Kit) -> None:
    destinations = Destinations(Origins("http://host"))
    with pytest.raises(InvalidRequest):
        destinations.checked("/" + "x" * MAX_CHARS, {}, {})


async def kept_files(kit: Kit) -> None:
    files = SmallFiles(kept_bytes=50 * KIB)
    for number in range(20):
        path = kit.folder / f"f{number}"
        path.write_bytes(bytes(10 * KIB))
        await files.read(str(path), os.stat(path))
    assert files._contents.weight <= 50 * KIB
    kit.patch.setattr(credentials, "CONTEXTS_KEPT", 20)
    workspaces: Any = None
    reader = credentials.Credentials(workspaces, workspaces)
    users = [SimpleNamespace(within=lambda *_: None) for _ in range(200)]
    for user in users:
        reader._acting(user, "w", Level.READ)  # type: ignore[arg-type]
    assert len(reader._contexts) <= 20
