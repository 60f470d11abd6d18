"""Hands the upgrade of `/ws` from uvicorn's HTTP protocol to picows, on the same socket.

picows' protocol class is not part of its public names, so its version is pinned and this module
is tested against it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]

from hypha.transports.app_socket import AppSocket
from hypha.transports.deadlines import BUSY, DeadlineProtocol
from hypha.transports.grammar import WARN_EACH_S, Seldom
from hypha.transports.ratelimit import FrameRate
from hypha.transports.reception import Reception
from hypha.transports.websocket import WebSocketLink
from hypha.wire.frames import MAX_FRAME_BYTES

logger = logging.getLogger(__name__)

_SLICE_BYTES = 1024 * 1024
_SMALL_SLICE_BYTES = 16 * 1024
_FLOOD_SLICE_BYTES = 4 * 1024
_CALLS_SLICE_BYTES = 2 * 1024
"""Calls to the server itself cost more than frames that are passed on."""
_SMALL_CALL_BYTES = 192 * 1024
_FRAGMENTS_SLICE_BYTES = 128 * 1024
"""What is kept costs more than what is passed on: new memory."""
_SMALL_MESSAGE_BYTES = 2048
_GATHER_FROM_BYTES = 2048
"""A smaller read holds a frame or two, whose writes are not worth gathering."""
_READ_BUFFER_BYTES = 4096
_STRANGER_SLICE_BYTES = 64 * 1024
_STRANGER_READS = 64
_UPGRADE_TIMEOUT_S = 10.0
_HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: %b\r\n\r\n"
)
"""What picows is given of a checked request: it takes no large heads and no lists."""


class _PicowsLog(logging.LoggerAdapter[logging.Logger]):
    """picows' log lines; a peer that breaks the protocol is closed and is no error of the server."""

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log an error, unless it is the peer's."""
        level = logging.DEBUG if str(msg).startswith("WS parser error") else logging.ERROR
        self.log(level, msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """The coming and going of peers."""


_LOG = _PicowsLog(logging.getLogger(__name__), {})


class HubSocket(WSProtocol):  # type: ignore[misc]
    """picows' protocol, known to uvicorn so that it takes part in its graceful stop."""

    def __init__(
        self, link: WebSocketLink, connections: set[Any], max_frame_bytes: int = MAX_FRAME_BYTES
    ) -> None:
        super().__init__(
            None, None, False, lambda _request: link, _LOG, True,
            _UPGRADE_TIMEOUT_S, False, None, None, WSAutoPingStrategy.PING_WHEN_IDLE, False,
            max_frame_bytes, None, _READ_BUFFER_BYTES,
        )  # fmt: skip
        self._link = link
        self._connections = connections
        self._strangers_reads = 1
        """Reads before the handshake has ended; 0 from then on."""
        self._slice_bytes = _SMALL_SLICE_BYTES
        """After how many bytes the others have their turn; it follows what the client sends."""
        self._asked_bytes = 0
        """How much the last read could bring."""
        self._turn_bytes = self._turn_frames = 0
        """What the reads of this turn brought, as far as the socket has not run dry."""
        self._raw: Any = None
        """uvloop's transport; None before `connection_made`."""
        connections.add(self)

    def connection_made(self, transport: Any) -> None:
        """The socket is ours from now on."""
        self._raw = transport
        super().connection_made(transport)

    def get_buffer(self, size_hint: int) -> memoryview:
        """Read in bounded slices, so that one sender's burst does not hold up the others.

        Before the handshake has ended little may come at all.
        """
        buffer: memoryview = super().get_buffer(size_hint)
        limit = self._slice_bytes
        if self._strangers_reads:
            if self._link.client is None:
                limit = _STRANGER_SLICE_BYTES
                self._count_strangers_read()
            else:
                self._strangers_reads = 0
        if len(buffer) > limit:
            buffer = buffer[:limit]
        self._asked_bytes = len(buffer)
        return buffer

    def _count_strangers_read(self) -> None:
        self._strangers_reads += 1
        if self._strangers_reads == _STRANGER_READS:
            self._link.hub.clock.call_soon(self._link.abort)  # not inside the read itself

    def buffer_updated(self, nbytes: int) -> None:
        """Handle what was read; after a full slice let the others have their turn first.

        libuv would read on from the same socket up to 32 times. A slice takes about a millisecond: it is
        large for large messages, and smallest for a sender of small ones that never pauses. What a larger
        read makes for one receiver is written together.
        """
        if nbytes < self._slice_bytes <= _FLOOD_SLICE_BYTES:
            self._slice_bytes = _SMALL_SLICE_BYTES
        if nbytes < _GATHER_FROM_BYTES:
            super().buffer_updated(nbytes)
            return
        link = self._link
        gather, traffic = link.reception.gather, link.hub.traffic
        before, before_to_server = traffic.frames, traffic.to_server
        gather.is_on = True
        try:
            super().buffer_updated(nbytes)
        finally:
            gather.flush()
        self._take_turns(nbytes, traffic.frames - before, traffic.to_server - before_to_server)

    def _take_turns(self, nbytes: int, frames: int, to_server: int) -> None:
        """After a full slice, in one read or several of one turn, read nothing more until the next."""
        if nbytes < self._asked_bytes:
            self._turn_bytes = self._turn_frames = 0  # libuv reads on only after a full read
            return
        link = self._link
        self._turn_bytes += nbytes
        self._turn_frames += frames
        if link.fragments is not None:
            self._slice_bytes = _FRAGMENTS_SLICE_BYTES
        elif self._turn_bytes >= self._slice_bytes and link.client is not None:
            is_small = self._turn_frames * _SMALL_MESSAGE_BYTES > self._turn_bytes
            if 2 * to_server > frames and self._turn_frames * _SMALL_CALL_BYTES > self._turn_bytes:
                self._slice_bytes = _CALLS_SLICE_BYTES
            else:
                self._slice_bytes = _FLOOD_SLICE_BYTES if is_small else _SLICE_BYTES
        else:
            return
        self._turn_bytes = self._turn_frames = 0
        link.pause_reading()
        link.hub.clock.call_soon(link.resume_reading)

    def eof_received(self) -> bool:
        """The peer hung up: close in turn."""
        self._link.reception.departures.add(self._raw, self._link.hub.clock)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave uvicorn's set of connections."""
        self._connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """uvicorn stops: say goodbye with 1001, so that the client comes back at once."""
        self._link.retire()


class HubHttpProtocol(DeadlineProtocol):
    """uvicorn's protocol with its deadlines, except for upgrades of the hub's path."""

    reception: ClassVar[Reception]
    """Admits links; this and the next five are the same for all connections of a server."""
    hub_path: ClassVar[str]
    """Where WebSockets of the hub are opened."""
    stream_path: ClassVar[str]
    """Where HTTP streams are."""
    new_link: ClassVar[Callable[[Any, str], WebSocketLink]]
    """Makes a link from the scope and the query of a request."""
    is_elsewhere: ClassVar[Callable[[Any], bool] | None] = None
    """Tells requests to a host on which the hub is not; None if it is on all."""
    stand_in: ClassVar[asyncio.Protocol]
    """Takes this protocol's place in the transport, so that its memory is free while the socket is open."""

    def eof_received(self) -> bool:  # type: ignore[override]
        """The peer will send nothing more: let it hear what it asked for, or close in turn.

        A client on an HTTP stream has left; it comes back on a new one.
        """
        if self.cycle is None or self.cycle.scope["path"] == self.stream_path or not self.finish_answers():
            self.reception.departures.add(self.transport, self.loop)
        return True

    def open_websocket(self, path: str, query: bytes, rest: bytes) -> None:
        """Give the socket to picows, or refuse with 503 while too many handshakes run."""
        elsewhere = type(self).is_elsewhere
        if path != self.hub_path or (elsewhere is not None and elsewhere(self.scope)):
            super().open_websocket(path, query, rest)
            taken_over = self.transport.get_protocol()
            if isinstance(taken_over, AppSocket):
                taken_over.on_lost = partial(self.sockets.closed, self)
            return
        link = type(self).new_link(self.scope, query.decode("latin-1"))
        if self.reception.is_busy_for(link.peer_address) or not self.sockets.becomes(self, link):
            self.transport.write(BUSY)
            self.transport.close()
            return
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self._end_timers()
        protocol = HubSocket(link, self.connections, self.reception.limits.frame_bytes)
        protocol.connection_made(self.transport)
        self.parser = None  # type: ignore[assignment]  # it holds this protocol, which is of no use any more
        _feed(protocol, _HANDSHAKE % self.key + rest)
        self.transport.set_protocol(self.stand_in)  # uvloop keeps what the last protocol of its kind was
        self.transport.set_protocol(protocol)

    @property
    def is_answering(self) -> bool:
        """True until the answer has left; streams and their POSTs count as little as WebSockets' frames."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return bool(self.transport.get_write_buffer_size())
        return cycle.scope["path"] != self.stream_path


def hub_http_protocol(
    reception: Reception,
    base_path: str,
    new_rate: Callable[[], FrameRate | None],
    address_of: Callable[[Any], str] = lambda scope: scope["client"][0] if scope["client"] else "",
    *,
    is_elsewhere: Callable[[Any], bool] | None = None,
    **deadlines: float,
) -> type[HubHttpProtocol]:
    """Make the HTTP protocol class for uvicorn that hands upgrades of `/ws` below a path to the hub.

    `is_elsewhere` tells requests to a host on which the hub is not.
    `deadlines` are `head_timeout_s` and `stall_timeout_s`.
    """

    def new_link(scope: Any, query: str) -> WebSocketLink:
        return WebSocketLink(reception, address_of(scope), query, new_rate())

    facts: dict[str, Any] = {
        **deadlines,
        "reception": reception,
        "sockets": reception.sockets,
        "warnings": Seldom(WARN_EACH_S),
        "stand_in": asyncio.Protocol(),
        "hub_path": f"{base_path}/ws",
        "stream_path": f"{base_path}/rpc",
        "new_link": staticmethod(new_link),
        "is_elsewhere": None if is_elsewhere is None else staticmethod(is_elsewhere),
    }
    return type("ServerHttpProtocol", (HubHttpProtocol,), facts)


def _feed(protocol: HubSocket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        buffer = protocol.get_buffer(len(view))
        count = min(len(buffer), len(view))
        buffer[:count] = view[:count]
        protocol.buffer_updated(count)
        view = view[count:]
