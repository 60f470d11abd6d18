"""A client of the client library that lives in the server's own process, and its link without a socket.

Startup functions get a server object made by the client library; its connection is this one. To the hub it
is a client like any other, with the identity that the server gives it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from hypha.background import Tasks
from hypha.errors import MalformedFrame
from hypha.hub.connection import LinkKind
from hypha.wire.frames import EnvelopeParser, Frame, payload

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.clock import Clock
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub

logger = logging.getLogger(__name__)

Handler = Callable[[Any], Any]


class LocalLink:
    """The hub's side: frames for the client are handed to the library in the next turn of the loop."""

    kind = LinkKind.INNER
    farewell_s: float | None = None
    acknowledges = False
    peer_address = ""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._handler: Handler | None = None
        """What the library does with a frame; None before it listens, and after the end."""
        self._early: list[bytes] = []
        """Frames that came before it listened."""
        self._handling = Tasks()
        """Frames that the library is at work on."""
        self._released = asyncio.Event()
        """Set, and replaced by a new one, whenever a receiver has room again that this client filled."""

    def listen(self, handler: Handler) -> None:
        """Call `handler` with each binary frame from now on, and with those that came before."""
        self._handler = handler
        early, self._early = self._early, []
        for frame in early:
            self._hand_over(frame)

    async def has_room(self) -> None:
        """Wait until one of the receivers has room again because of which nothing may be sent."""
        await self._released.wait()

    def send_frame(self, frame: Frame) -> None:
        """Hand over a frame."""
        self._hand_over(bytes(payload(frame)))

    def _hand_over(self, frame: bytes) -> None:
        if self._handler is None:
            self._early.append(frame)
        else:
            self._clock.call_soon(self._call_handler, frame)

    def _call_handler(self, frame: bytes) -> None:
        if self._handler is None:
            return
        try:
            result = self._handler(frame)
        except Exception:
            logger.exception("A startup service failed to take a message")
            return
        if inspect.isawaitable(result):
            self._handling.start(_finish(result))

    def send_control(self, message: dict[str, Any]) -> None:
        """Control messages mean nothing here."""

    def send_ping(self, payload: bytes) -> None:
        """Nothing can be lost on this link."""

    def close(self, code: int, reason: str) -> None:
        """Hand over no more frames; whoever waits for room goes on."""
        self._handler = None
        self.resume_reading()

    def abort(self) -> None:
        """As `close`."""
        self.close(1006, "")

    def pause_reading(self) -> None:
        """The client's `paused_by` names the receivers that are full: `emit_message` looks there."""

    def resume_reading(self) -> None:
        """One receiver has room again: let `emit_message` look whether it is the one."""
        released, self._released = self._released, asyncio.Event()
        released.set()

    def buffered_bytes(self) -> int:
        """Frames are handed over at once."""
        return 0


class LocalConnection:
    """The client library's side, with what its own connections have; made with `open`."""

    def __init__(self, hub: Hub, link: LocalLink, client: Client, info: dict[str, Any]) -> None:
        self.client = client
        self.connection_info = info
        """What other clients get in the message of that name."""
        self.workspace = client.workspace
        self.client_id = client.client_id
        self.manager_id = hub.manager_id
        self._hub = hub
        self._link = link

    @classmethod
    def open(
        cls, hub: Hub, workspace: str, client_id: str, user: User, facts: dict[str, Any]
    ) -> LocalConnection:
        """Join the hub as `workspace/client_id` with an identity chosen by the server.

        Args:
            facts: the part of `connection_info` that is the same for everybody.
        """
        link = LocalLink(hub.clock)
        client = hub.join(workspace, client_id, user, None, link)
        hub.resume.open(client)
        own = {"workspace": workspace, "client_id": client_id, "user": user.to_wire()}
        return cls(hub, link, client, {**facts, **own})

    def on_message(self, handler: Handler) -> None:
        """Call `handler` with each binary frame."""
        self._link.listen(handler)

    def on_connected(self, handler: Callable[[Any], Awaitable[Any]]) -> None:
        """The library registers its services by itself; this link never reconnects."""

    def on_disconnected(self, handler: Handler) -> None:
        """This link never breaks."""

    async def emit_message(self, data: bytes) -> None:
        """Send one frame into the hub, and wait until its receivers have room for more.

        Who sends to others meanwhile does not wait: a reader that does not read holds up no other.
        How long one may hold its senders up is bounded by `Flow`.

        Raises:
            ConnectionError: the client has ended, as all do when the server stops.
        """
        client = self.client
        if client.ended:
            raise ConnectionError("The server is stopping.")
        client.last_received = self._hub.time()
        self._hub.route(client, data)
        if client.paused_by:
            to = _target(data, self.workspace)
            while not client.ended and any(_is_receiver(full, to) for full in client.paused_by):
                await self._link.has_room()

    async def disconnect(self, reason: str | None = None) -> None:
        """Leave the hub."""
        self._hub.end(self.client, reason or "disconnected")


async def _finish(handling: Awaitable[Any]) -> None:
    try:
        await handling
    except Exception as error:
        logger.warning("A startup service failed to take a message: %s", error)


def _target(data: bytes, workspace: str) -> str:
    """The address to which a frame goes; `workspace/*` for all clients of a workspace."""
    try:
        to = str(EnvelopeParser().parse(data)[0].get("to"))
    except MalformedFrame:
        return ""  # it went nowhere
    return to if "/" in to else f"{workspace}/{to}"


def _is_receiver(client: Client, to: str) -> bool:
    return client.address == to or to == f"{client.workspace}/*"
