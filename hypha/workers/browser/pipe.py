"""Messages between a server and the process that drives its pages: a length, then MessagePack."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgpack

from hypha.workers.base import WorkerError

MOST_ANSWER_BYTES = 16 * 1_048_576
MOST_ANSWER_VALUES = 100_000
"""What comes from a page is opened where others wait."""
_LENGTH_BYTES = 4
Message = dict[str, Any]


def packed(message: Mapping[str, Any]) -> bytes:
    """A message as it goes over the pipe.

    Raises:
        WorkerError: it holds something that is no plain value.
    """
    try:
        body: bytes = msgpack.packb(message, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WorkerError(f"The value cannot be sent: {str(error)[:200]}.") from None
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def read(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when there are no more."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
    message: Message = msgpack.unpackb(body, unicode_errors="surrogatepass", strict_map_key=False)
    return message


def check_answer(value: object) -> None:
    """Refuse what would hold up the server, and all whom it serves.

    Raises:
        WorkerError: it is too large.
    """
    bytes_left, left, waiting = MOST_ANSWER_BYTES, MOST_ANSWER_VALUES, [value]
    while waiting:
        each = waiting.pop()
        left -= 1
        if isinstance(each, str | bytes):
            bytes_left -= len(each)
        elif isinstance(each, Mapping):
            left -= len(each)
            waiting += [*each.keys(), *each.values()] if left > 0 else []
        elif isinstance(each, list | tuple):
            waiting += each if len(each) <= left else []
            left -= 0 if len(each) <= left else len(each)
        if bytes_left < 0 or left < 0:
            raise WorkerError(
                f"The answer is too large: it may have {MOST_ANSWER_VALUES:,} values and "
                f"{MOST_ANSWER_BYTES // 1_048_576} MiB of text."
            )
