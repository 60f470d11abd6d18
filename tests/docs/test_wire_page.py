"""docs/spec/wire-protocol.md: its frames, tables and numbers, tried with the parser and a real server."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import connect as open_socket

from hypha.errors import ConfigurationError, HyphaError, MalformedFrame
from hypha.hub.events import RESERVED_EVENTS
from hypha.testing import RawClient, ServerProcess, mint_token
from hypha.testing.rawclient import RawCallError, RawRefused
from hypha.wire.frames import METHOD_BODY_KEYS, EnvelopeParser, decode_body
from tests.docs.pages import SPEC, blocks, bounds, code_in, in_source, is_like, section, tables
from tests.docs.refusals import ROWS, check_refusal

TEXT = (SPEC / "wire-protocol.md").read_text()
PLACE = "demo-lab"


# -- frames ------------------------------------------------------------------------------------------


def frames() -> dict[str, tuple[bytes, list[dict[str, Any]]]]:
    """The example frames: bytes, and the maps in them."""
    found = {}
    for name, body in blocks(TEXT, "frame"):
        lines = body.splitlines()
        maps = next(number for number, line in enumerate(lines) if line.startswith("{"))
        found[name] = bytes.fromhex("".join(lines[:maps])), [json.loads(line) for line in lines[maps:]]
    return found


FRAMES = frames()
MALFORMED = [
    tuple(code_in(cell)[0] for cell in row) for row in next(tables(section(TEXT, "malformed-frames"))).rows
]


@pytest.mark.parametrize("name", FRAMES)
def test_the_parser_reads_the_frames_as_the_page_does(name: str) -> None:
    data, maps = FRAMES[name]
    main, head, interval_s = EnvelopeParser().parse(data)
    assert [main, *([decode_body(data, head)] if head < len(data) else [])] == maps
    assert interval_s == (maps[1].get("t") if len(maps) > 1 else None)
    assert b"".join(map(msgpack.packb, maps)) == data


@pytest.mark.parametrize(("data", "text"), MALFORMED)
def test_the_parser_refuses_the_malformed_frames(data: str, text: str) -> None:
    try:
        main, _, _ = EnvelopeParser().parse(bytes.fromhex(data))
    except MalformedFrame as error:
        assert str(error) == text
        assert error.session, "nobody could be told"
    else:
        assert "to" not in main  # the router misses it


def test_the_tables_of_keys_are_those_of_the_parser() -> None:
    _, body = list(tables(section(TEXT, "frames")))[:2]
    assert {key for row in body.rows for key in code_in(row[0])} == set(METHOD_BODY_KEYS)


def test_the_reserved_names_are_those_of_the_router() -> None:
    paragraph = section(TEXT, "reserved-names").strip().partition(". The libraries")[0]
    assert set(code_in(paragraph)) == RESERVED_EVENTS


def test_the_names_of_errors_are_all_there() -> None:
    def classes(kind: type[HyphaError]) -> Iterator[type[HyphaError]]:
        for each in kind.__subclasses__():
            if each.__module__ == "hypha.errors" and each is not ConfigurationError:
                yield each
                yield from classes(each)

    names = {each.rpc_name or each.__name__ for each in classes(HyphaError)}
    table = next(tables(section(TEXT, "errors")))
    assert {name for row in table.rows for name in code_in(row[0])} == names | {"RuntimeError"}


@pytest.mark.parametrize(("what", "value", "where"), bounds(TEXT))
def test_the_limits_are_those_of_the_source(what: str, value: float, where: str) -> None:
    assert in_source(where) == value, what


# -- a real server -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess(env={"HYPHA_HANDSHAKE_TIMEOUT": "1", "HYPHA_MAX_CONNECTIONS_PER_USER": "4"})
    try:
        yield running.start()
    finally:
        running.close()


@asynccontextmanager
async def client(server: ServerProcess, **fields: Any) -> AsyncIterator[RawClient]:
    made = await RawClient.connect(server.ws_url, **fields)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def pair(server: ServerProcess) -> AsyncIterator[tuple[RawClient, RawClient]]:
    """The caller and the callee of the page."""
    token = server.root_token
    async with client(server, token=token) as root:
        await root.call_manager("create_workspace", {"id": PLACE, "persistent": True}, True)
        async with (
            client(server, token=token, workspace=PLACE, client_id="caller") as caller,
            client(server, token=token, workspace=PLACE, client_id="callee") as callee,
        ):
            yield caller, callee


async def test_frames_arrive_as_the_page_says(server: ServerProcess) -> None:
    async with pair(server) as (caller, callee):
        await caller.send_bytes(FRAMES["call"][0])
        call = await callee.wait_call()
        (_, shown) = next(blocks(TEXT, "received"))
        envelope, _, body = shown.strip().rpartition("\n")
        assert call.main == json.loads(envelope)
        assert call.extra == json.loads(body)
        await callee.send_bytes(FRAMES["heartbeat"][0])
        await callee.send_bytes(FRAMES["answer"][0])
        answer = await caller.wait_frame(lambda frame: frame.method == "S1.resolve")
        assert answer.raw == FRAMES["answer, received"][0]
        assert any(frame.method == "S1.heartbeat" for frame in caller.frames)


async def test_calls_with_keywords_and_errors_pass(server: ServerProcess) -> None:
    async with pair(server) as (caller, callee):
        await caller.send_bytes(FRAMES["call with keywords"][0])
        call = await callee.wait_call()
        assert call.extra == FRAMES["call with keywords"][1][1]
        await callee.send_bytes(FRAMES["error"][0])
        with pytest.raises(RawCallError, match=r"^ValueError: too bright$"):
            await caller.answer_of("S2")


async def test_events_reach_those_who_subscribed(server: ServerProcess) -> None:
    data, (event,) = FRAMES["event"]
    async with pair(server) as (caller, callee):
        await callee.call_manager("subscribe", event["type"])
        await caller.send_bytes(data)
        got = await callee.wait_event(event["type"])
        assert got.main["data"] == event["data"]
        assert (got.main["from"], got.main["to"]) == (caller.address, f"{PLACE}/*")
        assert got.main["user"]["id"] == "root"


async def test_malformed_frames_are_told_and_cost_nothing_else(server: ServerProcess) -> None:
    async with pair(server) as (caller, callee):
        for data, text in MALFORMED:
            frame = bytes.fromhex(data)
            session = frame[frame.index(b"session") + 8 :][:2].decode()
            await caller.send_bytes(frame)
            with pytest.raises(RawCallError) as refused:
                await caller.answer_of(session)
            assert str(refused.value) == f"ValueError: {text}"
        assert await caller.is_alive()
        assert callee.calls.empty()


async def test_a_call_to_nobody_is_refused_in_its_name(server: ServerProcess) -> None:
    said = next(text for text in code_in(section(TEXT, "absent-peers")) if text.startswith("NotDelivered"))
    async with client(server) as caller:
        with pytest.raises(RawCallError) as refused:
            await caller.call("nobody", "services.lamp.set")
        assert is_like(said, str(refused.value))
        assert caller.frames[-1].main["from"] == f"{caller.workspace}/nobody"


async def test_a_protected_service_of_another_workspace_is_refused_by_the_server(
    server: ServerProcess,
) -> None:
    said = next(text for text in code_in(section(TEXT, "calls-between-workspaces")) if "protected" in text)
    async with client(server) as owner, client(server) as other:
        await owner.offer("lamp")
        with pytest.raises(RawCallError) as refused:
            await other.call(owner.address, "services.lamp.set")
        assert is_like(said, str(refused.value))
        assert owner.calls.empty()


async def test_the_answer_to_the_handshake_has_the_fields_of_the_page(server: ServerProcess) -> None:
    table = next(tables(section(TEXT, "connection-info")))
    async with client(server) as anybody:
        assert set(anybody.info) == {field for row in table.rows for field in code_in(row[0])}


async def test_the_server_hosts_built_in_as_the_page_says(server: ServerProcess) -> None:
    table = next(tables(section(TEXT, "built-in")))
    named = {code_in(row[0])[0] for row in table.rows}
    async with client(server) as anybody:
        hosted = await anybody.call(anybody.manager, "services.built-in.get_service", "built-in")
        groups = {"message_cache": hosted.pop("message_cache")}
        functions = {
            name for name, value in hosted.items() if isinstance(value, dict) and "_rmethod" in value
        }
        functions |= {f"{group}.{name}" for group, inner in groups.items() for name in inner}
        assert functions == named
        assert json.dumps(hosted["config"]) in code_in(section(TEXT, "built-in"))


async def test_control_messages_are_answered(server: ServerProcess) -> None:
    async with client(server) as anybody:
        for text in ('{"type": "nonsense"}', "no json", json.dumps({"type": "ping", "x": "x" * 1000})):
            await anybody.send_text(text)
        await anybody.send_text({"type": "refresh_token"})
        assert (await anybody.wait_text("reconnection_token"))["reconnection_token"].count(".") == 2
        assert await anybody.is_alive()
        assert len(anybody.texts) == 2


async def test_a_stream_begins_with_connection_info(server: ServerProcess) -> None:
    def first() -> tuple[str, dict[str, Any]]:
        with urllib.request.urlopen(f"{server.url}/rpc?client_id=page", timeout=10) as answer:
            size = int.from_bytes(answer.read(4), "big")
            return answer.headers["content-type"], msgpack.unpackb(answer.read(size))

    kind, record = await asyncio.to_thread(first)
    assert kind in code_in(section(TEXT, "http-streams"))
    assert record["type"] == "connection_info"


# -- refusals ----------------------------------------------------------------------------------------

Attempt = Callable[[ServerProcess], Awaitable[None]]
ATTEMPTS: dict[str, Attempt] = {}
UNTRIED = {
    "a workspace is asked for without a credential, where none are served": "tests/e2e/test_outsiders.py",
    "busy": "places run out under load only: tests/e2e/test_bad_sockets.py",
    "a fault of the server": "there is none to be had",
    "the workspace was made anew meanwhile": "tests/e2e/test_rights.py",
    "removed by an administrator": "tests/docs/test_admin_page.py",
    "blocked user": "tests/docs/test_admin_page.py",
    "blocked address": "tests/docs/test_admin_page.py",
}


def case(name: str) -> Callable[[Attempt], Attempt]:
    """Register what a client does to be refused so."""

    def register(attempt: Attempt) -> Attempt:
        ATTEMPTS[name] = attempt
        return attempt

    return register


def simply(name: str, first: Any = None, **fields: Any) -> None:
    """Register a case in which one first message suffices."""

    async def attempt(server: ServerProcess) -> None:
        await RawClient.connect(server.ws_url, first=first, **fields)

    ATTEMPTS[name] = attempt


def with_token(name: str, *, first: dict[str, Any] | None = None, **made: Any) -> None:
    """Register a case in which a token of a new user is the reason."""

    async def attempt(server: ServerProcess) -> None:
        token = mint_token(made.pop("secret", server.secret), f"user-{len(name)}", **made)
        await RawClient.connect(server.ws_url, token=token, **(first or {}))

    ATTEMPTS[name] = attempt


simply("binary", first=b"\x80")
simply("not JSON", first="hello")
simply("no object", first="[1]")
simply("too long", first=json.dumps({"client_id": "x" * 65536}))
simply("a field is no text", first={"client_id": "x", "token": 1})
simply("no client id", first={"workspace": "x"})
simply("impossible client id", client_id="a/b")
simply("no token", token="hello")
simply("no such workspace", workspace="no-such-place")
simply("no right to the workspace", workspace="ws-user-root")
with_token("somebody else's signature", secret="another secret of sufficient length for signing")
with_token("expired token", life_s=-60)
with_token("token for one purpose", extra_scopes=["files:read"])
with_token("token for another client", client_id="only-me", first={"client_id": "not-me"})
with_token("token for another workspace", current="ws-user-user-27", first={"workspace": "other-place"})


@case("nothing came in time")
async def _(server: ServerProcess) -> None:
    async with open_socket(server.ws_url) as socket:
        message = json.loads(await socket.recv())["message"]
        await socket.wait_closed()
        raise RawRefused(message, socket.close_code, socket.close_reason or "")


@case("credentials in the query")
async def _(server: ServerProcess) -> None:
    await RawClient.connect(f"{server.ws_url}?client_id=old")


@case("the server's own id")
async def _(server: ServerProcess) -> None:
    async with client(server) as other:
        await RawClient.connect(server.ws_url, client_id=other.info["manager_id"])


@case("the id is taken")
async def _(server: ServerProcess) -> None:
    token = mint_token(server.secret or "", "twin")
    async with client(server, token=token, client_id="one"):
        await RawClient.connect(server.ws_url, token=token, client_id="one")


@case("the id is that of somebody else whose link broke")
async def _(server: ServerProcess) -> None:
    secret = server.secret or ""
    away = await RawClient.connect(server.ws_url, token=mint_token(secret, "twin"), client_id="two")
    await away.abort()
    token = mint_token(secret, "guest", workspaces={away.workspace: "r"}, current=away.workspace)
    await RawClient.connect(server.ws_url, token=token, client_id="two")


@case("revoked token")
async def _(server: ServerProcess) -> None:
    token = mint_token(server.secret or "", "revoked")
    async with client(server, token=server.root_token) as root:
        await root.call_manager("revoke_token", token)
    await RawClient.connect(server.ws_url, token=token)


@case("reconnection token as token")
async def _(server: ServerProcess) -> None:
    async with client(server) as other:
        await RawClient.connect(server.ws_url, token=other.info["reconnection_token"])


@case("another client's reconnection token")
async def _(server: ServerProcess) -> None:
    async with client(server) as other:
        await RawClient.connect(server.ws_url, reconnection_token=other.info["reconnection_token"])


@case("reconnection token for another workspace")
async def _(server: ServerProcess) -> None:
    async with client(server, client_id="moved") as other:
        token = other.info["reconnection_token"]
        await RawClient.connect(server.ws_url, client_id="moved", workspace="away", reconnection_token=token)


@case("too many connections")
async def _(server: ServerProcess) -> None:
    token = mint_token(server.secret or "", "many")
    async with (
        client(server, token=token),
        client(server, token=token),
        client(server, token=token),
        client(server, token=token),
    ):
        await RawClient.connect(server.ws_url, token=token)


@pytest.mark.parametrize("name", ROWS)
async def test_refusals_read_as_the_page_says(name: str, server: ServerProcess) -> None:
    if name in UNTRIED:
        pytest.skip(UNTRIED[name])
    await check_refusal(name, ATTEMPTS[name](server))


async def test_a_get_without_upgrade_is_told_so(server: ServerProcess) -> None:
    def get() -> int:
        try:
            with urllib.request.urlopen(f"{server.url}/ws", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert await asyncio.to_thread(get) == 426
