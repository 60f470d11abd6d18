"""A hub with fake links and a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kit.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A hub of its own."""
    made = World()
    yield made
    made.hub.stop()
