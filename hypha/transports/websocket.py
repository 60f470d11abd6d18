"""A WebSocket link on picows: plain callbacks, no task per message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from hypha.clock import Timer
from hypha.hub.connection import LinkKind
from hypha.hub.flow import HIGH_WATER_BYTES, LOW_WATER_BYTES
from hypha.transports.fragments import Fragments
from hypha.transports.gather import GATHER_BYTES, framed
from hypha.transports.handshake import is_obsolete, refuse_late, refuse_not_text, shake_hands
from hypha.transports.link import Link
from hypha.transports.reception import BUSY
from hypha.transports.roundtrip import tcp_round_trip_s
from hypha.wire.frames import HEADROOM, Frame
from hypha.wire.handshake import close_reason, control, parse_control

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.transports.ratelimit import FrameRate
    from hypha.transports.reception import Reception

_BINARY, _TEXT, _PING, _PONG = WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG
_CLOSE, _CONTINUATION = WSMsgType.CLOSE, WSMsgType.CONTINUATION
_VIEW_BYTES = 8000
MAX_EARLY_FRAMES = 64
MAX_EARLY_BYTES = 1024 * 1024
ABNORMAL = 1006
NO_STATUS = 1005
GOODBYE = "Server is shutting down"
RETIRE_GRACE_S = 1.0


class WebSocketLink(Link, WSListener):
    """One WebSocket of a client, from upgrade to close."""

    kind = LinkKind.WEBSOCKET
    acknowledges = True

    def __init__(self, reception: Reception, peer_address: str, query: str, rate: FrameRate | None) -> None:
        super().__init__(reception, peer_address, rate)
        self._query = query
        self._transport: Any = None
        """picows' transport; None before the upgrade is done."""
        self._timer: Timer | None = None
        """Refuses a client that sends no first message; None before the upgrade and after the handshake."""
        self._task: asyncio.Task[None] | None = None
        """Admits the client; None before its first message and after the handshake."""
        self._early: list[bytes] = []
        """Binary frames that came during the handshake."""
        self.fragments: Fragments | None = None
        """The message that comes in several frames, while there is one."""
        self._is_behind = False
        """Whether the socket has more to write than its high mark; set by the event loop."""
        self._pauses = 0
        """How many calls of `pause_reading` have yet to be taken back."""
        self._close_code = ABNORMAL
        """How the link ended: of the last close frame, from either side."""
        self._counted = False
        """While it has a place among the handshakes."""
        self._retiring = False
        """The server stops: close as soon as the handshake has ended."""
        self._gather = reception.gather
        self._queue: list[Frame] = []
        """Frames that are kept back to be written together."""
        self._queued_bytes = 0
        """Their size."""

    # -- picows callbacks

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done: wait for the first message."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
        self._counted = True
        if not self.reception.enter(self, silent=True):
            self.close(1013, BUSY)
            return
        if is_obsolete(self, self._query):
            return
        timeout_s = self.reception.limits.handshake_timeout_s
        self._timer = self.hub.clock.call_later(timeout_s, self._refuse_late)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Route a binary frame; everything else is rare and handled elsewhere.

        This is `take_frame` written out, because one call more per frame can be measured.
        """
        client = self.client
        if (
            client is not None
            and frame.msg_type is _BINARY
            and frame.fin
            and self.fragments is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            client.last_received = self.hub.time()
            if not client.is_open and client.connection is self:
                self.hub.resume.open(client)
            if frame.payload_size < _VIEW_BYTES:
                self.hub.route(client, frame.get_payload_as_bytes())
            else:
                self.hub.route(client, frame.get_payload_as_memoryview())
            if self.rate is not None:
                self.rate.spend(self, frame.payload_size)
            return
        self._on_other_frame(client, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone: hold the client."""
        self._finish_handshake()
        self.reception.gone(self)
        if self._task is not None:
            self._task.cancel()
        client = self.client
        if client is not None:
            self.hub.resume.lost(client, self, self._close_code)
        self._early.clear()
        self._drop_fragments()
        self._queue, self._queued_bytes = [], 0

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._is_behind = True
        self._check_full()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_behind = False
        if self.client is not None and self.client.connection is self:
            self.hub.flow.drained(self.client)

    def _check_full(self) -> None:
        """Tell the hub each time that the mark is passed; the event loop tells it only once.

        uvloop says `resume_writing` when a whole batch is written, long after the hub may have
        seen the buffer shrink and let the senders go on.
        """
        client = self.client
        if client is not None and client.connection is self and self.buffered_bytes() > HIGH_WATER_BYTES:
            self.hub.flow.choke(client)

    # -- frames other than whole binary ones

    def _on_other_frame(self, client: Client | None, frame: WSFrame) -> None:
        kind = frame.msg_type
        self.hub.traffic.frames += 1
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(1002, "A reserved bit is set, and no extension is in use")
        elif kind is _PONG:
            if client is not None and client.connection is self:
                client.last_alive = self.hub.time()
                self.hub.acknowledgement.pong(client, frame.get_payload_as_bytes())
        elif kind is _PING:
            self.flush()
            self._transport.send_pong(frame.get_payload_as_bytes())
            if self._is_behind and client is not None:
                self._check_full()
                self.pause_if_full(client)
        elif kind is _CLOSE:
            self._on_close(frame)
        elif kind is _CONTINUATION or not frame.fin or self.fragments is not None:
            self._on_fragment(kind, frame)
        elif kind is _BINARY or kind is _TEXT:
            self._on_message(kind, frame.get_payload_as_bytes())

    def _on_close(self, frame: WSFrame) -> None:
        code = int.from_bytes(frame.get_payload_as_bytes()[:2]) if frame.payload_size else None
        if code is not None and not _is_close_code(code):
            self.close(1002, f"{code} is no code for closing")
            return
        self._close_code = code or NO_STATUS
        self.farewell_s = tcp_round_trip_s(self._transport.underlying_transport.get_extra_info("socket"))
        self.flush()
        self._transport.send_close(code or 1000, b"")
        self._transport.disconnect()

    def _on_fragment(self, kind: Any, frame: WSFrame) -> None:
        if kind is not _CONTINUATION and self.fragments is None:
            self.fragments = Fragments(kind)
        elif kind is not _CONTINUATION:
            self._drop_fragments()
            self.close(1002, "A message begins within another")
            return
        fragments = self.fragments
        if fragments is None:
            self.close(1002, "Continuation without a beginning")
            return
        fragments.add(frame.get_payload_as_bytes())
        if fragments.size > self.reception.limits.frame_bytes:
            self._drop_fragments()
            self.close(1009, "Message too large")
        elif frame.fin:
            self.fragments = None
            self._on_message(fragments.kind, fragments.whole())

    def _drop_fragments(self) -> None:
        if self.fragments is not None:
            self.hub.leftovers.add(self.fragments.blocks)
            self.fragments = None

    def _on_message(self, kind: Any, data: bytes) -> None:
        client = self.client
        if kind is _TEXT and not _is_text(data):
            self.close(1007, "A text message is not UTF-8")
        elif client is None:
            self._on_first(kind, data)
        elif kind is _BINARY:
            self.take_frame(client, data)
        else:
            self.take_control(client, parse_control(data.decode()))

    # -- handshake

    def _on_first(self, kind: Any, data: bytes) -> None:
        if self._task is not None:
            self._keep_early(kind, data)
        elif kind is not _TEXT:
            refuse_not_text(self)
        elif self._timer is not None:
            self.reception.newcomers.busy(self)
            self._task = asyncio.get_running_loop().create_task(self._shake_hands(data))

    def _keep_early(self, kind: Any, data: bytes) -> None:
        """A client may send before it has `connection_info`; its frames are handled after it."""
        if kind is not _BINARY:
            return
        self._early.append(data)
        if len(self._early) > MAX_EARLY_FRAMES or sum(map(len, self._early)) > MAX_EARLY_BYTES:
            self.close(1008, "Too many messages before the handshake has ended")

    async def _shake_hands(self, data: bytes) -> None:
        try:
            if not await shake_hands(self, data):
                return
        finally:
            self._task = None
        self._finish_handshake()
        early, self._early = self._early, []
        for frame in early:
            self._on_message(_BINARY, frame)
        if self._retiring:
            self.close(1001, GOODBYE)

    def retire(self) -> None:
        """The server stops: close with 1001, but never between the upgrade and `connection_info`.

        The JavaScript client would give up for good (docs/spec/wire-protocol.md#libraries).
        """
        if self.client is None and self._counted:
            self._retiring = True
            self.hub.clock.call_later(RETIRE_GRACE_S, self.close, 1001, GOODBYE)
        else:
            self.close(1001, GOODBYE)

    def _finish_handshake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._counted:
            self._counted = False
            self.reception.leave(self)

    def _refuse_late(self) -> None:
        if self._task is None:
            refuse_late(self)

    # -- what the hub asks for

    def send_frame(self, frame: Frame) -> None:
        """Write one binary frame; those of one read callback are written together."""
        if self._gather.is_on:
            self._enqueue(frame)
            return
        if type(frame) is bytearray:
            self._transport.send_reuse_external_bytearray(_BINARY, frame, HEADROOM)
        else:
            self._transport.send(_BINARY, frame)
        if self._is_behind:
            self._check_full()

    def _enqueue(self, frame: Frame) -> None:
        if not self._queue:
            self._gather.links.append(self)
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if self._queued_bytes > GATHER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered; who writes past the queue calls this first, to keep the order."""
        queue = self._queue
        if not queue:
            return
        self._queue, self._queued_bytes = [], 0
        transport = self._transport
        raw = transport.underlying_transport
        if not (transport.is_close_frame_sent or transport.is_disconnected or raw.is_closing()):
            raw.writelines(framed(queue))
            if self._is_behind:
                self._check_full()

    def send_control(self, message: dict[str, Any]) -> None:
        """Write one control message as JSON text."""
        self.flush()
        self._transport.send(_TEXT, control(message))
        if self._is_behind:
            self._check_full()

    def send_ping(self, payload: bytes) -> None:
        """Ask for a PONG."""
        self.flush()
        self._transport.send_ping(payload)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the socket once it is flushed."""
        self._finish_handshake()
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return
        self.flush()
        transport.send_close(code, close_reason(reason))
        self._close_code = code
        transport.disconnect()

    def abort(self) -> None:
        """End the socket at once."""
        if self._transport is not None:
            self._transport.disconnect(False)

    def pause_reading(self) -> None:
        """Read nothing more until as many calls of `resume_reading`."""
        self._pauses += 1
        if self._pauses == 1 and not self._transport.is_disconnected:
            self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        """Take back one `pause_reading`."""
        self._pauses -= 1
        if self._pauses == 0 and not self._transport.is_disconnected:
            self._transport.underlying_transport.resume_reading()

    def buffered_bytes(self) -> int:
        """Bytes that the operating system hasn't taken yet."""
        return int(self._transport.underlying_transport.get_write_buffer_size()) + self._queued_bytes


def _is_close_code(code: int) -> bool:
    """True for what a close frame may hold (RFC 6455, 7.4)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
