"""Messages too large for one frame travel in pieces (docs/spec/wire-protocol.md#large-messages)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hypha.errors import InvalidRequest, LimitReached
from hypha.limits import Budget

CHUNK_BYTES = 262_144
SINGLE_FRAME_BYTES = CHUNK_BYTES + 1024
"""A frame up to this size goes as one."""

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
MAX_CACHE_BYTES = 512 * 1024 * 1024
MAX_ANONYMOUS_CACHE_BYTES = 128 * 1024 * 1024
MAX_TOTAL_BYTES = 1024 * 1024 * 1024
MAX_TOTAL_ANONYMOUS_BYTES = 256 * 1024 * 1024
"""Unfinished messages of all clients together; anonymous ones leave the rest to the others."""

CHUNK_OVERHEAD_BYTES = 128
"""What a chunk costs beside its bytes: many tiny ones take memory too."""

MAX_MESSAGES = 256
MAX_AGE_S = 600.0
MAX_KEY_CHARS = 256


@dataclass(slots=True)
class _Message:
    started: float
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class MessageCaches:
    """The caches of all clients of a server, which together have a bounded size.

    Args:
        discard: takes the chunks that nobody needs any more.
    """

    def __init__(self, discard: Callable[[Iterable[bytes]], None] = lambda chunks: None) -> None:
        self.discard = discard
        self.all = Budget(MAX_TOTAL_BYTES)
        self.anonymous = Budget(MAX_TOTAL_ANONYMOUS_BYTES, self.all)

    def cache(self, *, anonymous: bool) -> MessageCache:
        """A cache for one client."""
        if anonymous:
            return MessageCache(Budget(MAX_ANONYMOUS_CACHE_BYTES, self.anonymous), self.discard)
        return MessageCache(Budget(MAX_CACHE_BYTES, self.all), self.discard)


class MessageCache:
    """Unfinished chunked messages of one client, bounded in count, bytes and age."""

    def __init__(self, budget: Budget, discard: Callable[[Iterable[bytes]], None]) -> None:
        self._messages: dict[str, _Message] = {}
        self._budget = budget
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
        self._messages[key] = _Message(now)

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
        if message.size + grown > MAX_MESSAGE_BYTES or not self._budget.take(grown):
            self.remove(key)
            raise LimitReached(
                "The chunked message is too large for a call to the server itself, "
                "or too many others are unfinished."
            )
        message.parts[number] = chunk
        message.size += grown

    def take(self, key: str) -> list[bytes]:
        """The chunks of a finished message, which is forgotten."""
        message = self._get(key)
        self.remove(key)
        if sorted(message.parts) != list(range(len(message.parts))):
            raise InvalidRequest(f"Message with key {key} is incomplete: chunks are missing.")
        return [message.parts[number] for number in range(len(message.parts))]

    def remove(self, key: str) -> None:
        """Forget a message, finished or not."""
        message = self._get(key)
        del self._messages[key]
        self._budget.give_back(message.size)
        self._discard(message.parts.values())

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
