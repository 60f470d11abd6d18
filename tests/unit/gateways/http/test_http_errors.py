"""What an HTTP caller reads of an error that a callee raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import orjson
import pytest

from hypha.errors import CallFailed, CallTimedOut, NotDelivered, OutcomeUnknown, UnreadableAnswer
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


def raised(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def as_clients_report(error: BaseException, *, is_async: bool) -> tuple[str, str]:
    """Text and trace as the Python client sends them."""
    whole = "".join(traceback.format_exception(error))
    if not is_async:
        return str(error), whole
    lines = whole.splitlines()
    text = "\n".join([lines[0], *lines[3:]])
    return text, "".join(traceback.format_exception(Exception(text)))


def crash_report() -> None:
    raise RuntimeError(f"worker crashed:\n\n{TRACE}KeyError: 'model not found'")


def chained() -> None:
    try:
        {}["x"]
    except KeyError as error:
        raise OSError("the second") from error


def while_handling() -> None:
    try:
        {}["x"]
    except KeyError:
        raise TypeError("another") from None


def group() -> None:
    raise ExceptionGroup("two of them", [ValueError("not found"), raised(chained)])  # type: ignore[list-item]


def noted() -> None:
    error = ValueError("with a note")
    error.add_note("KeyError: a note")
    raise error


def relayed() -> None:
    inner, trace = as_clients_report(raised(lambda: {}["x"]), is_async=True)
    raise RemoteException(f"RemoteError:{inner}\n{trace}")


class RemoteException(Exception):
    """As the client library has it."""


def empty() -> None:
    raise AssertionError


def fake() -> None:
    raise RuntimeError("KeyError: not this")


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (crash_report, ("RuntimeError", "worker crashed:")),
        (chained, ("OSError", "the second")),
        (while_handling, ("TypeError", "another")),
        (group, ("ExceptionGroup", "two of them (2 sub-exceptions): ValueError: not found; ")),
        (noted, ("ValueError", "with a note")),
        (relayed, ("KeyError", "'x'")),
        (empty, ("AssertionError", "")),
        (fake, ("RuntimeError", "KeyError: not this")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_type_is_that_of_the_error_which_was_raised(
    function: Callable[[], object], expected: tuple[str, str], is_async: bool
) -> None:
    kind, message = remote_error(*as_clients_report(raised(function), is_async=is_async))
    assert (kind, message[: len(expected[1])]) == expected
    assert "Traceback" not in message
    assert "File " not in message


def test_a_group_names_the_errors_in_it() -> None:
    for is_async in (True, False):
        _, message = remote_error(*as_clients_report(raised(group), is_async=is_async))
        assert "ValueError: not found" in message
        assert "OSError: the second" in message


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
        ("RuntimeError: thing not found", 500),
        ("RuntimeError: worker crashed: FileNotFoundError: model not found", 500),
        ("OSError: [Errno 13] Permission denied: '/dev/video0'", 500),
        ("ValueError: Service not found: x", 404),
        ("ValueError: no such thing, it was not found", 400),
        ("PermissionError: no", 403),
        ("RuntimeError: Permission denied for workspace x", 403),
        ("TypeError: t", 400),
        ("ValueError: v", 400),
        ("AssertionError: a", 400),
        ("TimeoutError: late", 504),
        ("UnicodeDecodeError: a subclass of ValueError", 400),
        ("PermissionDenied: no type that is known here", 500),
        ("pydantic_core._pydantic_core.ValidationError: 1 validation error for f", 400),
        ("RuntimeError: r", 500),
        ("Error: js", 500),
    ],
)
def test_the_callees_error_decides_the_status(line: str, status: int) -> None:
    answer = call_error_answer(CallFailed(TRACE + line), scope())
    body = orjson.loads(answer.body)
    assert answer.status == status
    assert body["success"] is False
    assert body["detail"] == f"RemoteException: {line.removeprefix('pydantic_core._pydantic_core.')}"
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


def test_an_answer_that_cannot_be_read_is_told_as_an_error_of_the_callee() -> None:
    error = UnreadableAnswer("the answer of w/a cannot be read: KeyError: no type of this error")
    answer = call_error_answer(error, {"headers": []})
    body = orjson.loads(answer.body)
    assert (answer.status, body["code"]) == (500, "call_failed")
    assert body["detail"] == f"RemoteException: RuntimeError: {error.message}"
