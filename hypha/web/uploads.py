"""Bodies of requests that have begun to come: each at some pace, all within a budget of memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

from starlette.types import Message, Receive

from hypha.errors import InvalidRequest, LimitReached

if TYPE_CHECKING:
    from hypha.settings import Settings

SILENCE_S = 30.0
PART_BYTES = 64
"""What a part costs beside its bytes."""
MIB = 1024 * 1024


class Uploads:
    """How much memory unfinished bodies take, in all and of each party, and how fast they have to come.

    Args:
        limit_bytes: of all bodies. per_party_bytes: of one address or user.
        least_rate: bytes per second, on average; who is slower is refused after `patience_s`.
    """

    def __init__(
        self,
        limit_bytes: int,
        per_party_bytes: int,
        least_rate: float,
        patience_s: float,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.per_party_bytes = min(per_party_bytes, limit_bytes)
        self.least_rate = max(1.0, least_rate)
        self.patience_s = patience_s
        self.held_bytes = 0
        self._held: dict[str, dict[Upload, None]] = {}
        self._bytes: Counter[str] = Counter()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.unfinished_bodies_bytes,
            settings.unfinished_bodies_per_address_bytes,
            settings.least_body_rate,
            settings.body_patience_s,
        )

    def of(self, receive: Receive, party: str) -> Upload:
        """The body of a request of a party; `close` it when the request is over."""
        return Upload(self, receive, party)

    def held_by(self, party: str) -> int:
        """Bytes that the unfinished bodies of a party take."""
        return self._bytes[party]

    def add(self, upload: Upload, size: int) -> None:
        """A body keeps so many bytes more.

        Raises:
            LimitReached: its party has too much, or nobody has more than it.
        """
        party = upload.party
        if self._bytes[party] + size > self.per_party_bytes:
            raise _too_much(f"{self.per_party_bytes // MIB} MiB from your address or of your user")
        while self.held_bytes + size > self.limit_bytes:
            greediest = max(self._bytes, key=self._bytes.__getitem__, default=party)
            if self._bytes[greediest] <= self._bytes[party] + size:
                raise _too_much(f"{self.limit_bytes // MIB} MiB in all")
            next(iter(self._held[greediest])).give_up()
        self._held.setdefault(party, {})[upload] = None
        upload.kept += size
        self._bytes[party] += size
        self.held_bytes += size

    def release(self, upload: Upload) -> None:
        """A body is complete or given up: what it kept counts no more."""
        if not upload.kept:
            return
        party = upload.party
        self.held_bytes -= upload.kept
        self._bytes[party] -= upload.kept
        upload.kept = 0
        held = self._held[party]
        del held[upload]
        if not held:
            del self._held[party], self._bytes[party]


class Upload:
    """`receive` of one request, which ends a body that comes too slowly.

    A body that comes whole at once costs nothing. Only the time in which the server waits for the
    client counts, and what came fast earlier buys no long silence later. Who collects parts says so
    with `keep`.
    """

    __slots__ = ("_credit_s", "_is_given_up", "_is_over", "_receive", "_uploads", "_waiting", "kept", "party")

    def __init__(self, uploads: Uploads, receive: Receive, party: str) -> None:
        self._uploads = uploads
        self._receive = receive
        self.party = party
        self.kept = 0
        self._credit_s = uploads.patience_s
        self._is_over = self._is_given_up = False
        self._waiting: asyncio.Timeout | None = None

    async def __call__(self) -> Message:
        """The next message.

        Raises:
            InvalidRequest: the body comes too slowly.
            LimitReached: somebody else needed the memory, and this party has most of it.
        """
        if self._is_over:
            return await self._receive()  # the client's leaving is all that can come
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(self._credit_s, SILENCE_S)) as self._waiting:
                message = await self._receive()
        except TimeoutError:
            if not self._is_given_up:
                raise InvalidRequest(
                    "The request body stopped or came too slowly: send at least "
                    f"{self._uploads.least_rate:g} bytes per second."
                ) from None
        finally:
            self._waiting = None
        if self._is_given_up:
            raise _too_much(f"{self._uploads.limit_bytes // MIB} MiB in all")
        uploads = self._uploads
        credit_s = self._credit_s - (time.monotonic() - began)
        credit_s += len(message.get("body", b"")) / uploads.least_rate
        self._credit_s = min(credit_s, uploads.patience_s)
        self._is_over = not message.get("more_body", False)
        return message

    def keep(self, size: int) -> None:
        """A part of so many bytes is kept until the body is complete.

        Raises:
            LimitReached: that is too much.
        """
        self._uploads.add(self, size + PART_BYTES)

    def give_up(self) -> None:
        """End this body: somebody else needs the memory."""
        self._is_given_up = True
        self._uploads.release(self)
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def close(self) -> None:
        """The request is over."""
        self._uploads.release(self)


def keep(receive: Receive, size: int) -> None:
    """Note that a part of a body is kept, where somebody counts that.

    Raises:
        LimitReached: that is too much.
    """
    if isinstance(receive, Upload):
        receive.keep(size)


def _too_much(what: str) -> LimitReached:
    text = f"Too many request bodies are unfinished: at most {what}. Send fewer at once."
    return LimitReached(text, retry_after_s=1.0)
