"""Large messages between clients with different rights, which come in chunks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from hypha.hub.border import protected
from hypha.hub.parcels import MAX_AGE_S, MAX_EARLY_CHUNKS, MAX_EARLY_DENSE_BYTES, MAX_MESSAGES
from tests.kit.world import FakeLink, Pair, World

INNER = {"type": "method", "from": "other/x", "to": "w/b", "method": "services.s.f", "session": "inner"}


@pytest.fixture
async def pair(world: World) -> Pair:
    return Pair(world)


def packed(body: dict[str, Any], **main: Any) -> bytes:
    return msgpack.packb({**INNER, **main}) + msgpack.packb(body)


HONEST = packed({"args": [list(range(300)), "text " * 100, b"bytes" * 100], "promise": "*", "t": 15.0})
EVIL = packed({"args": [1], "from": "*/manager-x", "ctx": {"user": {"id": "root", "roles": ["admin"]}}})


@pytest.mark.parametrize("size", [120, 500, 10_000])
async def test_an_honest_message_passes(pair: Pair, size: int) -> None:
    assert pair.send(HONEST, size)
    assert pair.send(HONEST, size)  # the key is free again
    assert len(pair.world.hub.border.parcels) == 0


async def test_chunks_may_come_in_another_order_as_they_do_over_http(pair: Pair) -> None:
    count = -(-len(HONEST) // 150)
    assert pair.send(HONEST, 150, order=list(reversed(range(count))))


async def test_early_chunks_of_many_values_are_not_all_looked_into_in_one_turn(pair: Pair) -> None:
    size = 256 * 1024
    dense = packed({"args": [["ab", None] * (MAX_EARLY_DENSE_BYTES // 2)]})
    count = -(-len(dense) // size)
    assert count * size > MAX_EARLY_DENSE_BYTES + 2 * size
    assert pair.send(dense, size), "in order it passes"
    assert pair.send(dense, size, order=[1, 2, 3, 0, *range(4, count)]), "a few may come early"
    assert not pair.send(dense, size, key="late", order=[*range(1, count), 0])
    large = packed({"args": [bytes(2 * MAX_EARLY_DENSE_BYTES)]})
    count = -(-len(large) // size)
    assert pair.send(large, size, key="large", order=[*range(1, count), 0]), "bytes cost nothing"


async def test_who_may_not_call_a_service_is_told_why_as_by_a_frame(pair: Pair) -> None:
    method = "services.secret.f"
    error = protected(pair.sender, pair.receiver, method)
    assert "workspace mismatch: w != other" in error.message
    pair.sender.act_as(replace(pair.sender.user, is_lapsed=True))
    assert "has expired" in protected(pair.sender, pair.receiver, method).message


@pytest.mark.parametrize("size", [120, 10_000])
async def test_a_message_that_forges_its_sender_is_refused(pair: Pair, size: int) -> None:
    assert not pair.send(EVIL, size)
    assert any(frame["method"] == "S.reject" for frame in pair.back.frames)
    assert not pair.call("process", "k", False)
    assert not pair.call("set", "k", 9, b"", False)
    assert pair.call("remove", "k")


@pytest.mark.parametrize(
    "main",
    [
        {"method": "services.secret.f"}, {"method": "services.built-in.message_cache.process"},
        {"method": "services.s.f.__self__.rpc"}, {"type": "service_added"}, {"type": 5}, {"method": None},
        {"args": [1]}, {"promise": "*"},
    ],
)  # fmt: skip
async def test_a_message_in_chunks_says_no_more_than_a_frame(pair: Pair, main: dict[str, Any]) -> None:
    assert not pair.send(packed({"args": []}, **main), 10_000)


async def test_functions_in_chunks_name_their_sender_alone(pair: Pair) -> None:
    value = {"_rtype": "method", "_rmethod": "session.f"}
    assert pair.send(packed({"args": ["x" * 900, {**value, "_rtarget": "other/x"}]}), 200)
    assert not pair.send(packed({"args": ["x" * 900, {**value, "_rtarget": "*/manager-x"}]}), 200, "k2")


async def test_what_was_looked_into_is_what_the_receiver_puts_together(pair: Pair) -> None:
    """Each way by which the receiver's chunks would be others than those that were looked into."""
    third, _ = pair.world.join("y", "other")
    assert not pair.call("set", "unknown", 0, HONEST, False)
    assert not pair.call("process", "unknown", False)
    assert pair.call("create", "k", False)
    assert not pair.call("create", "k", False)
    assert not pair.call("create", "k2", False, True)  # overwrite: the receiver may not heed it
    assert not pair.call("set", "k", 0, EVIL, False, by=third)
    assert not pair.call("create", "k", False, by=third)
    assert pair.call("set", "k", 0, HONEST, False)
    assert not pair.call("process", "k", True)  # a receiver without that session would not heed it
    assert not pair.call("process", "k", False, by=third)
    assert pair.call("process", "k", False)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("set", [0, EVIL, False]), ("set", [1, b"", True]), ("set", [True, b"", False]),
        ("set", ["1", b"", False]),
        ("set", [1.0, b"", False]), ("set", [1, "text", False]), ("set", [1]), ("set", [1, b"", 0]),
        ("append", [b"", False]), ("extend", []), ("__class__", []), ("set", [-1, b"", False]),
        ("set", [MAX_EARLY_CHUNKS + 9, b"", False]), ("set", [1, {"_rtype": "bytes"}, False]),
    ],
)  # fmt: skip
async def test_odd_calls_of_the_cache_are_refused(pair: Pair, function: str, args: list[Any]) -> None:
    assert pair.call("create", "k", False)
    assert pair.call("set", "k", 0, HONEST[:200], False)
    assert not pair.call(function, "k", *args)


