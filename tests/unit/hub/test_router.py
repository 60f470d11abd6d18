"""Where frames go, and what is refused."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from hypha.auth.scopes import Level
from tests.kit.world import World


async def test_a_call_and_its_answer_pass_with_the_true_sender(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    world.call(a, "w/b")
    got = lb.frames[0]
    assert (got["from"], got["to"], got["ws"], got["user"]["id"]) == ("w/a", "w/b", "w", a.user.id)
    world.answer(b, "w/a")
    assert la.frames[0]["args"] == [2]
    assert not b.pending


@pytest.mark.spec("wire-28")
@pytest.mark.parametrize("to", ["w/nobody", "nobody", "other/x", "*/nobody"])
async def test_a_call_to_somebody_absent_is_refused_at_once(world: World, to: str) -> None:
    a, la = world.join("a")
    world.call(a, to)
    answer = la.frames[0]
    assert answer["method"] == "S.reject"
    assert answer["from"] == (to if "/" in to else f"w/{to}")
    assert answer["args"][0]["_rvalue"].startswith("NotDelivered: Target peer ")
    assert "is not connected" in answer["args"][0]["_rvalue"]


@pytest.mark.spec("wire-28")
async def test_an_event_with_a_session_to_somebody_absent_is_refused_like_a_call(world: World) -> None:
    a, la = world.join("a")
    world.send(a, {"type": "e", "to": "nobody", "session": "S", "data": 1})
    assert (la.frames[0]["method"], la.frames[0]["from"]) == ("S.reject", "w/nobody")
    world.send(a, {"type": "e", "to": "nobody", "data": 1})
    assert len(la.frames) == 1


async def test_a_frame_without_session_to_nobody_is_dropped(world: World) -> None:
    a, la = world.join("a")
    world.call(a, "w/nobody", session=None)
    assert la.frames == []


@pytest.mark.spec("wire-16.2", "wire-50")
async def test_a_forged_body_is_rejected_to_its_sender_alone(world: World) -> None:
    a, la = world.join("a")
    _, lb = world.join("b")
    main = {"type": "method", "from": "w/a", "to": "w/b", "method": "services.s.f", "session": "S"}
    world.send(a, main, {"args": [], "from": "other/x"})
    assert lb.frames == []
    assert (la.frames[0]["method"], la.frames[0]["from"]) == ("S.reject", "w/b")


@pytest.mark.spec("wire-13")
@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x81\xa2to\xc0", msgpack.packb({"type": "method"}), msgpack.packb({"to": ["x"]}),
     msgpack.packb({"type": "method", "to": {"a": 1}, "session": [1], "method": "m.x"}),
     msgpack.packb({"to": "*"}),
     msgpack.packb({"type": "method", "to": "w/b", "method": 5}), msgpack.packb({"type": 5, "to": "*"})],
)  # fmt: skip
async def test_malformed_frames_are_dropped_and_harmless(world: World, data: bytes) -> None:
    a, la = world.join("a")
    _, lb = world.join("b")
    world.hub.route(a, data)
    assert lb.frames == []
    assert la.closed is None
    world.call(a, "w/b")
    assert len(lb.frames) == 1


async def test_events_reach_subscribers_only(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    _, lc = world.join("c")
    world.hub.events.subscribe(a, ["e"])
    world.hub.events.subscribe(b, ["e"])
    world.send(a, {"type": "e", "to": "*", "data": {"q": 1}, "from": "w/zzz"})
    assert [link.frames[0]["from"] for link in (la, lb)] == ["w/a", "w/a"]
    assert la.frames[0]["to"] == "w/*"
    assert lc.frames == []
    world.hub.events.unsubscribe(b, ["e"])
    world.send(a, {"type": "e", "to": "*"})
    assert len(lb.frames) == 1


@pytest.mark.spec("wire-51", "wire-16.6", "wire-16.7", "core-R12", "core-11.1.14")
@pytest.mark.parametrize("to", ["other/*", "*/*", "other/x", "*"])
@pytest.mark.parametrize("kind", ["e", "client_disconnected", "force-exit", "peer_not_found"])
async def test_events_to_other_workspaces_and_reserved_names_are_refused(
    world: World, to: str, kind: str
) -> None:
    a, la = world.join("a")
    x, lx = world.join("x", "other")
    world.hub.events.subscribe(x, ["e", "client_disconnected", "force-exit", "peer_not_found"])
    b, lb = world.join("b")
    world.hub.events.subscribe(b, ["client_disconnected", "force-exit", "peer_not_found"])
    world.send(a, {"type": kind, "to": to, "data": {}})
    assert lx.frames == []
    assert lb.frames == []
    if kind == "e" and to == "*":
        return  # all of its own workspace
    (told,) = la.frames
    assert (told["type"], told["to"]) == ("error", "w/a")
    assert told["message"].startswith(f"Event '{kind}' was not sent: PermissionError: ")
    world.send(a, {"type": kind, "to": to, "data": {}, "session": "S"})
    assert [frame["type"] for frame in la.frames] == ["error", "method"]


async def test_who_sends_many_events_that_are_refused_is_told_of_a_few_a_second(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    with caplog.at_level("INFO", "hypha.hub"):
        for _ in range(50):
            world.send(a, {"type": "ping", "to": "*"})
        assert len(la.frames) == 5
        assert len([line for line in caplog.messages if "Event 'ping' of w/a refused" in line]) == 5
    world.send(b, {"type": "ping", "to": "*"})
    assert len(lb.frames) == 1, "another one is told, too"
    world.now += 1.0
    world.send(a, {"type": "ping", "to": "*"})
    assert len(la.frames) == 6


@pytest.mark.spec("core-11.1.14")
async def test_a_call_from_another_workspace_that_may_not_be_is_refused_here(world: World) -> None:
    a, la = world.join("a")
    x, lx = world.join("x", "other")
    refused: list[str] = []
    world.hub.upcalls.on_refused = lambda client, workspace, what: refused.append(
        f"{client.client_id} {workspace}"
    )
    world.call(a, x.address, method="services.secret.f")
    assert lx.frames == [] and la.methods() == ["S.reject"] and refused == ["a other"]
    world.call(a, x.address, session=None, method="services.secret.f")
    assert lx.frames == [] and len(refused) == 2
    world.call(a, x.address)
    near, ln = world.join("near")
    world.call(a, near.address, method="services.secret.f")
    assert lx.methods() == ["services.s.f"] and ln.methods() == ["services.secret.f"]


@pytest.mark.spec("wire-10", "wire-16.7")
@pytest.mark.parametrize("to", ["*", "w/*"])
async def test_a_read_only_client_cannot_broadcast_in_any_spelling(world: World, to: str) -> None:
    a, _ = world.join("a", level=Level.READ)
    b, lb = world.join("b")
    world.hub.events.subscribe(b, ["e"])
    world.send(a, {"type": "e", "to": to})
    assert lb.frames == []


async def test_server_events_are_encoded_once_for_all(world: World) -> None:
    a, la = world.join("a")
    world.hub.events.subscribe(a, ["service_added"])
    world.hub.events.publish("w", "service_added", {"id": 1})
    world.hub.events.publish("other", "service_added", {"id": 2})
    assert la.frames == [{"type": "service_added", "to": "*", "data": {"id": 1}}]


@pytest.mark.spec("wire-33")
async def test_load_of_measured_clients_counts_calls_of_the_last_minute_and_fades(world: World) -> None:
    a, _ = world.join("a")
    measured, _ = world.join("b__rlb")
    plain, _ = world.join("c")
    for number in range(100):
        world.call(a, measured.address, f"S{number}")
        world.call(a, plain.address, f"T{number}")
    assert measured.load_per_min == 100
    assert measured.load_per_min == 100
    assert plain.load_per_min == 0
    world.now += 120
    assert 13 < measured.load_per_min < 14
    for number in range(100):
        world.call(a, measured.address, f"U{number}")
    world.now += 6000
    assert 0.5 < measured.load_per_min < 1.5, "calls of an unwatched time are averaged over it"


async def test_a_client_that_is_retired_ends_what_it_has_begun_and_gets_no_more_calls(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    world.call(a, b.address, "begun")
    world.hub.retire(b)
    world.call(a, b.address, "later")
    assert [frame["session"] for frame in lb.frames] == ["begun"]
    world.answer(b, a.address, "begun")
    assert la.frames[-1]["method"] == "begun.resolve"
    world.call(b, a.address, "own")
    world.answer(a, b.address, "own")
    assert lb.frames[-1]["method"] == "own.resolve", "it may ask others"
    world.hub.end(b, "over")
    world.call(a, b.address, "latest")
    refusals = [frame for frame in la.frames if str(frame["method"]).endswith(".reject")]
    assert [frame["method"] for frame in refusals] == ["later.reject", "latest.reject"]
    for frame in refusals:
        assert frame["args"][0]["_rvalue"].startswith("NotDelivered: Peer w/b takes no more calls")


ODD_SESSIONS = [["x"], {"a": 1}, 7, 1.5, True, b"raw", "s" * 257, "", None]


@pytest.mark.parametrize("method", ["services.s.f", "services.built-in.ping", "S1.callback"])
@pytest.mark.parametrize("session", ODD_SESSIONS[:7])
async def test_a_call_whose_name_is_no_short_text_hurts_nobody_else(
    world: World, session: Any, method: str
) -> None:
    """It was kept for its receiver, whose next link broke on it."""
    a, _ = world.join("a", "other")
    b, lb = world.join("b")
    world.send(a, {"type": "method", "from": "other/a", "to": "w/b", "method": method, "session": session})
    assert lb.frames == [] and not b.pending and not b.outbox.entries
    world.lose(b)
    world.send(a, {"type": "method", "from": "other/a", "to": "w/b", "method": method, "session": session})
    world.tick(0.1)
    link = world.rejoin(b)
    world.hub.resume.open(b)
    world.call(a, "w/b", "S2", "services.s.f")
    assert link.methods() == ["services.s.f"]
    world.hub.end(b, "test")
    assert world.log == ["services end b", "ended b"]


@pytest.mark.parametrize("session", ODD_SESSIONS)
async def test_a_call_of_any_name_to_nobody_or_to_the_server_is_survived(world: World, session: Any) -> None:
    a, la = world.join("a")
    for to in ("w/nobody", f"*/{world.hub.manager_id}", "*/nobody", "nobody"):
        main = {"type": "method", "from": "w/a", "to": to, "method": "services.s.f", "session": session}
        world.send(a, main, {"args": []})
        world.send(a, {**main, "type": "e"}, {})
    world.call(a, "w/nobody")
    assert la.frames[-1]["method"] == "S.reject"


async def test_a_single_frame_that_would_break_a_clients_link_is_refused(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    main = {"type": "method", "from": "w/a", "to": "w/b", "method": "services.s.f", "session": "S"}
    world.send(a, main, {"args": [b"x" * 1_200_000]})
    assert lb.frames == [] and not b.pending
    assert "in chunks" in la.frames[0]["args"][0]["_rvalue"]
    world.call(a, "w/b", "T")
    answer = {"type": "method", "from": "w/b", "to": "w/a", "method": "T.resolve", "parent": "T"}
    world.send(b, answer, {"args": [b"x" * 1_200_000]})
    assert (la.frames[1]["method"], la.frames[1]["from"]) == ("T.reject", "w/b")
    assert "in chunks" in la.frames[1]["args"][0]["_rvalue"]
    world.send(a, {**main, "session": "U"}, {"args": [b"x" * 1_000_000]})
    assert (b, "U") not in a.pending and (a, "U") in b.pending
