"""The server as an ASGI application, for whatever runs it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING

from hypha.assembly.interrupts import before_stop
from hypha.assembly.server import Server
from hypha.assembly.web import kept_words
from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.gateways.http.static import mount_routes

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hypha.settings import Settings

logger = logging.getLogger(__name__)


class Application:
    """ASGI application whose lifespan starts and stops the server (`uvicorn hypha.server:app`)."""

    def __init__(self, settings: Settings) -> None:
        self.server = Server(settings)
        self.state = SimpleNamespace(store=self.server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; that of the lifespan starts and stops the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await self.server.app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.server.start()
        except (ConfigurationError, BackendUnavailable, FileNotFoundError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        logger.info("Serving at %s; data in %s", self.server.parts.core.base_url, self.server.data_shown)
        for note in self.server.parts.plugged.notes:  # no start-up block is printed here
            logger.warning(note.strip())
        with before_stop(self._begin_stop):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await self.server.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _begin_stop(self) -> None:
        """The web server is about to close what it knows of; it would wait for streams in vain."""
        self.server.begin_stop()
        self.server.end_streams()


def create_application(settings: Settings) -> Application:
    """Make the ASGI application for a server with these settings.

    Raises:
        ConfigurationError, FileNotFoundError: a static mount cannot be served.
    """
    mount_routes(settings.static_mounts, kept_words())
    return Application(settings)
