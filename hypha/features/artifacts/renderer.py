"""Renders templates of artifacts in a process of its own, which is killed when one takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from hypha.errors import HyphaError, UnprocessableContent
from hypha.limits.turns import Turns
from hypha.objects.store import Reading

PROGRAM = Path(__file__).with_name("rendering.py")
LENGTH, ANSWER = struct.Struct(">L"), struct.Struct(">?L")
"""As the program says them, which the server does not import, as that takes jinja2 with it (2 MiB)."""
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""As large as the program lets a page be."""
MAX_TEMPLATE_BYTES = 1024 * 1024
MAX_JOB_BYTES = 16 * 1024 * 1024
"""A template with all that it is told."""
MAX_WAITING = 100
"""Pages that wait for their turn."""
MAX_WAITING_PER_PARTY = 20
"""Those of one party."""
PATIENCE_S = 30.0
"""For a page, whose process may have to start; what computes longer than it may ends long before."""
IDLE_S = 60.0
CPU_S = 1.0
_TOO_MUCH = "it computes for too long, or needs too much memory"


class TemplateFailed(UnprocessableContent):
    """A template of an artifact makes no page."""

    code = "template_failed"


@dataclass(frozen=True, slots=True)
class Template:
    """A template, and the plain values that it sees."""

    text: str
    values: Mapping[str, Any]


class Renderer:
    """One process at most, which is there while pages are asked for.

    The workspaces whose templates wait take turns; a page may take `cpu_s` of the processor.
    """

    def __init__(self, idle_s: float = IDLE_S, cpu_s: float = CPU_S) -> None:
        self._command = (sys.executable, "-I", str(PROGRAM), str(cpu_s))
        self._idle_s = idle_s
        self._turns = Turns(
            most=MAX_WAITING,
            most_per_party=MAX_WAITING_PER_PARTY,
            told="Too many pages wait to be rendered: try again later.",
        )
        self._process: Process | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def render(self, path: str, party: str, job: Callable[[], Awaitable[Template]]) -> bytes:
        """The page that a template makes, in UTF-8.

        Args:
            path: of the template in its artifact; HTML and XML get their values escaped.
            party: whose template it is.
            job: brings it. Called when it is its turn: of what waits nothing is in memory.

        Raises:
            TemplateFailed: it makes none, or takes too long. RateLimited: too many wait. And what `job` does.
        """
        async with self._turns.taken(party):
            brought = await job()
            told = {"template": brought.text, "name": path, "values": brought.values}
            packed = orjson.dumps(told)
            if len(packed) > MAX_JOB_BYTES:
                raise _failed(path, f"it would be told more than {MAX_JOB_BYTES} bytes of its artifact")
            is_page, answer = await self._asked(packed, path)
        if not is_page:
            error = orjson.loads(answer)
            raise _failed(path, error["error"], error["line"])
        return answer

    async def close(self) -> None:
        """End the process."""
        async with self._turns.taken(first=True):
            await self._end()

    async def _asked(self, job: bytes, path: str) -> tuple[bool, bytes]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._answer(job)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            await self._end()
            raise _failed(path, _TOO_MUCH) from None
        except BaseException:  # whoever asked is gone, and the process is at work for nobody
            await self._end()
            raise
        self._ending = asyncio.get_running_loop().call_later(self._idle_s, self._kill)
        return answer

    async def _answer(self, job: bytes) -> tuple[bool, bytes]:
        if self._ending is not None:
            self._ending.cancel()
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, env={}
            )
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None and told is not None  # both are pipes
        asked.write(LENGTH.pack(len(job)) + job)
        await asked.drain()
        is_page, length = ANSWER.unpack(await told.readexactly(ANSWER.size))
        if length > MAX_ANSWER_BYTES:
            raise OSError("this is no answer of the program")
        return is_page, await told.readexactly(length)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _end(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._kill()
        process, self._process = self._process, None
        if process is not None:
            await process.wait()


async def source_of(reading: Reading, path: str) -> str:
    """The text of a template.

    Raises:
        UnprocessableContent: it is too large, or no text.
    """
    try:
        if reading.info.size > MAX_TEMPLATE_BYTES:
            raise UnprocessableContent(f"A template has at most {MAX_TEMPLATE_BYTES} bytes: {path[:200]}")
        return (await reading.whole()).decode()
    except UnicodeDecodeError:
        raise UnprocessableContent(f"A template is a text in UTF-8: {path[:200]}") from None
    finally:
        await reading.close()


def _failed(path: str, reason: str, line: int | None = None) -> HyphaError:
    place = f"line {line}: " if line else ""
    return TemplateFailed(f"The template {path[:200]} makes no page: {place}{reason}")
