"""In which form an answer goes out."""

from __future__ import annotations

import pytest

from hypha.gateways.http.accept import wants_msgpack
from tests.kit.quick import least_cpu_s

MSGPACK, JSON = "application/msgpack", "application/json"


def wants(accept: str | None, body: str | None = None, *, stream: bool = False) -> bool:
    headers = {b"accept": accept.encode()} if accept is not None else {}
    if body:
        headers[b"content-type"] = body.encode()
    return wants_msgpack({"hypha.headers": headers}, stream=stream)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False), ("", False), ("*/*", False), ("text/html, */*;q=0.8", False), (JSON, False),
        (MSGPACK, True), (f"{MSGPACK}, {JSON}", True), (f"{JSON}, {MSGPACK}", False),
        (f"{JSON};q=0.5, {MSGPACK}", True), (f"{JSON}, {MSGPACK};q=0.9", False),
        (f"{MSGPACK};q=0.5, */*;q=0.1", True), (f"{MSGPACK};q=0, */*", False), (f"{MSGPACK};q=0", False),
        (f"{MSGPACK}, */*", True), (f"*/*, {MSGPACK}", True), (f"{MSGPACK};q=0.2, */*;q=0.8", False),
        ("application/*", False), (f"application/*;q=0.5, {MSGPACK}", True), ("application/x-msgpack", True),
        ("application/vnd.msgpack;q=0.3, text/html", True), ("APPLICATION/MSGPACK ; Q=1.0", True),
        ("image/png", False), (f"image/png, {MSGPACK};q=0.01", True),
        (f"{JSON};q=0, {MSGPACK};q=0.001", True),
        (f"{MSGPACK};q=2, {JSON};q=0.1", False), (f"{MSGPACK};q=x", False), (",,;;,=", False),
        (f"{MSGPACK};charset=utf-8;q=1", True), (f"text/event-stream, {MSGPACK};q=0.5", True),
    ],
)  # fmt: skip
def test_the_form_is_what_the_caller_weighs_highest(accept: str | None, expected: bool) -> None:
    assert wants(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, True), ("*/*", True), (f"{JSON}, {MSGPACK}", True), (JSON, False),
        (f"{JSON}, */*;q=0.1", False), ("text/html", True), (f"{MSGPACK};q=0", False),
    ],
)  # fmt: skip
def test_where_it_is_weighed_alike_the_form_of_the_body_decides(accept: str | None, expected: bool) -> None:
    assert wants(accept, MSGPACK) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/event-stream", False), (f"text/event-stream, {MSGPACK};q=0.5", False), (MSGPACK, True),
        (f"text/event-stream;q=0.5, {MSGPACK}", True), (JSON, False), ("*/*", False),
    ],
)  # fmt: skip
def test_a_stream_goes_out_as_events_where_those_weigh_as_much(accept: str, expected: bool) -> None:
    assert wants(accept, stream=True) is expected


def test_a_huge_field_is_read_in_time() -> None:
    def read() -> None:
        for shape in ("a/b;q=0.1,", ",", ";", "q=1;", "=", " "):
            wants(shape * (60_000 // len(shape)))

    assert least_cpu_s(read) < 2
