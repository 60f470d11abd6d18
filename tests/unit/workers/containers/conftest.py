"""How long workers look whether what they started goes on running."""

from __future__ import annotations

import pytest

from hypha.workers.containers import worker as workers


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No long look."""
    monkeypatch.setattr(workers, "_SETTLED_S", 0.05)


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that a slow machine does not shorten."""
    monkeypatch.setattr(workers, "_SETTLED_S", 60)
