"""uvicorn as we run it: our HTTP protocol, our words at start, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time
from types import FrameType
from typing import Any

import uvicorn

from hypha.assembly import Server
from hypha.cli.welcome import welcome
from hypha.settings import Settings
from hypha.transports.descriptors import backlog
from hypha.transports.upgrade import HubHttpProtocol, HubSocket

DRAIN_SHARE = 0.75
"""Of the time to stop, the part in which requests may end before their providers' links are closed."""
DRAIN_CHECK_S = 0.02
WIND_DOWN_S = 2.0
"""The least that features get to end what they do with clients."""


class HubServer(uvicorn.Server):
    """uvicorn's server for one of ours, which is started already."""

    def __init__(self, config: uvicorn.Config, hub_server: Server, drain_s: float) -> None:
        super().__init__(config)
        self._hub_server = hub_server
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then tell the person at the terminal."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what start-up made stays; the collector need not look at it again
        hub_server = self._hub_server
        notes = hub_server.parts.plugged.notes
        print(welcome(hub_server.settings, hub_server.data_shown, notes), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal ends the server in order, with exit code 0; a second Ctrl-C hurries."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, let requests end, then close the links of clients and everything else.

        The links stay that long because clients are who answers the requests, those on HTTP streams by
        requests of their own: for them connections are still taken.
        """
        self._hub_server.begin_stop()
        takes_posts = self._hub_server.awaits_posts
        for listening in [] if takes_posts else self.servers:
            listening.close()
        for connection in self._request_connections():
            if not (takes_posts and isinstance(connection, HubHttpProtocol)):
                connection.shutdown()
        deadline = time.monotonic() + self._drain_s
        # uvicorn tells nobody when a request ends
        while self._is_answering() and not self.force_exit and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_CHECK_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(WIND_DOWN_S, deadline - time.monotonic())):
                await self._hub_server.wind_down()
        self._hub_server.end_streams()
        await super().shutdown(sockets)

    def _is_answering(self) -> bool:
        return any(
            not isinstance(known, HubHttpProtocol) or known.is_answering
            for known in self._request_connections()
        )

    def _request_connections(self) -> list[Any]:
        """Connections of HTTP requests and of applications' sockets, not those of the hub."""
        return [known for known in self.server_state.connections if not isinstance(known, HubSocket)]


def http_server(server: Server, settings: Settings) -> HubServer:
    """A uvicorn server that hands the hub's path to the hub."""
    drain_s = settings.shutdown_timeout_s * DRAIN_SHARE
    config = uvicorn.Config(
        server.app,
        http=server.http_protocol,
        ws=_websocket_protocol,  # type: ignore[arg-type]
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=settings.access_log,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s - drain_s),
        ws_max_size=settings.max_frame_bytes,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        ws_per_message_deflate=False,
        backlog=backlog(server.parts.edge.descriptors),
    )
    return HubServer(config, server, drain_s)


def _websocket_protocol(**arguments: Any) -> Any:
    """uvicorn's protocol for WebSockets that are not the hub's, imported when one comes."""
    from hypha.transports.app_socket import AppSocket

    return AppSocket(**arguments)
