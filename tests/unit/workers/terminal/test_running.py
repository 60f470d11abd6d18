"""The terminal worker where it cannot work."""

from __future__ import annotations

import logging

import pytest

from hypha.workers.terminal import hypha_startup, running


async def test_without_its_package_there_is_one_warning_and_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running, "has_screens", lambda: False)
    with caplog.at_level(logging.WARNING):
        await hypha_startup(None)
    assert [record.message for record in caplog.records] == [
        "No terminals: install the package pyte (hypha-server[terminal])."
    ]
    monkeypatch.setattr("sys.argv", ["terminal"])
    assert running.main() == 1
