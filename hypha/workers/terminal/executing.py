"""Typing something into a terminal as a person does, and reading what comes of it until a prompt is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.children import Tail
from hypha.workers.terminal.prompts import is_prompt, prompt_of, without_prompt
from hypha.workers.terminal.sequences import PlainStream, plain
from hypha.workers.terminal.session import MOST_KEPT_BYTES, TerminalSession

_USUAL_S, _MOST_S = 5.0, 3_600.0
_SETTLED_S, _SETTLED_OTHER_S = 0.05, 0.5
"""How long nothing comes after a prompt: of the shell, of another program that may print something alike."""
_LOOK_S, _QUIET_LOOKS = 0.25, 4
"""A shell that is found waiting so often without a prompt waits for a person."""
_TAIL_CHARS = 4_096
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Wish:
    """How something is to be executed."""

    timeout_s: float
    is_raw: bool

    @classmethod
    def of(cls, config: Mapping[str, Any] | None) -> Wish:
        """As a caller says it.

        Raises:
            ValueError: the timeout is no number of seconds that can be.
        """
        given = (config or {}).get("timeout")
        timeout_s = _USUAL_S if given is None else given
        if (
            isinstance(timeout_s, bool)
            or not isinstance(timeout_s, int | float)
            or not 0 < timeout_s <= _MOST_S
        ):
            raise ValueError(f"timeout is a number of seconds up to {_MOST_S:g}.")
        return cls(float(timeout_s), bool((config or {}).get("raw_output")))


async def execute(session: TerminalSession, script: str, wish: Wish) -> dict[str, Any]:
    """Type a script; what was printed, and what has changed on the screen.

    Raises:
        WorkerError: the program has ended, reads nothing, or others execute something all the time.
    """
    before, prompt = session.screen.lines(), session.prompt()
    reading = _Reading(session, script)
    kept = Tail(MOST_KEPT_BYTES)
    async with aclosing(reading.printed(wish.timeout_s)) as printed:
        async for text in printed:
            kept.add(text.encode(errors="replace"))
    after = session.screen.lines()
    changed = [line for line, old in zip_longest(after, before, fillvalue="") if line != old]
    text = kept.text()
    return {
        "status": "ok",
        "complete": reading.is_complete,
        "outputs": [
            {
                "type": "stream",
                "name": "stdout",
                "text": text if wish.is_raw else _answer(text, script, prompt),
            },
            {"type": "screen", "name": "screen_diff", "text": "\n".join(changed).strip("\n")},
        ],
    }


async def execute_stream(session: TerminalSession, script: str, wish: Wish) -> AsyncIterator[dict[str, Any]]:
    """Type a script, and give out what is printed as it comes: `{type: output|error|complete}`."""
    reading, stream = _Reading(session, script), PlainStream()
    try:
        async with aclosing(reading.printed(wish.timeout_s)) as printed:
            async for text in printed:
                shown = text if wish.is_raw else stream.read(text)
                if shown:
                    yield {"type": "output", "content": shown}
    except WorkerError as error:
        yield {"type": "error", "content": str(error)}
        return
    yield {"type": "complete", "status": "ok", "complete": reading.is_complete}


class _Reading:
    """Follows what is printed after a script was typed."""

    def __init__(self, session: TerminalSession, script: str) -> None:
        self._session = session
        self._script = script.removesuffix("\n") + "\n"
        self._tail = ""
        self._lines_to_come = self._script.count("\n")
        """Each typed line is shown, and a newline after it."""
        self.is_complete = False
        """Whether a prompt came, or the program ended."""

    async def printed(self, timeout_s: float) -> AsyncGenerator[str, None]:
        """Type it, then give what is printed until a prompt is there, the shell is quiet, or time is over.

        Raises:
            WorkerError: as `execute`.
        """
        loop = asyncio.get_running_loop()
        deadline, quiet = loop.time() + timeout_s, 0
        async with self._alone(timeout_s):
            with self._session.listening() as listener:
                await self._session.type(self._script)
                while (left_s := deadline - loop.time()) > 0 and not self.is_complete:
                    patience_s, is_prompt = self._patience()
                    if await listener.more(min(left_s, patience_s)):
                        quiet = 0
                        yield self._note(listener.take())
                        self.is_complete = self._session.has_ended
                    elif is_prompt and patience_s < left_s:
                        self.is_complete = True
                    else:
                        quiet = quiet + 1 if self._is_quiet() else 0
                        if quiet >= _QUIET_LOOKS:
                            return

    @asynccontextmanager
    async def _alone(self, timeout_s: float) -> AsyncIterator[None]:
        """Keep others from executing something meanwhile."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._session.executing.acquire()
        except TimeoutError:
            raise WorkerError("Something else is executed in this terminal: try again later.") from None
        try:
            yield
        finally:
            self._session.executing.release()

    def _note(self, text: str) -> str:
        self._lines_to_come -= text.count("\n")
        self._tail = (self._tail + text)[-_TAIL_CHARS:]
        return text

    def _patience(self) -> tuple[float, bool]:
        """How long nothing has to come until it is over, and whether a prompt is there."""
        is_shown = self._lines_to_come <= 0 and not self._session.terminal.unread()
        if not is_shown or not prompt_of(self._tail):
            return _LOOK_S, False
        return (_SETTLED_S if self._session.is_shell_in_front() else _SETTLED_OTHER_S), True

    def _is_quiet(self) -> bool:
        return self._session.is_shell_in_front() and not self._session.terminal.unread()


def _answer(text: str, script: str, prompt: str) -> str:
    """What was printed, without what was typed and without prompts."""
    typed = [_packed(line) for line in script.removesuffix("\n").split("\n")]
    lines = plain(text).split("\n")
    last = without_prompt(lines.pop(), prompt)
    lines += [last] if last else []
    echoed = 0  # a line is shown when it comes, and once more when a shell reads it after its prompt
    while echoed < min(len(typed), len(lines)) and _packed(lines[echoed]) == typed[echoed]:
        echoed += 1
    kept, at = [], 0
    for line in lines[echoed:]:
        found = next(
            (here for here in (at, at + 1) if here < len(typed) and _is_echo(line, typed[here])), None
        )
        if found is None:
            kept.append(line)
        else:
            at = found + 1
    return "\n".join(kept)


def _is_echo(line: str, typed: str) -> bool:
    """Whether a line is a prompt and something typed behind it."""
    packed = _packed(line)
    return packed.endswith(typed) and is_prompt(packed.removesuffix(typed) + " ")


def _packed(line: str) -> str:
    """A line without spaces: a shell breaks long ones."""
    return _SPACES.sub("", line)