@pytest.mark.parametrize("key", ["", "__proto__", "x" * 257, 5, None, b"k"])
async def test_odd_keys_are_refused(pair: Pair, key: Any) -> None:
    assert not pair.call("create", key, False)


async def test_neither_keywords_nor_functions_of_others_hide_in_a_call_of_the_cache(pair: Pair) -> None:
    value = {"_rtype": "method", "_rtarget": "w/c", "_rmethod": "x.y"}
    assert not pair.call("create", "k", {"heartbeat": False}, with_kwargs=True)
    assert not pair.call("create", "k", False, promise={"resolve": value})


async def test_an_incomplete_message_is_not_processed(pair: Pair) -> None:
    for key, order in (("a", [0]), ("b", [0, 2])):
        assert not pair.send(HONEST, 200, key, order)


async def test_what_is_kept_of_messages_is_bounded(pair: Pair) -> None:
    parcels = pair.world.hub.border.parcels
    for number in range(MAX_MESSAGES):
        assert pair.call("create", f"k{number}", False)
    assert not pair.call("create", "one more", False)
    pair.world.now += MAX_AGE_S + 1
    assert pair.call("create", "one more", False)
    assert len(parcels) == 1
    other = Pair.__new__(Pair)
    other.world, (other.sender, other.back) = pair.world, pair.world.join("z", "other")
    other.receiver, other.link = pair.receiver, pair.link
    assert other.call("create", "z", False)
    pair.world.hub.end(other.sender, "it left")
    assert len(parcels) == 1
    pair.world.hub.end(pair.receiver, "it left")
    assert len(parcels) == 0


async def test_clients_with_the_same_rights_are_not_looked_into(world: World) -> None:
    b, link = world.join("b")
    twin = world.hub.join("w", "twin", b.user, None, FakeLink())
    world.hub.resume.open(twin)
    main = {"type": "method", "from": "w/twin", "to": "w/b", "session": "S"}
    method = "services.built-in.message_cache.process"
    world.send(twin, {**main, "method": method}, {"args": ["k", False], "promise": "*"})
    assert link.methods() == [method]
