"""What every bus does; each implementation is held against the same cases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hypha.bus.base import HIGH_BYTES, Bus, Target
from tests.kit.deployments import Deployment, Listener
from tests.kit.redis_deployment import deployed

LAB = "lab"
TO_B = Target("b", LAB, "c", 7)


@pytest_asyncio.fixture(params=["memory", "redis", "valkey"])
async def deployment(request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    async with deployed(request) as made:
        yield made


@pytest.fixture
def at_a() -> Listener:
    return Listener("a")


@pytest.fixture
def at_b() -> Listener:
    return Listener("b", {(LAB, "c"): 7})


@pytest.fixture
async def a(deployment: Deployment, at_a: Listener) -> Bus:
    return await deployment.bus(at_a)


@pytest.fixture
async def b(deployment: Deployment, at_b: Listener) -> Bus:
    return await deployment.bus(at_b)


# -- frames


async def test_frames_arrive_once_and_in_order(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    frames = [b"", b"\x00\xff", b"x" * 70_000, *(f"{n}".encode() for n in range(100))]
    for frame in frames[:50]:
        a.send(TO_B, frame, b"label")
    await deployment.settle()
    for frame in frames[50:]:
        a.send(TO_B, frame, b"label")
    await deployment.settle()
    assert at_b.log == [("frame", "c", frame) for frame in frames]
    assert at_a.log == []


async def test_sending_waits_for_nothing(a: Bus, b: Bus, at_b: Listener) -> None:
    a.send(TO_B, b"frame")
    assert at_b.log == []


@pytest.mark.parametrize(
    "target",
    [
        Target("b", LAB, "c", 6),
        Target("b", LAB, "c", 8),
        Target("b", LAB, "absent", 7),
        Target("b", "other", "c", 7),
        Target("nowhere", LAB, "c", 7),
    ],
    ids=["an earlier stay", "a later stay", "another client", "another workspace", "another replica"],
)
async def test_a_frame_for_a_client_that_is_not_there_comes_back(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener, target: Target
) -> None:
    a.send(target, b"frame", b"who asked")
    a.send(TO_B, b"next")
    await deployment.settle()
    assert at_a.log == [("refused", target.client_id, b"who asked")]
    assert at_b.log == [("frame", "c", b"next")]


async def test_what_comes_after_a_replica_has_closed_comes_back(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    a.send(TO_B, b"before", b"1")
    await deployment.settle()
    await b.close()
    a.send(TO_B, b"after", b"2")
    await deployment.settle()
    assert at_b.log == [("frame", "c", b"before")]
    assert at_a.log == [("refused", "c", b"2")]


async def test_a_replica_that_comes_again_under_its_id_is_reached(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    again = Listener("b", {(LAB, "c"): 8})
    await deployment.bus(again)
    a.send(TO_B, b"for the one before", b"1")
    a.send(Target("b", LAB, "c", 8), b"for this one")
    await b.close()
    await deployment.settle()
    assert again.log == [("frame", "c", b"for this one")]
    assert at_a.log == [("refused", "c", b"1")] and at_b.log == []


async def test_what_waits_for_a_replica_that_has_ended_comes_back_and_the_rest_is_open(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    a.send(TO_B, b"arrived", b"1")
    await deployment.settle()
    a.send(TO_B, b"waits", b"2")
    a.forget("b")
    assert at_a.log == []
    await deployment.settle()
    refused = [("refused", "c", b"2")] if ("frame", "c", b"waits") not in at_b.log else []
    assert at_a.log == [*refused, ("broken", "b")]
    assert at_b.log[0] == ("frame", "c", b"arrived")


async def test_of_each_frame_one_thing_becomes_known_whatever_is_lost(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    for number in range(60):
        target = TO_B if number % 3 else Target("b", LAB, "absent", 7)
        a.send(target, b"%d" % number, b"%d" % number)
        if number % 10 == 9:
            await deployment.settle()
        if number % 20 == 14:
            await deployment.lose("a", "b")
    await deployment.settle()
    arrived = [entry[2] for entry in at_b.log if entry[0] == "frame"]
    refused = [entry[2] for entry in at_a.log if entry[0] == "refused"]
    lost = {b"%d" % number for number in range(60)} - {*arrived, *refused}
    assert len({*arrived, *refused}) == len(arrived) + len(refused), "nothing twice"
    assert [entry for entry in at_a.log if entry[0] == "broken"] == [("broken", "b")] * 3
    assert lost and lost <= {b"%d" % number for number in (*range(10, 15), *range(30, 35), *range(50, 55))}


async def test_a_sender_hears_when_too_much_waits_and_when_it_may_go_on(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    for _ in range(8):
        a.send(TO_B, b"x" * (HIGH_BYTES // 4))
    assert at_a.log == [("full", "b")]
    a.send(Target("nowhere", LAB, "c", 7), b"others are not held up", b"1")
    await deployment.settle()
    assert sorted(entry[0] for entry in at_a.log) == ["drained", "full", "refused"]
    assert len(at_b.log) == 8, "nothing is dropped for that"
    a.send(TO_B, b"x" * (HIGH_BYTES + 1))
    assert at_a.log[-1] == ("full", "b")
    a.forget("b")
    await deployment.settle()
    assert at_a.log[-1] == ("drained", "b")


# -- events


async def test_events_reach_the_replicas_that_listen_to_their_workspace(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    deaf = Listener("deaf")
    await (await deployment.bus(deaf)).listen("other")
    await a.listen(LAB)
    await b.listen(LAB)
    for number in range(20):
        a.publish(LAB, f"kind-{number}", b"%d" % number)
    await deployment.settle()
    assert at_b.log == [("event", LAB, f"kind-{number}", b"%d" % number) for number in range(20)]
    assert at_a.log == [] and deaf.log == [], "not its sender, not those of other workspaces"


async def test_who_stops_listening_hears_no_more(
    deployment: Deployment, a: Bus, b: Bus, at_b: Listener
) -> None:
    await b.listen(LAB)
    await b.listen("other")
    b.unlisten(LAB)
    await deployment.settle()
    a.publish(LAB, "kind", b"1")
    a.publish("other", "kind", b"2")
    await deployment.settle()
    assert at_b.log == [("event", "other", "kind", b"2")]
    await b.close()
    a.publish("other", "kind", b"3")
    await deployment.settle()
    assert len(at_b.log) == 1


# -- what replicas tell each other


async def test_one_replica_is_told_or_all_others(
    deployment: Deployment, a: Bus, b: Bus, at_a: Listener, at_b: Listener
) -> None:
    third = Listener("third")
    await deployment.bus(third)
    a.tell("b", "only", b"1")
    a.tell(None, "all", b"2")
    a.tell("nowhere", "nobody", b"3")
    await deployment.settle()
    assert at_b.log == [("told", "a", "only", b"1"), ("told", "a", "all", b"2")]
    assert third.log == [("told", "a", "all", b"2")]
    assert at_a.log == []


async def test_what_is_told_and_frames_keep_their_order(
    deployment: Deployment, a: Bus, b: Bus, at_b: Listener
) -> None:
    a.send(TO_B, b"1")
    a.tell("b", "kind", b"2")
    a.send(TO_B, b"3")
    await deployment.settle()
    assert [entry[-1] for entry in at_b.log] == [b"1", b"2", b"3"]


async def test_an_answer_that_is_sent_while_a_frame_is_received_arrives(
    deployment: Deployment, a: Bus, at_a: Listener
) -> None:
    at_a.clients[LAB, "caller"] = 3

    class Answering(Listener):
        def frame(self, sender: str, target: Target, frame: bytes) -> bool:
            bus.send(Target(sender, LAB, "caller", 3), b"answer to " + frame)
            return True

    bus = await deployment.bus(Answering("b"))
    a.send(TO_B, b"call")
    await deployment.settle()
    assert at_a.log == [("frame", "caller", b"answer to call")]
