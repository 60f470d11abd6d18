"""A plugin file of one's own whose script is JavaScript: it runs in a browser here, as a client of a server.

The page is made as the worker makes those of apps, and answered by us at an address of the server, so that it
loads the client from there; it reads no other file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hypha.workers.base import WorkerConfig, WorkerError
from hypha.workers.browser.compiling import PAGE, compiled
from hypha.workers.browser.worker import BrowserWorker
from hypha.workers.options import Connection

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Route

_FOLDER = "own-page"


class OwnPage(BrowserWorker):
    """Runs one plugin, which was read from a file.

    Raises:
        WorkerError: its config says what cannot be.
    """

    def __init__(self, connection: Connection, config: dict[str, Any], script: str) -> None:
        super().__init__(connection=connection)
        self._has_ended = asyncio.Event()
        manifest = {"type": "window", "name": "Plugin", **config, "entry_point": "main.js"}
        if manifest["type"] not in (known := ("window", "iframe", "web-worker", "hypha")):
            raise WorkerError(f"A script in JavaScript is one of {', '.join(known)}, not {manifest['type']}.")
        try:
            self._manifest, files = compiled(manifest, [{"name": "main.js", "content": script}])
        except ValueError as error:
            raise WorkerError(str(error)) from None
        self._page_text = next(each["content"] for each in files if each["name"] == PAGE)

    async def open(self) -> str:
        """Run it until it offers something, or has ended; the id of its session.

        Raises:
            WorkerError: it failed, with its words.
        """
        told = self._connection
        server_url, workspace = str(told.server_url).rstrip("/"), told.workspace or ""
        client_id = told.client_id or f"page-{uuid4().hex[:12]}"
        return await self.start(
            WorkerConfig(
                id=f"{workspace}/{client_id}",
                app_id="",  # it is none that is installed
                workspace=workspace,
                client_id=client_id,
                server_url=server_url,
                token=told.token,
                artifact_id=f"{workspace}/{_FOLDER}",
                entry_point=PAGE,
                app_files_base_url=f"{server_url}/assets/{_FOLDER}",
                manifest=self._manifest,
            )
        )

    async def ended(self) -> None:
        """Wait until its browser has ended."""
        await self._has_ended.wait()

    def _died(self) -> None:
        super()._died()
        self._has_ended.set()

    async def _prepare(self, context: BrowserContext, config: WorkerConfig, target: str) -> None:
        await super()._prepare(context, config, target)

        async def answer(route: Route) -> None:
            if route.request.resource_type == "document":
                await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=self._page_text)
            else:
                await route.fulfill(status=404, body="A plugin of one's own has no other files.")

        await context.route(
            f"{config.app_files_base_url}/**", answer
        )  # the one that came last is asked first
