"""What `doctor` says of Triton servers."""

from __future__ import annotations

import pytest

from hypha.findings import Grade
from tests.kit.doctor import bad, found

pytestmark = pytest.mark.usefixtures("doctor_folder")


def test_models_for_strangers_are_risky() -> None:
    (finding,) = bad("--triton-servers=http://127.0.0.1:8000", "--triton-public")
    assert finding.grade is Grade.RISKY and "--triton-public" in finding.text
    assert bad("--triton-public") == []


def test_an_address_that_is_none_is_broken_and_its_password_not_said() -> None:
    texts = [each.text for each in found("--triton-servers=ftp://u:zq7!@x") if each.grade is Grade.BROKEN]
    assert len(texts) == 1 and "zq7!" not in texts[0]
