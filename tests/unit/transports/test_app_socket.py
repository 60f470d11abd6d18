"""WebSockets of applications: what they keep counts for their visitor, and is little."""

from __future__ import annotations

import asyncio

import pytest

from hypha.limits import Party, WaitingBytes
from hypha.testing import eventually
from hypha.transports import app_socket
from hypha.transports.app_socket import SLICE_BYTES
from hypha.web.unread import UNCOUNTED_BYTES
from tests.kit.app_sockets import BINARY, CLOSE, HEAD, KIB, MORE, STRANGER, TEXT, Visit, frame, small_account

CLOSED_1013 = b"\x03\xf5Too much"


async def opened(account: WaitingBytes | None = None, party: Party = STRANGER) -> Visit:
    visit = Visit(account or small_account(), party)
    await visit.open()
    return visit


async def test_small_messages_cost_nothing_and_come_in_order() -> None:
    visit = await opened()
    for number in range(5):
        await visit.sends(frame(b"%d" % number))
        assert (await visit.take())["bytes"] == b"%d" % number
        assert visit.account.used == 0


async def test_a_message_that_nobody_takes_counts_until_it_is_taken() -> None:
    visit = await opened()
    await visit.sends(frame(bytes(200 * KIB)))
    assert 200 * KIB <= visit.account.used_by(STRANGER) <= 202 * KIB
    assert not visit.wire.is_reading
    assert len((await visit.take())["bytes"]) == 200 * KIB
    await visit.settle()
    assert visit.account.used == 0 and visit.wire.is_reading


async def test_a_text_counts_as_the_memory_that_it_takes() -> None:
    visit = await opened()
    await visit.sends(frame(b"a" * 60 * KIB + "\U0001f600".encode(), TEXT))
    assert visit.account.used >= 240 * KIB


async def test_half_a_message_counts() -> None:
    visit = await opened()
    await visit.sends(frame(bytes(250 * KIB))[: 100 * KIB])
    assert visit.account.used >= 99 * KIB


async def test_who_has_too_much_unread_is_closed_with_the_reason_and_counts_no_more() -> None:
    visit = await opened()
    await visit.sends(frame(bytes(1000 * KIB)))
    assert CLOSED_1013 in visit.wire.written and visit.ended == [1013]
    assert visit.account.used == 0 and visit.account.parties == 0
    await visit.sends(bytes(1000 * KIB))
    assert not visit.socket.conn.reader.buffer, "what still comes is dropped"
    assert (await visit.take())["code"] == 1013


@pytest.mark.parametrize("data", [b"", b"x"])
async def test_parts_without_end_cost_what_they_take(data: bytes) -> None:
    visit = await opened()
    await visit.sends(frame(data, BINARY, is_last=False) + 3000 * frame(data, MORE, is_last=False))
    assert CLOSED_1013 in visit.wire.written and not visit.socket.frames


async def test_of_many_small_messages_only_a_slice_is_opened_at_a_time() -> None:
    visit = await opened(small_account(2000 * KIB, 2000 * KIB))
    count = 20_000
    await visit.sends(count * frame(b""))
    assert visit.socket.queue.qsize() <= SLICE_BYTES // 6 + 1
    assert CLOSED_1013 not in visit.wire.written
    for _ in range(count):
        assert (await visit.take())["bytes"] == b""
        await asyncio.sleep(0)
    await visit.settle()
    assert visit.wire.is_reading and visit.account.used == 0


async def test_what_comes_before_the_socket_is_accepted_waits_in_the_network() -> None:
    visit = Visit(small_account())
    await visit.sends(HEAD)
    await visit.sends(frame(bytes(100 * KIB)))
    assert not visit.wire.is_reading and visit.socket.queue.empty()
    visit.may_accept.set()
    await visit.settle()
    assert len((await visit.take())["bytes"]) == 100 * KIB


async def test_others_are_not_closed_for_a_greedy_party_which_gives_way() -> None:
    account = small_account()
    greedy = [await opened(account) for _ in range(2)]
    for visit in greedy:
        await visit.sends(frame(bytes(140 * KIB)))
    other = await opened(account, Party("192.0.2.2", is_stranger=True))
    await other.sends(frame(bytes(140 * KIB)))
    third = await opened(account, Party("192.0.2.3", is_stranger=True))
    await third.sends(frame(bytes(140 * KIB)))
    assert [CLOSED_1013 in visit.wire.written for visit in [*greedy, other, third]] == [True] + 3 * [False]
    person = await opened(account, Party("user a", is_stranger=False))
    await person.sends(frame(bytes(290 * KIB)))
    assert CLOSED_1013 not in person.wire.written, "there is room kept for who is signed in"


async def test_what_a_visitor_does_not_read_counts_until_it_has() -> None:
    visit = await opened()
    visit.wire.protocol = visit.socket
    await visit.socket.send({"type": "websocket.send", "bytes": bytes(150 * KIB - 10)})
    assert visit.account.used == 150 * KIB
    visit.socket.resume_writing()
    assert visit.account.used == 0


@pytest.mark.parametrize("leaves_first", [True, False])
async def test_nothing_counts_when_visitor_and_application_are_gone(leaves_first: bool) -> None:
    visit = await opened()
    await visit.sends(frame(bytes(200 * KIB)))
    endings = [visit.leaves, visit.may_end.set]
    for end in endings if leaves_first else reversed(endings):
        end()
        await visit.settle()
        if leaves_first and end == visit.leaves:
            assert visit.account.used > 200 * KIB, "the application has yet to take it"
    assert visit.account.used == 0 and visit.account.parties == 0


async def test_a_close_behind_unread_messages_is_told_after_them() -> None:
    visit = await opened()
    await visit.sends(frame(b"x" * UNCOUNTED_BYTES) + frame(b"y") + frame(b"\x0f\xa1bye", CLOSE))
    taken = [await visit.take() for _ in range(3)]
    assert [len(each.get("bytes", b"")) for each in taken] == [UNCOUNTED_BYTES, 1, 0]
    assert (taken[2]["code"], taken[2]["reason"]) == (4001, "bye")


@pytest.mark.parametrize("takes", [False, True])
async def test_messages_of_a_visitor_who_hung_up_wait_as_long_as_the_application_takes_some(
    monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    monkeypatch.setattr(app_socket, "STUCK_S", 0.05)
    monkeypatch.setattr(app_socket, "has_hung_up", lambda _: True)
    visit = await opened()
    await visit.sends(3 * frame(bytes(20 * KIB)))
    if takes:
        await visit.take()
        looked = visit.socket._watch
        assert looked is not None
        await eventually(lambda: visit.socket._watch is not looked)
        assert not visit.ended and visit.account.used
    await eventually(lambda: visit.ended == [1001])
    assert visit.account.used == 0
