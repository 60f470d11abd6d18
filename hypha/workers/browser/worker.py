"""Runs apps that are web pages, each in a browser context of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from hypha.workers.app_files import MOST_SCRIPT_BYTES, fetch
from hypha.workers.base import (
    Callback,
    CallContext,
    SessionNotFoundError,
    SessionStatus,
    WorkerConfig,
    WorkerError,
    progress,
    safe_call_callback,
)
from hypha.workers.browser.cache import RouteCache, routes_of
from hypha.workers.browser.chromium import Chromium, first_line
from hypha.workers.browser.compiling import Files, compiled
from hypha.workers.browser.network import Gate, Network
from hypha.workers.browser.options import context_options, cookies_of, storage_script
from hypha.workers.browser.session import BrowserSession, answer_with_files
from hypha.workers.logs import LogPage, page_of
from hypha.workers.options import Connection
from hypha.workers.serving import ConnectedWorker

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

logger = logging.getLogger(__name__)

TYPES = ("web-python", "web-worker", "window", "iframe", "hypha", "web-app")
_SESSIONS_VARIABLE = "HYPHA_MAX_BROWSER_SESSIONS"
_DEFAULT_SESSIONS = 20
_START_S = 60.0
_EXECUTE_S = 30.0
_FORMATS = ("png", "jpeg")
_TAKING_PLACE = (SessionStatus.STARTING, SessionStatus.RUNNING)


class BrowserWorker(ConnectedWorker):
    """The worker for all types of pages."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, in_container: bool = False,
        connection: Connection | None = None,
    ) -> None:  # fmt: skip
        self._environment = os.environ if environment is None else environment
        most_sessions = int(self._environment.get(_SESSIONS_VARIABLE) or _DEFAULT_SESSIONS)
        super().__init__(connection or Connection(use_local_url=True), most_sessions)
        self._chromium = Chromium(self._environment, self._died, in_container)
        self._cache = RouteCache()
        self._network = Network(self._environment)

    @property
    def supported_types(self) -> list[str]:
        """The types of apps that it runs."""
        return list(TYPES)

    @property
    def name(self) -> str:
        """Its name, for people."""
        return "Browser worker"

    @property
    def description(self) -> str:
        """What it does, for people."""
        return "Runs web pages, each in a browser context of its own"

    def get_worker_service(self) -> dict[str, Any]:
        """The service to register, with what only pages can do."""
        more = (self.take_screenshot, self.clear_app_cache, self.get_app_cache_stats, self.shutdown)
        return super().get_worker_service() | {function.__name__: function for function in more}

    async def compile(
        self, manifest: dict[str, Any], files: Files, config: Mapping[str, Any] | None = None,
        context: CallContext | None = None,
    ) -> tuple[dict[str, Any], Files]:  # fmt: skip
        """Make the page of an app.

        Raises:
            ValueError: there is no script, or the manifest asks for what cannot be.
        """
        context_options({}, manifest)
        cookies_of(manifest, "")
        storage_script(manifest, "")
        routes_of(manifest)
        return compiled(manifest, files)

    # -- sessions

    async def _start_session(self, config: WorkerConfig) -> BrowserSession:
        self._check_room(config.id)
        target = _target(config)
        options = context_options(self._environment, config.manifest)
        await safe_call_callback(config.progress_callback, progress("Opening the browser"))
        gate = await self._network.gate(config, target)
        session = self._session_data[config.id] = await self._opened(options, gate)
        try:
            await self._prepare(session.context, config, target)
            await safe_call_callback(config.progress_callback, progress("Loading the page"))
            await session.open(target, timeout_s=config.timeout or _START_S)
            await self._run_startup_script(session, config)
        except Exception:  # its log stays until it is stopped, its page takes no room until then
            session.failure = session.failure or "It did not start."
            await self._close(session)
            raise
        return session

    async def _opened(self, options: Mapping[str, Any], gate: Gate | None) -> BrowserSession:
        """A session without a page.

        Raises:
            WorkerError: there is no browser, or it just ended.
        """
        from playwright.async_api import Error

        try:
            browser = await self._chromium.browser()
        except BaseException:
            if gate is not None:
                await gate.close()
            raise
        try:
            return await BrowserSession.create(browser, options, gate)
        except Error as error:
            if await self._chromium.has_died(browser):
                raise WorkerError("The browser had ended: start the app again.") from None
            raise WorkerError(f"The manifest asks for what cannot be: {first_line(error)}") from None

    def _check_room(self, session_id: str) -> None:
        before = takewhile(lambda each: each[0] != session_id, self._sessions.items())  # in order of coming
        running = sum(info.status in _TAKING_PLACE for _, info in before)
        if running >= self._most_sessions:
            raise WorkerError(
                f"The browser runs {running} sessions, as many as it may ({_SESSIONS_VARIABLE}="
                f"{self._most_sessions}): stop one, or let the operator raise the limit."
            )

    async def _prepare(self, context: BrowserContext, config: WorkerConfig, target: str) -> None:
        manifest = config.manifest
        cookies = cookies_of(manifest, target)
        if cookies:
            await context.add_cookies(cookies)  # type: ignore[arg-type]  # checked by the browser
        script = storage_script(manifest, target)
        if script:
            await context.add_init_script(script)
        if manifest.get("authorization_token"):
            await _authorize(context, target, str(manifest["authorization_token"]))
        if manifest.get("enable_cache", True) is not False:
            await self._cache.serve(context, (config.workspace, config.app_id), routes_of(manifest))
        if config.app_files_base_url and config.token:
            await answer_with_files(context, config.app_files_base_url, config.token)

    async def _run_startup_script(self, session: BrowserSession, config: WorkerConfig) -> None:
        path = config.manifest.get("startup_script")
        if not isinstance(path, str) or not path:
            return
        try:
            script = await fetch(config, path.lstrip("/"), MOST_SCRIPT_BYTES)
            await session.page.add_script_tag(content=script.decode())
        except Exception as error:
            session.log.add("error", f"startup_script {path} failed: {first_line(error)}")
            await safe_call_callback(
                config.progress_callback,
                {"type": "warning", "message": f"The startup script failed: {first_line(error)}"},
            )

    async def _stop_session(self, session_id: str) -> None:
        session = self._session_data.get(session_id)
        if isinstance(session, BrowserSession):
            await self._close(session)

    async def _close(self, session: BrowserSession) -> None:
        self._cache.leave(session.context)
        await session.close()

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> LogPage:
        session = self._session_data.get(session_id)
        if not isinstance(session, BrowserSession):
            return page_of([], log_type, offset, limit)
        return session.log.page(log_type, offset, limit)

    def _died(self) -> None:
        """The browser has ended: its sessions are over."""
        for session_id, info in self._sessions.items():
            if info.status is SessionStatus.RUNNING:
                info.status, info.error = SessionStatus.FAILED, "The browser has ended."
                session = self._session_data.get(session_id)
                if isinstance(session, BrowserSession):
                    session.fail("The browser has ended.")

    # -- what people do with a session

    async def take_screenshot(
        self, session_id: str, format: str = "png", context: CallContext | None = None
    ) -> bytes:
        """A picture of a page.

        Raises:
            ValueError: the format is neither png nor jpeg.
        """
        if format not in _FORMATS:
            raise ValueError(f"A screenshot is png or jpeg, not {str(format)[:40]!r}.")
        page = self._page(session_id, context).page
        return await page.screenshot(type=format)  # type: ignore[arg-type]  # one of the two

    async def execute(
        self, session_id: str, script: str, config: Mapping[str, Any] | None = None,
        progress_callback: Callback | None = None, context: CallContext | None = None,
    ) -> Any:  # fmt: skip
        """The value of a JavaScript expression in a page."""
        from playwright.async_api import Error

        session = self._page(session_id, context)
        self._check_may_run(self._sessions[session_id].workspace, context)
        timeout_s = float((config or {}).get("timeout") or _EXECUTE_S)
        try:
            async with asyncio.timeout(timeout_s):
                return await session.page.evaluate(script)
        except Error as error:
            raise WorkerError(f"The script failed: {str(error)[:2000]}") from None
        except TimeoutError:
            raise WorkerError(f"The script did not end within {timeout_s:g} s.") from None

    def _page(self, session_id: str, context: CallContext | None) -> BrowserSession:
        self._session(session_id, context)
        session = self._session_data.get(session_id)
        if not isinstance(session, BrowserSession) or session.failure is not None:
            raise SessionNotFoundError(f"The session {session_id} has no page any more.")
        return session

    async def clear_app_cache(
        self, workspace: str, app_id: str, context: CallContext | None = None
    ) -> dict[str, int]:
        """Forget what was kept of the requests of an app."""
        self._check_may_run(workspace, context)
        return {"deleted_entries": self._cache.clear((workspace, app_id))}

    async def get_app_cache_stats(
        self, workspace: str, app_id: str, context: CallContext | None = None
    ) -> dict[str, Any]:
        """How much is kept of the requests of an app."""
        self._check_workspace(workspace, context)
        return self._cache.stats((workspace, app_id))

    async def close(self) -> None:
        """Stop all sessions and end the browser."""
        await self.shutdown()
        with contextlib.suppress(Exception):
            await self._chromium.close()
        self._network.close()


