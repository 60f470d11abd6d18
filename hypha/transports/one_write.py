"""The head of an HTTP answer and what follows it at once are written together.

A system call and the waking of the client cost more than everything else that is done for a small answer.
"""

from __future__ import annotations

import asyncio

_JOIN_BYTES = 64 * 1024
"""Larger bodies are not copied; the loop writes both with one call where the system can."""


class OneWrite:
    """The transport of an answer: a first write waits for a second one, until the turn of the loop ends."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None  # written before all else

    def write(self, data: bytes) -> None:
        """Write this, or keep it for a moment."""
        held, is_small = self._held, len(data) < _JOIN_BYTES
        if held is not None:
            self._held = None
            if is_small:
                self._transport.write(b"".join((held, data)))
            else:
                self._transport.writelines((held, data))
        elif is_small:
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what is kept; nothing happens if there is nothing, or the client has left meanwhile."""
        held = self._held
        if held is not None:
            self._held = None
            if not self._transport.is_closing():
                self._transport.write(held)

    def close(self) -> None:
        """Close the connection when all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._transport.is_closing()
