"""Bodies of requests that have begun to come: each at some pace, all within a budget of memory."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from starlette.types import Message, Receive

from hypha.errors import InvalidRequest, LimitReached
from hypha.limits import Claim, Party, WaitingBytes, WaitingRoom

if TYPE_CHECKING:
    from hypha.settings import Settings

SILENCE_S = 30.0
PART_BYTES = 64
"""What a part costs beside its bytes."""
STRANGERS_SHARE = 0.75
"""Of all memory for bodies, what strangers may have; the rest is for who is signed in."""
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
        each, of_strangers = min(per_party_bytes, limit_bytes), int(limit_bytes * STRANGERS_SHARE)
        self.account = WaitingBytes(WaitingRoom(each, min(each, of_strangers), of_strangers, limit_bytes))
        self.least_rate = max(1.0, least_rate)
        self.patience_s = patience_s

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.unfinished_bodies_bytes,
            settings.unfinished_bodies_per_address_bytes,
            settings.least_body_rate,
            settings.body_patience_s,
        )

    def of(self, receive: Receive, party: Party) -> Upload:
        """The body of a request of a party; `close` it when the request is over."""
        return Upload(self, receive, party)

    def hold(self, party: Party, size: int) -> Claim:
        """Count so many bytes of what was in a body while its request runs; close what is returned.

        Raises:
            LimitReached: that is too much.
        """
        claim = self.account.claim(party)
        if not claim.take(size):
            raise self.too_much(party, size)
        return claim

    def too_much(self, party: Party, size: int = 0) -> LimitReached:
        """Why there is no room for so many bytes more of a party."""
        room = self.account.room
        each = room.stranger if party.is_stranger else room.person
        if self.account.used_by(party) + size > each:
            what = f"{each // MIB} MiB from your address or of your user"
        else:
            what = f"{(room.strangers if party.is_stranger else room.total) // MIB} MiB in all"
        text = (
            f"Too many request bodies are unfinished or wait for answers: at most {what}. Send fewer at once."
        )
        return LimitReached(text, retry_after_s=1.0)


class Upload:
    """`receive` of one request, which ends a body that comes too slowly.

    A body that comes whole at once costs nothing. Only the time in which the server waits for the
    client counts, and what came fast earlier buys no long silence later. Who collects parts says so
    with `keep`.
    """

    __slots__ = ("_claim", "_credit_s", "_is_given_up", "_is_over", "_receive", "_uploads", "_waiting")

    def __init__(self, uploads: Uploads, receive: Receive, party: Party) -> None:
        self._uploads = uploads
        self._receive = receive
        self._claim = uploads.account.claim(party, self._give_up)
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
            raise self._uploads.too_much(self._claim.party)
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
        if not self._claim.take(size + PART_BYTES):
            raise self._uploads.too_much(self._claim.party, size + PART_BYTES)

    def _give_up(self) -> None:
        """End this body: somebody else needs the memory."""
        self._is_given_up = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def close(self) -> None:
        """The request is over."""
        self._claim.close()


def keep(receive: Receive, size: int) -> None:
    """Note that a part of a body is kept, where somebody counts that.

    Raises:
        LimitReached: that is too much.
    """
    if isinstance(receive, Upload):
        receive.keep(size)
