"""A real server in its own process: start, stop, kill, freeze, restart."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from hypha.testing.turns import watching

DEFAULT_SECRET = "kit-secret-that-is-long-enough-for-hs256-signing"
_WITH_OPEN_FILES = (
    "import os, resource, sys; limit = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)); os.execv(sys.argv[2], sys.argv[2:])"
)
DEFAULT_ROOT_TOKEN = "9f2c51e07b8d4a6fa0c3e5d7b1f8264c9e0a7d53f6b2c8e14d9a0b7c6e5f3a21"


class ServerFailed(Exception):
    """The server did not become ready, or did not stop; the text ends with its log."""


def free_port() -> int:
    """Return a free port below the range that the system gives to outgoing connections.

    A port of that range could be taken by a reconnecting client while a server restarts.
    """
    while True:
        port = random.randint(12000, 31999)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class ServerProcess:
    """One server process with its own port, data folder, environment and log.

    With the variable `HYPHA_TEST_TRANSPORT=asgi` servers without flags of their own run under plain
    uvicorn, so that the same tests prove the ASGI transport; `under_uvicorn` says it for one server.
    `flags` are added to the command line. `env` adds to the environment (None as value: removes),
    from which all `HYPHA_…` variables are taken away first. `secret` signs tokens (None: the
    server makes its own). `root_token` None starts without one. `data_dir` None makes a temporary folder that
    `close` removes. `open_files` is the system's limit for it. Use it as `async with`, or call `start` and
    `close`.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        data_dir: Path | str | None = None,
        flags: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        secret: str | None = DEFAULT_SECRET,
        root_token: str | None = DEFAULT_ROOT_TOKEN,
        base_path: str = "",
        command: Sequence[str] | None = None,
        open_files: int | None = None,
        start_timeout_s: float = 30.0,
        under_uvicorn: bool | None = None,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.secret = secret
        self.root_token = root_token
        self.base_path = base_path.rstrip("/")
        self.flags = list(flags)
        self.start_timeout_s = start_timeout_s
        self._env = dict(env or {})
        self._command = command
        self._open_files = open_files
        is_asked = os.environ.get("HYPHA_TEST_TRANSPORT") == "asgi" and not flags
        self._is_asgi = is_asked if under_uvicorn is None else under_uvicorn
        self._folder = None if data_dir else tempfile.TemporaryDirectory(prefix="hypha-kit-")
        self._logs = tempfile.TemporaryDirectory(prefix="hypha-kit-log-")
        self.data_dir = (
            Path(data_dir) if data_dir else Path(self._folder.name if self._folder else "") / "data"
        )
        self.log_path = Path(self._logs.name) / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base URL for clients: `http://127.0.0.1:<port><base path>`."""
        return f"http://{self.host}:{self.port}{self.base_path}"

    @property
    def ws_url(self) -> str:
        """URL of the WebSocket endpoint."""
        return f"ws://{self.host}:{self.port}{self.base_path}/ws"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything that the server printed so far, over all restarts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def command(self) -> list[str]:
        """The command line that `start` runs."""
        if self._command is not None:
            return list(self._command)
        if self._is_asgi:
            asgi = ["-m", "uvicorn", "hypha.server:app", f"--host={self.host}", f"--port={self.port}"]
            asgi += ["--ws=websockets-sansio", "--no-proxy-headers", "--log-level=warning"]
            return [sys.executable, *asgi]
        line = [sys.executable, "-m", "hypha.server", f"--host={self.host}", f"--port={self.port}"]
        line += [f"--data-dir={self.data_dir}"]
        line += [f"--root-token={self.root_token}"] if self.root_token else []
        line += [f"--base-path={self.base_path}"] if self.base_path else []
        return line + self.flags

    def environment(self) -> dict[str, str]:
        """The environment that `start` uses."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("HYPHA_")}
        env.update({"HYPHA_LOGLEVEL": "INFO", "PYTHONUNBUFFERED": "1"})
        if self.secret:
            env["HYPHA_JWT_SECRET"] = self.secret
        if self._is_asgi:
            env["HYPHA_DATA_DIR"] = str(self.data_dir)
            env.update({"HYPHA_ROOT_TOKEN": self.root_token} if self.root_token else {})
            env.update({"HYPHA_BASE_PATH": self.base_path} if self.base_path else {})
        for key, value in self._env.items():
            if value is None:
                env.pop(key, None)
            else:
                env[key] = value
        return {**env, **watching(env)}

    def launch(self) -> None:
        """Start the process without waiting for it to become ready."""
        assert not self.is_running, "the server runs already"
        with self.log_path.open("ab") as log:
            limit = self._open_files
            before = [] if limit is None else [sys.executable, "-c", _WITH_OPEN_FILES, str(limit)]
            self._process = subprocess.Popen(
                [*before, *self.command()],
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> ServerProcess:
        """Start the process and block until `/health/readiness` answers 200."""
        self.launch()
        deadline = time.monotonic() + self.start_timeout_s
        while not self.is_ready():
            if not self.is_running:
                raise ServerFailed(f"the server ended with {self.exit_code} at start:\n{self.log[-4000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(
                    f"the server was not ready in {self.start_timeout_s} s:\n{self.log[-4000:]}"
                )
            time.sleep(0.03)
        return self

    def is_ready(self) -> bool:
        """True when `/health/readiness` answers 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/readiness", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last process, or None while it runs."""
        return self._process.poll() if self._process else None

    def wait_exit(self, timeout_s: float = 15.0) -> int:
        """Block until the process ended and return its exit code."""
        assert self._process is not None, "the server was not started"
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"the server did not end in {timeout_s} s:\n{self.log[-4000:]}") from None

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        os.kill(self.pid, signal.SIGTERM)

    def stop(self, timeout_s: float = 15.0) -> int:
        """End the server in order (SIGTERM) and return its exit code.

        Plain uvicorn sends itself the same signal again once it has stopped; that counts as 0.
        """
        self.terminate()
        code = self.wait_exit(timeout_s)
        return 0 if self._is_asgi and code == -signal.SIGTERM else code

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop the process from running (SIGSTOP) until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process run again (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill) the server and start it again with the same port and data.

        Under `--supervise` only the child ends; the parent keeps the port and starts it again.
        """
        if "--supervise" in self.flags:
            self._restart_child(kill)
            return
        if kill:
            self.kill()
        elif self.is_running:
            self.stop()
        self.start()

    def _restart_child(self, kill: bool) -> None:
        before = self._child()
        os.kill(before if kill else self.pid, signal.SIGKILL if kill else signal.SIGHUP)
        deadline = time.monotonic() + self.start_timeout_s
        while self._child() in (0, before) or not self.is_ready():
            if time.monotonic() > deadline:
                raise ServerFailed(f"no new server in {self.start_timeout_s} s:\n{self.log[-4000:]}")
            time.sleep(0.03)

    def _child(self) -> int:
        """Process id of the server under a supervising parent; 0 while there is none."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def close(self) -> None:
        """End the process whatever its state, and remove the temporary folders."""
        if self.is_running:
            self.thaw()
            self.terminate()
            try:
                self.wait_exit(5.0)
            except ServerFailed:
                self.kill()
        self._logs.cleanup()
        if self._folder is not None:
            self._folder.cleanup()

    async def __aenter__(self) -> ServerProcess:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)
