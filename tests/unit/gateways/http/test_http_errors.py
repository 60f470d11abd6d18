"""What an HTTP caller reads of an error that a callee raised."""

from __future__ import annotations

import orjson
import pytest

from hypha.errors import CallFailed, CallTimedOut, NotDelivered, OutcomeUnknown
from hypha.gateways.http.errors import MAX_READ_CHARS, call_error_answer, remote_error

TRACE = 'Traceback (most recent call last):\n  File "/home/x/a.py", line 1, in f\n    raise it\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TRACE + "KeyError: 'x'", ("KeyError", "'x'")),
        (TRACE + "my.module.OddError: two\nlines", ("OddError", "two\nlines")),
        (TRACE + "AssertionError", ("AssertionError", "")),
        (
            TRACE + "ValueError: a\n\nDuring handling, another:\n\n" + TRACE + "TypeError: b",
            ("TypeError", "b"),
        ),
        ("Error: in a browser\n    at f (https://host/x.js:1:2)", ("Error", "in a browser")),
        ("RemoteException: KeyError: 'x'", ("KeyError", "'x'")),
        ("it broke", ("", "it broke")),
        ("note: lower case is no type", ("", "note: lower case is no type")),
        ("", ("", "")),
        ("RemoteException: RemoteError:  CallFailed:KeyError: x", ("KeyError", "x")),
        ("RemoteException: " * 5000 + "KeyError: x", ("KeyError", "x")),
        ("RemoteException: ", ("", "")),
        ("T" * 201 + ": too long for a type", ("", "T" * 201 + ": too long for a type")),
    ],
)
def test_type_and_message_are_taken_from_what_clients_send(text: str, expected: tuple[str, str]) -> None:
    assert remote_error(text) == expected


@pytest.mark.parametrize(
    ("text", "trace", "expected"),
    [
        ("boom", TRACE + "RuntimeError: boom", ("RuntimeError", "boom")),
        ("'x'", TRACE + "KeyError: 'x'", ("KeyError", "'x'")),
        ("Note: this", TRACE + "ValueError: Note: this", ("ValueError", "Note: this")),
        (TRACE + "TypeError: t", "Exception: whatever", ("TypeError", "t")),
        ("TypeError: t", "TypeError: t\n    at f (x.js:1:2)", ("TypeError", "t")),
        ("boom", "no trace at all", ("", "boom")),
    ],
)
def test_a_trace_beside_the_message_names_the_type(text: str, trace: str, expected: tuple[str, str]) -> None:
    assert remote_error(text, trace) == expected


def test_the_type_is_read_from_either_end_of_a_huge_text() -> None:
    assert remote_error("KeyError: " + "x" * 10**6)[0] == "KeyError"
    assert remote_error("x" * 10**6 + "\n" + TRACE + "KeyError: y") == ("KeyError", "y")
    assert len(remote_error("KeyError: " + "x" * 10**6)[1]) <= MAX_READ_CHARS + 3


def scope() -> dict[str, object]:
    return {"type": "http", "method": "GET", "path": "/x", "headers": []}


@pytest.mark.spec("core-H2")
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("KeyError: 'x'", 404),
        ("RuntimeError: thing not found", 404),
        ("ValueError: Service not found: x", 404),
        ("PermissionError: no", 403),
        ("RuntimeError: Permission denied for workspace x", 403),
        ("TypeError: t", 400),
        ("ValueError: v", 400),
        ("AssertionError: a", 400),
        ("TimeoutError: late", 504),
        ("RuntimeError: r", 500),
        ("Error: js", 500),
    ],
)
def test_the_callees_error_decides_the_status(line: str, status: int) -> None:
    answer = call_error_answer(CallFailed(TRACE + line), scope())
    body = orjson.loads(answer.body)
    assert answer.status == status
    assert body["success"] is False
    assert body["detail"] == f"RemoteException: {line}"
    assert "/home" not in answer.body.decode()


def test_the_traceback_is_told_only_when_the_operator_asks() -> None:
    answer = call_error_answer(CallFailed(TRACE + "KeyError: 'x'"), scope(), expose=True)
    assert "/home/x/a.py" in orjson.loads(answer.body)["detail"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotDelivered("gone"), 503, "not_delivered"),
        (OutcomeUnknown("who knows"), 504, "outcome_unknown"),
        (CallTimedOut("late"), 504, "call_timed_out"),
    ],
)
def test_errors_of_delivery_have_their_own_status(error: Exception, status: int, code: str) -> None:
    answer = call_error_answer(error, scope())
    assert (answer.status, orjson.loads(answer.body)["code"]) == (status, code)
