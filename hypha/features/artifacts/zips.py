"""Zip archives of stored files, whose length is known before the first byte; no I/O.

The layout is the same each time: order and times are those of the files. ZIP64 where numbers need it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MOST_16, _MOST_32 = 0xFFFF, 0xFFFFFFFF
_FLAGS = 0x0808
"""Names are UTF-8, and the checksum follows the content."""
_MODE = 0o100600 << 16
_BY_UNIX = 3 << 8
_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_END_64, _LOCATOR = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive; `modified` in Unix seconds."""

    name: str
    size: int
    modified: float

    @property
    def raw_name(self) -> bytes:
        """The name as it is written."""
        return self.name.encode()

    @property
    def is_large(self) -> bool:
        """Whether its size takes 64 bits."""
        return self.size >= _MOST_32


def local_header(member: Member) -> bytes:
    """What stands before the content of a member."""
    extra = struct.pack("<HHQQ", 1, 16, member.size, member.size) if member.is_large else b""
    size = _MOST_32 if member.is_large else member.size
    name, (day, clock) = member.raw_name, _dos(member.modified)
    head = _LOCAL.pack(
        b"PK\x03\x04", _needed(extra), _FLAGS, 0, clock, day, 0, size, size, len(name), len(extra)
    )
    return head + name + extra


def descriptor(member: Member, crc: int) -> bytes:
    """What stands behind the content."""
    return struct.pack(
        "<4sLQQ" if member.is_large else "<4sLLL", b"PK\x07\x08", crc, member.size, member.size
    )


def central_header(member: Member, crc: int, offset: int) -> bytes:
    """The entry of the directory at the end; `offset` is where the member begins."""
    large = [member.size, member.size] if member.is_large else []
    far = [offset] if offset >= _MOST_32 else []
    numbers = [*large, *far]
    extra = struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
    size, name, (day, clock) = min(member.size, _MOST_32), member.raw_name, _dos(member.modified)
    head = _CENTRAL.pack(
        b"PK\x01\x02", _BY_UNIX | _needed(extra), _needed(extra), _FLAGS, 0, clock, day, crc, size, size,
        len(name), len(extra), 0, 0, 0, _MODE, min(offset, _MOST_32),
    )  # fmt: skip
    return head + name + extra


def end_of(count: int, start: int, size: int) -> bytes:
    """What stands behind the directory, which begins at `start`."""
    more = b""
    if count >= _MOST_16 or start >= _MOST_32 or size >= _MOST_32:
        more = _END_64.pack(b"PK\x06\x06", 44, _BY_UNIX | 45, 45, 0, 0, count, count, size, start)
        more += _LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1)
    few = min(count, _MOST_16)
    return more + _END.pack(b"PK\x05\x06", 0, 0, few, few, min(size, _MOST_32), min(start, _MOST_32), 0)


def offsets(members: Sequence[Member]) -> Iterator[int]:
    """Where each member begins, and last of all where the directory does."""
    at = 0
    for member in members:
        yield at
        at += len(local_header(member)) + member.size + len(descriptor(member, 0))
    yield at


def length_of(members: Sequence[Member]) -> int:
    """How many bytes the archive has."""
    directory = start = 0
    for member, start in zip((*members, None), offsets(members), strict=True):
        directory += len(central_header(member, 0, start)) if member is not None else 0
    return start + directory + len(end_of(len(members), start, directory))


def _needed(extra: bytes) -> int:
    return 45 if extra else 20


def _dos(modified: float) -> tuple[int, int]:
    """Day and time as archives have them: since 1980, in steps of two seconds, UTC."""
    at = time.gmtime(min(max(modified, 315_532_800), 4_354_819_198))
    day = (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday
    return day, at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2
