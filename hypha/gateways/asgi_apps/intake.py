"""What the visitor of an application sends, read one part ahead of it, and counted while it waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from starlette.types import Message

from hypha.errors import HyphaError, LimitReached
from hypha.gateways.asgi_apps.mount import Mount
from hypha.limits import Claim, Party, WaitingBytes
from hypha.web.scope import COUNTING
from hypha.web.unread import TOO_MUCH, UNCOUNTED_BYTES, size_of

Count = Callable[[WaitingBytes, Party, Callable[[int, str], None]], Callable[[], None]]
"""`AppSocket.count`."""
ABNORMAL = 1006
"""What a WebSocket that ended without a word is said to have ended with."""
RETRY_AFTER_S = 2.0


class Intake:
    """Reads the request one part ahead of the application, so that a client that leaves is noticed."""

    def __init__(self, mount: Mount) -> None:
        self._receive = mount.receive
        self._kind: str = mount.scope["type"]
        self._part: asyncio.Queue[Message] = asyncio.Queue(1)
        self._left = mount.send.left
        self._claim: Claim | None = None
        self._count: Count | None = mount.scope.get(COUNTING)
        self._drop: Callable[[], None] | None = None
        self.closing: tuple[int, str] = (ABNORMAL, "")
        self.failed = asyncio.Event()
        self.failure: HyphaError | None = None

    @contextlib.contextmanager
    def counting(self, account: WaitingBytes, party: Party) -> Iterator[None]:
        """Count what waits here for the visitor, who pays for it."""
        claim = self._claim = account.claim(party, self._give_up)
        if self._count is not None:
            self._drop = self._count(account, party, self._end)
        try:
            yield
        finally:
            self._claim = None
            claim.close()

    async def run(self) -> None:
        """Read until the client has left, or sends its body too slowly or too much of it."""
        while self.failure is None:
            try:
                message = await self._receive()
                self._keep(size_of(message))
            except HyphaError as error:
                self._fail(error)
                return
            if message["type"].endswith(".disconnect"):
                self.closing = _closing(message)
                self._left.set()
                return
            await self._part.put(message)

    @contextlib.contextmanager
    def keeping(self, message: Message) -> Iterator[None]:
        """Count something else that waits, for so long.

        Raises:
            LimitReached: too much waits already; the request ends.
        """
        size = size_of(message)
        try:
            self._keep(size)
        except LimitReached as error:
            self._fail(error)
            raise
        try:
            yield
        finally:
            self._give_back(size)

    def farewell(self) -> Message:
        """How an application is told that nothing follows, and how its WebSocket was closed."""
        if self._kind == "http":
            return {"type": "http.disconnect"}
        code, reason = self.closing
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def take(self, finished: asyncio.Event) -> Message | None:
        """The next part; None when the client has left or the answer is complete."""
        message = await self._next(finished)
        if message is not None:
            self._give_back(size_of(message))
        return message

    async def _next(self, finished: asyncio.Event) -> Message | None:
        if not self._part.empty():
            return self._part.get_nowait()
        waits = [
            asyncio.create_task(self._part.get()),
            asyncio.create_task(self._left.wait()),
            asyncio.create_task(self.failed.wait()),
            asyncio.create_task(finished.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            part = waits[0]
            return part.result() if part.done() else None  # type: ignore[return-value]
        finally:
            for wait in waits:
                wait.cancel()

    def _keep(self, size: int) -> None:
        if size > UNCOUNTED_BYTES and self._claim is not None and not self._claim.take(size):
            raise _too_much()

    def _give_back(self, size: int) -> None:
        if size > UNCOUNTED_BYTES and self._claim is not None:
            self._claim.give_back(size)

    def _end(self, code: int, reason: str) -> None:
        """The server has ended the WebSocket: nothing that came is taken any more."""
        self._forget()
        self.closing = code, reason
        self._left.set()

    def _give_up(self) -> None:
        """Others need the room of what waits here."""
        self._forget()
        self._fail(_too_much())

    def _forget(self) -> None:
        while not self._part.empty():
            self._give_back(size_of(self._part.get_nowait()))

    def _fail(self, error: HyphaError) -> None:
        if self.failure is None:
            self.failure = error
        self.failed.set()
        if self._drop is not None:  # who does not read hears of no ending else
            self._drop()


def _too_much() -> LimitReached:
    return LimitReached(TOO_MUCH, retry_after_s=RETRY_AFTER_S)


def _closing(message: Message) -> tuple[int, str]:
    """Code and reason with which a client left; uvicorn says 1005 without a reason where no frame did."""
    code = message.get("code", ABNORMAL)
    is_silent = code == 1005 and "reason" not in message
    return (ABNORMAL if is_silent else code), message.get("reason") or ""
