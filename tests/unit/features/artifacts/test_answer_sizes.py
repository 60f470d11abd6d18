"""Room for large answers is asked for before they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hypha.hub.large_answers import MAX_BYTES_OF_CLIENT
from hypha.store import Store
from tests.unit.features.artifacts.lab import Lab

SMALL = frozenset(
    "put_file_complete_multipart remove_file write_file set_secret set_download_weight delete reset_stats "
    "discard_changes".split()
)
"""Their answers have a few hundred bytes."""


@pytest_asyncio.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Store(":memory:") as store, Lab.opened(store, tmp_path) as opened:
        yield opened


@pytest.mark.asyncio
async def test_whatever_gives_much_has_room_before_it_runs_and_a_client_gets_at_least_two(lab: Lab) -> None:
    gives = {name: function.gives_bytes for name, function in lab.manager.service().functions.items()}
    assert {name for name, size in gives.items() if not size} == SMALL
    assert max(gives.values()) <= MAX_BYTES_OF_CLIENT // 2
