"""A message that comes in several WebSocket frames (RFC 6455, 5.4)."""

from __future__ import annotations

from typing import Any

_BLOCK_BYTES = 64 * 1024


class Fragments:
    """The frames of one unfinished message.

    They are kept in blocks and joined at the end: one growing buffer is copied as a whole whenever it
    outgrows its place, some 5 ms for 16 MiB.
    """

    __slots__ = ("blocks", "kind", "size")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        """What the message is, text or binary, as its first frame says."""
        self.size = 0
        """Bytes that came so far."""
        self.blocks: list[bytes | bytearray] = []
        """The same bytes."""

    def add(self, data: bytes) -> None:
        """Keep one more frame; small ones share a block, because each block costs memory beside its bytes."""
        self.size += len(data)
        if len(data) >= _BLOCK_BYTES:
            self.blocks.append(data)
            return
        last = self.blocks[-1] if self.blocks else None
        if type(last) is bytearray and len(last) + len(data) <= _BLOCK_BYTES:
            last += data
        else:
            self.blocks.append(bytearray(data))

    def whole(self) -> bytes:
        """The message."""
        return b"".join(self.blocks)
