"""Folders on their way to an artifact and back while command and server are killed: nothing is lost."""

from __future__ import annotations

import asyncio
import filecmp
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypha.testing import ServerProcess, mint_token
from hypha.testing.waiting import eventually

pytestmark = pytest.mark.slow
COUNT = 150


def files_in(folder: Path) -> int:
    """How many files are in a folder and below."""
    return sum(len(names) for _, _, names in os.walk(folder))


def make_files(folder: Path) -> None:
    folder.mkdir()
    for number in range(COUNT):
        (folder / str(number)).write_bytes(os.urandom(100_000))


class Runs:
    """The command in processes of its own."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        token = mint_token(server.secret, "mover")
        self._environment = {**os.environ, "HYPHA_SERVER_URL": server.url, "HYPHA_TOKEN": token}
        self._folder = folder

    def begin(self, *words: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "hypha", "artifact", *words]
        return subprocess.Popen(
            line,
            cwd=self._folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    async def cut(self, *words: str, when: Callable[[], bool], how: signal.Signals) -> int:
        """Begin a command, and end it at some point; its exit code."""
        process = self.begin(*words)
        try:
            await eventually(lambda: when() or process.poll() is not None, within_s=60)
            process.send_signal(how)
            return await asyncio.to_thread(process.wait, 30)
        finally:
            process.kill()
            process.communicate()

    async def all_of(self, process: subprocess.Popen[str]) -> str:
        """What a command said that succeeded."""
        said, _ = await asyncio.to_thread(process.communicate, None, 120)
        assert process.returncode == 0, said
        return said


@pytest.mark.timeout(240)
async def test_what_was_interrupted_goes_on_where_it_stopped(tmp_path: Path) -> None:
    make_files(tmp_path / "here")
    stored = tmp_path / "server" / "objects"
    server = await asyncio.to_thread(ServerProcess(data_dir=tmp_path / "server").start)
    try:
        runs = Runs(server, tmp_path)
        code = await runs.cut("put", "here", "moved", when=lambda: files_in(stored) > 30, how=signal.SIGINT)
        assert code == 130
        process = runs.begin("put", "here", "moved")
        await eventually(lambda: files_in(stored) > 80 or process.poll() is not None, within_s=60)
        await asyncio.to_thread(server.restart, kill=True)
        said = await runs.all_of(process)
        assert f"committed as v0, with {COUNT} files" in said
        there = int(said.partition(" were there")[0].rpartition(" ")[2])
        assert there >= 20, said
        came = tmp_path / "there"
        await runs.cut("get", "moved", "there", when=lambda: files_in(came) > 30, how=signal.SIGKILL)
        said = await runs.all_of(runs.begin("get", "moved", "there"))
        assert int(said.partition(" were there")[0].rpartition(" ")[2]) >= 20, said
        compared = filecmp.cmpfiles(tmp_path / "here", came, map(str, range(COUNT)), shallow=False)
        assert (len(compared[0]), files_in(came)) == (COUNT, COUNT)
        assert "0 damaged" in await runs.all_of(runs.begin("verify", "moved"))
    finally:
        await asyncio.to_thread(server.close)