def _target(config: WorkerConfig) -> str:
    """The address that a session opens. The token stands behind `#`, which no server sees."""
    entry = str(config.entry_point or config.manifest.get("entry_point") or "")
    is_foreign = config.app_type == "web-app" or entry.startswith(("http://", "https://"))
    if is_foreign and urlsplit(entry).scheme not in ("http", "https"):
        raise ValueError("An app of another server needs its address as entry_point.")
    if is_foreign and config.manifest.get("inject_auth_params") is not True:
        return entry
    base = entry if is_foreign else f"{config.app_files_base_url}/{entry}"
    facts = {
        "server_url": config.server_url, "client_id": config.client_id, "workspace": config.workspace,
        "app_id": config.app_id,
    }  # fmt: skip
    if not is_foreign:
        facts["use_proxy"] = "true"
    address, _, fragment = base.partition("#")
    joint = "&" if "?" in address else "?"
    secret = urlencode({"token": config.token}) if config.token else ""
    behind = "&".join(part for part in (fragment, secret) if part)
    return f"{address}{joint}{urlencode(facts)}" + (f"#{behind}" if behind else "")


async def _authorize(context: BrowserContext, target: str, authorization: str) -> None:
    parts = urlsplit(target)

    async def with_header(route: Any) -> None:
        await route.fallback(headers={**route.request.headers, "authorization": authorization})

    await context.route(f"{parts.scheme}://{parts.netloc}/**", with_header)
