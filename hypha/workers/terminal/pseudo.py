"""A pseudo-terminal: what a program takes for its screen and keyboard, read and written without waiting."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable

_READ_BYTES = 4_096


class PseudoTerminal:
    """Both ends of one; the far end is the program's and is kept open here, so it outlives the program."""

    def __init__(self, rows: int, columns: int) -> None:
        self._near, self.far = os.openpty()
        os.set_blocking(self._near, False)
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program how large its screen is."""
        fcntl.ioctl(self._near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def read(self) -> bytes:
        """What was printed, as soon as something is there."""
        while True:
            with contextlib.suppress(BlockingIOError):
                return os.read(self._near, _READ_BYTES)
            await self._until(asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)

    def read_at_once(self) -> bytes:
        """What is there to read now; empty if there is nothing."""
        with contextlib.suppress(BlockingIOError, OSError):
            return os.read(self._near, _READ_BYTES)
        return b""

    async def write(self, data: bytes) -> None:
        """Type something; it waits while the program reads nothing and the terminal is full."""
        rest = memoryview(data)
        while rest:
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(self._near, rest) :]
                continue
            await self._until(asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)

    def write_at_once(self, data: bytes) -> None:
        """Type something, as far as there is room for it."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._near, data)

    async def _until(self, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        ready = asyncio.get_running_loop().create_future()
        add(self._near, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            if self._near >= 0:
                remove(self._near)

    def unread(self) -> int:
        """How many typed bytes the program has not read yet."""
        return int(struct.unpack("i", fcntl.ioctl(self.far, termios.FIONREAD, b"\0\0\0\0"))[0])

    def foreground(self) -> int:
        """The group of processes that reads what is typed; 0 if there is none."""
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self._near)
        return 0

    def close(self) -> None:
        """Let go of both ends."""
        for end in (self._near, self.far):
            with contextlib.suppress(OSError):
                os.close(end)
        self._near = self.far = -1
