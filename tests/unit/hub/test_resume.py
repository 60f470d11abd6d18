"""Held clients, resumed clients, ended clients (docs/spec/reconnecting.md#hold)."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import NotDelivered
from tests.kit.world import World


def rejected(link: Any) -> list[str]:
    return [f["args"][0]["_rvalue"].partition(":")[0] for f in link.frames if f["method"].endswith(".reject")]


async def test_frames_wait_in_order_for_a_held_client(world: World) -> None:
    a, _ = world.join("a")
    b, _ = world.join("b")
    world.lose(b)
    for number in range(5):
        world.call(a, "w/b", f"S{number}")
    link = world.rejoin(b)
    assert link.frames == []
    world.hub.resume.open(b)
    assert [frame["session"] for frame in link.frames] == [f"S{number}" for number in range(5)]
    assert b.generation == 2


async def test_a_call_comes_from_the_address_of_its_link_also_when_that_is_gone(world: World) -> None:
    a, _ = world.join("a")
    assert a.context.network_address == "127.0.0.1"
    world.lose(a)
    assert (a.peer_address, a.context.network_address) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.spec("wire-42", "resume-12")
async def test_unacknowledged_answers_are_sent_again_and_calls_are_not(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(b, "w/a", "S1")
    world.answer(a, "w/b", "S1")
    world.call(a, "w/b", "S2")
    world.call(a, "w/b", "S3", method="services.built-in.ping")
    world.lose(b)
    world.call(a, "w/b", "S4")
    link = world.rejoin(b)
    world.hub.resume.open(b)
    assert link.methods() == ["S1.resolve", "services.built-in.ping", "services.s.f"]
    assert rejected(la) == []


async def test_a_pong_acknowledges_everything_before_it(world: World) -> None:
    a, _ = world.join("a")
    b, lb = world.join("b")
    for number in range(3):
        world.answer(a, "w/b", f"S{number}")
    world.tick(0.1)
    world.answer(a, "w/b", "S9")
    world.pong(b, lb)
    world.lose(b)
    link = world.rejoin(b)
    world.hub.resume.open(b)
    assert link.methods() == ["S9.resolve"]


@pytest.mark.spec("resume-2")
async def test_an_answer_acknowledges_its_call_and_what_came_before(world: World) -> None:
    a, _ = world.join("a")
    b, _ = world.join("b")
    world.answer(a, "w/b", "S0")
    world.call(a, "w/b", "S1")
    world.answer(a, "w/b", "S2")
    world.answer(b, "w/a", "S1")
    assert [entry[1] for entry in b.outbox.entries] == [1]
    assert b.outbox.bytes == sum(len(entry[0]) for entry in b.outbox.entries)


async def test_a_frame_that_may_have_broken_the_link_is_not_sent_again(world: World) -> None:
    a, _ = world.join("a")
    b, _ = world.join("b")
    main = {"type": "method", "from": "w/a", "to": "w/b", "parent": "S"}
    for name, size in (("fits", 1_000_000), ("breaks", 1_050_000)):
        world.send(a, {**main, "method": f"{name}.resolve"}, {"args": [b"x" * size]})
    world.lose(b, 1009)
    world.rejoin(b)
    assert [len(entry[0]) // 10_000 for entry in b.outbox.entries] == [100]


async def test_a_call_in_doubt_is_unknown_after_the_grace_and_not_before(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b", t=5.0)
    world.lose(b)
    world.now += 1
    world.rejoin(b)
    world.hub.resume.open(b)
    world.tick(5.9)
    assert rejected(la) == []
    world.tick(0.2)
    assert rejected(la) == ["OutcomeUnknown"]


@pytest.mark.spec("resume-5")
async def test_a_call_that_arrived_is_unknown_too_when_the_client_is_back_and_silent(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    world.call(a, "w/b", t=5.0)
    world.answer(a, "w/b", "S0")  # what is kept until a PONG proves it, and the call before it
    world.tick(0.1)
    world.pong(b, lb)
    world.lose(b)
    world.rejoin(b)
    world.hub.resume.open(b)
    world.tick(5.9)
    assert rejected(la) == []
    world.tick(0.2)
    assert rejected(la) == ["OutcomeUnknown"]


async def test_a_heartbeat_clears_the_doubt_and_the_answer_still_counts(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b", t=5.0)
    world.lose(b)
    world.rejoin(b)
    world.hub.resume.open(b)
    world.answer(b, "w/a", name="heartbeat")
    world.tick(60)
    world.answer(b, "w/a")
    assert la.methods() == ["S.heartbeat", "S.resolve"]


async def test_a_held_call_never_outlives_its_callers_patience(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.lose(b)
    world.call(a, "w/b", "short", t=2.0)
    world.call(a, "w/b", "long", t=15.0)
    world.tick(2.9)
    assert rejected(la) == []
    world.tick(0.2)
    assert rejected(la) == ["NotDelivered"]
    link = world.rejoin(b)
    world.hub.resume.open(b)
    assert [frame["session"] for frame in link.frames] == ["long"]


async def test_a_call_whose_link_died_never_outlives_its_callers_patience(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b", "short", t=2.0)
    world.call(a, "w/b", "long", t=15.0)
    world.lose(b)
    world.tick(2.9)
    assert rejected(la) == []
    world.tick(0.2)
    assert rejected(la) == ["OutcomeUnknown"]
    world.rejoin(b)
    world.hub.resume.open(b)
    world.answer(b, "w/a", "long")
    assert la.methods()[-1] == "long.resolve"


async def test_calls_wait_as_long_as_a_flapping_client_pauses_by_itself(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    for _ in range(6):  # the Python client waits 16 s after the sixth short link, 10 % more or less
        world.lose(b)
        world.rejoin(b)
        world.hub.resume.open(b)
    world.call(a, "w/b", "running", t=20.0)
    world.lose(b)
    assert b.hold.calls_until - world.now > 16 * 1.1 * 2
    world.call(a, "w/b", "waiting", t=20.0)
    world.tick(18.0)
    assert rejected(la) == []
    link = world.rejoin(b)
    world.hub.resume.open(b)
    assert [frame["session"] for frame in link.frames] == ["waiting"]
    world.answer(b, "w/a", "running")
    assert la.methods()[-1] == "running.resolve"
    world.now += 6.0
    world.lose(b)
    assert b.hold.calls_until - world.now == 10.0


async def test_the_grace_of_a_call_in_doubt_begins_anew_when_the_link_breaks_again(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b", t=4.0)
    world.lose(b)
    world.rejoin(b)  # in doubt for t + 1 s
    world.hub.resume.open(b)
    world.tick(3.0)
    world.lose(b)
    world.tick(2.2)
    assert rejected(la) == []
    world.rejoin(b)
    world.tick(1.7)
    assert rejected(la) == []
    world.tick(0.3)
    assert rejected(la) == ["OutcomeUnknown"]


@pytest.mark.spec("wire-29")
async def test_after_the_hold_time_callers_are_told_and_later_calls_fail_fast(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b", "running")
    world.lose(b)
    world.call(a, "w/b", "waiting")
    world.tick(10.1)
    assert sorted(rejected(la)) == ["NotDelivered", "OutcomeUnknown"]
    world.call(a, "w/b", "later")
    assert rejected(la)[-1] == "NotDelivered"
    assert world.log == []
    link = world.rejoin(b)
    world.hub.resume.open(b)
    assert link.frames == []
    world.call(a, "w/b", "again")
    assert link.frames[0]["session"] == "again"


async def test_after_the_window_services_go_callers_are_told_events_are_sent_in_order(world: World) -> None:
    a, _ = world.join("a")
    b, _ = world.join("b")
    world.hub.events.subscribe(b, ["e"])
    world.lose(b)
    world.tick(89)
    assert world.log == []
    world.answer(a, "w/b", "kept")
    world.tick(1.1)
    assert world.log == ["services end b", "ended b"]
    assert world.hub.clients.get("w/b") is None
    assert world.hub.clients.of("w") == [a]


@pytest.mark.spec("wire-29")
@pytest.mark.parametrize("code", [1000, 1001])
@pytest.mark.parametrize(
    ("measured_s", "pong_s", "held_s"),
    [(0.0001, None, 0.25), (0.1, None, 0.65), (0.0001, 0.2, 1.05), (3.0, 0.1, 2.0)],
)
async def test_a_goodbye_is_held_as_long_as_the_way_back_takes(
    world: World, code: int, measured_s: float, pong_s: float | None, held_s: float
) -> None:
    a, _ = world.join("a")
    b, lb = world.join("b")
    if pong_s is not None:
        world.answer(a, "w/b")
        world.tick()
        world.now += pong_s
        world.pong(b, lb)
    lb.farewell_s = measured_s
    world.lose(b, code)
    world.tick(held_s - 0.02)
    assert world.log == []
    world.tick(0.04)
    assert world.log == ["services end b", "ended b"]


async def test_a_client_that_replaces_its_own_socket_loses_nothing(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    lb.farewell_s = 0.001
    world.call(a, "w/b")
    world.lose(b, 1000)
    world.tick(0.2)
    link = world.rejoin(b)
    world.hub.resume.open(b)
    world.tick(0.3)
    world.answer(b, "w/a")
    assert la.methods() == ["S.resolve"] and link.methods() == []
    assert world.log == []


@pytest.mark.spec("wire-29")
@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_goodbye_is_held_for_one_second_where_the_way_is_not_known(world: World, code: int) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b")
    world.lose(b, code)
    world.tick(0.9)
    assert world.log == []
    world.tick(0.2)
    assert rejected(la) == ["OutcomeUnknown"]
    assert world.log == ["services end b", "ended b"]


async def test_the_text_of_unknown_outcomes_makes_no_client_repeat_the_call(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.call(a, "w/b")
    world.hub.end(b, "test")
    text = la.frames[0]["args"][0]["_rvalue"]
    assert text.startswith("OutcomeUnknown: ")
    for phrase in ("Peer", "Method expired", "Session not found", "Method not found", "Connection was closed",
                   "Connection is closed"):  # fmt: skip
        assert phrase not in text


@pytest.mark.spec("wire-42")
async def test_a_newer_connection_supersedes_and_the_old_ones_end_changes_nothing(world: World) -> None:
    b, old = world.join("b")
    new = world.rejoin(b)
    world.hub.resume.open(b)
    world.hub.resume.lost(b, old, 1006)
    assert b.is_live
    world.answer(b, "w/b", "x")
    assert new.methods() == ["x.resolve"]
    assert world.log == []


async def test_a_silent_client_gets_its_frames_after_a_second(world: World) -> None:
    a, _ = world.join("a")
    b, _ = world.join("b")
    world.lose(b)
    world.call(a, "w/b")
    link = world.rejoin(b)
    world.hub.resume._open_silent(b, b.generation)
    assert len(link.frames) == 1


async def test_what_is_kept_for_a_held_client_is_bounded(world: World) -> None:
    world.hub.waiting.held_limit_bytes = 1000
    a, la = world.join("a")
    b, _ = world.join("b")
    world.lose(b)
    for number in range(50):
        world.call(a, "w/b", f"S{number}")
    assert b.outbox.bytes <= 1000
    assert set(rejected(la)) == {"NotDelivered"}
    assert len(b.pending) == len(b.outbox.entries)


async def test_without_pongs_frames_count_as_arrived_after_two_seconds(world: World) -> None:
    b, link = world.join("b")
    link.acknowledges = False
    b.reject("S", "w/x", NotDelivered("an answer"))
    world.tick(0.1)
    world.tick(1.0)
    assert len(b.outbox.entries) == 1
    world.tick(1.1)
    assert len(b.outbox.entries) == 0
    assert link.pings == []


async def test_callers_in_other_workspaces_are_told_to_forget_an_ended_client(world: World) -> None:
    a, la = world.join("a", "other")
    c, lc = world.join("c")
    b, _ = world.join("b")
    for caller in (a, c):
        world.call(caller, "w/b")
    world.hub.end(b, "test")
    assert [frame["type"] for frame in la.frames] == ["method", "peer_not_found"]
    assert (la.frames[1]["session"], la.frames[1]["peer_id"]) == ("S", "w/b")
    assert [frame["type"] for frame in lc.frames] == ["method"]


@pytest.mark.parametrize("code", [1000, 1006])
async def test_callers_in_other_workspaces_are_told_at_the_end_of_the_hold_time(
    world: World, code: int
) -> None:
    a, la = world.join("a", "other")
    b, _ = world.join("b")
    world.call(a, "w/b")
    world.lose(b, code)
    world.tick(0.6 if code == 1000 else 10.1)
    assert [frame["type"] for frame in la.frames] == ["method", "peer_not_found"]
    assert la.frames[0]["method"] == "S.reject"
    world.tick(90)
    assert len(la.frames) == 2


async def test_nothing_is_kept_of_calls_and_events_that_were_written(world: World) -> None:
    a, _ = world.join("a")
    b, lb = world.join("b")
    world.call(a, "w/b")
    b.tell({"type": "e", "to": "w/b"})
    assert len(lb.frames) == 2
    assert not b.outbox.entries
    assert list(b.pending) == [(a, "S")]


async def test_looking_at_what_waits_for_a_held_client_takes_little_of_the_time(world: World) -> None:
    (a, _), (b, _) = world.join("a"), world.join("b")
    world.lose(b)
    for number in range(2000):
        world.call(a, b.address, f"s{number}", t=15.0)
    looks: list[float] = []
    sweep = world.hub.waiting._look_at
    world.hub.waiting._look_at = lambda client, hold, now: (
        looks.append(now),
        sweep(client, hold, now),
    )
    for _ in range(50):
        world.tick(0.1)
    assert len(looks) <= 3
    world.call(a, b.address, "hasty", t=0.6)
    world.tick(0.8)
    world.tick(0.1)
    assert "hasty" not in [session for _, session in b.pending], "and yet its caller is told in time"
    assert len(b.pending) == 2000


async def test_a_client_that_is_back_holds_nothing_that_waits(world: World) -> None:
    (a, _), (b, _) = world.join("a"), world.join("b")
    for _ in range(3):
        world.lose(b)
        for _ in range(40):
            world.send(a, {"type": "news", "to": b.address, "data": bytes(10_000)})
        assert world.hub.waiting._kept.used > 300_000
        world.rejoin(b)
        world.hub.resume.open(b)
        assert world.hub.waiting._kept.used == 0
        world.hub.flow.release(b)
