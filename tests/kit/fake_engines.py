"""What the fake engines share: programs that run here in place of containers, and a server for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

ID = "w/_rapp_1__rlb"
HERE = {"from": "w/someone", "user": {"scope": {"workspaces": {"w": "rw"}}}}
READER = {"from": "w/someone", "user": {"scope": {"workspaces": {"w": "r"}}}}
ELSEWHERE = {"from": "other/someone"}
"""A session, and who calls a worker about it: by the workspaces in which they may do something."""


async def run(command: list[str], variables: list[str]) -> Process:
    env = {"PATH": os.environ["PATH"], **dict(each.split("=", 1) for each in variables)}
    return await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=env, start_new_session=True
    )


async def read_both(process: Process, add: Callable[[int, bytes], object]) -> int:
    """Read what a program writes to 1 and 2, until it has ended; the code with which it did."""

    async def read(number: int, reader: asyncio.StreamReader | None) -> None:
        assert reader is not None
        while data := await reader.read(65_536):
            add(number, data)

    await asyncio.gather(read(1, process.stdout), read(2, process.stderr))
    return await process.wait()


def kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@asynccontextmanager
async def served(app: Starlette, socket: Path | None = None, port: int = 0) -> AsyncIterator[None]:
    """Serve an application at a socket, or at a port of this machine."""
    place: dict[str, Any] = {"uds": str(socket)} if socket else {"host": "127.0.0.1", "port": port}
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="off", ws="websockets-sansio", **place)
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await task
