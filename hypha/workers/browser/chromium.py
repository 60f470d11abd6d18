"""The browser that all sessions share: found, started at the first session, started again when it died."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hypha.workers.base import WorkerNotAvailableError
from hypha.workers.browser.options import is_on

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

IN_CONTAINER = "HYPHA_BROWSER_IN_CONTAINER"
"""Variable by which the server tells the process of its browser that it runs in a container."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = ("--enable-unsafe-webgpu", "--use-vulkan", "--enable-features=Vulkan,WebAssemblyLazyCompilation,"
          "WebAssemblyTiering", "--site-per-process", "--disable-dev-shm-usage", "--mute-audio",
          # the page of an app comes from the worker, which the browser takes for the internet; see `network`
          "--disable-features=LocalNetworkAccessChecks")  # fmt: skip


def find_chromium(environment: Mapping[str, str]) -> str | None:
    """Path of the browser: as `HYPHA_CHROMIUM_PATH` says, or an installed one."""
    given = environment.get("HYPHA_CHROMIUM_PATH")
    return given or next((path for name in NAMES if (path := shutil.which(name))), None)


def has_playwright() -> bool:
    """Whether the package that drives the browser is installed."""
    from importlib.util import find_spec

    return find_spec("playwright") is not None


class Chromium:
    """The browser, as far as it runs.

    Args:
        on_death: is called when it has ended by itself.
        in_container: it runs in a container, where the kernel gives it no sandbox of its own.
    """

    def __init__(
        self, environment: Mapping[str, str], on_death: Callable[[], None], in_container: bool = False
    ) -> None:
        self._environment = environment
        self._on_death = on_death
        is_contained = in_container or is_on(environment.get(IN_CONTAINER, "false"))
        self._has_no_sandbox = is_contained or (hasattr(os, "geteuid") and os.geteuid() == 0)
        """Chromium refuses to start as root with its sandbox."""
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._starting = asyncio.Lock()

    async def browser(self) -> Browser:
        """The running browser, started if there is none.

        Raises:
            WorkerNotAvailableError: it is not installed, or does not start.
        """
        async with self._starting:
            if self._browser is None or not self._browser.is_connected():
                self._browser = await self._launch()
            return self._browser

    async def _launch(self) -> Browser:
        if not has_playwright():
            raise WorkerNotAvailableError(
                "Apps in a browser need the package playwright: pip install 'hypha-server[browser]'."
            )
        from playwright.async_api import Error, async_playwright

        path = find_chromium(self._environment)
        if path is None:
            raise WorkerNotAvailableError(
                "No Chromium is installed: install it, or name one in HYPHA_CHROMIUM_PATH."
            )
        if self._playwright is None:
            self._playwright = await async_playwright().start()
        try:
            browser = await self._playwright.chromium.launch(
                executable_path=path, args=self._flags(), handle_sigint=False, handle_sigterm=False,
                handle_sighup=False,
            )  # fmt: skip
        except Error as error:
            raise WorkerNotAvailableError(f"Chromium does not start: {first_line(error)}") from None
        browser.on("disconnected", lambda _: self._on_death())
        return browser

    def _flags(self) -> list[str]:
        flags = list(_FLAGS)
        if self._has_no_sandbox:
            flags.append("--no-sandbox")
        if is_on(self._environment.get("PLAYWRIGHT_DISABLE_WEB_SECURITY", "false")):
            flags.append("--disable-web-security")
        return flags

    async def has_died(self, browser: Browser) -> bool:
        """Whether a browser makes no context any more; then the next is a new one.

        Nobody else tells when the program has died that stands between it and us.
        """
        from playwright.async_api import Error

        try:
            await (await browser.new_context()).close()
        except Error:
            if self._browser is browser:
                self._browser = self._playwright = None
                self._on_death()
            return True
        return False

    async def close(self) -> None:
        """End the browser."""
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.close()
        if self._playwright is not None:
            await self._playwright.stop()
            self._playwright = None


def first_line(error: Exception) -> str:
    """What an error of the browser says, without its call log."""
    return str(error).strip().partition("\n")[0]
