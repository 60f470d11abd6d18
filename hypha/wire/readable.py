"""What every client library can read of a frame (docs/security.md#what-libraries-can-read).

The decoder of JavaScript throws where a program cannot catch it, so that one frame ends a program in Node:
for a key `__proto__`, for keys that are neither text nor number, for times of another length than they have.
The one of Python drops such a frame, and its caller waits. Names of sessions become places in the library's
own store: some of them lead out of it. So frames between clients of different rights are looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

from hypha.errors import MalformedFrame, TooManyValues
from hypha.wire.frames import Buffer
from hypha.wire.values import BARRED_KEYS

MAX_ENTRIES = 130_000
"""Lists, maps and their entries in one frame that has maps: so many take some 20 ms to look into. Frames of
the libraries have up to 257 KiB, which hold fewer of any use."""

_NESTING = re.compile(b"[\x81-\x8f\xc1\xc7-\xc9\xd4-\xd8\xde-\xe0\xf0]")
"""First bytes of maps and extended values, and those of UTF-8 that is longer than it must be."""
_OUT_OF_STORE = frozenset({"__proto__", "constructor", "prototype"})
_TAKEN = frozenset({"services", "message_cache"})
_BARRED_NAMES = _OUT_OF_STORE | _TAKEN
_OPTIONS: dict[str, Any] = {"strict_map_key": False, "unicode_errors": "surrogatepass", "timestamp": 1}
"""Times become fractions, which are no keys either; no map is made, as keys of one's own choice could make
that slow."""


def may_be_nested(data: Buffer, head: int) -> bool:
    """Whether there may be a map in the body of a frame, or what only some libraries can read.

    All else is numbers, texts, bytes, and lists of them: this is all that is done for it.
    """
    return _NESTING.search(data, head + 1) is not None


def is_session(name: object) -> bool:
    """Whether a name, if there is one, can be that of a session: it leads to no other place in the store."""
    if type(name) is not str:
        return name is None
    if name.isalnum():
        return name not in _BARRED_NAMES
    levels = name.split(".")
    return levels[0] not in _TAKEN and _OUT_OF_STORE.isdisjoint(levels)


class Reader:
    """Looks into packed values; keeps one unpacker, so it is for one thread only."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        options = {**_OPTIONS, "object_pairs_hook": check_entries, "ext_hook": _pass_over}
        self._unpacker = msgpack.Unpacker(max_buffer_size=2 * MAX_ENTRIES, read_size=16384, **options)

    def check(self, packed: Buffer) -> None:
        """Look into one value.

        Raises:
            MalformedFrame: some library cannot read it. TooManyValues: it holds very many maps and lists.
        """
        try:
            if len(packed) > MAX_ENTRIES:
                _check_large(packed)
            else:
                self._unpacker.feed(packed)
                self._unpacker.unpack()
        except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
            self._renew()
            raise _unreadable(error) from None


def check_entries(entries: Iterable[tuple[Any, Any]]) -> None:
    """Look at the keys of one map.

    Raises:
        MalformedFrame: some library cannot read them.
    """
    for key, _ in entries:
        kind = type(key)
        if kind is str:
            if key in BARRED_KEYS:
                raise MalformedFrame(
                    f"Malformed frame: a map has the key '{key}', which JavaScript cannot read; rename it"
                )
        elif kind is not int:
            raise MalformedFrame("Malformed frame: a map has a key that is neither text nor a whole number")


def _unreadable(error: Exception) -> MalformedFrame:
    if isinstance(error, MalformedFrame):
        return error
    if isinstance(error, UnicodeDecodeError):
        return MalformedFrame("Malformed frame: a text in it is not UTF-8")
    return MalformedFrame(f"Malformed frame: a time or another value in it cannot be read ({error})"[:200])


def _check_large(packed: Buffer) -> None:
    budget = _Budget()
    hooks = {"object_pairs_hook": budget.map_made, "list_hook": budget.list_made}
    msgpack.unpackb(packed, **_OPTIONS, **hooks, ext_hook=budget.extended_made)


def check_sealed(body: Mapping[Any, Any]) -> None:
    """Look at how an encrypted body is given. The libraries make bytes of it, of a number as many as it says.

    Raises:
        MalformedFrame: it, its key or its nonce is anything but bytes.
    """
    sealed = body.get("_enc")
    if isinstance(sealed, dict):
        given = (body.get("data"), sealed.get("pub"), sealed.get("nonce"))
        if not all(type(part) is bytes for part in given):
            raise MalformedFrame("Malformed frame: an encrypted body, its key and its nonce are bytes")


class _Budget:
    """Counts what takes time, and keeps nothing."""

    def __init__(self) -> None:
        self._left = MAX_ENTRIES

    def _spend(self, entries: int) -> None:
        self._left -= entries
        if self._left < 0:
            raise TooManyValues(
                f"Malformed frame: it holds more than {MAX_ENTRIES:,} lists, maps and entries of maps; "
                "send arrays instead"
            )

    def list_made(self, _: list[Any]) -> None:
        self._spend(1)

    def map_made(self, entries: list[tuple[Any, Any]]) -> None:
        self._spend(1 + len(entries))
        check_entries(entries)

    def extended_made(self, _code: int, _data: bytes) -> None:
        self._spend(1)


def _pass_over(_code: int, _data: bytes) -> None:
    """Extended values of a program's own: libraries that do not know them hand them on."""
