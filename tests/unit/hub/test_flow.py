"""Back-pressure between one slow receiver and those who send to it."""

from __future__ import annotations

from tests.kit.world import World


async def test_a_full_receiver_pauses_its_senders_until_it_has_drained(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    c, lc = world.join("c")
    world.hub.flow.choke(b)
    world.call(a, "w/b")
    assert (la.paused, lc.paused) == (True, False)
    world.call(c, "w/a")
    assert not lc.paused
    world.hub.flow.release(b)
    assert not la.paused


async def test_a_sender_stays_paused_while_one_of_its_receivers_is_full(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    c, _ = world.join("c")
    for full in (b, c):
        world.hub.flow.choke(full)
        world.call(a, full.address, full.client_id)
    world.hub.flow.release(b)
    assert la.paused
    world.hub.flow.release(c)
    assert not la.paused


async def test_a_receiver_that_takes_nothing_is_closed_and_its_senders_go_on(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    lb.buffered = 5_000_000
    world.hub.flow.choke(b)
    world.call(a, "w/b")
    world.tick(19)
    assert lb.closed is None
    world.tick(2)
    assert lb.closed is not None
    assert lb.closed[0] == 1013
    assert not la.paused


async def test_a_receiver_that_drains_slowly_is_kept(world: World) -> None:
    a, _ = world.join("a")
    b, lb = world.join("b")
    lb.buffered = 5_000_000
    world.hub.flow.choke(b)
    world.call(a, "w/b")
    for _ in range(10):
        lb.buffered -= 1000
        world.tick(15)
    assert lb.closed is None


async def test_a_receiver_may_not_stop_another_workspace_for_long(world: World) -> None:
    a, la = world.join("a", "other")
    b, lb = world.join("b")
    lb.buffered = 5_000_000
    world.hub.flow.choke(b)
    world.call(a, "w/b")
    assert la.paused
    world.tick(1.9)
    assert lb.closed is None
    lb.buffered -= 1
    world.tick(0.2)
    assert lb.closed is not None
    assert not la.paused


async def test_a_lost_receiver_frees_its_senders(world: World) -> None:
    a, la = world.join("a")
    b, _ = world.join("b")
    world.hub.flow.choke(b)
    world.call(a, "w/b")
    world.lose(b)
    assert not la.paused


async def test_a_receiver_that_proves_nothing_pauses_its_senders_until_it_does(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    for _ in range(5):
        b.deliver(bytes(4 * 1024 * 1024), 2)
    world.call(a, "w/b")
    assert la.paused
    world.pong(b, lb)
    assert b.is_choked
    world.tick(0.1)
    world.pong(b, lb)
    assert not la.paused
    assert b.outbox.bytes == 0


async def test_what_is_kept_for_a_client_that_never_proves_arrival_is_bounded(world: World) -> None:
    b, link = world.join("b")
    for _ in range(9):
        b.deliver(bytes(4 * 1024 * 1024), 2)
    world.tick(0.1)
    world.tick(9)
    assert link.closed is None
    world.tick(2)
    assert link.closed is not None


async def test_a_receiver_that_drains_while_its_senders_still_add_is_kept(world: World) -> None:
    _, _ = world.join("a")
    b, lb = world.join("b")
    lb.buffered = 1_100_000
    world.hub.flow.choke(b)
    lb.buffered = 11_000_000
    for _ in range(60):
        world.tick(1)
        lb.buffered -= 100_000
    assert lb.closed is None


async def test_a_receiver_whose_draining_nobody_reported_is_released(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    lb.buffered = 2_000_000
    world.hub.flow.choke(b)
    world.call(a, "w/b")
    lb.buffered = 0
    world.tick(0.1)
    assert not la.paused
    assert not b.is_choked


async def test_what_is_sent_to_a_closed_slow_reader_waits_for_its_return(world: World) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    lb.buffered = 5_000_000
    world.hub.flow.choke(b)
    world.tick(21)
    assert lb.closed is not None
    world.call(a, "w/b", session="late")
    lb.frames.clear()
    again = world.rejoin(b)
    world.hub.resume.open(b)
    assert [frame["session"] for frame in again.frames] == ["late"]
    assert la.frames == []


async def test_a_client_that_asks_and_does_not_read_is_paused_itself(world: World) -> None:
    a, la = world.join("a")
    la.buffered = 2_000_000
    world.hub.flow.choke(a)
    world.call(a, "w/nobody")
    assert la.paused
    la.buffered = 0
    world.hub.flow.drained(a)
    assert not la.paused


async def test_a_client_that_proves_nothing_is_still_read_since_the_proof_comes_from_it(world: World) -> None:
    a, la = world.join("a")
    la.buffered = 2_000_000
    for _ in range(5):
        a.deliver(bytes(4 * 1024 * 1024), 2)
    world.call(a, "w/nobody")
    assert la.paused
    la.buffered = 0
    world.tick(0.1)
    assert a.is_choked
    assert not la.paused
