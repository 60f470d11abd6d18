"""Binary frames: read the envelope, check what follows, put the sender's identity in.

A frame is one or two msgpack maps back to back (docs/spec/wire-protocol.md#frames): the envelope
(main) and the body (extra). The router needs only the envelope; the body is skipped, never decoded, and
forwarded byte for byte. Receivers merge the body over the envelope, so its keys are checked
here: that check is what keeps a sender from forging who it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, overload

import msgpack

from hypha.errors import MalformedFrame, TooManyValues
from hypha.wire.bounded import MAX_VALUES, ValueLimit, limits, unpack
from hypha.wire.values import SERVICES, maps_in

MAX_FRAME_BYTES = 16 * 1024 * 1024
HEADROOM = 14
"""Bytes kept free in front of a large frame, where the transport writes its own header."""

LIFTED_BYTES = 256 * 1024
"""Byte strings from this size need not be copied to be checked, opened or packed (`hypha.wire.pieces`)."""

_LARGE_BYTES = 8000
_SMALL_BYTES = 6000
"""What came with so many bytes is small with its sender's identity too: nothing has to be added up."""
_PAD = bytes(HEADROOM)
_HEAD_PROBE_BYTES = 2048
MIN_INTERVAL_S = 0.01
"""Of heartbeats: the libraries send one, and wait so long, as long as a call runs."""
_NUMBERS = (int, float)
_MAX_KEY_VALUES = 16
_FEW_VALUES = 256
MAX_WALKED_VALUES = 2000
MAX_DENSE_BYTES = 2 * 1024 * 1024
"""A larger frame may have 2,000 values at most: stepping over more takes 3 ms for a mebibyte. Clients
send what is larger than 257 KiB in chunks."""
_BIN32 = 0xC6

Buffer = bytes | memoryview
Frame = bytes | bytearray
"""A frame ready to send: small ones are bytes, large ones a bytearray with HEADROOM in front."""


class Bytes(Protocol):
    """What can be read like bytes."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> Buffer: ...


ANSWERS = (".resolve", ".reject", ".heartbeat")
METHOD_BODY_KEYS = {"args": 1, "with_kwargs": 2, "promise": 4, "t": 8, "_enc": 16, "data": 32}
ENVELOPE_KEYS = frozenset({"type", "from", "to", "ws", "user", "ctx", "method", "session", "parent"})

_packer = msgpack.Packer(autoreset=True, use_bin_type=True)
pack = _packer.pack


def join_frame(*parts: Buffer) -> Frame:
    """Join the parts of a frame with one copy, with headroom when the frame is large."""
    if sum(map(len, parts)) < _LARGE_BYTES:
        return b"".join(parts)
    return bytearray().join((_PAD, *parts))


def payload(frame: Frame) -> Buffer:
    """The frame's bytes without headroom."""
    return memoryview(frame)[HEADROOM:] if type(frame) is bytearray else bytes(frame)


def encode(main: dict[str, Any], extra: dict[str, Any] | None = None) -> Frame:
    """Pack a frame of the server's own."""
    head = pack(main)
    return head if extra is None else join_frame(head, pack(extra))


def decode_body(
    data: Buffer,
    head: int,
    max_values: int = MAX_VALUES,
    ext_hook: Callable[[int, bytes], Any] = msgpack.ExtType,
    *,
    any_keys: bool = False,
) -> dict[str, Any]:
    """Unpack what follows the envelope, `head` bytes long (of frames addressed to the server itself).

    Keys of maps are text, or with `any_keys` what Python takes as keys.

    Raises:
        TooManyValues: it holds more than `max_values`. MalformedFrame: it is not one map.
    """
    if head == len(data):
        return {}
    try:
        body = unpack(memoryview(data)[head:], max_values, ext_hook, any_keys=any_keys)
    except ValueLimit as error:
        raise TooManyValues(f"Malformed frame: {error}") from None
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedFrame(f"Malformed frame: {_reason(error)}") from None
    if not isinstance(body, dict):
        raise MalformedFrame("Malformed frame: a frame is one or two maps")
    return body


def _reason(error: Exception) -> str:
    """Why unpacking failed, in words that mean something to who sent the value."""
    text = str(error)
    if "map key" in text or isinstance(error, TypeError):
        return "a map has a key that is not text"
    return text or type(error).__name__


def is_answer(main: Mapping[str, Any]) -> bool:
    """True for the envelope of an answer or heartbeat."""
    method = main.get("method")
    return isinstance(method, str) and method.endswith(ANSWERS) and not method.startswith(SERVICES)


