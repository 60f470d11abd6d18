"""Messages too large for one frame travel in pieces (docs/spec/wire-protocol.md#large-messages)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from hypha.errors import InvalidRequest, LimitReached
from hypha.limits import Claim, Party, WaitingBytes, WaitingRoom

CHUNK_BYTES = 262_144
SINGLE_FRAME_BYTES = CHUNK_BYTES + 1024
"""A frame up to this size goes as one."""

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
MAX_CACHE_BYTES = 512 * 1024 * 1024
MAX_ANONYMOUS_CACHE_BYTES = 128 * 1024 * 1024
MAX_TOTAL_BYTES = 1024 * 1024 * 1024
MAX_TOTAL_ANONYMOUS_BYTES = 256 * 1024 * 1024
"""Messages of all clients together that are unfinished or worked on, in chunks or not; anonymous ones leave
the rest to the others. One person, or one address of anonymous users, has as much as one client."""

CHUNK_OVERHEAD_BYTES = 128
"""What a chunk costs beside its bytes: many tiny ones take memory too."""

BUSY = "Too much of what you sent waits for running calls. Wait for some of them to end."

MAX_MESSAGES = 256
MAX_AGE_S = 600.0
MAX_KEY_CHARS = 256


@dataclass(slots=True)
class _Message:
    started: float
    claim: Claim
    """What its chunks take."""
    parts: dict[int, bytes] = field(default_factory=dict)


class Taken:
    """A message that is worked on, and counts until it is released: its chunks, or what was in its frame."""

    __slots__ = ("_claim", "chunks")

    def __init__(self, chunks: list[bytes], claim: Claim) -> None:
        self.chunks = chunks
        self._claim = claim

    def hand_over(self) -> list[bytes]:
        """The chunks, to be opened; they are kept here no longer."""
        chunks, self.chunks = self.chunks, []
        return chunks

    def weigh(self, size: int) -> None:
        """What was in it takes so much memory, if that is more than was counted.

        Raises:
            LimitReached: there is no room for that.
        """
        if size > self._claim.size and not self._claim.become(size):
            raise LimitReached(BUSY)

    def release(self) -> None:
        """The message and what was in it is needed no more; to say so twice does nothing."""
        self._claim.close()
        self.chunks = []


class MessageCaches:
    """The messages of all clients of a server, which together have a bounded size.

    Args:
        discard: takes the chunks that nobody needs any more.
    """

    def __init__(self, discard: Callable[[Iterable[bytes]], None] = lambda chunks: None) -> None:
        self.discard = discard
        self.account = WaitingBytes(
            WaitingRoom(
                MAX_CACHE_BYTES, MAX_ANONYMOUS_CACHE_BYTES, MAX_TOTAL_ANONYMOUS_BYTES, MAX_TOTAL_BYTES
            )
        )

    def cache(self, party: Party) -> MessageCache:
        """A cache for one client of a party."""
        return MessageCache(self.account, party, self.discard)

    def whole(self, party: Party, size: int) -> Taken:
        """A message of a party that came in one frame, and takes so much memory.

        Raises:
            LimitReached: there is no room for it.
        """
        taken = Taken([], self.account.claim(party))
        taken.weigh(size)
        return taken


class MessageCache:
    """Unfinished chunked messages of one client, bounded in count, bytes and age.

    What others need the room of is forgotten.
    """

    def __init__(
        self, account: WaitingBytes, party: Party, discard: Callable[[Iterable[bytes]], None]
    ) -> None:
        self._messages: dict[str, _Message] = {}
        self._account = account
        self._party = party
        self._discard = discard

    def __len__(self) -> int:
        return len(self._messages)

    def create(self, key: str, now: float, overwrite: bool = False) -> None:
        """Begin a message.

        Raises:
            InvalidRequest: the key is in use. LimitReached: too many unfinished messages.
        """
        self.expire(now)
        if not isinstance(key, str) or not key or len(key) > MAX_KEY_CHARS:
            raise InvalidRequest("The key of a chunked message must be text of at most 256 characters.")
        if key in self._messages:
            if not overwrite:
                raise InvalidRequest(f"Message with the same key ({key}) already exists in the cache store")
            self.remove(key)
        if len(self._messages) >= MAX_MESSAGES:
            raise LimitReached(f"At most {MAX_MESSAGES} chunked messages may be unfinished at a time.")
        claim = self._account.claim(self._party, partial(self._forget, key))
        self._messages[key] = _Message(now, claim)

    def add(self, key: str, index: int | None, data: object) -> None:
        """Store one chunk; with index None it goes to the end (old clients)."""
        message = self._get(key)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidRequest("A chunk must be bytes.")
        number = len(message.parts) if index is None else index
        if not isinstance(number, int) or not 0 <= number <= MAX_MESSAGE_BYTES // 1024:
            raise InvalidRequest("The index of a chunk must be a small non-negative integer.")
        chunk = bytes(data)
        known = message.parts.get(number)
        grown = len(chunk) + CHUNK_OVERHEAD_BYTES
        grown -= 0 if known is None else len(known) + CHUNK_OVERHEAD_BYTES
        size = message.claim.size + grown
        if size > MAX_MESSAGE_BYTES or not message.claim.become(size):
            self.remove(key)
            raise LimitReached(
                "The chunked message is too large for a call to the server itself, "
                "or too many others are unfinished."
            )
        message.parts[number] = chunk

    def take(self, key: str) -> Taken:
        """The chunks of a finished message, which is forgotten here; release it."""
        message = self._get(key)
        if sorted(message.parts) != list(range(len(message.parts))):
            self.remove(key)
            raise InvalidRequest(f"Message with key {key} is incomplete: chunks are missing.")
        del self._messages[key]
        chunks = [message.parts[number] for number in range(len(message.parts))]
        message.claim.keep()
        return Taken(chunks, message.claim)

    def remove(self, key: str) -> None:
        """Forget a message, finished or not."""
        self._get(key).claim.close()
        self._forget(key)

    def _forget(self, key: str) -> None:
        self._discard(self._messages.pop(key).parts.values())

    def _get(self, key: str) -> _Message:
        message = self._messages.get(key) if isinstance(key, str) else None
        if message is None:
            raise InvalidRequest(f"Message with key {str(key)[:80]} does not exist.")
        return message

    def clear(self) -> None:
        """Forget all messages."""
        for key in list(self._messages):
            self.remove(key)

    def expire(self, now: float) -> None:
        """Forget messages that have been unfinished for too long."""
        for key in [key for key, message in self._messages.items() if now - message.started > MAX_AGE_S]:
            self.remove(key)
