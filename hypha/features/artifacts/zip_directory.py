"""The directory of a zip archive as bytes: where it is, and what its entries say; no I/O.

Archives come from anybody: every number in them is checked before it is used.
"""

from __future__ import annotations

import calendar
import struct
from dataclasses import dataclass

from hypha.errors import UnprocessableContent

END_BYTES = 65_535 + 22 + 20 + 56
"""In these last bytes of an archive its end is found: the records of it, and a comment."""
LOCAL_BYTES = 30
STORED, DEFLATED = 0, 8
MAX_NAME_BYTES = 4096
MAX_DEPTH = 100
_END, _RECORD_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_LOCATOR, _ENTRY = struct.Struct("<4sLQL"), struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_32, _MOST_63 = 0xFFFFFFFF, 2**63 - 1
_ENCRYPTED, _UTF_8 = 0x1, 0x800


class InvalidZip(UnprocessableContent):
    """A file is no zip archive, or one that cannot be read here."""

    code = "invalid_zip"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a directory is. `shift` is what stands before the archive, by which its offsets are wrong."""

    start: int
    stop: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A member: its path; `packed` and `size` in bytes; `changed` is day and time as archives have them."""

    path: str
    offset: int
    packed: int
    size: int
    method: int
    flags: int
    crc: int
    changed: int

    @property
    def modified(self) -> int:
        """When it was changed, in Unix seconds, as if in UTC."""
        return unix_of(self.changed)

    def check_readable(self) -> None:
        """Raise InvalidZip unless its content can be read here."""
        if self.flags & _ENCRYPTED:
            raise InvalidZip("This file inside the ZIP is encrypted: it can be downloaded with the archive.")
        if self.method not in (STORED, DEFLATED):
            raise InvalidZip(
                f"This file inside the ZIP is compressed in a way not read here (method {self.method})."
            )
        if self.method == STORED and self.packed != self.size:
            raise InvalidZip("The ZIP contradicts itself about the size of this file.")


def place_of(tail: bytes, size: int) -> Place:
    """Where the directory of an archive is, by its last bytes.

    Raises:
        InvalidZip: it has none.
    """
    at = _end_in(tail)
    disk, first, here, count, length, start = _END.unpack_from(tail, at)[1:7]
    record = at - _LOCATOR.size - _RECORD_64.size
    if record >= 0 and tail[record:][:4] == b"PK\x06\x06" and tail[at - _LOCATOR.size :][:4] == b"PK\x06\x07":
        at = record
        disk, first, here, count, length, start = _RECORD_64.unpack_from(tail, at)[4:]
    if disk or first or here != count:
        raise InvalidZip("A ZIP in several volumes is not read here.")
    stop = size - len(tail) + at
    shift = stop - length - start
    if shift < 0:
        raise InvalidZip("This is not a ZIP: its directory is not where its end says.")
    return Place(stop - length, stop, shift)


def entries_in(data: bytes) -> tuple[list[Entry], int]:
    """All whole entries in a piece of a directory, and how many bytes they take.

    Raises:
        InvalidZip: something else is there.
    """
    found, at = list[Entry](), 0
    while at + _ENTRY.size <= len(data):
        fields = _ENTRY.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            raise InvalidZip("This is not a ZIP: its directory is damaged.")
        name_bytes, extra_bytes, comment_bytes = fields[10:13]
        stop = at + _ENTRY.size + name_bytes + extra_bytes + comment_bytes
        if stop > len(data):
            break
        name = at + _ENTRY.size
        extra = name + name_bytes
        found.append(_entry(fields, data[name:extra], data[extra : extra + extra_bytes]))
        at = stop
    return found, at


def content_start(local: bytes, offset: int) -> int:
    """Where the content of the member begins whose local header, at an offset, this is.

    Raises:
        InvalidZip: it is none.
    """
    if len(local) < LOCAL_BYTES or local[:4] != b"PK\x03\x04":
        raise InvalidZip("The ZIP is damaged: this file is not where its directory says.")
    *_, name_bytes, extra_bytes = _LOCAL.unpack(local[:LOCAL_BYTES])
    return offset + LOCAL_BYTES + int(name_bytes) + int(extra_bytes)


def words_of(path: str) -> tuple[str, ...]:
    """The parts of a path inside an archive; `..` is one as others, for nothing is ever written there.

    Raises:
        InvalidZip: it lies too deep.
    """
    words = tuple(word for word in path.split("/") if word not in ("", "."))
    if len(words) > MAX_DEPTH:
        raise InvalidZip(f"Files inside a ZIP lie at most {MAX_DEPTH} folders deep.")
    return words


def _end_in(tail: bytes) -> int:
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            return at
    raise InvalidZip("This is not a ZIP: it has no end.")


def _entry(fields: tuple[int, ...], name: bytes, extra: bytes) -> Entry:
    _, _, _, flags, method, clock, day, crc, packed, size, *_, offset = fields
    if _MOST_32 in (size, packed, offset):
        size, packed, offset = _in_64_bits(extra, size, packed, offset)
    if max(size, packed, offset) > _MOST_63 or len(name) > MAX_NAME_BYTES:
        raise InvalidZip("The directory of the ZIP has an entry that cannot be.")
    return Entry(_text(name, flags), offset, packed, size, method, flags, crc, day << 16 | clock)


def _in_64_bits(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """The numbers of an entry, those that are too large from its 64-bit field."""
    wanted = [number for number in numbers if number == _MOST_32]
    at = 0
    while wanted and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            given = struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8][: 8 * len(wanted)])
            large = [number for (number,) in given]
            return tuple(large.pop(0) if number == _MOST_32 and large else number for number in numbers)
        at += 4 + length
    return numbers


def _text(name: bytes, flags: int) -> str:
    if flags & _UTF_8:
        return name.decode("utf-8", "replace")
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def unix_of(changed: int) -> int:
    """Unix seconds of a day and time as archives have them."""
    day, clock = changed >> 16, changed & 0xFFFF
    year, month, date = 1980 + (day >> 9), max(1, min(12, day >> 5 & 15)), max(1, day & 31)
    return calendar.timegm((year, month, date, clock >> 11, clock >> 5 & 63, (clock & 31) * 2))