def map_entries(data: Bytes) -> int:
    """Entries of the map with which these bytes begin, keys that come twice included."""
    first = data[0]
    if first & 0xF0 == 0x80:
        return first & 0x0F
    if first == 0xDE and len(data) >= 3:
        return data[1] << 8 | data[2]
    raise MalformedFrame("Malformed frame: it must begin with a map")


def in_call(main: Any, error: Exception) -> MalformedFrame:
    """The same error, with the call to which a frame of this envelope belongs."""
    if main is None and isinstance(error, MalformedFrame):
        return error
    names = [main.get(key) if isinstance(main, dict) else None for key in ("session", "to", "method")]
    session, target, method = [name if isinstance(name, str) else None for name in names]
    text = str(error) if isinstance(error, MalformedFrame) else "Malformed frame: it cannot be decoded"
    kind = TooManyValues if isinstance(error, TooManyValues) else MalformedFrame
    return kind(text, session=session, target=target, method=method)


class EnvelopeParser:
    """Reads envelopes and checks bodies; keeps one unpacker, so it is for one thread only."""

    __slots__ = ("_base", "_unpacker")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._unpacker = msgpack.Unpacker(max_buffer_size=MAX_FRAME_BYTES * 2, read_size=16384)
        self._base = 0

    def parse(self, data: Buffer) -> tuple[dict[str, Any], int, float | None]:
        """Return the envelope, its length in bytes, and the body's heartbeat interval `t` (s).

        Raises:
            MalformedFrame: anything but one or two maps, keys that would override the envelope,
                duplicate keys, bytes after the body, or an answer that would go to a service; with the
                session, if it could be read.
        """
        if not data:
            raise MalformedFrame("Malformed frame: it is empty")
        main: Any = None
        try:
            size = len(data)
            if size > _LARGE_BYTES:
                return walk(data, _FEW_VALUES if size <= MAX_DENSE_BYTES else MAX_WALKED_VALUES)[:3]
            first = data[0]
            entries = first & 0x0F if first & 0xF0 == 0x80 else map_entries(data)
            unpacker, base = self._unpacker, self._base
            unpacker.feed(data)
            main = unpacker.unpack()
            head = unpacker.tell() - base
            if len(main) != entries:
                raise MalformedFrame("Malformed frame: duplicate keys")
            interval = None
            if head != size:
                interval = self._check_body(unpacker, main.get("type") == "method")
                if unpacker.tell() - base != size:
                    raise MalformedFrame("Malformed frame: bytes after the second map")
            self._base = base + size
            return main, head, interval
        except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
            self._renew()
            raise in_call(main, error) from None

    @staticmethod
    def _check_body(unpacker: Any, is_method: bool) -> float | None:
        seen = 0
        interval: float | None = None
        if is_method:
            for _ in range(unpacker.read_map_header()):
                key = unpacker.unpack()
                bit = METHOD_BODY_KEYS.get(key)
                if bit is None or seen & bit:
                    raise MalformedFrame(f"Malformed frame: key {str(key)[:40]!r} is not allowed here")
                seen |= bit
                if bit == 4:
                    if (promise := unpacker.unpack()) != "*":
                        _check_promise(promise)
                elif bit == 8:
                    interval = checked_interval(unpacker.unpack())
                else:
                    unpacker.skip()
            return interval
        keys: set[Any] = set()
        for _ in range(unpacker.read_map_header()):
            key = unpacker.unpack()
            if key in ENVELOPE_KEYS or key in keys or not isinstance(key, str):
                raise MalformedFrame(f"Malformed frame: key {str(key)[:40]!r} is not allowed here")
            keys.add(key)
            unpacker.skip()
        return None


def walk(
    data: Bytes, max_values: int, dense_bytes: int = MAX_DENSE_BYTES
) -> tuple[dict[str, Any], int, float | None, list[tuple[int, int]]]:
    """Like `EnvelopeParser.parse`, touching only the head of the frame and the headers of its values.

    Returns:
        Also where large byte strings lie (place and size, with the five bytes of their header), unless the
        frame has more than `max_values` values.

    Raises:
        MalformedFrame: see `EnvelopeParser.parse`. TooManyValues: it has more, in more than `dense_bytes`.
    """
    if not len(data):
        raise MalformedFrame("Malformed frame: it is empty")
    main: Any = None
    try:
        main, head = read_envelope(data)
        if head == len(data):
            return main, head, None, []
        body = _Walker(data, head, max_values, dense_bytes)
        interval = body.check(main.get("type") == "method")
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise in_call(main, error) from None
    return main, head, interval, body.large


