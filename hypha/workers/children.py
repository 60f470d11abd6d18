"""A child process of a session: limited, in a group of its own, its output kept up to a bound."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypha.workers.processes import ask_to_end, end_all, stat_of, tasks_of_user

_READ_BYTES = 65_536
_BREATH_BYTES, _BREATH_S = 1_048_576, 0.01
"""How much output is read without a pause, so that endless output takes a bounded share of this process."""
_GRACE_S = 2.0
"""How long a program that was asked to end may take for it."""
_DRAIN_S = 2.0
"""How long the output of a program that has ended is read on: others may hold it open."""
_READ_BYTES = 65_536
_LIMITED = """
import json, os, resource, signal, sys
for number in (signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)  # which a server ignores that was started with "&"
if sys.argv[2] == "terminal":
    import fcntl, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # its input becomes the terminal of its session
for name, value in json.loads(sys.argv[1]).items():
    kind = getattr(resource, name, None)
    if kind is not None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its worker
except (ImportError, OSError, AttributeError):
    pass
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Sets the limits, then becomes the program: nothing of ours may run between fork and exec beside threads."""


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """What each process of a session may use; 0 means no limit. `processes` counts those of the session."""

    cpu_s: int = 86_400
    memory_mb: int = 4_096
    file_mb: int = 1_024
    open_files: int = 1_024
    processes: int = 256
    session_memory_mb: int = 8_192
    """Of all processes of a session together."""

    def values(self, tasks: int) -> dict[str, int]:
        """Limits of the system by their names; `tasks` are those that the user has already."""
        mega = 1_048_576
        given = {
            "RLIMIT_CPU": self.cpu_s,
            "RLIMIT_AS": self.memory_mb * mega,
            "RLIMIT_FSIZE": self.file_mb * mega,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_NPROC": self.processes and self.processes + tasks,
        }
        return {"RLIMIT_CORE": 0, **{name: value for name, value in given.items() if value}}


async def limited_command(
    command: Sequence[str], limits: ProcessLimits, *, has_terminal: bool = False
) -> list[str]:
    """The command line of a program with limits; the program is the path of a file."""
    is_limited_by_user = bool(limits.processes) and os.getuid() != 0
    tasks = await asyncio.to_thread(tasks_of_user) if is_limited_by_user else 0
    kind = "terminal" if has_terminal else "pipes"
    return [sys.executable, "-I", "-S", "-c", _LIMITED, json.dumps(limits.values(tasks)), kind, *command]


class Tail:
    """The end of an output, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept = bytearray()
        self.dropped = 0
        """How many bytes are gone."""

    def add(self, data: bytes) -> None:
        """Append; what is too much goes in front, half a bound at a time."""
        self._kept += data
        if len(self._kept) > 1.5 * self._most_bytes:
            extra = len(self._kept) - self._most_bytes
            del self._kept[:extra]
            self.dropped += extra

    def text(self) -> str:
        """What is kept; a line in front says how much is not."""
        kept = self._kept[-self._most_bytes :].decode(errors="replace")
        dropped = self.dropped + max(0, len(self._kept) - self._most_bytes)
        return f"[{dropped} bytes before this are not kept]\n{kept}" if dropped else kept


class _Following(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells when a program has ended. `Process.wait` waits for those who hold its output open, too."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit, loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        """It has ended."""
        super().process_exited()
        self.exited.set()


class Child:
    """A running program. `marks` are the variables that name its session to the system."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        exited: asyncio.Event,
        marks: Mapping[str, str],
        most_bytes: int,
    ) -> None:
        self._process, self._exited = process, exited
        self.marks = dict(marks)
        found = stat_of(process.pid)
        self.started = found.started if found else None
        """When the system says that it started; None where that isn't known."""
        self.out, self.err = Tail(most_bytes), Tail(most_bytes)
        self._reading = [
            asyncio.create_task(_read(stream, tail))
            for stream, tail in ((process.stdout, self.out), (process.stderr, self.err))
            if stream is not None
        ]

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        marks: Sequence[str],
        limits: ProcessLimits,
        most_bytes: int = 500_000,
    ) -> Child:
        """Start a program in a folder, with nothing but this environment.

        `marks` are the names of variables in it; `most_bytes` bounds what is kept of each output.
        """
        loop = asyncio.get_running_loop()
        transport, following = await loop.subprocess_exec(
            lambda: _Following(_READ_BYTES, loop),
            *await limited_command(command, limits),
            cwd=folder,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        process = asyncio.subprocess.Process(transport, following, loop)
        return cls(process, following.exited, {name: environment[name] for name in marks}, most_bytes)

    @property
    def pid(self) -> int:
        """Id of the process and of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs, negative for a signal."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end; what it printed has been read then, unless others hold its output open."""
        await self._exited.wait()
        await asyncio.wait(self._reading, timeout=_DRAIN_S)
        code = self.code
        assert code is not None
        return code

    async def end(self) -> None:
        """Ask it to end, then kill it, its group and whatever has left the group."""
        if self.code is None:
            ask_to_end(self.pid)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exited.wait(), _GRACE_S)
        await self.kill()

    async def kill(self) -> None:
        """Kill all of its processes at once."""
        await asyncio.shield(asyncio.to_thread(end_all, self.pid, self.started, self.marks))
        await self._exited.wait()
        for task in self._reading:
            task.cancel()
        await asyncio.wait(self._reading)


def describe_code(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


async def _read(stream: asyncio.StreamReader, tail: Tail) -> None:
    since = 0
    while data := await stream.read(_READ_BYTES):
        tail.add(data)
        since += len(data)
        if since >= _BREATH_BYTES:
            since = 0
            await asyncio.sleep(_BREATH_S)
