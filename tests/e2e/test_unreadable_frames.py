"""No frame, request or event of a stranger ends or deafens an honest program, in Node or in Python."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgpack
import pytest
import pytest_asyncio

from hypha.testing import RawClient, ServerProcess
from hypha.testing.rawclient import RawCallError
from tests.kit.clients import JS_FOLDER, ConnectRaw, require_node
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.node

P = msgpack.packb
DEEP = 490

ODD: dict[str, bytes] = {
    "__proto__": b"\x81\xa9__proto__\x81\xa1a\x01",
    "__proto__ with a longer head": b"\x81\xd9\x09__proto__\x01",
    "__proto__ in longer UTF-8": b"\x81\xaa\xc1\x9f_proto__\x01",
    "__proto__ within": P({"a": [{"b": {"__proto__": None}}]}),
    "hasOwnProperty": P({"hasOwnProperty": 1, "x": [{"_rtype": "set", "_rvalue": [1]}]}),
    "names of objects": P({"constructor": 1, "toString": 1, "valueOf": None, "then": 1, "toJSON": 3}),
    "a key of bytes": P({b"k": 1}),
    "a key that is a number": P({5: 1}),
    "a key that is a fraction": P({1.5: 1}),
    "a key that is null": b"\x81\xc0\x01",
    "a key that is true": b"\x81\xc3\x01",
    "a key that is a list": b"\x81\x91\x01\x01",
    "a key that is a map": b"\x81\x81\x01\x01\x01",
    "a key that is a time": b"\x81" + P(msgpack.Timestamp(5)) + b"\x01",
    "a time of no byte": b"\xc7\x00\xff",
    "a time of one byte": b"\xd4\xff\x00",
    "a time of sixteen bytes": b"\xd8\xff" + bytes(16),
    "a time with too many nanoseconds": b"\xd7\xff" + b"\xff" * 8,
    "a time at the end of time": b"\xc7\x0c\xff" + bytes(4) + b"\x7f" + b"\xff" * 7,
    "another kind": b"\xd4\x05\x00",
    "another kind below 0": b"\xd4\xfe\x00",
    "no UTF-8": b"\xa2\xff\xfe",
    "half a letter": b"\xa3\xed\xa0\x80",
    "the largest number": b"\xcf" + b"\xff" * 8,
    "no number": P(float("nan")),
    "deep lists": b"\x91" * DEEP + b"\x01",
    "deep maps": b"\x81\xa1a" * DEEP + b"\x01",
    "a tag that is a number": P({"_rtype": 5}),
    "a tag that is a name of objects": P({"_rtype": "constructor", "x": 1}),
    "half an array": P({"_rtype": "typedarray"}),
    "an odd array": P({"_rtype": "typedarray", "_rdtype": "float64", "_rvalue": b"123"}),
    "half an array of numpy": P({"_rtype": "ndarray", "_rdtype": 5}),
    "no set": P({"_rtype": "set", "_rvalue": 5}),
    "no ordered map": P({"_rtype": "orderedmap", "_rvalue": [1]}),
    "half a file": P({"_rtype": "iostream", "_rnative": "js:blob", "read": None}),
    "an odd error": P({"_rtype": "error", "_rvalue": {"a": 1}, "_rtrace": 5}),
    "half a function": P({"_rtype": "method"}),
    "half a generator": P({"_rtype": "generator"}),
    "the end of a generator": P({"_rtype": "stop_iteration"}),
}
ENDS_NODE = [name for name in ODD if name.startswith(("__proto__", "a time of")) or name in (
    "a key of bytes", "a key that is null", "a key that is true", "a key that is a list",
    "a key that is a map", "a key that is a time",
)]  # fmt: skip
"""What is refused at the hub, as an unmodified program in Node ends with it."""
NAMES = (
    "__proto__", "__proto__._rtype", "constructor.prototype", "constructor.prototype._rtype", "services",
    "services.svc", "message_cache",
)  # fmt: skip


class Provider:
    """A program that serves, and what strangers and honest callers see of it."""

    def __init__(self, process: asyncio.subprocess.Process, owner: Person, honest: RawClient) -> None:
        self.process = process
        self.owner = owner
        self.address = f"{owner.workspace}/plain"
        self._honest = honest

    async def ask(self, function: str, *args: Any) -> Any:
        """What an honest caller gets."""
        return await self._honest.call(self.address, f"services.svc.{function}", *args, timeout_s=20.0)

    async def is_well(self) -> bool:
        """Whether it still answers, and is what it was."""
        assert self.process.returncode is None
        return (await self.ask("echo", {"a": [1]}), await self.ask("check")) == ({"a": [1]}, "fine")


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["node", "python"])
async def provider(request: pytest.FixtureRequest, server: ServerProcess) -> AsyncIterator[Provider]:
    """A provider without any defence of its own."""
    owner = make_person(server, "provider")
    config = json.dumps({"server_url": server.url, "token": owner.token, "client_id": "plain"})
    if request.param == "node":
        require_node()
        command = ["node", "provider.js", config]
    else:
        command = [sys.executable, "-m", "tests.e2e.plain_provider", config]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=JS_FOLDER if request.param == "node" else None,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"serving\n"
        async with await RawClient.connect(
            server.ws_url, token=make_person(server, "honest").token
        ) as honest:
            yield Provider(process, owner, honest)
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def send(stranger: RawClient, to: str, packed: bytes, **envelope: Any) -> str:
    """Call with an argument that is packed already; returns the session."""
    main = {"type": "method", "from": stranger.address, "to": to, "method": "services.svc.take", **envelope}
    main.setdefault("session", uuid.uuid4().hex)
    await stranger.send_bytes(
        P(main) + b"\x83\xa4args\x91" + packed + P("promise") + P("*") + P("t") + P(5.0)
    )
    return str(main["session"])


async def test_no_argument_ends_or_deafens_the_callee(
    provider: Provider, connect_raw: ConnectRaw, bob: Person
) -> None:
    stranger = await connect_raw(bob)
    sessions = {name: await send(stranger, provider.address, packed) for name, packed in ODD.items()}
    assert await provider.is_well()
    for name in ENDS_NODE:
        with pytest.raises(RawCallError, match="Malformed frame: "):
            await stranger.answer_of(sessions[name], 20.0)


@pytest.mark.parametrize("key", ["session", "parent"])
async def test_no_session_leads_out_of_the_store_of_the_callee(
    provider: Provider, connect_raw: ConnectRaw, bob: Person, key: str
) -> None:
    stranger = await connect_raw(bob)
    for name in NAMES:
        session = await send(stranger, provider.address, P(1), **{key: name})
        with pytest.raises(RawCallError, match=f"no {key} has such a name"):
            await stranger.answer_of(session, 20.0)
    assert await provider.is_well()


async def test_no_answer_ends_or_deafens_the_caller(
    provider: Provider, connect_raw: ConnectRaw, bob: Person
) -> None:
    stranger = await connect_raw(bob, client_id="odd")
    service = await stranger.offer("odd", {"give": None}, visibility="public")
    for name in ENDS_NODE:
        asking = asyncio.ensure_future(provider.ask("ask", service, "give", name))
        call = await stranger.wait_call(20)
        main = {"type": "method", "from": stranger.address, "to": call.main["from"]}
        main["method"] = f"{call.main['session']}.resolve"
        await stranger.send_bytes(P(main) + b"\x81\xa4args\x91" + ODD[name])
        with pytest.raises(RawCallError, match="cannot be read"):
            await asking
    assert await provider.is_well()


async def test_no_message_in_chunks_ends_or_deafens_the_callee(
    provider: Provider, connect_raw: ConnectRaw, bob: Person
) -> None:
    stranger = await connect_raw(bob)
    cache = "services.built-in.message_cache"
    keys = []
    for packed in ODD.values():
        main = {
            "type": "method",
            "from": stranger.address,
            "to": provider.address,
            "session": uuid.uuid4().hex,
        }
        message = P({**main, "method": "services.svc.take"}) + b"\x81\xa4args\x92" + packed + P(bytes(1000))
        keys.append(key := uuid.uuid4().hex)
        await stranger.start_call(provider.address, f"{cache}.create", key, False)
        await stranger.start_call(provider.address, f"{cache}.set", key, 0, message, False)
    for key in keys:
        with contextlib.suppress(RawCallError):
            await stranger.call(provider.address, f"{cache}.process", key, False, timeout_s=20.0)
    assert await provider.is_well()


async def test_no_event_ends_or_deafens_another_member(provider: Provider, connect_raw: ConnectRaw) -> None:
    member = await connect_raw(token=provider.owner.token_for("rw"), workspace=provider.owner.workspace)
    before = await provider.ask("news")
    for to in ("*", provider.address):
        for packed in ODD.values():
            main = P({"type": "news", "from": member.address, "to": to})
            await member.send_bytes(b"\x84" + main[1:] + P("data") + packed)
            await member.send_bytes(main + b"\x81" + P("data") + packed)
        for kind in ("constructor", "hasOwnProperty", "__proto__", "toString"):
            await member.emit(kind, to)
        await member.emit("news", to, data={"this": "one"})
    assert await member.is_alive()
    assert await provider.is_well()
    assert await provider.ask("news") >= before + 2


async def test_no_request_ends_or_deafens_the_callee(provider: Provider, server: ServerProcess) -> None:
    url = f"{server.url}/{provider.owner.workspace}"
    keys = (
        '{"__proto__": 1}',
        '{"a": [{"__proto__": {}}]}',
        '{"\\u005f_proto__": 1}',
        '{"hasOwnProperty": 1}',
    )
    async with httpx.AsyncClient(timeout=40) as http:
        for body in [*keys, *(f'{{"value": {key}}}' for key in keys), *(f"[{key}]" for key in keys)]:
            headers = {"content-type": "application/json"}
            answer = await http.post(f"{url}/services/svc/take", content=body, headers=headers)
            assert (answer.status_code, "which JavaScript cannot read" in answer.text) == (400, True), body
        for query in [{"value": key} for key in keys] + [
            {"__proto__": "1"},
            {"value": "1", "hasOwnProperty": "1"},
        ]:
            answer = await http.get(f"{url}/services/svc/take", params=query)
            assert answer.status_code == 400, query
        for name, packed in ODD.items():
            for content in (b"\x91" + packed, b"\x81\xa5value" + packed):
                headers = {"content-type": "application/msgpack"}
                answer = await http.post(f"{url}/services/svc/take", content=content, headers=headers)
                if name in ENDS_NODE:
                    assert answer.status_code == 400, (name, answer.text)
        large = json.dumps({"value": [{"__proto__": 1}, "x" * 300_000]})
        assert (await http.post(f"{url}/services/svc/take", content=large)).status_code == 400
        page = await http.get(f"{url}/apps/pages/index", headers={"__proto__": "x", "constructor": "y"})
        assert (page.status_code, "constructor" in page.text) == (200, True)
    assert await provider.is_well()
