"""uvicorn's HTTP protocol, with a place for each socket and an end for each wait.

A head has to come within its time, an answer has to be read at some pace; who lets a connection
wait otherwise gives it up when places get scarce.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Any, ClassVar

from starlette.exceptions import HTTPException

from hypha.transports.grammar import GrammarProtocol
from hypha.transports.sockets import Sockets
from hypha.web.heads import LARGE_HEAD, MAX_HEAD_BYTES

UNSENT_BYTES = 1024 * 1024
"""The kernel takes so much more than it can send now, and more as soon as some of it is sent. Without
this it takes more only when a third of its buffer is free, and until then a slow reader seems not to read."""
LEAST_READ_BYTES_PER_S = 1024
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_SIOCOUTQ = 0x5411
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain\r\n"
    b"content-length: 25\r\nconnection: close\r\n\r\nServer busy, please retry"
)


class DeadlineProtocol(GrammarProtocol):
    """The protocol with bounded request heads and answers that are read."""

    sockets: ClassVar[Sockets]
    """Where it takes its place; this and the next two are the same for all connections of a server."""
    head_timeout_s: ClassVar[float] = 20.0
    """How long the head of a request may take to come."""
    stall_timeout_s: ClassVar[float] = 30.0
    """How often it is looked whether the client reads its answer at some pace."""
    _head_bytes = 0
    """What came since the last request began, as long as its head is open."""
    _head_is_open = True
    """True until the head of the present request is complete, and before the first."""
    _head_timer: Any = None
    """Closes the connection unless a head comes; None while a request is answered."""
    _stall_timer: Any = None
    """Looks whether the client reads; None while it keeps up."""

    def connection_made(self, transport: Any) -> None:
        """Take a place, and give the first request's head a deadline."""
        super().connection_made(transport)
        if _NOTSENT_LOWAT is not None:
            with contextlib.suppress(OSError):  # not TCP
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)
        if self.sockets.opened(self, self.client[0] if self.client else ""):
            self._await_head()
        else:
            transport.write(BUSY)
            transport.close()

    def evict(self) -> None:
        """A newcomer needs the place."""
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines and give the place back."""
        self.sockets.closed(self)
        self._end_timers()
        self._unset_keepalive_if_required()  # uvicorn does so only after an orderly end
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_is_open, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        self._head_is_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self.sockets.places.busy(self)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """An answer is complete."""
        super().on_response_complete()
        if self.cycle is None or self.cycle.response_complete:
            self.sockets.places.idle(self)

    def data_received(self, data: bytes) -> None:
        """Parse; a head without end is refused, and what comes between requests gives no more time."""
        super().data_received(data)
        if self._head_is_open:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.refuse(HTTPException(431, LARGE_HEAD))
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            if self.transport.get_protocol() is self:  # nobody has taken the socket over
                self._await_head()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        super().pause_writing()
        if self._stall_timer is None:
            self._watch_reading(self._unread_bytes())

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _watch_reading(self, unread: int) -> None:
        self._stall_timer = self.loop.call_later(self.stall_timeout_s, self._check_reading, unread)

    def _check_reading(self, before: int) -> None:
        """End a connection whose client has hardly read anything since; it holds memory and a task."""
        unread = self._unread_bytes()
        if before - unread < LEAST_READ_BYTES_PER_S * self.stall_timeout_s:
            self._stall_timer = None
            self.transport.abort()
        else:
            self._watch_reading(unread)

    def _unread_bytes(self) -> int:
        """What is on its way to the client: here, and in the kernel where that can be seen."""
        waiting = int(self.transport.get_write_buffer_size())
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError, TypeError, AttributeError):
                descriptor = self.transport.get_extra_info("socket").fileno()
                waiting += int.from_bytes(fcntl.ioctl(descriptor, _SIOCOUTQ, bytes(4)), sys.byteorder)
        return waiting

    def _end_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = None
