"""Promise: an answer that is written with less ado is byte for byte the one that uvicorn would write."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hypha.errors import FrameTooLarge
from hypha.transports.answers import PlainCycle
from hypha.web.bodies import body_at_hand

START = "http.response.start"
BODY = "http.response.body"
LENGTH = (b"content-length", b"5")
TYPE = (b"content-type", b"text/plain")


class Written(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.data += data

    def close(self) -> None:
        self.is_closed = True


def cycle_of(
    method: str = "GET", *, keep_alive: bool = True, kind: type[RequestResponseCycle] = PlainCycle
) -> tuple[RequestResponseCycle, Written]:
    transport, log = Written(), logging.getLogger("test")
    scope: Any = {"type": "http", "method": method, "http_version": "1.1", "path": "/", "query_string": b""}
    made = kind(
        scope=scope,
        transport=transport,
        flow=FlowControl(transport),
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[(b"server", b"test")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    return made, transport


MESSAGES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "whole": (
        "GET",
        [{"type": START, "status": 200, "headers": [TYPE, LENGTH]}, {"type": BODY, "body": b"hello"}],
    ),
    "in two parts": (
        "GET",
        [
            {"type": START, "status": 200, "headers": [TYPE, LENGTH]},
            {"type": BODY, "body": b"he", "more_body": True},
            {"type": BODY, "body": b"llo"},
        ],
    ),
    "without a length": (
        "GET",
        [{"type": START, "status": 200, "headers": [TYPE]}, {"type": BODY, "body": b"a"}],
    ),
    "to HEAD": (
        "HEAD",
        [{"type": START, "status": 200, "headers": [TYPE, LENGTH]}, {"type": BODY, "body": b""}],
    ),
    "with two cookies": (
        "GET",
        [
            {
                "type": START,
                "status": 200,
                "headers": [LENGTH, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")],
            },
            {"type": BODY, "body": b"hello"},
        ],
    ),
    "that ends the connection": (
        "GET",
        [
            {"type": START, "status": 400, "headers": [LENGTH, (b"connection", b"close")]},
            {"type": BODY, "body": b"hello"},
        ],
    ),
    "with names in capitals": (
        "GET",
        [
            {"type": START, "status": 200, "headers": [(b"Content-Length", b"5")]},
            {"type": BODY, "body": b"hello"},
        ],
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("keep_alive", [True, False])
async def test_answers_are_those_of_uvicorn(name: str, keep_alive: bool) -> None:
    method, messages = MESSAGES[name]
    expected, theirs = cycle_of(method, keep_alive=keep_alive, kind=RequestResponseCycle)
    cycle, ours = cycle_of(method, keep_alive=keep_alive)
    for message in messages:
        await expected.send(dict(message))  # type: ignore[arg-type]
        await cycle.send(dict(message))  # type: ignore[arg-type]
    assert (ours.data, ours.is_closed) == (theirs.data, theirs.is_closed)
    assert cycle.response_complete
    assert cycle.keep_alive == expected.keep_alive


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=1", b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"])
@pytest.mark.parametrize("name", [b"content-type", b"x-other"])
async def test_no_field_breaks_out_of_its_line(name: bytes, value: bytes) -> None:
    cycle, transport = cycle_of()
    with pytest.raises(RuntimeError, match="Invalid HTTP header value"):
        await cycle.send({"type": START, "status": 200, "headers": [LENGTH, (name, value)]})  # type: ignore[arg-type]
    assert transport.data == b""


@pytest.mark.parametrize("body", [b"hello!", b"hell"])
async def test_a_body_of_another_length_than_was_said_is_a_fault(body: bytes) -> None:
    cycle, _ = cycle_of()
    await cycle.send({"type": START, "status": 200, "headers": [LENGTH]})  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="than Content-Length"):
        await cycle.send({"type": BODY, "body": body})  # type: ignore[arg-type]


async def test_nothing_is_written_to_a_client_that_left() -> None:
    cycle, transport = cycle_of()
    cycle.disconnected = True
    await cycle.send({"type": START, "status": 200, "headers": [LENGTH]})  # type: ignore[arg-type]
    assert transport.data == b""


def with_body(*parts: bytes, is_whole: bool = True) -> PlainCycle:
    made, _ = cycle_of("POST")
    assert isinstance(made, PlainCycle)
    made.body += b"".join(parts)
    made.more_body = not is_whole
    made.message_event.set()
    return made


async def test_a_body_that_is_here_is_taken_at_once_and_only_once() -> None:
    cycle = with_body(b"hello")
    assert body_at_hand(cycle.receive, 5) == b"hello"
    assert body_at_hand(cycle.receive, 5) is None
    cycle.disconnected = True
    cycle.message_event.set()
    assert await cycle.receive() == {"type": "http.disconnect"}


def test_a_body_that_is_here_and_too_large_is_refused() -> None:
    with pytest.raises(FrameTooLarge, match="4 bytes"):
        body_at_hand(with_body(b"hello").receive, 4)


async def test_the_rest_of_a_body_is_not_taken_for_the_whole() -> None:
    cycle = with_body(b"hel", is_whole=False)
    assert body_at_hand(cycle.receive, 5) is None
    first: Any = await cycle.receive()
    cycle.body += b"lo"
    cycle.more_body = False
    cycle.message_event.set()
    assert body_at_hand(cycle.receive, 5) is None
    rest: Any = await cycle.receive()
    assert first["body"] + rest["body"] == b"hello"


def test_what_waits_for_a_word_or_was_held_up_is_received_as_usual() -> None:
    waiting, held_up, gone = with_body(b"hello"), with_body(b"hello"), with_body(b"hello")
    waiting.waiting_for_100_continue = True
    held_up.flow.read_paused = True
    gone.disconnected = True
    assert [body_at_hand(each.receive, 5) for each in (waiting, held_up, gone)] == [None] * 3


def test_a_receive_of_somebody_else_has_no_body_at_hand() -> None:
    async def receive() -> Any:
        raise AssertionError

    assert body_at_hand(receive, 5) is None
