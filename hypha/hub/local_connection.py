"""A link without a socket: an RPC client that lives in the server's own process.

Startup functions get a server object made by the client library; its connection is this one.
To the hub it is a client like any other, with the identity that the server gives it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from hypha.errors import MalformedFrame
from hypha.wire.frames import EnvelopeParser, Sealed, payload

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub

logger = logging.getLogger(__name__)

Handler = Callable[[Any], Any]


class LocalConnection:
    """Both ends of the link: what the hub asks of a connection and what the client library does.

    Create it with `open`; then hand it to the library's RPC object.
    """

    kind = "inner"
    farewell_s: float | None = None
    acknowledges = False
    peer_address = ""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.client: Client | None = None
        self.manager_id = hub.manager_id
        self.connection_info: dict[str, Any] = {}
        self.workspace = ""
        self.client_id = ""
        self._on_message: Handler | None = None
        self._waiting: list[bytes] = []
        self._tasks: set[asyncio.Future[Any]] = set()
        self._released = asyncio.Event()

    @classmethod
    def open(
        cls, hub: Hub, workspace: str, client_id: str, user: User, facts: dict[str, Any]
    ) -> LocalConnection:
        """Join the hub as `workspace/client_id` with an identity chosen by the server."""
        link = cls(hub)
        link.workspace, link.client_id = workspace, client_id
        link.client = hub.join(workspace, client_id, user, None, link)
        link.connection_info = {
            **facts,
            "workspace": workspace,
            "client_id": client_id,
            "user": user.to_wire(),
        }
        hub.resume.open(link.client)
        return link

    # -- the library's side

    def on_message(self, handler: Handler) -> None:
        """Call `handler` with each binary frame."""
        self._on_message = handler
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._hand_over(frame)

    def on_connected(self, handler: Callable[[Any], Awaitable[Any]]) -> None:
        """The library registers its services by itself; this link never reconnects."""

    def on_disconnected(self, handler: Handler) -> None:
        """This link never breaks."""

    async def emit_message(self, data: bytes) -> None:
        """Send one frame into the hub, and wait until its receivers have room for more.

        Who sends to others meanwhile does not wait: a reader that does not read holds nobody else up.
        How long one may hold its senders up is bounded by `Flow`.
        """
        client = self.client
        if client is None or client.ended:
            raise ConnectionError("The server is stopping.")
        client.last_received = self.hub.time()
        self.hub.route(client, data)
        if client.paused_by:
            to = _target(data, self.workspace)
            while not client.ended and any(_is_receiver(full, to) for full in client.paused_by):
                await self._released.wait()

    async def disconnect(self, reason: str | None = None) -> None:
        """Leave the hub."""
        if self.client is not None:
            self.hub.end(self.client, reason or "disconnected")

    # -- the hub's side

    def send_frame(self, frame: Sealed) -> None:
        """Hand a frame to the library in the next turn of the loop."""
        self._hand_over(bytes(payload(frame)))

    def _hand_over(self, frame: bytes) -> None:
        if self._on_message is None:
            self._waiting.append(frame)
        else:
            self.hub.clock.call_soon(self._call_handler, frame)

    def _call_handler(self, frame: bytes) -> None:
        if self._on_message is None:
            return
        try:
            result = self._on_message(frame)
        except Exception:
            logger.exception("A startup service failed to take a message")
            return
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result)
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.warning("A startup service failed to take a message: %s", task.exception())

    def send_control(self, message: dict[str, Any]) -> None:
        """Control messages mean nothing here."""

    def send_ping(self, payload: bytes) -> None:
        """Nothing can be lost on this link."""

    def close(self, code: int, reason: str) -> None:
        """Stop handing over frames; nobody waits any more."""
        self._on_message = None
        self.resume_reading()

    def abort(self) -> None:
        """As `close`."""
        self.close(1006, "")

    def pause_reading(self) -> None:
        """Seen by `emit_message` in `paused_by`, which names the receivers that are full."""

    def resume_reading(self) -> None:
        """One receiver has room again: let `emit_message` look whether it is the one."""
        released, self._released = self._released, asyncio.Event()
        released.set()

    def buffered_bytes(self) -> int:
        """Frames are handed over at once."""
        return 0


def _target(data: bytes, workspace: str) -> str:
    """The address to which a frame goes; `workspace/*` for all clients of a workspace."""
    try:
        to = str(EnvelopeParser().parse(data)[0].get("to"))
    except MalformedFrame:
        return ""  # it went nowhere
    return to if "/" in to else f"{workspace}/{to}"


def _is_receiver(client: Client, to: str) -> bool:
    return client.address == to or to == f"{client.workspace}/*"
