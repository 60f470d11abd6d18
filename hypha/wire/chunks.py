"""Messages too large for one frame travel in pieces (wire-protocol 8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypha.errors import InvalidRequest, LimitReached

CHUNK_BYTES = 262_144
SINGLE_FRAME_BYTES = CHUNK_BYTES + 1024
"""A frame up to this size goes as one."""

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
MAX_CACHE_BYTES = 512 * 1024 * 1024
MAX_MESSAGES = 256
MAX_AGE_S = 600.0
MAX_KEY_CHARS = 256


def split(message: bytes | memoryview) -> Iterator[bytes]:
    """Cut a packed message into chunks."""
    view = memoryview(message)
    for begin in range(0, len(view), CHUNK_BYTES):
        yield bytes(view[begin : begin + CHUNK_BYTES])


@dataclass(slots=True)
class _Message:
    started: float
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class MessageCache:
    """Unfinished chunked messages of one client, bounded in count, bytes and age."""

    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._messages)

    def create(self, key: str, now: float, overwrite: bool = False) -> None:
        """Begin a message.

        Raises:
            InvalidRequest: the key is in use. LimitReached: too many unfinished messages.
        """
        self._expire(now)
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
        grown = len(chunk) - len(message.parts.get(number, b""))
        if message.size + grown > MAX_MESSAGE_BYTES or self._size + grown > MAX_CACHE_BYTES:
            self.remove(key)
            raise LimitReached("The chunked message is too large for a call to the server itself.")
        message.parts[number] = chunk
        message.size += grown
        self._size += grown

    def take(self, key: str) -> bytes:
        """Assemble and forget a finished message."""
        message = self._get(key)
        self.remove(key)
        if sorted(message.parts) != list(range(len(message.parts))):
            raise InvalidRequest(f"Message with key {key} is incomplete: chunks are missing.")
        return b"".join(message.parts[number] for number in range(len(message.parts)))

    def remove(self, key: str) -> None:
        """Forget a message, finished or not."""
        message = self._get(key)
        del self._messages[key]
        self._size -= message.size

    def _get(self, key: str) -> _Message:
        message = self._messages.get(key) if isinstance(key, str) else None
        if message is None:
            raise InvalidRequest(f"Message with key {str(key)[:80]} does not exist.")
        return message

    def _expire(self, now: float) -> None:
        for key in [key for key, message in self._messages.items() if now - message.started > MAX_AGE_S]:
            self.remove(key)
