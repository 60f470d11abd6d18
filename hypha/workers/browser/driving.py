"""The process that drives the pages of a server: `python -m hypha.workers.browser.driving SOCKET`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from hypha.workers.base import WorkerError
from hypha.workers.browser.pipe import Message, check_answer, packed, read
from hypha.workers.browser.worker import BrowserWorker

FUNCTIONS = (
    "start", "stop", "get_logs", "take_screenshot", "execute", "clear_app_cache", "get_app_cache_stats",
    "shutdown",
)  # fmt: skip

_TOLD_CHARS = 8_000


class Driving:
    """Runs what it is told, and answers; all at the same time."""

    def __init__(self, worker: BrowserWorker, writer: asyncio.StreamWriter) -> None:
        self._worker = worker
        self._writer = writer
        self._sending = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, message: Message) -> None:
        """Run a function."""
        task = asyncio.create_task(self._run(message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, message: Message) -> None:
        number = message["id"]
        try:
            value = await self._called(number, message["function"], message["args"], message["context"])
            check_answer(value)
            answer = packed({"id": number, "value": value})
        except Exception as error:
            text = str(error)[:_TOLD_CHARS] or type(error).__name__
            answer = packed({"id": number, "error": [type(error).__name__, text]})
        await self._send(answer)

    async def _called(
        self, number: int, name: str, args: list[Any], context: Mapping[str, Any] | None
    ) -> Any:
        if name not in FUNCTIONS:
            raise WorkerError(f"There is no {name}.")
        if name == "start":
            workspace, config = args
            self._worker.belongs_to(workspace)

            async def tell(said: object) -> None:
                await self._send(packed({"id": number, "told": said}))

            args = [{**config, "progress_callback": tell}]
        return await getattr(self._worker, name)(*args, context=context)

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            self._writer.write(data)
            await self._writer.drain()


async def drive(end: socket.socket, environment: Mapping[str, str]) -> None:
    """Serve until the other end is closed."""
    reader, writer = await asyncio.open_connection(sock=end)
    worker = BrowserWorker(environment)
    driving = Driving(worker, writer)
    while (message := await read(reader)) is not None:
        driving.begin(message)
    await worker.close()


def main() -> int:
    """Run it."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    with socket.socket(fileno=int(sys.argv[1])) as end:
        end.set_inheritable(False)  # the browser must not hold it open
        asyncio.run(drive(end, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
