"""Attacks on frames, calls and what waits for them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest

from hypha.auth.users import anonymous_user
from hypha.builtins.service import BuiltinService
from hypha.errors import InvalidRequest, LimitReached, TooManyValues
from hypha.hub import parcels, shares
from hypha.hub.acknowledgement import UNPROVEN_LIMIT_BYTES
from hypha.hub.callbacks import MAX_RUNNING_PER_SESSION, Session, Sessions
from hypha.hub.events import MAX_EVENT_BYTES
from hypha.hub.flow import HIGH_WATER_BYTES, UNPROVEN_HIGH_BYTES
from hypha.hub.large_answers import AnswerRoom
from hypha.hub.rates import RateLimits, Rates
from hypha.hub.resume import MAX_REPEATED_BYTES
from hypha.hub.router import MAX_PASSED_BYTES, MAX_SESSION_CHARS
from hypha.limits import Party
from hypha.registry.balance import MAX_ASKED, MAX_ASKED_AT_ONCE, MAX_SELECT_TIMEOUT_S, Selection
from hypha.registry.directory import MAX_TIMEOUT_S, LookupOptions
from hypha.registry.index import Registry
from hypha.registry.records import Registrant, parse_registration
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from hypha.settings import Settings
from hypha.testing import RawCallError, eventually
from hypha.transports import stream_watch
from hypha.transports.ratelimit import FrameRate
from hypha.transports.stream_watch import StreamWatch, WatchLimits
from hypha.wire import bounded, chunks, json_text
from hypha.wire.arriving import MAX_DEPTH as MAX_ARRIVING_DEPTH
from hypha.wire.arriving import MAX_STEPS
from hypha.wire.chunks import MessageCaches
from hypha.wire.frames import MAX_DENSE_BYTES, MAX_WALKED_VALUES, EnvelopeParser
from hypha.wire.values import MAX_DEPTH, absolute_targets
from hypha.workspaces.functions_clients import MAX_PING_TIMEOUT_S, ping_timeout
from tests.faults.bounds.kit import KIB, MIB, Kit
from tests.kit.builtins import function
from tests.kit.registry import make_context
from tests.kit.world import Pair


def parcel_pair(kit: Kit) -> tuple[Any, Pair]:
    """A hub, and a sender of chunks with a receiver in another workspace."""
    world = kit.world()
    return world, Pair(world)


async def frame(kit: Kit) -> None:
    client = await kit.raw()
    await client.emit("big", client.address, data=bytes(900 * KIB))
    assert (await client.wait_closed())[0] == 1009
    await kit.others_are_well()


async def frame_to_a_client(kit: Kit) -> None:
    world = kit.world()
    (a, to_a), (b, to_b) = world.join("a"), world.join("b")
    main = {"type": "method", "from": a.address, "to": b.address, "method": "services.s.f", "session": "S"}
    world.send(a, main, {"args": [bytes(MAX_PASSED_BYTES)], "promise": "*"})
    assert to_a.methods() == ["S.reject"] and not to_b.frames
    world.send(a, {**main, "session": "S" * (MAX_SESSION_CHARS + 1)}, {"args": [], "promise": "*"})
    assert not to_b.frames and not b.pending


async def event(kit: Kit) -> None:
    world = kit.world()
    (a, _), (b, to_b) = world.join("a"), world.join("b")
    world.send(a, {"type": "news", "to": b.address, "data": bytes(MAX_EVENT_BYTES)})
    assert not to_b.frames and not b.outbox.entries


async def dense_frame(kit: Kit) -> None:
    parser = EnvelopeParser()
    main = msgpack.packb({"type": "method", "to": "w/b", "method": "services.s.f", "session": "S"})
    many = msgpack.packb({"args": [[0] * (2 * MAX_WALKED_VALUES), bytes(MAX_DENSE_BYTES)]})
    with pytest.raises(TooManyValues):
        parser.parse(main + many)


async def values_of_a_call(kit: Kit) -> None:
    world = kit.world()
    peer = await kit.manager(world)
    assert peer._inbox._max_values == bounded.MAX_VALUES
    a, link = world.join("a")
    main = {"type": "method", "from": a.address, "to": "*/manager-x", "session": "S"}
    dense = [[[]] * (bounded.MAX_VALUES // bounded.CONTAINER_VALUES + 1)]
    world.send(a, {**main, "method": "services.built-in.ping"}, {"args": dense, "promise": "*"})
    await asyncio.wait_for(link.arrived(), 5)
    assert link.methods() == ["S.reject"]
    text = b"[" + b"[]," * (json_text.QUICK_BYTES // 2) + b"[]]"
    with pytest.raises(ValueError, match="more than"):
        json_text.loads(text, 1000)
    with pytest.raises(bounded.ValueLimit, match="map"):
        bounded.unpack(
            b"\xdf" + (2 * bounded.MAX_ENTRIES + 1).to_bytes(4, "big") + bytes(70_000),
            bounded.MAX_PASSED_VALUES,
        )


async def nesting(kit: Kit) -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="nested"):
        absolute_targets(deep, "w")
    with pytest.raises(ValueError):
        json_text.loads(b"[" * 5000 + b"]" * 5000)
    http = await kit.http()
    levels = json_text.MAX_DEPTH + 1
    answer = await http.post("/public/services/ws/echo", content=b"[" * levels + b"]" * levels)
    assert answer.status_code == 400


async def bytes_of_strangers(kit: Kit) -> None:
    http = await kit.http()
    answer = await http.post("/public/services/ws/list_services", json={"query": "x" * 70_000})
    assert answer.status_code == 413
    client = await kit.raw()
    with pytest.raises(RawCallError, match="65,536 bytes"):
        await client.call_manager("list_services", "x" * 70_000)


async def calls_without_an_answer(kit: Kit) -> None:
    kit.lower("hypha.hub.client.MAX_PENDING_CALLS", 20)
    kit.lower("hypha.hub.client.FEW_PENDING_CALLS", 5)
    world = kit.world()
    (a, _), (b, _) = world.join("a"), world.join("b")
    for number in range(100):
        world.call(a, b.address, f"s{number}")
    assert len(b.pending) == 20


async def all_calls_without_an_answer(kit: Kit) -> None:
    kit.lower("hypha.hub.client.FEW_PENDING_CALLS", 10)
    kit.lower("hypha.hub.client._PENDING_STEP", 5)
    kit.lower("hypha.hub.hub.MAX_ALL_PENDING", shares.Room(free=10, party=30, strangers=30, total=100))
    world = kit.world()
    a, _ = world.join("a")
    crowd = [world.join(f"b{number}")[0] for number in range(10)]
    for number in range(100):
        for b in crowd:
            world.call(a, b.address, f"s{number}")
    assert sum(len(b.pending) for b in crowd) <= 10 * (10 + 5) + 30
    for b in crowd:
        world.hub.end(b, "test")
    assert world.hub.unanswered.used == 0


async def all_calls_that_run(kit: Kit) -> None:
    kit.lower("hypha.hub.running_calls.MAX_RUNNING", shares.Room(free=2, party=6, strangers=6, total=20))
    world, never = kit.world(), asyncio.Event()

    async def wait(*, context: Any) -> None:
        await never.wait()

    peer = await kit.manager(world, wait=wait)
    crowd = [world.join(f"a{number}") for number in range(5)]
    for number in range(10):
        for client, _ in crowd:
            world.call(client, "*/manager-x", f"s{number}", "services.default.wait")
    assert len(peer.running) == 5 * 2 + 6
    never.set()
    for _, link in crowd:
        while len(link.frames) < 10:
            await asyncio.wait_for(link.arrived(), 2)
            await asyncio.sleep(0)
    assert not len(peer.running) and not peer.running.counted


async def large_answers(kit: Kit) -> None:
    room = AnswerRoom(client=MIB, party=2 * MIB, strangers=2 * MIB, total=10 * MIB)
    kit.lower("hypha.hub.large_answers.MAX_LARGE_ANSWERS", room)
    world, made = kit.world(), 0

    async def give(data: Any, *, context: Any) -> bytes:
        nonlocal made
        made += 1
        return bytes(512 * KIB)

    large = replace(function(give), gives_bytes=512 * KIB)
    peer = world.add_manager(BuiltinService("default", {"give": large}, "m"))
    kit.stack.push_async_callback(peer.close)
    crowd = [world.join(f"a{number}")[0] for number in range(10)]
    for number in range(20):
        for client in crowd:  # none of which acknowledges anything
            world.call(client, "*/manager-x", f"s{number}", "services.default.give")
    for _ in range(100):
        await asyncio.sleep(0)
    assert 2 <= made <= 4, made
    assert world.hub.large_answers.used <= 2 * MIB + made * KIB
    for client in crowd:
        world.hub.end(client, "test")
    await eventually(lambda: not world.hub.large_answers.used)
    made = 0
    peer = world.add_manager(BuiltinService("default", {"give": function(give)}, "m2"))
    kit.stack.push_async_callback(peer.close)
    crowd = [world.join(f"b{number}")[0] for number in range(3)]
    for number in range(30):  # nobody says that these are large: who has too many gets no more
        for client in crowd:
            world.call(client, "*/manager-x", f"s{number}", "services.default.give")
        for _ in range(10):
            await asyncio.sleep(0)
    assert 2 <= made <= 12, made


async def all_frames_that_wait(kit: Kit) -> None:
    room = shares.Room(free=10 * KIB, party=100 * KIB, strangers=100 * KIB, total=300 * KIB)
    kit.lower("hypha.hub.waiting.MAX_HELD_BYTES", room)
    world = kit.world()
    a, to_a = world.join("a")
    away = [world.join(f"b{number}")[0] for number in range(30)]
    for b in away:
        world.lose(b)
        for number in range(10):
            main = {"type": "method", "from": a.address, "to": b.address, "method": "services.s.f"}
            body = {"args": [bytes(2 * KIB)], "promise": "*", "t": 15.0}
            world.send(a, {**main, "session": f"{b.client_id}-{number}"}, body)
    assert sum(b.outbox.bytes for b in away) <= 30 * 10 * KIB + 100 * KIB
    assert to_a.methods().count("b29-9.reject") and not to_a.paused, "a call is refused, not kept"
    world.send(a, {"type": "news", "to": away[-1].address, "data": bytes(4 * KIB)})
    assert to_a.paused, "who sends something else is read no more"
    for b in away:
        world.hub.end(b, "test")
    assert world.hub.waiting._kept.used == 0


async def calls_that_run(kit: Kit) -> None:
    kit.lower("hypha.hub.running_calls.MAX_RUNNING_PER_CLIENT", 5)
    world, never = kit.world(), asyncio.Event()

    async def wait(*, context: Any) -> None:
        await never.wait()

    peer = await kit.manager(world, wait=wait)
    a, link = world.join("a")
    for number in range(20):
        world.call(a, "*/manager-x", f"s{number}", "services.default.wait")
    assert len(peer.running) == 5
    assert len(link.frames) == 15 and "calls are running" in str(link.frames[0]["args"])

    async def forever() -> None:
        await never.wait()

    session = Session(Sessions(), "w/a", "w/x", "http://h", {"f": forever})
    running = [asyncio.ensure_future(session.call("f", [], {})) for _ in range(MAX_RUNNING_PER_SESSION)]
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await session.call("f", [], {})
    never.set()
    await asyncio.gather(*running)


async def frames_that_wait(kit: Kit) -> None:
    world = kit.world()
    world.hub.waiting.held_limit_bytes = 100 * KIB
    (a, to_a), (b, _) = world.join("a"), world.join("b")
    world.lose(b)
    for number in range(50):
        main = {"type": "method", "from": a.address, "to": b.address, "method": "services.s.f"}
        body = {"args": [bytes(10 * KIB)], "promise": "*", "t": 15.0}
        world.send(a, {**main, "session": f"s{number}"}, body)
    assert b.outbox.bytes <= 100 * KIB and len(to_a.frames) >= 40
    world.tick(11)
    assert not b.pending, "calls wait for the hold time only"


async def unread_frames(kit: Kit) -> None:
    world = kit.world()
    (a, to_a), (b, to_b), (c, _) = world.join("a"), world.join("b"), world.join("c", "elsewhere")
    to_b.buffered = HIGH_WATER_BYTES + 1
    world.hub.flow.choke(b)
    world.call(a, b.address)
    assert to_a.paused
    world.tick(1)
    world.tick(20)
    assert to_b.closed is not None and to_b.closed[0] == 1013
    d, to_d = world.join("d")
    for _ in range(5):
        d.deliver(bytes(UNPROVEN_HIGH_BYTES // 4), 2)
    assert d.is_choked
    world.hub.flow.pause(c, d)
    world.tick(2.5)
    assert to_d.closed is not None, "it makes another workspace wait"


async def unproven_frames(kit: Kit) -> None:
    world = kit.world()
    b, link = world.join("b")
    for _ in range(9):
        b.deliver(bytes(UNPROVEN_LIMIT_BYTES // 8), 2)
    for seconds in (0.1, 9, 2):
        world.tick(seconds)
    assert link.closed is not None


async def repeated_frames(kit: Kit) -> None:
    world = kit.world()
    b, _ = world.join("b")
    for _ in range(3):
        b.deliver(bytes(MAX_REPEATED_BYTES + 1), 1)
    world.lose(b)
    world.rejoin(b)
    assert not b.outbox.entries


async def messages_in_chunks(kit: Kit) -> None:
    room = MessageCaches().account.room
    assert (room.total, room.strangers) == (chunks.MAX_TOTAL_BYTES, chunks.MAX_TOTAL_ANONYMOUS_BYTES)
    assert (room.person, room.stranger) == (chunks.MAX_CACHE_BYTES, chunks.MAX_ANONYMOUS_CACHE_BYTES)
    kit.lower("hypha.wire.chunks.MAX_CACHE_BYTES", 3 * MIB)
    kit.lower("hypha.wire.chunks.MAX_TOTAL_BYTES", 5 * MIB)
    made = MessageCaches()
    caches = [made.cache(Party(f"p{number}", is_stranger=False)) for number in range(2)]
    refusals = 0
    for number in range(16):
        cache = caches[number % 2]
        cache.create(f"k{number}", 0.0)
        try:
            cache.add(f"k{number}", 0, bytes(MIB // 2))
        except LimitReached:
            refusals += 1
    assert made.account.used <= 5 * MIB and refusals >= 6
    for _ in range(16):
        with contextlib.suppress(LimitReached):
            made.whole(Party("p3", is_stranger=False), MIB // 2)
    assert made.account.used_by(Party("p3", is_stranger=False)) <= 3 * MIB
    assert made.account.used <= 5 * MIB
    kit.lower("hypha.wire.chunks.MAX_MESSAGE_BYTES", 2 * MIB)
    caches[0].clear()
    caches[0].create("k", 0.0)
    with pytest.raises(LimitReached):
        for number in range(10):
            caches[0].add("k", number, bytes(MIB // 2))


async def unfinished_messages(kit: Kit) -> None:
    cache = MessageCaches().cache(Party("x", is_stranger=True))
    for number in range(chunks.MAX_MESSAGES):
        cache.create(f"k{number}", 0.0)
    with pytest.raises(LimitReached):
        cache.create("more", 0.0)
    with pytest.raises(InvalidRequest):
        cache.create("k" * (chunks.MAX_KEY_CHARS + 1), 0.0)
    cache.expire(chunks.MAX_AGE_S + 1)
    assert not len(cache)


async def chunks_between_clients(kit: Kit) -> None:
    world, pair = parcel_pair(kit)
    assert all(pair.call("create", f"k{number}", False) for number in range(parcels.MAX_MESSAGES))
    assert not pair.call("create", "more", False)
    assert not pair.call("create", "k" * (parcels.MAX_KEY_CHARS + 1), False)
    early = [pair.call("set", "k0", 1 + number, b"", False) for number in range(parcels.MAX_EARLY_CHUNKS + 1)]
    assert early == [True] * parcels.MAX_EARLY_CHUNKS + [False]
    head = msgpack.packb({"type": "method", "to": "w/b", "method": "services.s.f"})
    dense = b"\xa1a" * (parcels.MAX_EARLY_DENSE_BYTES // 5)
    assert all(pair.call("set", "k3", number, dense, False) for number in (1, 2, 3))
    assert not pair.call("set", "k3", 0, head + b"\x81\xa4args\xdd\x00\xff\xff\xff", False)
    functions = b"\x81\xa8_rtarget\xa7other/x" * (MAX_STEPS // 2)
    assert not pair.call("set", "k1", 0, head + b"\x81\xa4args\xdd\x00\xff\xff\xff" + functions, False)
    deep = head + b"\x81\xa4args" + b"\x91" * (MAX_ARRIVING_DEPTH + 9)
    assert not pair.call("set", "k2", 0, deep, False)
    world.now += parcels.MAX_AGE_S + 1
    assert pair.call("create", "more", False)
    assert len(world.hub.border.parcels) == 1


async def all_chunks_that_wait(kit: Kit) -> None:
    kit.lower("hypha.hub.parcels.MAX_EARLY_BYTES", shares.Room(1000, 3000, 5000, 9000))
    world, pair = parcel_pair(kit)
    passed = 0
    for number in range(10):
        assert pair.call("create", f"k{number}", False)
        passed += pair.call("set", f"k{number}", 1, bytes(900), False)
    assert passed == 4  # the sender's own thousand bytes, and what its address may have
    world.hub.end(pair.sender, "it left")
    assert not world.hub.border.parcels._early.used


async def rates(kit: Kit) -> None:
    clock = SimpleNamespace(now=0.0)
    shared = Rates(RateLimits(10.0, 1000.0, 10.0, 1000.0, 1.0), lambda: clock.now, max_tracked=20)
    waits = [shared.try_take("user", "w", 1) for _ in range(50)]
    assert sum(wait == 0 for wait in waits) == 10
    clock.now += 10
    assert not shared.try_take("user", "w", 5000)
    assert shared.try_take("user", "w", 1) > 1
    for number in range(200):
        shared.try_take(f"u{number}", f"w{number}", 1)
    assert len(shared) <= 25


async def frames_of_a_connection(kit: Kit) -> None:
    loop = asyncio.get_running_loop()
    rate = FrameRate.of_connection(1.0, 20.0, loop)
    pauses: list[str] = []
    link: Any = SimpleNamespace(pause_reading=lambda: pauses.append("p"), resume_reading=lambda: None)
    for _ in range(30):
        rate.spend(link, 100)
    assert pauses == ["p"]


async def pings(kit: Kit) -> None:
    assert ping_timeout(1e9) == MAX_PING_TIMEOUT_S
    assert LookupOptions.parse({"timeout": 1e9}).timeout_s == MAX_TIMEOUT_S
    registry = Registry()
    for number in range(3 * MAX_ASKED):
        info = {
            "id": f"w/c{number}:s",
            "service_schema": {"load": {"type": "function", "function": {"name": "load"}}},
        }
        registry.add(parse_registration(info, Registrant("w", f"c{number}", "u")))
    asked: list[float] = []
    at_once = most_at_once = 0

    async def call(target: str, method: str, *, timeout_s: float, context: Any) -> float:
        nonlocal at_once, most_at_once
        asked.append(timeout_s)
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return 1.0

    clients: Any = SimpleNamespace(client=lambda *_: SimpleNamespace(is_live=True, load_per_min=0.0))
    selection = Selection(Sources(registry), LocalRoster(clients), SimpleNamespace(call=call))  # type: ignore[arg-type]
    records = list(registry._records.values())
    await selection._select(records, "min", "load", make_context(), 10_000.0)
    assert len(asked) == MAX_ASKED and max(asked) == MAX_SELECT_TIMEOUT_S
    assert most_at_once <= MAX_ASKED_AT_ONCE


async def streams_asked(kit: Kit) -> None:
    kit.patch.setattr(stream_watch, "StreamLink", SimpleNamespace)
    at_once = most_at_once = 0

    async def ping(*_: Any) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        raise LimitReached("no answer")

    ended: list[int] = []
    crowd = [SimpleNamespace(address=f"w/{n}", last_received=0.0, user=anonymous_user()) for n in range(300)]
    for number, client in enumerate(crowd):
        client.connection = SimpleNamespace(misses=0, abort=lambda number=number: ended.append(number))
    hub: Any = SimpleNamespace(time=lambda: 1e6, clients=SimpleNamespace(live=lambda: crowd))
    limits = WatchLimits.from_settings(Settings(stream_max_ping_misses=3))
    watch = StreamWatch(hub, limits, ping, lambda _: True)
    for _ in range(3):
        await watch.look()
    assert most_at_once <= stream_watch.MOST_AT_ONCE
    assert len(ended) == 300
