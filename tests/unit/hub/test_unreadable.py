"""A frame that cannot be read ends its call, at once and with the reason, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest

from hypha.errors import UnreadableAnswer
from hypha.hub.gateway_peer import GatewayPeer
from hypha.hub.requests import Request
from hypha.hub.service_peer import ServicePeer
from tests.kit.world import World

LIST_AS_KEY = b"\x81\xa4args\x91\x81\x92\x01\x02\xa1x"
CUT_OFF = b"\x81\xa4args\x91"


@pytest.fixture
async def manager(world: World) -> AsyncIterator[ServicePeer]:
    made = world.add_manager()
    yield made
    await made.close()


@pytest.fixture
async def peer(world: World, manager: ServicePeer) -> AsyncIterator[GatewayPeer]:
    """A peer that calls clients, as the one of HTTP callers does."""
    made = GatewayPeer(world.hub.peer_ports, "http-x", "http://h")
    world.hub.peers.add_everywhere("http-x", made)
    yield made
    await made.close()


async def waiting_call(world: World, peer: Any) -> tuple[asyncio.Future[Any], Any, Any, dict[str, Any]]:
    client, link = world.join("a")
    call = asyncio.ensure_future(peer.calls.call("w/a", "services.s.f", timeout_s=30))
    async with asyncio.timeout(5):
        await link.arrived()
    return call, client, link, link.frames.pop(0)


def answer(client: Any, call: dict[str, Any], name: str = "resolve") -> dict[str, Any]:
    return {
        "type": "method", "from": client.address, "to": call["from"],
        "method": f"{call['session']}.{name}", "parent": call["session"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["resolve", "reject"])
@pytest.mark.parametrize(
    "body", [LIST_AS_KEY, CUT_OFF, b"\x91\x01", b"\x81\xa4args\xa1x", b"\x81\xa4args\x91\xa1\xff",
             msgpack.packb({"args": [], "ctx": 1}), msgpack.packb({"args": []}) + b"\xc0",
             LIST_AS_KEY[:6] + b"\x92\xc5\xff\xff" + bytes(65535) + LIST_AS_KEY[7:]],
    ids=["list as key", "cut off", "no map", "no list", "bad text", "strange key", "more behind", "large"],
)  # fmt: skip
async def test_an_answer_to_the_server_that_cannot_be_read_ends_the_call_at_once(
    world: World, peer: Any, body: bytes, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    call, client, link, frame = await waiting_call(world, peer)
    world.hub.route(client, msgpack.packb(answer(client, frame, name)) + body)
    with pytest.raises(UnreadableAnswer, match="the answer of w/a cannot be read: Malformed frame: "):
        await asyncio.wait_for(call, 5)
    assert link.closed is None
    assert any("w/a" in line.message for line in caplog.records if line.levelno == logging.INFO)


async def test_an_answer_nested_too_deep_ends_the_call_and_not_the_link(world: World, peer: Any) -> None:
    call, client, link, frame = await waiting_call(world, peer)
    value: Any = 1
    for _ in range(130):
        value = {"a": value}
    world.send(client, answer(client, frame), {"args": [value]})
    with pytest.raises(UnreadableAnswer, match="nested deeper than 100 levels"):
        await asyncio.wait_for(call, 5)
    assert link.closed is None


async def test_numbers_as_keys_are_a_value(world: World, peer: Any) -> None:
    call, client, _, frame = await waiting_call(world, peer)
    world.send(client, answer(client, frame), {"args": [{1: "a", 2.5: "b", None: "c", b"d": 4}]})
    assert await asyncio.wait_for(call, 5) == {1: "a", 2.5: "b", None: "c", b"d": 4}


async def test_unreadable_answers_of_others_end_nothing(world: World, peer: Any) -> None:
    call, client, _, frame = await waiting_call(world, peer)
    x, _ = world.join("x", "other")
    for body in (LIST_AS_KEY, CUT_OFF):
        world.hub.route(x, msgpack.packb({**answer(client, frame), "from": "w/a"}) + body)
    world.send(client, answer(client, frame), {"args": [1]})
    assert await asyncio.wait_for(call, 5) == 1


@pytest.mark.parametrize("body", [CUT_OFF, msgpack.packb({"args": [], "ctx": 1})])
async def test_an_answer_between_clients_that_breaks_the_format_ends_the_call(
    world: World, body: bytes
) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    world.call(a, "w/b")
    for to in ("w/a", "a"):
        frame = {"type": "method", "from": "w/b", "to": to, "method": "S.resolve", "parent": "S"}
        world.hub.route(b, msgpack.packb(frame) + body)
    assert [(frame["method"], frame["from"]) for frame in la.frames] == [("S.reject", "w/b")]
    assert "the answer of w/b cannot be read" in la.frames[0]["args"][0]["_rvalue"]
    assert lb.closed is None
    assert not b.pending


async def test_nobody_ends_the_calls_of_others_with_broken_answers(world: World) -> None:
    a, la = world.join("a")
    world.join("b")
    x, _ = world.join("x", "other")
    world.call(a, "w/b")
    world.hub.route(
        x, msgpack.packb({"type": "method", "from": "w/b", "to": "w/a", "method": "S.resolve"}) + CUT_OFF
    )
    assert la.frames == []


@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_a_large_answer_whose_inside_cannot_be_read_ends_the_call(
    world: World, peer: Any, size: int
) -> None:
    call, client, link, frame = await waiting_call(world, peer)
    session = frame["session"]
    message = msgpack.packb(answer(client, frame)) + b"\x81\xa4args\x92\xc6" + size.to_bytes(4) + bytes(size)
    message += LIST_AS_KEY[7:]

    def cache(name: str, *args: Any) -> None:
        main = {"type": "method", "from": "w/a", "to": frame["from"], "session": f"C{name}"}
        main["method"] = f"services.built-in.message_cache.{name}"
        world.send(client, main, {"args": [session, *args], "promise": "*"})

    cache("create", True)
    for index in range(-(-len(message) // 262_144)):
        cache("set", index, message[index * 262_144 : (index + 1) * 262_144], True)
    cache("process", True)
    with pytest.raises(UnreadableAnswer, match=r"the answer of w/a cannot be read: .*key that is not text"):
        await asyncio.wait_for(call, 10)
    assert link.closed is None


async def test_a_chunk_that_is_refused_ends_the_call_whose_answer_it_is(world: World, peer: Any) -> None:
    call, client, _, frame = await waiting_call(world, peer)
    main = {"type": "method", "from": "w/a", "to": frame["from"], "session": "C"}
    main["method"] = "services.built-in.message_cache.set"
    world.send(client, main, {"args": [frame["session"], 0, "no bytes", True], "promise": "*"})
    with pytest.raises(UnreadableAnswer, match="the answer of w/a cannot be read"):
        await asyncio.wait_for(call, 5)


async def test_a_call_that_cannot_be_read_is_refused_with_the_reason(world: World, peer: Any) -> None:
    a, la = world.join("a")
    main = {"type": "method", "from": "w/a", "to": "*/manager-x", "method": "services.default.x"}
    bodies = [LIST_AS_KEY, msgpack.packb({"args": [{1: 2}]}), msgpack.packb({"args": 5})]
    for number, body in enumerate(bodies):
        world.hub.route(a, msgpack.packb({**main, "session": f"S{number}"}) + body)
    assert [frame["method"] for frame in la.frames] == ["S0.reject", "S1.reject", "S2.reject"]
    assert "a key that is not text" in la.frames[1]["args"][0]["_rvalue"]


@pytest.mark.parametrize("name", ["create", "set", "append", "remove", "process"])
async def test_wrong_types_in_calls_of_the_message_cache_are_refused(
    world: World, peer: Any, name: str
) -> None:
    a, la = world.join("a")
    main = {"type": "method", "from": "w/a", "to": "*/manager-x", "session": "S"}
    main["method"] = f"services.built-in.message_cache.{name}"
    world.send(a, main, {"args": [["no text"], 0, b"", False], "promise": "*"})
    async with asyncio.timeout(5):
        await la.arrived()
    assert la.frames[0]["method"] == "S.reject"


@pytest.mark.parametrize("interval", [float("nan"), float("inf"), 1e-9, 0, -1, "x", True, 2**63])
async def test_no_interval_of_a_caller_disturbs_the_servers_timers(
    world: World, manager: ServicePeer, interval: Any
) -> None:
    a, _ = world.join("a")
    request = Request.of(a, manager.address, {"session": "S"}, {"promise": "*", "t": interval})
    assert 0.1 <= request.interval_s <= 3600


async def test_a_server_peer_with_a_guest_refuses_what_it_cannot_read(world: World) -> None:
    own = ServicePeer(world.hub.peer_ports, "public/srv", "http://h")
    world.hub.peers.add(own)
    guest, guest_link = world.join("srv", "public")
    assert world.hub.clients.guest(own.address) is guest
    a, la = world.join("a")
    main = {"type": "method", "from": "w/a", "to": "public/srv", "method": "services.built-in.get_service"}
    world.hub.route(a, msgpack.packb({**main, "session": "S"}) + LIST_AS_KEY)
    assert [frame["method"] for frame in la.frames] == ["S.reject"]
    assert guest_link.frames == []


async def test_a_fault_of_the_server_in_handling_a_frame_keeps_the_link(
    world: World, manager: ServicePeer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    a, la = world.join("a")
    monkeypatch.setattr(manager, "receive", lambda *_: 1 / 0)
    world.call(a, "*/manager-x")
    assert la.closed is None
    assert "could not be handled" in caplog.text


async def test_broken_frames_do_not_fill_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    a, _ = world.join("a")
    for _ in range(1000):
        world.hub.route(a, b"\xc1")
    assert 1 <= len(caplog.records) <= 10
    world.now += 1
    world.hub.route(a, b"\xc1")
    assert len(caplog.records) <= 11
