"""What `slow_tests.txt` lists is left to `make test-all`, since a quicker neighbour shows nearly the same.

A line is the beginning of a test's id. Tests that are slow for themselves carry the mark instead.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LINES = (HERE / "slow_tests.txt").read_text().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_every_line_names_a_test_that_is_there(line: str) -> None:
    file, _, name = line.partition("::")
    path = HERE.parent / file
    assert path.is_file()
    assert re.search(rf"def {re.escape(name.partition('[')[0])}", path.read_text())


def test_no_line_stands_twice_or_below_another() -> None:
    assert len(set(LINES)) == len(LINES)
    assert not [line for line in LINES for other in LINES if line != other and line.startswith(other)]
