"""Apps that take what they can, and workers that die at the worst moment: others go on, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import eventually
from hypha.workers.base import BaseWorker, WorkerError
from hypha.workers.folders import WorkerFolder
from hypha.workers.python_eval import PythonEvalWorker
from hypha.workers.terminal import TerminalWorker
from tests.kit.app_files import AppFiles, app_files

SOMEBODY = 61_234
"""A user that nothing else runs as."""
AS_SOMEBODY = (
    "setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups",
    # where Python is, only root may be able to read; the system's limit of processes holds all the same
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
PROCESSES = 40
BOMB = """
import os, time
print("begun", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""
WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from hypha.workers.children import ProcessLimits
from hypha.workers.python_eval import PythonEvalWorker

async def main():
    root, config, processes = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    worker = PythonEvalWorker(limits=ProcessLimits(processes=processes), root=root)
    starting = asyncio.create_task(worker.start(config))
    while config["id"] not in worker._sessions or "begun" not in str(await worker.get_logs(config["id"])):
        await asyncio.sleep(0.02)
    print("begun", worker._running[config["id"]].child.out.text().replace("\\n", " "), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    stopping = asyncio.create_task(worker.stop(config["id"]))
    await asyncio.sleep(0.1)
    print("stopping", flush=True)
    await stopping
    print("stopped", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
pids = [subprocess.Popen(sleeper).pid, subprocess.Popen(sleeper, start_new_session=True).pid]
print(*pids, "begun", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def processes_of(user: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user and lives(int(folder.name)):
                found.append(int(folder.name))
    return found


async def begun(
    root: Path, config: dict[str, Any], processes: int, before: Sequence[str] = ()
) -> tuple[asyncio.subprocess.Process, list[str]]:
    """A worker as a program whose one session has begun to start; it, and what the session has printed."""
    words = [*before, sys.executable, "-c", WORKER, str(root), json.dumps(config), str(processes)]
    worker = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    line = (await worker.stdout.readline()).decode().split()
    assert line and line[0] == "begun"
    return worker, line[1:]


async def told(worker: asyncio.subprocess.Process, word: str) -> None:
    assert worker.stdout is not None
    assert (await worker.stdout.readline()).decode().strip() == word


async def go_on(worker: asyncio.subprocess.Process) -> None:
    assert worker.stdin is not None
    worker.stdin.write(b"\n")
    await worker.stdin.drain()


def can_be_somebody() -> bool:
    """Whether a worker can be begun as another user."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        return False
    words = [*AS_SOMEBODY, sys.executable, "-c", "import hypha.workers.python_eval"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(180)
async def test_a_fork_bomb_grows_to_its_limit_and_ends_with_its_session(files: AppFiles) -> None:
    if not await asyncio.to_thread(can_be_somebody):
        pytest.skip("only root can begin a worker as another user")
    with tempfile.TemporaryDirectory(prefix="h") as name:
        os.chown(name, SOMEBODY, SOMEBODY)
        worker, _ = await begun(Path(name) / "r", files.config(script=BOMB), PROCESSES, AS_SOMEBODY)
        try:
            await eventually(lambda: len(processes_of(SOMEBODY)) > PROCESSES // 2, within_s=60)
            threads = 30  # of the worker itself, which the system counts, too
            for _ in range(20):
                assert len(processes_of(SOMEBODY)) <= PROCESSES + threads
            await go_on(worker)
            await told(worker, "stopping")
            await told(worker, "stopped")
            await eventually(lambda: processes_of(SOMEBODY) == [worker.pid])
        finally:
            for pid in processes_of(SOMEBODY):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            await worker.wait()


@pytest.mark.parametrize("moment", ["starting", "stopping"])
async def test_a_worker_that_is_killed_meanwhile_leaves_nothing_when_the_next_begins(
    files: AppFiles, tmp_path: Path, moment: str
) -> None:
    root, config = tmp_path / "root", files.config(script=STUBBORN)
    worker, (*pids, _) = await begun(root, config, 256)
    if moment == "stopping":
        await go_on(worker)
        await told(worker, "stopping")
    worker.kill()
    await worker.wait()
    fresh = await asyncio.to_thread(WorkerFolder, root)
    assert len(pids) == 2 and not any(map(lives, map(int, pids)))
    assert os.listdir(root) == [fresh.path.name]
    fresh.remove()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; skips where one may not be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


FILL = """
import time
try:
    with open("all", "wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
except OSError as error:
    print(error.strerror, "begun", flush=True)
time.sleep(600)
"""


@pytest.mark.timeout(120)
async def test_a_session_that_fills_the_disk_is_told_holds_up_nobody_and_gives_it_back(
    files: AppFiles, disk: Path
) -> None:
    root = disk / "root"
    scripts = PythonEvalWorker(root=root)
    terminals = TerminalWorker(root=root)
    full = files.config(1, script=FILL, timeout=1)
    await scripts.start(full)
    await until_logged(scripts, full["id"], "No space left on device begun")
    for worker, config in (
        (scripts, files.config(2, script="print(1)")),
        (terminals, files.config(3, manifest={"type": "terminal"})),
    ):
        with pytest.raises(WorkerError, match=r"cannot be made on this machine: No space left") as found:
            await worker.start(config)
        assert str(disk) not in str(found.value)
        assert str(disk) not in str(worker._sessions[config["id"]].error)
        await worker.stop(config["id"])
    await scripts.stop(full["id"])
    await scripts.start(files.config(4, script="print('room')"))
    await until_logged(scripts, files.config(4)["id"], "room")
    await terminals.start(files.config(5, manifest={"type": "terminal"}))
    for each in (scripts, terminals):
        await each.shutdown()
    assert os.listdir(root) == []


async def until_logged(worker: BaseWorker, session_id: str, text: str) -> None:
    async with asyncio.timeout(60):
        while text not in str(await worker.get_logs(session_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
