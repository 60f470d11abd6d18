"""The program in a terminal: started with limits, in a session of its own, and ended with all of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypha.workers.children import ProcessLimits, limited_command
from hypha.workers.processes import end_all, stat_of
from hypha.workers.terminal.pseudo import PseudoTerminal

_GRACE_S = 0.5
"""How long a program whose terminal hangs up may take to end."""


class TerminalProgram:
    """A running program. `marks` are the variables that name its session to the system."""

    def __init__(self, process: asyncio.subprocess.Process, marks: Mapping[str, str]) -> None:
        self._process = process
        self.marks = dict(marks)
        found = stat_of(process.pid)
        self.started = found.started if found else None

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        terminal: PseudoTerminal,
        *,
        folder: Path,
        environment: Mapping[str, str],
        marks: Sequence[str],
        limits: ProcessLimits,
    ) -> TerminalProgram:
        """Start a program in a folder, with nothing but this environment."""
        process = await asyncio.create_subprocess_exec(
            *await limited_command(command, limits, has_terminal=True),
            cwd=folder,
            env=dict(environment),
            stdin=terminal.far,
            stdout=terminal.far,
            stderr=terminal.far,
            start_new_session=True,
        )
        return cls(process, {name: environment[name] for name in marks})

    @property
    def pid(self) -> int:
        """Id of the process, of its group and of its session."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs, negative for a signal."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end."""
        return await self._process.wait()

    async def end(self) -> None:
        """Hang up, then kill it and whatever it started."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGHUP)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _GRACE_S)
        await self.kill()

    async def kill(self) -> None:
        """Kill all of its processes at once."""
        await asyncio.shield(asyncio.to_thread(end_all, self.pid, self.started, self.marks))
        await self._process.wait()
