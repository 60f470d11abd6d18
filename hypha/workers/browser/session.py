"""One session of the browser worker: a page, its log, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from hypha.workers.base import WorkerError
from hypha.workers.browser.chromium import first_line
from hypha.workers.browser.network import Gate
from hypha.workers.logs import SessionLog

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Route

_DROPPED = ("content-security-policy", "content-encoding", "content-length", "x-frame-options")
_TAKES = "document.getElementById('hypha-app') !== null"
_CLOSING_S = 5.0


class BrowserSession:
    """A page in a context of its own."""

    page: Page

    def __init__(self, context: BrowserContext, gate: Gate | None) -> None:
        self.context = context
        self._gate = gate
        self.log = SessionLog()
        self.failure: str | None = None
        """Why it is over; None while it runs."""
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the script of the page offers something or has ended; an error when it failed."""

    @classmethod
    async def create(cls, browser: Browser, options: Mapping[str, Any], gate: Gate | None) -> Self:
        """A session in a new context, which connects through a gate if there is one."""
        proxy: dict[str, Any] = {} if gate is None else {"proxy": gate.proxy}
        try:
            return cls(await browser.new_context(**options, **proxy), gate)
        except BaseException:
            if gate is not None:
                await gate.close()
            raise

    async def open(self, address: str, timeout_s: float) -> None:
        """Load a page, and wait until its script offers something or has ended.

        Raises:
            WorkerError: it cannot be loaded, its script failed, or it took too long.
        """
        from playwright.async_api import Error

        await self.context.expose_binding("hyphaReport", self._report)
        self.page = page = await self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.log.add("error", str(error)[:10_000]))
        page.on("crash", lambda _: self.fail("The page has crashed."))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await page.goto(address, wait_until="load", timeout=timeout_s * 1000)
                if answer is not None and not 200 <= answer.status < 300:
                    raise WorkerError(f"The page answered {answer.status}: {_shown(address)}")
                if await page.evaluate(_TAKES):
                    await self._settled
        except TimeoutError:
            raise WorkerError(f"The page did not start within {timeout_s:g} s.{self._told()}") from None
        except Error as error:
            text = first_line(error).partition("#")[0]  # behind which the token stands in an address
            raise WorkerError(f"The page cannot be loaded: {text}{self._told()}") from None

    def _told(self) -> str:
        last = self.log.last(5)
        return f"\nIts last lines:\n{last}" if last else ""

    def _report(self, source: Any, state: str, text: str = "") -> None:
        if self._settled.done():
            return
        if state == "failed":
            self._settled.set_exception(WorkerError(f"The script failed: {str(text)[:4000]}"))
            self._settled.exception()  # it may come when nobody waits
        else:
            self._settled.set_result(None)

    def _on_console(self, message: ConsoleMessage) -> None:
        self.log.add("console", f"[{message.type}] {message.text[:10_000]}")
        if message.type == "error":
            self.log.add("error", message.text[:10_000])

    def fail(self, reason: str) -> None:
        """Its page is gone."""
        self.failure = reason
        self.log.add("error", reason)
        if not self._settled.done():
            self._settled.set_exception(WorkerError(reason))
            self._settled.exception()

    async def close(self) -> None:
        """Close the page and all that belongs to it."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSING_S):
                await self.context.close()
        if self._gate is not None:
            await self._gate.close()


async def answer_with_files(context: BrowserContext, base: str, token: str) -> None:
    """Let the app read its own files with its token, and let its page be one of the server's origin.

    The server shows files of people in a sandbox, since the visitor of a page may be signed in. Here nobody
    is: the context holds nothing but what belongs to the app.
    """

    from playwright.async_api import Error

    async def handle(route: Route) -> None:
        headers = {**route.request.headers, "authorization": f"Bearer {token}"}
        if route.request.resource_type != "document":
            await route.continue_(headers=headers)
            return
        try:
            answer = await route.fetch(headers=headers, max_redirects=0)
        except Error:  # whose text would bring the token into a log
            await route.abort()
            return
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _DROPPED}
        await route.fulfill(response=answer, headers=kept)

    await context.route(f"{base}/**", handle)


def _shown(address: str) -> str:
    return address.partition("?")[0].partition("#")[0]
