"""What `doctor` says of the administrators' terminal."""

from __future__ import annotations

import pytest

from hypha.findings import Grade
from tests.kit.doctor import bad, found

pytestmark = pytest.mark.usefixtures("doctor_folder")


def test_the_terminal_is_risky() -> None:
    (finding,) = bad("--enable-admin-terminal")
    assert finding.grade is Grade.RISKY and "--enable-admin-terminal" in finding.text


def test_without_a_root_token_it_is_switched_off() -> None:
    said = [
        each for each in found("--enable-admin-terminal", HYPHA_ROOT_TOKEN="") if "switched off" in each.text
    ]
    assert [each.grade for each in said] == [Grade.NOTE]
