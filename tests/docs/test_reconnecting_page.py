"""docs/spec/reconnecting.md: its numbers and the classes of frames are those of the source."""

from __future__ import annotations

import pytest

from hypha.hub.outbox import REPEATABLE_METHODS, Kind
from hypha.hub.resume import LONGEST_PAUSE_S, pause_after
from hypha.hub.waiting import patience_until
from tests.docs.pages import SPEC, bounds, code_in, in_source, section, tables

TEXT = (SPEC / "reconnecting.md").read_text()


@pytest.mark.parametrize(("what", "value", "where"), bounds(TEXT))
def test_the_times_are_those_of_the_source(what: str, value: float, where: str) -> None:
    assert in_source(where) == value, what


def test_the_repeatable_calls_are_those_of_the_page() -> None:
    rows = next(tables(section(TEXT, "classes"))).rows
    named = next(code_in(row[0]) for row in rows if row[0].startswith("a repeatable call"))
    prefixes = ("services.", "services.built-in.")
    assert {prefix + name for name in named for prefix in prefixes} >= REPEATABLE_METHODS
    assert len(named) == len(REPEATABLE_METHODS)
    assert {kind.name for kind in Kind} == {"CALL", "ANSWER", "REPEATABLE", "EVENT"}  # a class each


def test_calls_end_a_second_before_their_callers_patience() -> None:
    assert patience_until((0, 100.0, 15.0)) == 100.0 + 2 * 15.0 - 1.0
    assert patience_until((0, 100.0, 0.5)) == 100.0 + 0.5


def test_the_hold_outlasts_the_pauses_of_the_python_library() -> None:
    assert pause_after(1) == 0.0
    assert [pause_after(flaps) > 1.1 * pause for flaps, pause in enumerate((1, 2, 4, 8), 2)] == [True] * 4
    assert 1.1 * LONGEST_PAUSE_S < pause_after(50) < in_source("HYPHA_RESUME_WINDOW")
