"""A stub of conda, in a folder whose path is short enough for sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.conda_stub import CondaStub


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="h") as name:
        yield Path(name)


@pytest.fixture
def conda(place: Path) -> CondaStub:
    return CondaStub(place)
