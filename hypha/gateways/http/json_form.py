"""Values of clients in the form in which JSON can carry them.

Clients send arrays, sets, maps with an order and the like as tagged maps
(docs/spec/wire-protocol.md#values), and bytes and times as such. In JSON arrays are nested lists and bytes
base64 text, unless the caller asks otherwise.
"""

from __future__ import annotations

import math
import re
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from operator import mul
from typing import Any, TypeGuard

import msgpack

from hypha.errors import InvalidRequest, ResultNotJson
from hypha.gateways.http.parameters import ARRAYS_KEY, BYTES_KEY
from hypha.wire.tracebacks import remote_error

LIST, BASE64 = "list", "base64"
MAX_NUMBERS = 1_000_000
"""Of arrays, in one answer as lists."""
MAX_BYTES = 16 * 1024 * 1024
"""Of bytes, in one answer as text or lists of numbers."""
MAX_DIMENSIONS = 64
LIST_BYTES = 8
"""Making a list takes as long as making text of so many bytes."""
FEW_LISTS = 16
"""An array of few numbers or none may become so many lists; one that would be more is given in base64."""

_PART = 64 * 1024
_DTYPE = re.compile(r"([<>=|]?)([bifucSU])([0-9]{1,5})")
_TIMES = re.compile(r"([<>=]?)(?:datetime64|M8)\[(s|ms|us|ns|D|h|m)\]")
_NAMES = {
    "bool": "b1", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1", "uint16": "u2",
    "uint32": "u4", "uint64": "u8", "float16": "f2", "float32": "f4", "float64": "f8", "complex64": "c8",
    "complex128": "c16",
}  # fmt: skip
_CODES = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
_PER_DAY = {"D": 1, "h": 24, "m": 1440, "s": 86400, "ms": 86_400_000, "us": 86_400_000_000,
            "ns": 86_400_000_000_000}  # fmt: skip
_NO_TIME = -(2**63)
_HINT = "Send 'Accept: application/msgpack' (or a msgpack body) to receive it as it is"


@dataclass(frozen=True, slots=True)
class JsonForm:
    """What a caller wants arrays and bytes to be: `list` or `base64`."""

    arrays: str = LIST
    bytes: str = BASE64

    @classmethod
    def asked_for(cls, pairs: Iterable[tuple[str, str]]) -> JsonForm:
        """As the query says.

        Raises:
            InvalidRequest: it says something else.
        """
        given = {name: text for name, text in pairs if name in (ARRAYS_KEY, BYTES_KEY)}
        if not given:
            return PLAIN
        for name, text in given.items():
            if text not in (LIST, BASE64):
                raise InvalidRequest(f"{name} is 'list' or 'base64', not {text[:40]!r}.")
        return cls(given.get(ARRAYS_KEY, LIST), given.get(BYTES_KEY, BASE64))


PLAIN = JsonForm()
"""What is sent to a caller that asks for nothing else."""


