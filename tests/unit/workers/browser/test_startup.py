"""Starting the browser worker inside a server."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.workers.browser import BrowserWorker, hypha_startup, startup_in_container
from hypha.workers.browser.apart import ApartWorker
from hypha.workers.browser.chromium import Chromium


@pytest.mark.parametrize(("startup", "expected"), [(hypha_startup, False), (startup_in_container, True)])
async def test_only_in_a_container_the_browser_goes_without_its_sandbox(
    monkeypatch: pytest.MonkeyPatch, startup: Any, expected: bool
) -> None:
    registered: list[ApartWorker] = []

    async def register(self: ApartWorker, server: Any) -> None:
        registered.append(self)

    monkeypatch.setattr(BrowserWorker, "register_worker_service", register)
    monkeypatch.setattr("hypha.workers.browser.apart.has_playwright", lambda: True)
    monkeypatch.setattr("hypha.workers.browser.apart.find_chromium", lambda environment: "/bin/chromium")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    await startup(None)
    (worker,) = registered
    of_the_process = Chromium(worker._process._environment, lambda: None)
    assert ("--no-sandbox" in of_the_process._flags()) is expected
