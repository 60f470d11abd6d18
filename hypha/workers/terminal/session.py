"""One terminal: its program, its screen, and those who wait for what it prints."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import Callable, Iterator

from hypha.workers.base import SessionStatus, WorkerError
from hypha.workers.children import Tail, describe_code
from hypha.workers.folders import SessionFolder
from hypha.workers.logs import LogItem
from hypha.workers.terminal.program import TerminalProgram
from hypha.workers.terminal.prompts import prompt_of
from hypha.workers.terminal.pseudo import PseudoTerminal
from hypha.workers.terminal.screen import COLUMNS, ROWS, TerminalScreen
from hypha.workers.terminal.sequences import plain

MOST_INPUT_BYTES = 65_536
"""Typed at once."""
MOST_KEPT_BYTES = 500_000
"""Of the output, for the log, for a reader, and for one who executes something; each for itself."""
_TURN_S = 0.005
_TYPE_S = 10.0
"""How long a program may read nothing while somebody types."""


class Pace:
    """The share of this process that drawing on screens may take: half of it, for all screens together."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def draw(self, screen: TerminalScreen, text: str) -> None:
        """Draw a text in short turns, with as much time for others between them."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            begun = loop.time()
            for _ in screen.draw(text):
                spent = loop.time() - begun
                if spent > _TURN_S:
                    await asyncio.sleep(spent)
                    begun = loop.time()


class Listener:
    """What was printed since somebody began to listen, or last took it; only the end of very much."""

    def __init__(self) -> None:
        self._kept = Tail(MOST_KEPT_BYTES)
        self._more = asyncio.Event()

    def add(self, data: bytes) -> None:
        """Note an output."""
        self._kept.add(data)
        self._more.set()

    def wake(self) -> None:
        """Let who waits look: the program may have ended."""
        self._more.set()

    def text(self) -> str:
        """All that is kept."""
        return self._kept.text()

    def take(self) -> str:
        """The same, and begin anew."""
        taken, self._kept = self._kept, Tail(MOST_KEPT_BYTES)
        return taken.text()

    async def more(self, timeout_s: float) -> bool:
        """Wait until something was printed, or the program ended; whether that was in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._more.wait()
            self._more.clear()
            return True
        return False


class TerminalSession:
    """A terminal whose program was started, until `end`."""

    def __init__(self, pace: Pace) -> None:
        self.folder: SessionFolder | None = None
        self.terminal = PseudoTerminal(ROWS, COLUMNS)
        self.screen = TerminalScreen(lambda text: self.terminal.write_at_once(text.encode()))
        self.program: TerminalProgram | None = None
        self.notes: list[str] = []
        self.is_closed = False
        self.executing = asyncio.Lock()
        self.unread = Listener()
        """For `read_terminal`."""
        self._pace = pace
        self._log = Tail(MOST_KEPT_BYTES)
        self._listeners: set[Listener] = {self.unread}
        self._typing, self._taking = asyncio.Lock(), asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_ended = asyncio.Event()

    def begin(self, program: TerminalProgram, on_end: Callable[[SessionStatus], None]) -> None:
        """Follow a program that was started in the terminal."""
        self.program = program
        reading = asyncio.create_task(self._read())
        self._tasks = [reading, asyncio.create_task(self._watch(program, reading, on_end))]

    @property
    def has_ended(self) -> bool:
        """Whether the program is over."""
        return self._has_ended.is_set()

    async def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            data = await self.terminal.read()
            async with self._taking:  # whoever breaks this off waits until it is noted
                await self._take(data, decoder)

    async def _take(self, data: bytes, decoder: codecs.IncrementalDecoder) -> None:
        self._log.add(data)
        await self._pace.draw(self.screen, decoder.decode(data))
        for listener in self._listeners:
            listener.add(data)

    async def _watch(
        self, program: TerminalProgram, reading: asyncio.Task[None], on_end: Callable[[SessionStatus], None]
    ) -> None:
        code = await program.wait()
        async with self._taking:
            reading.cancel()
        await asyncio.wait([reading])
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        left = MOST_KEPT_BYTES  # others may hold the terminal and go on
        while left > 0 and (data := self.terminal.read_at_once()):
            left -= len(data)
            await self._take(data, decoder)
        self.notes.append(f"The program ended with {describe_code(code)}.")
        on_end(SessionStatus.FAILED if code else SessionStatus.COMPLETED)
        self._has_ended.set()
        for listener in self._listeners:
            listener.wake()

    @contextlib.contextmanager
    def listening(self) -> Iterator[Listener]:
        """Listen to what is printed."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def type(self, text: str) -> None:
        """Type a text.

        Raises:
            WorkerError: the program has ended, or reads nothing; the text is too long.
        """
        data = text.encode(errors="replace")
        if len(data) > MOST_INPUT_BYTES:
            raise WorkerError(f"At most {MOST_INPUT_BYTES} bytes are typed at once: write a file instead.")
        if self.has_ended:
            raise WorkerError("The program of this terminal has ended: stop the session.")
        try:
            async with asyncio.timeout(_TYPE_S), self._typing:
                await self.terminal.write(data)
        except TimeoutError:
            raise WorkerError("The program does not read what is typed: some of it was not.") from None

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the screen.

        Raises:
            ValueError: it cannot have that size.
        """
        self.screen.resize(rows, columns)
        if not self.has_ended:
            self.terminal.resize(rows, columns)

    def is_shell_in_front(self) -> bool:
        """Whether what is typed goes to the first program, and to none that it started."""
        return self.program is not None and self.terminal.foreground() == self.program.pid

    def items(self) -> list[LogItem]:
        """Its log: one entry of the output, and what happened to it."""
        printed = LogItem(type="stdout", content=plain(self._log.text()))
        return [printed, *(LogItem(type="info", content=note) for note in self.notes)]

    def prompt(self) -> str:
        """The prompt at which the program waits for somebody to type; empty if none is seen."""
        return prompt_of(self._log.text())

    async def end(self) -> None:
        """End the program and all of its processes, then delete the folder."""
        if self.program is not None:
            await self.program.end()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._has_ended.set()
        for listener in self._listeners:
            listener.wake()
        self.terminal.close()
        self.is_closed = True
        if self.folder is not None:
            await asyncio.to_thread(self.folder.remove)
