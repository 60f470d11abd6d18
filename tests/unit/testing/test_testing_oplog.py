"""The checker finds every kind of broken promise, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.testing.oplog import OperationLog, Outcome, classify


def record(call: str = "a", **fields: Any) -> dict[str, Any]:
    """An answered call, unless fields say otherwise."""
    return {"call": call, "sent_at": 0.0, "elapsed_s": 0.1, "answer": call, **fields}


def failed(text: str, call: str = "a", elapsed_s: float = 0.1) -> dict[str, Any]:
    """A call that ended with an error."""
    return record(call, answer=None, error=text, elapsed_s=elapsed_s)


def problems(calls: list[dict[str, Any]], runs: dict[str, int]) -> list[str]:
    """What the checker objects to."""
    log = OperationLog()
    log.add_calls(calls)
    log.add_runs(runs)
    return log.check(deadline_s=10).problems


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (None, Outcome.ANSWERED),
        ("RemoteException: RemoteError:NotDelivered: svc left", Outcome.NOT_DELIVERED),
        ("Target peer ws/x is not connected", Outcome.NOT_DELIVERED),
        ("RemoteError: OutcomeUnknown: the link broke", Outcome.OUTCOME_UNKNOWN),
        ("TimeoutError: Method call timed out: ws/x:run", Outcome.TIMED_OUT),
        ("Exception: Failed to send the request when calling method", Outcome.SENDER_LOST),
        ("Failed to send the request (ws/x:run), error: reconnection timed out", Outcome.SENDER_LOST),
        ("ConnectionError: Client disconnected: ws/x", Outcome.CALLEE_LEFT),
        ("ValueError: whatever", Outcome.OTHER),
    ],
)
def test_error_texts_are_told_apart(text: str | None, outcome: Outcome) -> None:
    assert classify(text) is outcome


def test_good_histories_have_no_problems() -> None:
    calls = [
        record("a"),
        failed("NotDelivered", "b"),
        failed("OutcomeUnknown", "c"),
        failed("timed out", "d", 10.5),
    ]
    assert problems(calls, {"a": 1, "c": 1}) == []


@pytest.mark.parametrize(
    ("calls", "runs", "text"),
    [
        ([record("a")], {"a": 2}, "ran 2 times"),
        ([record("a", answer="b")], {"a": 1}, "answer of 'b'"),
        ([record("a")], {}, "no callee"),
        ([failed("NotDelivered")], {"a": 1}, "ran, though"),
        ([failed("ValueError: odd")], {}, "without a typed error"),
        ([failed("timed out", elapsed_s=11.5)], {}, "ended after 11.5 s"),
        ([record("a"), record("a")], {"a": 1}, "two calls with one id"),
        ([], {"z": 1}, "nobody reports"),
    ],
)
def test_broken_promises_are_named(calls: list[dict[str, Any]], runs: dict[str, int], text: str) -> None:
    found = problems(calls, runs)
    assert len(found) == 1 and text in found[0]


def test_table_tells_shares_and_problems() -> None:
    log = OperationLog()
    log.add_calls([record("a"), failed("ValueError: odd", "b")])
    log.add_runs({"a": 1})
    report = log.check(deadline_s=10)
    assert report.answered_share == 0.5
    assert "50.0000%" in report.table() and "PROBLEM b" in report.table()
