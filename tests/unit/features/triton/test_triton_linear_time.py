"""Reading what callers name is linear in its size."""

from __future__ import annotations

from hypha.features.triton.access import checked_name, checked_version
from tests.kit.linear_time import check_reader_of_texts


def test_names_are_read_in_linear_time() -> None:
    check_reader_of_texts(lambda given: (checked_name(given), checked_version(given)))
