"""Messages too large for one frame travel in pieces (docs/spec/wire-protocol.md#large-messages)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakSet, WeakValueDictionary

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
"""Messages of all clients together that are unfinished or worked on; anonymous ones leave the rest to the
others. One person, or one address of anonymous users, has as much as one client."""

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


class Taken:
    """The chunks of a complete message, which counts until it is released."""

    __slots__ = ("_cache", "_size", "chunks")

    def __init__(self, chunks: list[bytes], size: int, cache: MessageCache) -> None:
        self.chunks = chunks
        self._size = size
        self._cache = cache

    def hand_over(self) -> list[bytes]:
        """The chunks, to be opened; they are kept here no longer."""
        chunks, self.chunks = self.chunks, []
        return chunks

    def release(self) -> None:
        """The message and what was in it is needed no more; to say so twice does nothing."""
        size, self._size = self._size, 0
        self._cache.give_back(size)
        self.chunks = []


class _Party:
    """The caches of one person, or of one address of anonymous users."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.caches: WeakSet[MessageCache] = WeakSet()

    def give_up_oldest(self) -> bool:
        """Drop the oldest unfinished message; False if there is none."""
        oldest = [(cache.oldest, cache) for cache in self.caches if len(cache)]
        if not oldest:
            return False
        min(oldest, key=lambda each: each[0])[1].drop_oldest()
        return True


class MessageCaches:
    """The caches of all clients of a server, which together have a bounded size.

    Args:
        discard: takes the chunks that nobody needs any more.
    """

    def __init__(self, discard: Callable[[Iterable[bytes]], None] = lambda chunks: None) -> None:
        self.discard = discard
        self.all = Budget(MAX_TOTAL_BYTES)
        self.anonymous = Budget(MAX_TOTAL_ANONYMOUS_BYTES, self.all)
        self._parties: WeakValueDictionary[str, _Party] = WeakValueDictionary()
        """By name; their caches keep them."""

    def cache(self, *, anonymous: bool, party: str = "") -> MessageCache:
        """A cache for one client of a person, or of an address of anonymous users."""
        whole = self.anonymous if anonymous else self.all
        most = MAX_ANONYMOUS_CACHE_BYTES if anonymous else MAX_CACHE_BYTES
        found = self._parties.get(party)
        if found is None:
            found = self._parties[party] = _Party(Budget(most, whole))
        made = MessageCache(Budget(most, found.budget), self.discard, partial(self._make_room, found))
        found.caches.add(made)
        return made

    def _make_room(self, asking: _Party, size: int) -> bool:
        """Where all together have too much, let those who have more than the asking party give way."""
        own, whole = asking.budget, asking.budget.whole
        if own.used + size > own.limit or whole is None:
            return False
        while not whole.has(size):
            others = [
                party for party in self._parties.values() if party.budget.whole in (whole, self.anonymous)
            ]
            greedy = max(others, key=lambda party: party.budget.used)
            if greedy.budget.used <= own.used + size or not greedy.give_up_oldest():
                return False
        return True


class MessageCache:
    """Unfinished chunked messages of one client, bounded in count, bytes and age.

    Args:
        make_room: makes others give way for so many bytes; False if they don't.
    """

    def __init__(
        self,
        budget: Budget,
        discard: Callable[[Iterable[bytes]], None],
        make_room: Callable[[int], bool] = lambda size: False,
    ) -> None:
        self._messages: dict[str, _Message] = {}
        self._budget = budget
        self._discard = discard
        self._make_room = make_room

    @property
    def oldest(self) -> float:
        """When the oldest message was begun."""
        return min(message.started for message in self._messages.values())

    def drop_oldest(self) -> None:
        """Forget the oldest message."""
        self.remove(min(self._messages, key=lambda key: self._messages[key].started))

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
        if message.size + grown > MAX_MESSAGE_BYTES or not self._takes(grown):
            self.remove(key)
            raise LimitReached(
                "The chunked message is too large for a call to the server itself, "
                "or too many others are unfinished."
            )
        message.parts[number] = chunk
        message.size += grown

    def _takes(self, size: int) -> bool:
        """Count so many bytes more, if there is room for them."""
        own = self._budget
        return own.take(size) or (own.used + size <= own.limit and self._make_room(size) and own.take(size))

    def take(self, key: str) -> Taken:
        """The chunks of a finished message, which is forgotten here; release it."""
        message = self._get(key)
        if sorted(message.parts) != list(range(len(message.parts))):
            self.remove(key)
            raise InvalidRequest(f"Message with key {key} is incomplete: chunks are missing.")
        del self._messages[key]
        chunks = [message.parts[number] for number in range(len(message.parts))]
        return Taken(chunks, message.size, self)

    def give_back(self, size: int) -> None:
        """So much of what was taken counts no more."""
        self._budget.give_back(size)

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
