"""Objects over HTTP: sent whole, in part or not at all (RFC 9110, 13 and 14), and taken in as they come."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import Protocol
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from hypha.errors import HyphaError, VersionConflict
from hypha.objects.store import DEFAULT_TYPE, ObjectInfo, Reading
from hypha.web.bodies import ClientLeft
from hypha.web.headers import Headers, headers_of
from hypha.web.leaving import unless_left
from hypha.web.ranges import satisfiable_ranges
from hypha.web.scope import FILE_SENDER, SENT_AS_IT_IS
from hypha.web.uploads import keep

ATTEMPTS = 5
WATCHED_BYTES = 8 * 1024 * 1024
"""Of more than that it is watched whether the reader is still there: else all is read, for nobody."""
PASSED_FROM_BYTES = 64 * 1024
"""More than that goes from the disk to the socket by itself; less is written together with the head."""
SendFile = Callable[[Callable[[int, int], Awaitable[tuple[int, bool]]], int, int], Awaitable[None]]
"""Sends what `Reading.pass_on` passes on, from one offset to another."""
HARMLESS: Headers = [
    (b"content-security-policy", b"sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
"""Content that somebody put here is shown in an origin of its own and runs nothing: it would be on ours."""
_ONE_RANGE = re.compile(rb"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))")
_TAG = re.compile(rb'(?:W/)?"([^"]*)"')
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?: *;[\x20-\x7e]*)?")
_UNASKED = frozenset({"application/x-www-form-urlencoded", DEFAULT_TYPE})
_UNSAFE = re.compile(r"[^A-Za-z0-9 !#$&+.^_`|~()\[\]{}@,;=-]")


class Readable(Protocol):
    """Where objects are read: an `ObjectStore`, or what is inside one of its objects."""

    async def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """See `ObjectStore`."""


class RangeNotSatisfiable(HyphaError):
    """The object has nothing of the bytes that were asked for."""

    code, status = "range_not_satisfiable", 416

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The file has {size_bytes} bytes; none of the range that was asked for.")
        self.size_bytes = size_bytes


class PreconditionFailed(VersionConflict):
    """The object is not the one that the request is about."""

    code, status = "precondition_failed", 412


async def send_object(
    store: Readable,
    key: str,
    scope: Scope,
    send: Send,
    *,
    headers: Headers | None = None,
    filename: str = "",
    receive: Receive | None = None,
) -> None:
    """Answer GET or HEAD with an object: 200, 206 for one range, or 304.

    Several ranges are answered with the whole. `headers` are added, in place of those of the object that have
    the same name; `filename` lets browsers save it under that name. With `receive` a large object
    is read no further when the client has hung up.

    Raises:
        ObjectNotFound, InvalidKey. RangeNotSatisfiable. PreconditionFailed: of `If-Match` and its like.
    """
    given = headers_of(scope)
    scope[SENT_AS_IT_IS] = True
    is_head = scope["method"] == "HEAD"
    is_whole = not is_head and b"range" not in given
    reading = await store.open(key) if is_whole else None
    info = await store.head(key) if reading is None else reading.info
    try:
        if is_unchanged(given, info):
            await _start(scope, send, 304, [*_facts(info), *(headers or [])])
            return
        part: tuple[int, int] | None = None
        if reading is None and not is_head:
            part, reading = await _opened_range(store, info, given)
            info = reading.info
        answer = _head(info, part, headers or [], filename)
        await _start(scope, send, 206 if part else 200, answer, reading, receive)
    finally:
        if reading is not None:
            await reading.close()


async def _start(
    scope: Scope,
    send: Send,
    status: int,
    headers: Headers,
    reading: Reading | None = None,
    receive: Receive | None = None,
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if reading is not None:
        sending = _send_body(reading, send, scope.get(FILE_SENDER))
        if receive is not None and reading.stop - reading.start > WATCHED_BYTES:
            await unless_left(receive, sending)
        else:
            await sending
    await send({"type": "http.response.body", "body": b""})


async def _send_body(reading: Reading, send: Send, send_file: SendFile | None) -> None:
    if send_file is not None and reading.passes_on and reading.stop - reading.start > PASSED_FROM_BYTES:
        await send_file(reading.pass_on, reading.start, reading.stop)
        return
    async for chunk in reading.chunks():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


def _head(info: ObjectInfo, part: tuple[int, int] | None, headers: Headers, filename: str) -> Headers:
    start, stop = part or (0, info.size)
    answer = [
        (b"content-type", _told_type(info.content_type)),
        (b"content-length", b"%d" % (stop - start)),
        (b"accept-ranges", b"bytes"),
        *_facts(info),
        *HARMLESS,
    ]
    if part is not None:
        answer.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, info.size)))
    if filename:
        answer.append((b"content-disposition", disposition(filename)))
    own = {name for name, _ in headers}
    return [pair for pair in answer if pair[0] not in own] + headers


async def _opened_range(
    store: Readable, info: ObjectInfo, given: Mapping[bytes, bytes]
) -> tuple[tuple[int, int] | None, Reading]:
    """Begin and end of the part that a request with a `Range` gets, None for all, and the opened bytes."""
    key = info.key
    for _ in range(ATTEMPTS):
        wanted = one_range(given[b"range"], info.size) if _range_counts(given, info) else None
        reading = await store.open(key, *(wanted or (0, info.size)))
        if reading.info.etag == info.etag and reading.info.size == info.size:
            return wanted, reading
        info = reading.info  # somebody put another one there meanwhile
        await reading.close()
    raise VersionConflict("The file is being changed again and again: try again later.")


def one_range(value: bytes, size_bytes: int) -> tuple[int, int] | None:
    """Begin and end of the one range that a `Range` asks for; None if it is to be ignored.

    Raises:
        RangeNotSatisfiable: the content has nothing of it.
    """
    ranges = satisfiable_ranges(value, size_bytes)
    match = _ONE_RANGE.fullmatch(ranges) if ranges is not None else None
    if match is None:
        return None
    first, last, suffix = (int(digits[:18]) if digits else None for digits in match.groups())
    if suffix is not None:
        start, stop = max(0, size_bytes - suffix), size_bytes
    else:
        start = first or 0
        stop = size_bytes if last is None else min(last + 1, size_bytes)
    if start >= stop:
        raise RangeNotSatisfiable(size_bytes)
    return start, stop


def is_unchanged(given: Mapping[bytes, bytes], info: ObjectInfo) -> bool:
    """Whether who asks has the object as it is.

    Raises:
        PreconditionFailed: it asks for another than it is.
    """
    has = given.get(b"if-match")
    if has is not None and not _names(has, info.etag):
        raise PreconditionFailed("The file has changed: its ETag is another one.")
    since = _time(given.get(b"if-unmodified-since"))
    if has is None and since is not None and int(info.modified) > since:
        raise PreconditionFailed("The file has changed since then.")
    known = given.get(b"if-none-match")
    if known is not None:
        return _names(known, info.etag)
    since = _time(given.get(b"if-modified-since"))
    return since is not None and int(info.modified) <= since


def disposition(filename: str) -> bytes:
    """`Content-Disposition` that lets browsers save a file under a name."""
    plain = _UNSAFE.sub("_", filename)
    line = f'attachment; filename="{plain}"'
    if plain != filename:
        line += f"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
    return line.encode("ascii", "replace")


def content_type_of(key: str, given: bytes) -> str:
    """The type of an object that is put: as it was said, else by its name.

    What tools send unasked for any body says nothing.
    """
    said = given.decode("latin-1").strip()
    if said and said.lower() not in _UNASKED and _TYPE.fullmatch(said):
        return said
    return mimetypes.guess_type(key)[0] or DEFAULT_TYPE


async def body_of(receive: Receive, length: bytes, gathered_bytes: int) -> AsyncIterator[bytes]:
    """The body of a request in the pieces in which it comes; nothing more comes than is taken.

    Args:
        length: `Content-Length` of the request.
        gathered_bytes: how much of it whoever takes it may have in memory; see `ObjectStore`.

    Raises:
        ClientLeft: the connection ended before the body did.
        LimitReached: too many bodies are unfinished. InvalidRequest: it came too slowly.
    """
    announced = int(length) if length.isdigit() else gathered_bytes
    keep(receive, min(announced, gathered_bytes))
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part


def _told_type(kind: str) -> bytes:
    return (kind if _TYPE.fullmatch(kind) else DEFAULT_TYPE).encode()


def _facts(info: ObjectInfo) -> Headers:
    return [
        (b"etag", b'"%b"' % info.etag.encode("latin-1", "replace")),
        (b"last-modified", formatdate(info.modified, usegmt=True).encode()),
        (b"cache-control", b"private, no-cache"),
    ]


def _range_counts(given: Mapping[bytes, bytes], info: ObjectInfo) -> bool:
    """Whether the condition of a range (`If-Range`) holds; a weak tag is none."""
    condition = given.get(b"if-range")
    if condition is None:
        return True
    if condition.startswith((b'"', b"W/")):
        return condition == b'"%b"' % info.etag.encode("latin-1", "replace")
    return _time(condition) == int(info.modified)


def _names(value: bytes, etag: str) -> bool:
    return value.strip() == b"*" or etag.encode("latin-1", "replace") in _TAG.findall(value)


def _time(value: bytes | None) -> int | None:
    if value is None:
        return None
    try:
        return int(parsedate_to_datetime(value.decode("latin-1")).timestamp())
    except (ValueError, OverflowError):
        return None
