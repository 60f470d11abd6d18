"""A PostgreSQL server of the tests' own, from the system's package: start, kill, freeze."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hypha.testing.server import free_port

SYSTEM_FOLDERS = "/usr/lib/postgresql/*/bin"
ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root, so root starts it as this user."""


def running_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for a fixture (`yield from`); skips where it is not installed."""
    pytest.importorskip("asyncpg")
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.close()


class PostgresServer:
    """One cluster, reached by TCP on a port of its own, in a folder that only lives with it.

    Not below pytest's folders, which are closed to the account that PostgreSQL runs as.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.databases: list[str] = []
        self._account = ACCOUNT if os.geteuid() == 0 else None
        self._programs = find_programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="hypha-postgres-")
        folder = Path(self._folder.name)
        self._data, self._log = folder / "cluster", folder / "postgres.log"
        folder.chmod(0o755)
        self._data.mkdir(mode=0o700)
        if self._account:
            shutil.chown(self._data, self._account)

    @property
    def uri(self) -> str:
        """URI of the database `postgres`."""
        return f"postgresql://{ACCOUNT}@127.0.0.1:{self.port}/postgres"

    def start(self) -> PostgresServer:
        """Start it, and block until it answers; the first start may choose another port."""
        is_new = not (self._data / "PG_VERSION").exists()
        if is_new:
            self._run("initdb", "-D", str(self._data), "-U", ACCOUNT, "-A", "trust", "-N")
        for _ in range(3 if is_new else 1):
            if self._try_start():
                return self
            self.kill()
            self.port = free_port() if is_new else self.port
        raise AssertionError(f"PostgreSQL did not start:\n{self._log.read_text()[-2000:]}")

    def _try_start(self) -> bool:
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", "", "-c", "shared_buffers=16MB"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._account, stdout=log, stderr=subprocess.STDOUT, cwd="/"
            )
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            if subprocess.run(ready).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    def new_database(self) -> str:
        """Make an empty database and return its URI."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        self.databases.append(name)
        return self.uri.removesuffix("postgres") + name

    def execute(self, statement: str) -> None:
        """Run one statement as its owner."""
        self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.uri, "-c", statement)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._account, check=True, capture_output=True, cwd="/", timeout=60,
        )  # fmt: skip

    def freeze(self) -> None:
        """Stop all its processes from running until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them run again."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once with all its processes."""
        if self._process is not None:
            if self._process.poll() is None:
                self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        self._folder.cleanup()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        for process in (first, *first.children(recursive=True)):
            process.send_signal(number)


def find_programs() -> Path:
    """Where PostgreSQL's programs are; skips the test where they are not."""
    found = sorted(Path("/").glob(SYSTEM_FOLDERS.lstrip("/")))
    on_path = shutil.which("initdb")
    places = [*reversed(found), *([Path(on_path).parent] if on_path else [])]
    for place in places:
        if all((place / name).exists() for name in ("initdb", "postgres", "pg_isready", "psql")):
            return place
    pytest.skip("PostgreSQL is not installed: apt install postgresql")