class JsonWriter:
    """Turns the values of one answer into plain ones; remembers what had to be turned."""

    def __init__(self, form: JsonForm) -> None:
        self._form = form
        self._numbers = 0
        self._bytes = 0
        self._has_arrays = False

    @property
    def note(self) -> str:
        """What arrays and bytes became, for a field of the answer; empty if there were none."""
        arrays = [f"arrays={self._form.arrays}"] if self._has_arrays else []
        return ", ".join(arrays + ([f"bytes={self._form.bytes}"] if self._bytes else []))

    def turn(self, tag: str, value: Mapping[str, Any]) -> Any:
        """The plain form of a tagged map; the map itself if it has none, or is not what its tag says."""
        turn = _TURNS.get(tag)
        return value if turn is None else turn(self, value)

    def default(self, value: Any) -> Any:
        """What stands for a value that JSON does not know (as `orjson.dumps` asks for it).

        Raises:
            ResultNotJson: nothing does.
        """
        if isinstance(value, bytes | bytearray | memoryview):
            return self._from_bytes(bytes(value))
        if isinstance(value, msgpack.Timestamp):
            return _iso(value.seconds, value.nanoseconds)
        if isinstance(value, msgpack.ExtType):
            return {"_rtype": "ext", "code": value.code, "_rvalue": self._base64(value.data)}
        if isinstance(value, set | frozenset):
            return list(value)
        if isinstance(value, complex):
            return [value.real, value.imag]
        raise ResultNotJson(
            f"TypeError: Object of type {type(value).__name__} is not JSON serializable", hint=f"{_HINT}."
        )

    def text_key(self, key: Any) -> Any:
        """A key of a map as text, where JSON does not know it."""
        if isinstance(key, bytes):
            try:
                return key.decode()
            except UnicodeDecodeError:
                return self._base64(key)
        if isinstance(key, msgpack.Timestamp):
            return _iso(key.seconds, key.nanoseconds)
        return str(key) if isinstance(key, msgpack.ExtType) else key

    def _from_bytes(self, data: bytes) -> Any:
        if self._form.bytes == LIST:
            self._spend(numbers=len(data))
            self._bytes += 1
            return list(data)
        return self._base64(data)

    def _base64(self, data: bytes) -> str:
        self._bytes += len(data) or 1
        if self._bytes > MAX_BYTES:
            raise ResultNotJson(f"TypeError: the result holds over {MAX_BYTES:,} bytes", hint=f"{_HINT}.")
        step = 3 * _PART
        return b"".join(b64encode(data[at : at + step]) for at in range(0, len(data), step)).decode()

    def _spend(self, numbers: int) -> None:
        self._numbers += numbers
        if self._numbers > MAX_NUMBERS:
            raise ResultNotJson(
                f"TypeError: the result holds arrays of over {MAX_NUMBERS:,} numbers",
                hint=f"{_HINT}, or add '?{ARRAYS_KEY}=base64'.",
            )

    def _array(self, value: Mapping[str, Any]) -> Any:
        data, dtype, shape = value.get("_rvalue"), value.get("_rdtype"), value.get("_rshape")
        if not isinstance(data, bytes) or not isinstance(dtype, str):
            return value
        self._has_arrays = True
        if self._form.arrays == LIST:
            flat = _Flat.of(data, dtype)
            if value.get("_rtype") == "typedarray":
                shape = [flat.count if flat else 0]
            if flat is not None and _fits(shape, flat.count):
                self._spend(flat.count + _lists(shape))
                items = flat.items()
                return _nested(items, shape) if shape else items[0]
        return {**value, "_rvalue": self._base64(data)}

    def _set(self, value: Mapping[str, Any]) -> Any:
        items = value.get("_rvalue")
        return items if isinstance(items, list) else value

    def _ordered_map(self, value: Mapping[str, Any]) -> Any:
        items = value.get("_rvalue")
        if not isinstance(items, list):
            return value
        if all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in items):
            return dict(items)
        return items

    def _view(self, value: Mapping[str, Any]) -> Any:
        data = value.get("_rvalue")
        return data if isinstance(data, bytes) else value

    def _model(self, value: Mapping[str, Any]) -> Any:
        fields = value.get("_rvalue")
        return fields if isinstance(fields, dict) else value

    def _error(self, value: Mapping[str, Any]) -> Any:
        kind, message = remote_error(str(value.get("_rvalue", "")), str(value.get("_rtrace") or ""))
        return {"error": f"{kind}: {message}" if kind else message}


_TURNS: Mapping[str, Callable[[JsonWriter, Mapping[str, Any]], Any]] = {
    "ndarray": JsonWriter._array,
    "typedarray": JsonWriter._array,
    "set": JsonWriter._set,
    "orderedmap": JsonWriter._ordered_map,
    "memoryview": JsonWriter._view,
    "error": JsonWriter._error,
    "pydantic_model": JsonWriter._model,
}


