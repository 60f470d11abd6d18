"""WebSockets that are not the hub's: those of applications that clients serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from hypha.limits import Claim, Party, WaitingBytes
from hypha.transports.roundtrip import has_hung_up
from hypha.web.scope import COUNTING
from hypha.web.unread import MESSAGE_BYTES, TOO_MUCH, UNCOUNTED_BYTES, Unread

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

Gone = Callable[[int, str], None]
"""Takes the code and reason with which a socket was ended by the server."""

SLICE_BYTES = 16 * 1024
"""So much is looked at in one turn of the event loop: it may hold some thousands of frames."""
TRY_LATER = 1013
GOING_AWAY = 1001
STUCK_S = 10.0
"""How long messages of a visitor who has hung up wait for an application that takes none."""
PARTING_S = 2.0
"""How long a socket that was given up may take to read why."""


class AppSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which says when its socket is gone, and counts what it keeps for the slower side.

    Nothing that comes before the socket is accepted is looked at. From then on all counts that has come and
    was not taken by the application, whole messages or not, and what the visitor has not read.
    """

    on_lost: Callable[[], None] | None = None
    """Gives back the socket's place; set by who hands the socket over."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.queue: Unread = Unread()  # type: ignore[assignment]  # of messages as uvicorn's is
        self._rest = b""
        """Read of the socket, not looked at."""
        self._fragments = 0
        """What the parts of an unfinished message take."""
        self._unsent = 0
        """What is written, and waits for the visitor."""
        self._claim: Claim | None = None
        self._gone: Gone | None = None
        self._taken = 0
        """How many messages the application has taken."""
        self._watch: asyncio.TimerHandle | None = None
        self._is_given_up = self._goes_on = False

    def count(self, account: WaitingBytes, party: Party, gone: Gone) -> Callable[[], None]:
        """From now on what this socket keeps counts for a visitor; `gone` hears of the end by the server.

        Returns what closes it where there is no room for more.
        """
        self._claim, self._gone = account.claim(party, self.give_up), gone
        self._count()
        return self.give_up

    def handle_connect(self, event: Any) -> None:
        """A head is complete: who answers finds there how to count."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope[COUNTING] = self.count  # type: ignore[literal-required]

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)
        self._forget()
        self._end(is_over=self.queue.is_closed)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Nobody takes messages any more."""
        super().on_task_complete(task)
        self.queue.close()
        self._end(is_over=self not in self.connections)

    # -- from the visitor

    def data_received(self, data: bytes) -> None:
        """Take what was read: little at once, nothing while a message waits or before the answer."""
        if self._is_given_up:
            return
        if not (self._rest or self._is_early) and len(data) <= SLICE_BYTES:
            super().data_received(data)
        else:
            self._rest += data
            self.transport.pause_reading()
            self._go_on()
        self._count()

    @property
    def _is_early(self) -> bool:
        return self.handshake_initiated and not self.handshake_complete

    def _go_on(self) -> None:
        """Look at what was read, or read on, in the next turn; not while a message waits."""
        if not (self._goes_on or self.read_paused or self._is_early):
            self._goes_on = True
            self.loop.call_soon(self._look_at_rest)

    def _look_at_rest(self) -> None:
        self._goes_on = False
        if self.read_paused or self._is_given_up:
            return
        part, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
        if part:
            super().data_received(part)
        if self.conn.parser_exc is not None:
            self._rest = b""
        elif self._rest:
            self._go_on()
        elif not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()
        self._count()

    def handle_cont(self, event: Frame) -> None:
        """A further part of a message."""
        self._fragments += len(event.data) + MESSAGE_BYTES
        super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        """The first part of a text, or all of it."""
        self._fragments = len(event.data) + MESSAGE_BYTES
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """The first part of a message of bytes, or all of it."""
        self._fragments = len(event.data) + MESSAGE_BYTES
        super().handle_bytes(event)

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        super().send_receive_event_to_app()
        self._fragments = 0

    async def receive(self) -> ASGIReceiveEvent:
        """The next message, for the application."""
        message = await self.queue.get()
        self._taken += 1
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._go_on()
        self._count()
        return message  # type: ignore[return-value]

    # -- to the visitor

    async def send(self, message: ASGISendEvent) -> None:
        """Pass on what the application sends."""
        was_early = self._is_early
        await super().send(message)
        if not self.writable.is_set():
            self._unsent = self.transport.get_write_buffer_size()
            self._count()
        if self._rest and (was_early or self.close_sent):
            self._go_on()

    def resume_writing(self) -> None:
        """The visitor has read most of what was written."""
        super().resume_writing()
        self._unsent = 0
        self._count()

    # -- the account

    def _count(self) -> None:
        claim = self._claim
        if claim is None:
            return
        size = len(self._rest) + len(self.conn.reader.buffer) + self._fragments + self.queue.size
        size += self._unsent
        if size <= UNCOUNTED_BYTES:
            size = 0
        if size != claim.size and not claim.become(size):
            self.give_up()
        elif size and self._watch is None:
            self._watch = self.loop.call_later(STUCK_S, self._look_after, self._taken)

    def _look_after(self, taken: int) -> None:
        """While messages wait nothing is read, so that nobody sees a visitor leave: look."""
        self._watch = None
        if self._taken == taken and has_hung_up(self.transport.get_extra_info("socket")):
            self._drop(GOING_AWAY, "")
        else:
            self._count()

    def give_up(self) -> None:
        """Close it: there is no room for what it keeps."""
        self._drop(TRY_LATER, TOO_MUCH)

    def _drop(self, code: int, reason: str) -> None:
        if self._is_given_up:
            return
        self._is_given_up = True
        if self._gone is not None:
            self._gone(code, reason)
        is_open = self.handshake_complete and not (self.close_sent or self.transport.is_closing())
        self.queue.clear()
        self._forget()
        self._end(is_over=True)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if not is_open:
            self.transport.abort()
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.transport.resume_reading()  # what still comes is dropped, so that the visitor can read on
        self.close_timer = self.loop.call_later(PARTING_S, self.transport.abort)

    def _forget(self) -> None:
        """Keep nothing that has not come whole."""
        self._rest, self.frames, self._fragments, self._unsent = b"", [], 0, 0
        self.conn.reader.buffer.clear()

    def _end(self, *, is_over: bool) -> None:
        """The socket or its application is gone; when both are, nothing counts."""
        self._count()
        if is_over and self._claim is not None:
            self._claim.close()
            self._claim = self._gone = None
            if self._watch is not None:
                self._watch.cancel()