def read_envelope(data: Bytes) -> tuple[dict[str, Any], int]:
    """The envelope of a large frame and its length. Most are short; those of events may hold their data.

    Raises:
        MalformedFrame: it is no map, ends too early, or has a key twice.
    """
    entries = map_entries(data)
    for size in (_HEAD_PROBE_BYTES, MAX_FRAME_BYTES):
        counted = limits(MAX_VALUES) if size > _HEAD_PROBE_BYTES else {}
        unpacker = msgpack.Unpacker(
            max_buffer_size=MAX_FRAME_BYTES, read_size=min(size, len(data)), **counted
        )
        unpacker.feed(data[:size])
        try:
            main = unpacker.unpack()
        except msgpack.OutOfData:
            continue
        if not isinstance(main, dict) or len(main) != entries:
            raise MalformedFrame("Malformed frame: duplicate keys")
        return main, unpacker.tell()
    raise MalformedFrame("Malformed frame: it ends too early")


def checked_interval(value: Any) -> float | None:
    """How often to send heartbeats (s); None for a time without end, or none that is told.

    Raises:
        MalformedFrame: it is no time, or so short that the callee would do nothing else.
    """
    if value is None:
        return None
    if not isinstance(value, _NUMBERS) or not value >= MIN_INTERVAL_S:
        raise MalformedFrame(f"Malformed frame: heartbeats may be asked for each {MIN_INTERVAL_S} s at most")
    return float(value) if value < 1e9 else None


def _check_promise(promise: Any) -> None:
    """An answer goes to a session, never to a service: the callee would call it with its own rights.

    Raises:
        MalformedFrame: it would go to a service, or heartbeats very often.
    """
    if isinstance(promise, dict):
        checked_interval(promise.get("interval"))
    for value in maps_in(promise):
        for key in ("_rmethod", "_rclose_method"):
            method = value.get(key, "")
            if not isinstance(method, str) or method.startswith(SERVICES):
                raise MalformedFrame("Malformed frame: an answer goes to a session of the caller")


class _Walker:
    """Walks over a body without copying its large values; many small ones go to C code."""

    __slots__ = ("_budget", "_dense_bytes", "data", "large", "pos")

    def __init__(self, data: Bytes, pos: int, max_values: int, dense_bytes: int) -> None:
        self.data = data
        self.pos = pos
        self.large: list[tuple[int, int]] = []
        self._budget = max_values
        self._dense_bytes = dense_bytes

    def check(self, is_method: bool) -> float | None:
        """Check keys and extent of the body; return the heartbeat interval."""
        first = self.data[self.pos]
        if first & 0xF0 != 0x80:
            return self._check_in_c(is_method)
        self.pos += 1
        start, seen, interval = self.pos - 1, 0, None
        for _ in range(first & 0x0F):
            key = self._key()
            bit = METHOD_BODY_KEYS.get(key) if is_method else (0 if key not in ENVELOPE_KEYS else None)
            if bit is None or seen & bit:
                raise MalformedFrame(f"Malformed frame: key {key[:40]!r} is not allowed here")
            seen |= bit
            begin = self.pos
            if not self._skip():
                self.pos = start
                return self._check_in_c(is_method)
            if bit == 8:
                interval = checked_interval(msgpack.unpackb(self.data[begin : self.pos]))
            elif bit == 4:
                _check_promise(unpack(self.data[begin : self.pos], MAX_WALKED_VALUES))
        if self.pos != len(self.data):
            raise MalformedFrame("Malformed frame: bytes after the second map")
        return interval

    def _check_in_c(self, is_method: bool) -> float | None:
        size = len(self.data) - self.pos
        if size > self._dense_bytes:
            raise TooManyValues(
                f"Malformed frame: over {MAX_WALKED_VALUES:,} values in {size:,} bytes; send it in chunks"
            )
        rest = self.data[self.pos :]
        self.large = []
        unpacker = msgpack.Unpacker(
            max_buffer_size=len(rest) + 1,
            read_size=max(len(rest), 1),
            max_array_len=_MAX_KEY_VALUES,  # of keys; values are stepped over
            max_map_len=_MAX_KEY_VALUES,
        )
        unpacker.feed(rest)
        interval = EnvelopeParser._check_body(unpacker, is_method)
        if unpacker.tell() != len(rest):
            raise MalformedFrame("Malformed frame: bytes after the second map")
        return interval

    def _key(self) -> str:
        first = self.data[self.pos]
        if first & 0xE0 != 0xA0:
            raise MalformedFrame("Malformed frame: keys must be short strings")
        begin = self.pos + 1
        self.pos = begin + (first & 0x1F)
        return bytes(self.data[begin : self.pos]).decode()

    def _skip(self) -> bool:
        """Step over one value; False when it has too many parts for Python to walk."""
        left = 1
        data = self.data
        while left:
            left -= 1
            self._budget -= 1
            if self._budget < 0:
                return False
            first = data[self.pos]
            size, parts = _extent(data, self.pos, first)
            if size >= LIFTED_BYTES and first == _BIN32:
                self.large.append((self.pos, size))
            self.pos += size
            left += parts
            if self.pos > len(data):
                raise MalformedFrame("Malformed frame: it ends too early")
        return True


