"""What runs in a container writes: pieces of two streams, of which a bounded part is kept."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

TAIL_BYTES = 500_000
"""Of a log, for each stream: its end."""
EXECUTED_BYTES = 8 * 1024 * 1024
"""Of what one call of `execute` gives: its beginning."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of `stdout` or `stderr`."""

    stream: str
    data: bytes


Pieces = AsyncIterator[Piece]


async def ends_of(pieces: Pieces) -> dict[str, str]:
    """The end of each stream that wrote something."""
    kept: dict[str, deque[bytes]] = {}
    sizes: dict[str, int] = {}
    async for piece in pieces:
        parts = kept.setdefault(piece.stream, deque())
        parts.append(piece.data)
        sizes[piece.stream] = sizes.get(piece.stream, 0) + len(piece.data)
        while sizes[piece.stream] - len(parts[0]) >= TAIL_BYTES:
            sizes[piece.stream] -= len(parts.popleft())
    return {name: b"".join(parts)[-TAIL_BYTES:].decode("utf-8", "replace") for name, parts in kept.items()}


class Executed:
    """Outputs of one call of `execute`, in the form that kernels give them: texts of one stream together."""

    def __init__(self) -> None:
        self._outputs: list[dict[str, Any]] = []
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._bytes = 0

    def add(self, piece: Piece) -> dict[str, Any] | None:
        """Keep a piece; returns it as a caller is told of it, None where nothing of it is kept."""
        data = piece.data[: EXECUTED_BYTES - self._bytes]
        self._bytes += len(data)
        decoder = self._decoders.get(piece.stream)
        if decoder is None:
            decoder = self._decoders[piece.stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data)
        if not text:
            return None
        last = self._outputs[-1] if self._outputs else None
        if last is not None and last["name"] == piece.stream:
            last["parts"].append(text)
        else:
            self._outputs.append({"name": piece.stream, "parts": [text]})
        return {"type": "stream", "name": piece.stream, "text": text}

    def values(self) -> list[dict[str, Any]]:
        """All that is kept; a last text says that there was more."""
        found = [
            {"type": "stream", "name": each["name"], "text": "".join(each["parts"])} for each in self._outputs
        ]
        if self._bytes >= EXECUTED_BYTES:
            text = f"[more outputs are not kept: {EXECUTED_BYTES} bytes are the most]\n"
            found.append({"type": "stream", "name": "stderr", "text": text})
        return found
