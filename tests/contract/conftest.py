"""Servers that the contracts are held against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.redis import RedisServer, running_redis


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """Redis of the system; skips where it is not installed."""
    yield from running_redis("redis")


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisServer]:
    """Valkey from its wheel."""
    yield from running_redis("valkey")