_FIXED = {
    0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9,
    0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,
}  # fmt: skip
_SIZED = {0xC4: (1, 2), 0xC5: (2, 3), 0xC6: (4, 5), 0xC7: (1, 3), 0xC8: (2, 4), 0xC9: (4, 6),
          0xD9: (1, 2), 0xDA: (2, 3), 0xDB: (4, 5)}  # fmt: skip
_NESTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def _extent(data: Bytes, pos: int, first: int) -> tuple[int, int]:
    """Bytes to step over and number of values nested inside, for the value at `pos`."""
    if first < 0x80 or first >= 0xE0:
        return 1, 0
    if first < 0x90:
        return 1, 2 * (first & 0x0F)
    if first < 0xA0:
        return 1, first & 0x0F
    if first < 0xC0:
        return 1 + (first & 0x1F), 0
    if first in _FIXED:
        return _FIXED[first], 0
    if first in _SIZED:
        width, fixed = _SIZED[first]
        return fixed + int.from_bytes(data[pos + 1 : pos + 1 + width], "big"), 0
    if first in _NESTED:
        width, times = _NESTED[first]
        return 1 + width, times * int.from_bytes(data[pos + 1 : pos + 1 + width], "big")
    raise MalformedFrame("Malformed frame: unknown type byte")


FactsFor = Callable[[str], dict[str, Any]]
_PACKED_KEPT = 64


class Stamp:
    """A sender's identity, packed once: `ws` and `user` as they are appended to its envelopes.

    `facts_for` gives the user as a receiver in a workspace may know it, where that differs from `user`.
    """

    __slots__ = ("_facts_for", "_packed_for", "address", "user", "workspace", "ws_only", "ws_user")

    def __init__(
        self, address: str, workspace: str, user: dict[str, Any], facts_for: FactsFor | None = None
    ) -> None:
        self.address = address
        self.workspace = workspace
        self.user = user
        self._facts_for = facts_for
        self._packed_for: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.ws_only = pack("ws") + pack(workspace)
        self.ws_user = self.ws_only + pack("user") + pack(user)

    def apply(self, main: dict[str, Any], data: Buffer, head: int, to: str, with_user: bool) -> Frame:
        """Return the frame as its receiver gets it: true `from`, `ws`, `user` and absolute `to`.

        `user` is left out of session methods (answers and callbacks): no client reads it there
        (docs/spec/wire-protocol.md#identity). An honest envelope is kept byte for byte and only extended.

        Raises:
            MalformedFrame: the envelope of a call or an answer has other keys than its own. Receivers would
                take them for the body, which was checked, or for what the server says of the sender.
        """
        user, suffix, added = self.user, self.ws_only, 1
        if with_user:
            suffix, added = self.ws_user, 2
            if self._facts_for is not None:
                user, suffix = self._known_in(to.partition("/")[0], self._facts_for)
        entries = len(main)
        plain = 4 + ("session" in main) + ("parent" in main)
        if (
            entries == plain
            and "type" in main
            and main.get("from") == self.address
            and main.get("to") == to
            and "method" in main
            and data[0] & 0xF0 == 0x80
        ):
            parts = (_HEADS[entries + added], data[1:head], suffix, data[head:])
            return b"".join(parts) if len(data) < _SMALL_BYTES else join_frame(*parts)
        if not ENVELOPE_KEYS.issuperset(main) and main.get("type") == "method":
            odd = next(str(key) for key in main if key not in ENVELOPE_KEYS)[:40]
            error = MalformedFrame(f"Malformed frame: key {odd!r} is not allowed in the envelope")
            raise in_call(main, error)
        for key in ("ctx", "user", "ws"):
            main.pop(key, None)
        main["from"] = self.address
        main["to"] = to
        main["ws"] = self.workspace
        if with_user:
            main["user"] = user
        return join_frame(pack(main), data[head:])

    def user_for(self, workspace: str) -> dict[str, Any]:
        """The user object for a receiver in a workspace."""
        return self.user if self._facts_for is None else self._known_in(workspace, self._facts_for)[0]

    def _known_in(self, workspace: str, facts_for: FactsFor) -> tuple[dict[str, Any], bytes]:
        known = self._packed_for.get(workspace)
        if known is None:
            if len(self._packed_for) >= _PACKED_KEPT:
                self._packed_for.clear()
            user = facts_for(workspace)
            known = self._packed_for[workspace] = user, self.ws_only + pack("user") + pack(user)
        return known


_HEADS = [bytes((0x80 | n,)) for n in range(16)]
