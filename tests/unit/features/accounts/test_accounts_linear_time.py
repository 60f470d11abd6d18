"""What people type on the login page is read in linear time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hypha.features.accounts.names import check_email, check_name
from hypha.features.accounts.passwords import check_new_password
from tests.kit.linear_time import check_reader_of_texts


@pytest.mark.parametrize("read", [check_name, check_email, check_new_password])
def test_texts_are_read_in_linear_time(read: Callable[[str], Any]) -> None:
    check_reader_of_texts(read)