@dataclass(frozen=True, slots=True)
class _Flat:
    """The items of an array in their order: `code` is that of `struct`, `width` the bytes of one."""

    data: bytes
    order: str
    code: str
    width: int
    unit: str = ""

    @classmethod
    def of(cls, data: bytes, dtype: str) -> _Flat | None:
        """None for a type whose bytes are not understood, or do not make whole items."""
        if times := _TIMES.fullmatch(dtype):
            flat = cls(data, times[1], "q", 8, times[2])
        elif match := _DTYPE.fullmatch(_NAMES.get(dtype, dtype)):
            order, kind, size = match[1], match[2], int(match[3])
            if kind in "SU":
                flat = cls(data, order, kind, size * (4 if kind == "U" else 1))
            elif kind == "c" and size in (8, 16):
                flat = cls(data, order, "c", size)
            elif code := _CODES.get(f"{kind}{size}"):
                flat = cls(data, order, code, size)
            else:
                return None
        else:
            return None
        return flat if flat.width and len(data) % flat.width == 0 else None

    @property
    def count(self) -> int:
        """Number of items."""
        return len(self.data) // self.width

    def items(self) -> list[Any]:
        """The items, of which complex ones are pairs and times text."""
        order = ">" if self.order == ">" else "<"
        if self.code == "U":
            encoding = "utf-32-be" if order == ">" else "utf-32-le"
            return [self._cut(at).decode(encoding, "replace").rstrip("\0") for at in range(self.count)]
        if self.code == "S":
            return [self._cut(at).rstrip(b"\0") for at in range(self.count)]
        if self.code == "c":
            parts = self._numbers(order, "f" if self.width == 8 else "d", self.width // 2)
            return [[parts[at], parts[at + 1]] for at in range(0, len(parts), 2)]
        numbers = self._numbers(order, self.code, self.width)
        return [_time_of(number, self.unit) for number in numbers] if self.unit else numbers

    def _cut(self, number: int) -> bytes:
        return self.data[number * self.width : (number + 1) * self.width]

    def _numbers(self, order: str, code: str, width: int) -> list[Any]:
        found: list[Any] = []
        for at in range(0, len(self.data), _PART):  # a multiple of every width
            part = self.data[at : at + _PART]
            found += struct.unpack(f"{order}{len(part) // width}{code}", part)
        return found


def _fits(shape: Any, count: int) -> TypeGuard[list[int]]:
    """Whether lists of this shape hold so many items, and are not many more than the items themselves."""
    return _is_shape(shape) and math.prod(shape) == count and _lists(shape) <= 4 * count + FEW_LISTS


def _is_shape(shape: Any) -> TypeGuard[list[int]]:
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        return False
    return all(type(size) is int and 0 <= size <= MAX_NUMBERS for size in shape)


def _lists(shape: list[int]) -> int:
    """How many lists an array of this shape becomes."""
    return sum(accumulate(shape[:-1], mul))


def _nested(items: list[Any], shape: list[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        if size:
            items = [items[at : at + size] for at in range(0, len(items), size)]
        else:
            items = [[] for _ in range(math.prod(shape[: shape.index(0)]))]
    return items


def _time_of(count: int, unit: str) -> Any:
    """A time of numpy as text; null for none, the number itself beyond the years that have a name."""
    if count == _NO_TIME:
        return None
    days, rest = divmod(count, _PER_DAY[unit])
    nanoseconds = rest * (_PER_DAY["ns"] // _PER_DAY[unit])
    seconds, nanoseconds = divmod(nanoseconds, 1_000_000_000)
    text = _iso(days * 86400 + seconds, nanoseconds)
    return count if not isinstance(text, str) else text.removesuffix("+00:00")


def _iso(seconds: int, nanoseconds: int) -> str | float:
    """ISO 8601 in UTC; seconds since 1970 beyond the years that have a name."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return seconds + nanoseconds / 1e9
    digits = f".{nanoseconds:09d}".rstrip("0").rstrip(".") if nanoseconds else ""
    if digits and len(digits) < 7:
        digits = digits.ljust(7, "0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + digits + "+00:00"


def is_weighty(value: Any, most_bytes: int) -> bool:
    """Whether the bytes inside a value are more than so many; lists that arrays become count, too."""
    waiting, size = [value], 0
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            waiting += item.values()
            shape = item.get("_rshape")
            size += LIST_BYTES * _lists(shape) if _is_shape(shape) else 0
        elif kind is list:
            waiting += item
        elif kind is bytes:
            size += len(item)
        if size > most_bytes:
            return True
    return False
