"""A Python client in its own process, driven by JSON lines on standard input and output.

Run by `hypha.testing.clients.PythonWorker`; `tests/js/worker.js` is the same program for Node.
Each request line is `{"id", "op", "args"}`, each reply `{"id", "value"}` or `{"id", "error"}`.

| op | does |
|---|---|
| `connect` | connect with the given configuration of the client library |
| `serve` | register a service with `run(call, delay_ms, payload)`, `echo(value)`, `fail(text)`, `count(n)` |
| `call` | get a service and call one function |
| `load` | call `run` of a service with unique ids from several loops; replies with all records |
| `runs` | how often each call id ran here |
| `events` | subscribe and collect events of the given types; `seen_events` returns them |
| `drop` | abort the TCP connection without a close frame |
| `disconnect` | leave in order |
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from hypha_rpc import connect_to_server

PAUSE_AFTER_ERROR_S = 1.0
"""A caller that was refused waits before it tries again, as a program should."""


class WorkerProgram:
    """State of the worker: one client, its runs, and the events that it saw."""

    def __init__(self) -> None:
        self._server: Any = None
        self._runs: Counter[str] = Counter()
        self._events: list[dict[str, Any]] = []
        self._output = sys.stdout

    async def serve_requests(self) -> None:
        """Read requests until standard input ends; each one runs as a task of its own."""
        sys.stdout = sys.stderr
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with asyncio.TaskGroup() as tasks:
            while line := await reader.readline():
                tasks.create_task(self._handle(json.loads(line)))
            if self._server is not None:
                await self._server.disconnect()

    async def _handle(self, request: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            reply["value"] = await getattr(self, f"op_{request['op']}")(**request.get("args", {}))
        except Exception as error:
            reply["error"] = f"{type(error).__name__}: {error}"
        self._output.write(json.dumps(reply, default=str) + "\n")
        self._output.flush()

    async def op_connect(self, **config: Any) -> dict[str, Any]:
        """Connect; returns the parts of the connection's configuration that tests use."""
        self._server = await connect_to_server(config)
        known = self._server.config
        return {
            key: known[key] for key in ("workspace", "client_id", "manager_id", "user", "reconnection_token")
        }

    async def op_serve(self, id: str = "lab", **config: Any) -> str:
        """Register the test service and return its full id."""

        async def run(call: str, delay_ms: float = 0, payload: Any = None) -> str:
            self._runs[call] += 1
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            return call

        def echo(value: Any) -> Any:
            return value

        def fail(text: str) -> None:
            raise ValueError(text)

        async def count(n: int) -> AsyncIterator[int]:
            for number in range(n):
                yield number

        service = {"id": id, "config": config, "run": run, "echo": echo, "fail": fail, "count": count}
        info = await self._server.register_service(service)
        return str(info["id"])

    async def op_call(self, service: str, function: str, args: list[Any] | None = None) -> Any:
        """Get a service and call one function."""
        proxy = await self._server.get_service(service)
        return await proxy[function](*(args or []))

    async def op_load(
        self,
        service: str,
        prefix: str,
        loops: int = 8,
        calls: int | None = None,
        seconds: float | None = None,
        max_delay_ms: float = 50.0,
        payload_bytes: int = 0,
        seed: int = 0,
    ) -> list[dict[str, Any]]:
        """Call `run` until `calls` were made or `seconds` passed; one record per call."""
        proxy = await self._server.get_service(service)
        rng = random.Random(seed)
        numbers = itertools.count()
        end = time.monotonic() + seconds if seconds is not None else float("inf")
        records: list[dict[str, Any]] = []

        async def loop() -> None:
            while time.monotonic() < end:
                number = next(numbers)
                if calls is not None and number >= calls:
                    return
                delay_ms = rng.uniform(0, max_delay_ms)
                records.append(await self._timed(proxy, f"{prefix}-{number}", delay_ms, payload_bytes))

        await asyncio.gather(*(loop() for _ in range(loops)))
        return records

    async def _timed(self, proxy: Any, call: str, delay_ms: float, payload_bytes: int) -> dict[str, Any]:
        record: dict[str, Any] = {"call": call, "sent_at": time.time(), "answer": None, "error": None}
        start = time.monotonic()
        try:
            payload = (b"\x5a" * payload_bytes,) if payload_bytes else ()
            record["answer"] = await proxy.run(call, delay_ms, *payload)
        except Exception as error:
            record["error"] = f"{type(error).__name__}: {error}"[:500]
        record["elapsed_s"] = time.monotonic() - start
        if record["error"]:
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
        return record

    async def op_runs(self) -> dict[str, int]:
        """How often each call id ran here."""
        return dict(self._runs)

    async def op_events(self, types: list[str]) -> None:
        """Subscribe to event types and collect them."""
        for kind in types:
            self._server.on(kind, self._events.append)
        await self._server.subscribe(types)

    async def op_seen_events(self) -> list[dict[str, Any]]:
        """Type and data of the events seen so far."""
        return [{"type": event.get("type"), "data": event.get("data")} for event in self._events]

    async def op_emit(self, **event: Any) -> None:
        """Emit an event."""
        await self._server.emit(event)

    async def op_drop(self) -> None:
        """Abort the TCP connection without a close frame."""
        self._server.rpc._connection._websocket.transport.abort()

    async def op_disconnect(self) -> None:
        """Leave in order."""
        await self._server.disconnect()


if __name__ == "__main__":
    asyncio.run(WorkerProgram().serve_requests())
