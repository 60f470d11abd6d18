"""Promise: an answer that is written with less ado is byte for byte the one that uvicorn would write."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hypha.transports.answers import PlainCycle

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
