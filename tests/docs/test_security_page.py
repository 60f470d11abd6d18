"""The tests that docs/security.md names are there, but for those of features that were taken out."""

from __future__ import annotations

import re

import pytest

from hypha.features import FEATURES
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
TABLE = PAGE.partition("\n## What shows it\n")[2].partition("\n## ")[0]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)`", TABLE)))
OF_A_FEATURE = re.compile(r"(?:unit|faults/bounds)/features/(\w+)/")


def has_gone(name: str) -> bool:
    """Whether a file of tests was deleted with its feature."""
    owner = OF_A_FEATURE.match(name)
    return owner is not None and owner[1] not in FEATURES


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_page_names_is_there(name: str) -> None:
    if has_gone(name):
        pytest.skip("its feature was taken out")
    assert "def test_" in (ROOT / "tests" / name).read_text()


def test_every_line_names_tests() -> None:
    lines = TABLE.strip().splitlines()[4:]
    assert len(lines) > 25 and len(NAMED) > 40
    assert not [line for line in lines if line.startswith("|") and ".py`" not in line]
