"""What applications and their visitors send each other, while it waits in memory for the one or the other."""

from __future__ import annotations

import asyncio
import sys

from starlette.types import Message

from hypha.limits import WaitingRoom

MIB = 1024 * 1024
UNCOUNTED_BYTES = 16 * 1024
"""Of one socket or request; so much costs nothing."""
MESSAGE_BYTES = 256
"""What a message costs beside its content."""

MAX_BYTES_OF_PERSON = 256 * MIB
MAX_BYTES_OF_STRANGER = 96 * MIB
MAX_BYTES_OF_STRANGERS = 384 * MIB
MAX_BYTES = 768 * MIB

UNREAD_ROOM = WaitingRoom(MAX_BYTES_OF_PERSON, MAX_BYTES_OF_STRANGER, MAX_BYTES_OF_STRANGERS, MAX_BYTES)

TOO_MUCH = "Too much of what you and this application send each other waits unread. Try again later."


def size_of(message: Message) -> int:
    """How much memory an ASGI message takes; text may take four times its letters."""
    content = message.get("bytes") or message.get("text") or message.get("body")
    return MESSAGE_BYTES + (sys.getsizeof(content) if isinstance(content, bytes | str) else 0)


class Unread(asyncio.Queue[Message]):
    """Messages that have come and were not taken; `size` is what they take."""

    size = 0
    is_closed = False
    """Whether nobody takes any more: then nothing is kept."""

    def _put(self, item: Message) -> None:
        if self.is_closed:
            return
        self.size += size_of(item)
        super()._put(item)

    def _get(self) -> Message:
        item = super()._get()
        self.size -= size_of(item)
        return item

    def close(self) -> None:
        """Forget all of them, and all that follow."""
        self.clear()
        self.is_closed = True

    def clear(self) -> None:
        """Forget all of them."""
        while not self.empty():
            self.get_nowait()
