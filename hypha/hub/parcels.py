"""Which messages pass between clients in chunks, through the receiver's `message_cache`.

A client of other rights writes into that cache as into any service, and whoever calls `process` lets the
receiver take what is there for a frame. So such a message passes only if it has been looked into while
it came (`hypha.wire.arriving`), whole, in order, and from one sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypha.errors import Conflict, HyphaError, InvalidRequest, LimitReached
from hypha.hub.shares import Room, Shares
from hypha.wire.arriving import ArrivingMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypha.hub.client import Client

MAX_MESSAGES = 256
"""Unfinished messages of one sender."""
MAX_AGE_S = 600.0
MAX_EARLY_CHUNKS = 64
"""Chunks of one sender that wait for earlier ones of their messages, as they do over HTTP."""
MAX_EARLY_BYTES = Room(512 * 1024, 32 * 1024 * 1024, 128 * 1024 * 1024, 512 * 1024 * 1024)
MAX_EARLY_DENSE_BYTES = 1024 * 1024
"""Of early chunks with many small values: they are looked into in one turn, 60 ms for so many bytes."""
MAX_KEY_CHARS = 256
_BODY_KEYS = frozenset({"args", "with_kwargs", "promise", "t"})

_ARGUMENTS = {"create": 1, "set": 3, "process": 1, "remove": 1}
"""Functions of the cache and how many arguments stand before `heartbeat`. `append` counts chunks as the
receiver does, who may not have taken all of them; the libraries used it before 2024."""


class _Parcel:
    """One unfinished message of a sender to a receiver."""

    __slots__ = ("beats", "early", "is_refused", "message", "next", "sender", "since")

    def __init__(self, sender: Client, message: ArrivingMessage, since: float, beats: bool) -> None:
        self.sender = sender
        self.message = message
        """What was seen of it so far, and what of that may not pass."""
        self.since = since
        """When it began (s, loop time)."""
        self.beats = beats
        """Whether its calls ask the receiver to keep a session alive: one without that session does not heed
        them, so either all do or none."""
        self.is_refused = False
        """True when nothing more of it may pass."""
        self.next = 0
        """Index of the chunk that is looked into next."""
        self.early: dict[int, bytes] = {}
        """Later ones that came before it, by index."""


class Parcels:
    """The unfinished messages that pass, by receiver and key.

    Args:
        open_message: makes the checks for a message of a sender to a receiver.
        clock: a monotonic clock.
    """

    def __init__(
        self, open_message: Callable[[Client, Client], ArrivingMessage], clock: Callable[[], float]
    ) -> None:
        self._open_message = open_message
        self._clock = clock
        self._parcels: dict[tuple[Client, str], _Parcel] = {}
        """By their place: receiver and key."""
        self._early = Shares(MAX_EARLY_BYTES)
        """How many bytes of early chunks wait, together."""
        self._of_sender: dict[Client, dict[tuple[Client, str], None]] = {}
        """Places by who writes there, in order; nothing in it is empty."""
        self._of_receiver: dict[Client, dict[tuple[Client, str], None]] = {}
        """The same by whose they are."""

    def __len__(self) -> int:
        return len(self._parcels)

    def check(self, sender: Client, target: Client, function: str, body: dict[str, Any]) -> None:
        """Look at a call of a function of the receiver's cache.

        Raises:
            HyphaError: it may not pass; then nothing more of its message does.
        """
        given = body.get("args")
        args: list[Any] = given if isinstance(given, list) else []
        key = args[0] if args else None
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARS or key.startswith("__"):
            raise InvalidRequest("The key of a message in chunks must be text of at most 256 characters.")
        if body.get("with_kwargs") or not _BODY_KEYS.issuperset(body):
            raise InvalidRequest("Functions of the message cache take no keywords and are not encrypted.")
        place = (target, key)
        count = _ARGUMENTS.get(function)
        if count is None:
            raise InvalidRequest(
                f"Large messages come by `create`, `set` and `process`, not by {function[:40]!r}."
            )
        beats = args[count] if len(args) > count else False
        if not count <= len(args) <= count + 1 or type(beats) is not bool:
            raise InvalidRequest(f"Wrong arguments for `{function}` of the message cache.")
        if function == "create":
            self._create(sender, place, beats)
            return
        parcel = self._parcels.get(place)
        if parcel is None or parcel.sender is not sender:
            raise InvalidRequest(f"Message with key {key[:80]} does not exist.")
        if function == "remove":
            self._drop(place)
            return
        if parcel.is_refused or parcel.beats is not beats:
            raise InvalidRequest("Nothing more of this message may pass.")
        try:
            if function == "set":
                self._put(parcel, args[1], args[2])
                return
            if parcel.early or not parcel.message.is_complete:
                raise InvalidRequest("The message in chunks is not complete.")
        except HyphaError:
            parcel.is_refused = True
            parcel.early = {}
            self._count_early(sender)
            raise
        self._drop(place)

    def _create(self, sender: Client, place: tuple[Client, str], beats: bool) -> None:
        self._expire(sender)
        if place in self._parcels:
            raise Conflict(f"Message with the same key ({place[1][:80]}) already exists in the cache store")
        if len(self._of_sender.get(sender, ())) >= MAX_MESSAGES:
            raise LimitReached(f"At most {MAX_MESSAGES} messages in chunks may be unfinished at a time.")
        message = self._open_message(sender, place[0])
        self._parcels[place] = _Parcel(sender, message, self._clock(), beats)
        self._of_sender.setdefault(sender, {})[place] = None
        self._of_receiver.setdefault(place[0], {})[place] = None

    def _put(self, parcel: _Parcel, index: object, chunk: object) -> None:
        """Take in one chunk; one that came before others waits for them.

        The receiver stores it as it is, so no chunk is taken twice: the second might be another one.
        """
        if type(index) is not int or not isinstance(chunk, bytes):
            raise InvalidRequest("A chunk is bytes, and its index a whole number.")
        if index < parcel.next or index in parcel.early:
            raise InvalidRequest("A chunk of the message came twice.")
        if index > parcel.next:
            self._keep(parcel, index, chunk)
            return
        parcel.message.feed(chunk)
        parcel.next += 1
        if parcel.early:
            self._catch_up(parcel)

    def _catch_up(self, parcel: _Parcel) -> None:
        """Take in the chunks that waited for the last one."""
        dense = 0
        while parcel.next in parcel.early:
            chunk = parcel.early.pop(parcel.next)
            parcel.message.feed(chunk)
            parcel.next += 1
            dense += len(chunk) if parcel.message.was_dense else 0
            if dense > MAX_EARLY_DENSE_BYTES:
                raise LimitReached("Too many chunks of many small values came early: send arrays instead.")
        self._count_early(parcel.sender)

    def _keep(self, parcel: _Parcel, index: int, chunk: bytes) -> None:
        parcel.early[index] = chunk
        count = sum(len(self._parcels[place].early) for place in self._of_sender[parcel.sender])
        is_far = index > parcel.next + MAX_EARLY_CHUNKS
        if is_far or count > MAX_EARLY_CHUNKS or not self._count_early(parcel.sender):
            raise LimitReached("Too many chunks came before others of their messages.")

    def _count_early(self, sender: Client) -> bool:
        """Count what waits of a sender; False if there is no room for it."""
        places = self._of_sender.get(sender, ())
        waiting = (chunk for place in places for chunk in self._parcels[place].early.values())
        return self._early.note(sender, sum(map(len, waiting)))

    def _expire(self, sender: Client) -> None:
        oldest = self._clock() - MAX_AGE_S
        for place in [
            place for place in self._of_sender.get(sender, ()) if self._parcels[place].since < oldest
        ]:
            self._drop(place)

    def _drop(self, place: tuple[Client, str]) -> None:
        parcel = self._parcels.pop(place)
        for index, client in ((self._of_sender, parcel.sender), (self._of_receiver, place[0])):
            places = index[client]
            del places[place]
            if not places:
                del index[client]
        if parcel.early:
            self._count_early(parcel.sender)

    def forget(self, client: Client) -> None:
        """Drop what an ended client sent or was to receive."""
        for index in (self._of_sender, self._of_receiver):
            for place in list(index.get(client, ())):
                self._drop(place)
