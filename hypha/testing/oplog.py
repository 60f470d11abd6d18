"""What was sent, run and answered, and a checker of the promises about calls.

Callers report one record per call: its unique id, the time from call to end, and the answer or
the error's text. Callees report how often each id ran. `OperationLog.check` compares both with
what the server promises: at most once, the right answer, a typed end in time, and `NotDelivered`
only for calls that never ran.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a call ended for its caller."""

    ANSWERED = "answered"
    NOT_DELIVERED = "not delivered"
    OUTCOME_UNKNOWN = "outcome unknown"
    TIMED_OUT = "timed out"
    SENDER_LOST = "lost in the caller's own socket"
    CALLEE_LEFT = "callee left"
    OTHER = "other error"


_SIGNS: tuple[tuple[str, Outcome], ...] = (
    ("Failed to send the request", Outcome.SENDER_LOST),
    ("NotDelivered", Outcome.NOT_DELIVERED),
    ("is not connected", Outcome.NOT_DELIVERED),
    ("OutcomeUnknown", Outcome.OUTCOME_UNKNOWN),
    ("timed out", Outcome.TIMED_OUT),
    ("TimeoutError", Outcome.TIMED_OUT),
    ("Connection is closed", Outcome.SENDER_LOST),
    ("Connection was closed", Outcome.SENDER_LOST),
    ("Connection lost", Outcome.SENDER_LOST),
    ("Server refused reconnection", Outcome.SENDER_LOST),
    ("Client disconnected", Outcome.CALLEE_LEFT),
    ("Peer not found", Outcome.CALLEE_LEFT),
)


def classify(error: str | None) -> Outcome:
    """Return the outcome that an error text stands for; no text means answered."""
    if error is None:
        return Outcome.ANSWERED
    return next((outcome for sign, outcome in _SIGNS if sign in error), Outcome.OTHER)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as its caller saw it; `sent_at` is Unix time, `elapsed_s` runs from call to end."""

    call: str
    sent_at: float
    elapsed_s: float
    answer: Any = None
    error: str | None = None

    @property
    def outcome(self) -> Outcome:
        """How the call ended."""
        return classify(self.error)


@dataclass(slots=True)
class Report:
    """Result of a check: counts, and one sentence per broken promise."""

    calls: int = 0
    runs: int = 0
    longest_s: float = 0.0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def answered_share(self) -> float:
        """Share of calls that were answered, 0 to 1."""
        return self.outcomes[Outcome.ANSWERED] / self.calls if self.calls else 0.0

    @property
    def settled_share(self) -> float:
        """Share of calls that were answered or certainly never ran, 0 to 1.

        Cut every second, a Python client pauses up to a minute by itself: calls to it are then
        refused with `NotDelivered`, and calls by it never leave it ("Failed to send the request").
        """
        certain = (Outcome.ANSWERED, Outcome.NOT_DELIVERED, Outcome.SENDER_LOST)
        return sum(self.outcomes[outcome] for outcome in certain) / self.calls if self.calls else 0.0

    def add(self, other: Report) -> None:
        """Count what another report counts, too."""
        self.calls += other.calls
        self.runs += other.runs
        self.longest_s = max(self.longest_s, other.longest_s)
        self.outcomes.update(other.outcomes)
        self.problems += other.problems

    def table(self) -> str:
        """The report as lines of text."""
        lines = [f"calls {self.calls}, runs {self.runs}, longest {self.longest_s:.2f} s"]
        lines += [
            f"  {outcome.value}: {self.outcomes[outcome]}" for outcome in Outcome if self.outcomes[outcome]
        ]
        lines += [f"  answered share: {self.answered_share:.4%}, settled share: {self.settled_share:.4%}"]
        lines += [f"  PROBLEM {problem}" for problem in self.problems[:20]]
        if len(self.problems) > 20:
            lines.append(f"  … and {len(self.problems) - 20} more problems")
        return "\n".join(lines)


class OperationLog:
    """Collects the records of any number of callers and callees."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRecord] = {}
        self.runs: Counter[str] = Counter()
        self._sent_twice: list[str] = []

    def add_calls(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add what a caller reports: maps with the fields of `CallRecord`."""
        for raw in records:
            record = CallRecord(**raw)
            if record.call in self.calls:
                self._sent_twice.append(record.call)
            self.calls[record.call] = record

    def add_runs(self, runs: Mapping[str, int]) -> None:
        """Add what a callee reports: call id to how often it ran."""
        self.runs.update(runs)

    def check(self, *, deadline_s: float, foreign_runs_are_errors: bool = True) -> Report:
        """Compare both sides; `deadline_s` is the latest end of a call (one second is added).

        `foreign_runs_are_errors` False allows runs of calls whose caller made no report (killed).
        """
        report = Report(calls=len(self.calls), runs=sum(self.runs.values()))
        report.problems += [f"{call}: two calls with one id" for call in self._sent_twice]
        for record in self.calls.values():
            report.outcomes[record.outcome] += 1
            report.longest_s = max(report.longest_s, record.elapsed_s)
            report.problems += self._problems_of(record, deadline_s)
        for call, count in self.runs.items():
            if count > 1:
                report.problems.append(f"{call}: ran {count} times")
            if call not in self.calls and foreign_runs_are_errors:
                report.problems.append(f"{call}: ran, but nobody reports to have called it")
        return report

    def _problems_of(self, record: CallRecord, deadline_s: float) -> list[str]:
        problems = []
        if record.elapsed_s > deadline_s + 1.0:
            problems.append(
                f"{record.call}: ended after {record.elapsed_s:.1f} s, allowed {deadline_s + 1:.1f} s"
            )
        if record.outcome is Outcome.ANSWERED:
            if record.answer != record.call:
                problems.append(f"{record.call}: got the answer of {record.answer!r}")
            if not self.runs[record.call]:
                problems.append(f"{record.call}: answered, but no callee reports to have run it")
        if record.outcome is Outcome.NOT_DELIVERED and self.runs[record.call]:
            problems.append(f"{record.call}: ran, though its caller was told: {record.error}")
        if record.outcome is Outcome.OTHER:
            problems.append(f"{record.call}: ended without a typed error: {record.error}")
        return problems
