"""Scripts in processes of their own: what they find, what they may use, how they end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import eventually
from hypha.workers import children, python_eval, swarms
from hypha.workers.base import SessionStatus, WorkerError, WorkerNotAvailableError
from hypha.workers.children import ProcessLimits, Tail
from hypha.workers.folders import WorkerFolder
from hypha.workers.processes import end_all, is_connected, stat_of
from hypha.workers.python_eval import PythonEvalWorker
from tests.kit.app_files import AppFiles, app_files

SERVING = """
import os, signal, socket, subprocess, sys, time
from urllib.parse import urlsplit
{before}
link = socket.create_connection(("127.0.0.1", urlsplit(os.environ["HYPHA_SERVER_URL"]).port))
print("serving", flush=True)
time.sleep(600)
"""
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
pids = [subprocess.Popen(sleeper).pid, subprocess.Popen(sleeper, start_new_session=True).pid]
print(*pids, flush=True)
"""
WORKER = """
import asyncio, json, sys
from pathlib import Path
from hypha.workers.python_eval import PythonEvalWorker

async def main():
    worker = PythonEvalWorker(root=Path(sys.argv[1]))
    config = json.loads(sys.argv[2])
    await worker.start(config)
    child = worker._running[config["id"]].child
    while "serving" not in child.out.text():
        await asyncio.sleep(0.02)
    print(child.pid, child.out.text().split("\\n")[0], flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """None with scripts that don't end when asked; with a slow machine much."""
    monkeypatch.setattr(children, "_GRACE_S", 0.1)
    monkeypatch.setattr(children, "_DRAIN_S", 120)
    monkeypatch.setattr(python_eval, "_SETTLED_S", 120)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[PythonEvalWorker]:
    running = PythonEvalWorker(root=tmp_path / "root")
    yield running
    await running.shutdown()


async def texts(worker: PythonEvalWorker, config: dict[str, Any]) -> dict[str, str]:
    """Log of a session by type."""
    page = await worker.get_logs(config["id"])
    return {item["type"]: item["content"] for item in page["items"]}


def lives(pid: int) -> bool:
    found = stat_of(pid)
    return found is not None and not found.is_zombie


async def test_a_script_finds_its_session_and_nothing_of_the_worker(
    worker: PythonEvalWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "s")
    script = (
        "import os, json, sys\n"
        "print(json.dumps([dict(os.environ), os.getcwd(), os.listdir()]))\n"
        "print('warned', file=sys.stderr)\n"
    )
    config = files.config(script=script)
    assert await worker.start(config) == config["id"]
    found = await texts(worker, config)
    environment, folder, listed = json.loads(found["stdout"])
    assert environment.pop("PATH") == os.environ["PATH"]
    environment.pop("LC_CTYPE", None)  # Python's own
    assert environment == {
        "HYPHA_SERVER_URL": files.url,
        "HYPHA_WORKSPACE": "w",
        "HYPHA_CLIENT_ID": config["client_id"],
        "HYPHA_TOKEN": config["token"],
        "HYPHA_APP_ID": "app",
        "HYPHA_SESSION_DIR": folder,
    }
    assert (listed, os.stat(folder).st_mode & 0o777) == (["main.py"], 0o700)
    assert (found["stderr"], found["info"]) == ("warned\n", "The script ended with exit code 0.")
    one = await worker.get_logs(config["id"], "stdout", 0, 1)
    assert (len(one["items"]), one["total"]) == (1, 1)
    assert worker._sessions[config["id"]].status is SessionStatus.COMPLETED
    await worker.stop(config["id"])
    assert not os.path.exists(folder)  # noqa: ASYNC240


@pytest.mark.spec("apps-12.1.10")
async def test_a_script_that_fails_fails_the_start_at_once_and_says_why(
    worker: PythonEvalWorker, files: AppFiles
) -> None:
    config = files.config(script="print('before')\nraise RuntimeError('no camera')", timeout=600)
    with pytest.raises(WorkerError, match=r"exit code 1:\n(.*\n)*RuntimeError: no camera"):
        await worker.start(config)
    found = await texts(worker, config)
    assert found["stdout"] == "before\n" and "no camera" in found["stderr"]
    await worker.stop(config["id"])
    config = files.config(script="import sys; print('no light'); sys.exit(3)", timeout=600)
    with pytest.raises(WorkerError, match=r"exit code 3:\nno light$"):
        await worker.start(config)
    assert worker._sessions[config["id"]].status is SessionStatus.FAILED
    await worker.stop(config["id"])
    config = files.config(script="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(WorkerError, match="signal SIGKILL"):
        await worker.start(config)


async def test_a_script_that_serves_goes_on_until_it_is_stopped(
    worker: PythonEvalWorker, files: AppFiles
) -> None:
    config = files.config(script=SERVING.format(before=""), timeout=600)
    await worker.start(config)
    child = worker._running[config["id"]].child
    assert child is not None and lives(child.pid)
    await eventually(lambda: child.out.text() == "serving\n")
    await worker.stop(config["id"])
    assert not lives(child.pid)


async def test_stop_ends_whatever_ignores_signals_and_has_left_the_group(
    worker: PythonEvalWorker, files: AppFiles
) -> None:
    config = files.config(script=SERVING.format(before=STUBBORN))
    await worker.start(config)
    child = worker._running[config["id"]].child
    assert child is not None
    await eventually(lambda: child.out.text().endswith("serving\n"))
    pids = [child.pid, *(int(word) for word in child.out.text().split()[:2])]
    assert all(map(lives, pids)) and len(pids) == 3
    await worker.stop(config["id"])
    assert not any(map(lives, pids))


async def test_a_script_can_be_stopped_while_it_starts(worker: PythonEvalWorker, files: AppFiles) -> None:
    config = files.config(script="import time; print('here', flush=True); time.sleep(600)")
    start = asyncio.create_task(worker.start(config))
    await eventually(
        lambda: config["id"] in worker._running and worker._running[config["id"]].child is not None
    )
    child = worker._running[config["id"]].child
    assert child is not None
    await worker.stop(config["id"])
    with pytest.raises(WorkerError, match="stopped while it started"):
        await start
    assert not lives(child.pid) and not worker._running


async def test_a_script_that_neither_ends_nor_connects_counts_as_started(
    worker: PythonEvalWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_eval, "_SETTLED_S", 0.3)
    config = files.config(script="import time; time.sleep(600)")
    await worker.start(config)
    assert worker._sessions[config["id"]].status is SessionStatus.RUNNING
    with pytest.raises(WorkerError, match="there already"):
        await worker.start(config)


async def test_endless_output_is_read_and_only_its_end_kept(
    worker: PythonEvalWorker, files: AppFiles
) -> None:
    script = "import sys\nfor n in range(600):\n  sys.stdout.write('x' * 65536)\nprint('the end')"
    config = files.config(script=script)
    await worker.start(config)
    text = (await texts(worker, config))["stdout"]
    assert text.endswith("xthe end\n") and len(text) < 510_000
    assert text.startswith(f"[{600 * 65536 + 8 - 500_000} bytes before this are not kept]\n")


async def test_output_that_never_ends_is_ended_by_stop(
    worker: PythonEvalWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_eval, "_SETTLED_S", 0.1)
    config = files.config(script="while True: print('x' * 65536)")
    await worker.start(config)
    child = worker._running[config["id"]].child
    assert child is not None
    await eventually(lambda: child.out.dropped > 1_000_000)
    assert len(child.out.text()) < 501_000
    await worker.stop(config["id"])
    assert not lives(child.pid)


def test_a_gigabyte_takes_no_more_than_the_bound() -> None:
    tail, block = Tail(1000), b"y" * 65_536
    most = 0
    for _ in range(16_384):
        tail.add(block)
        most = max(most, len(tail._kept))
    assert most <= 1500
    assert tail.text() == f"[{2**30 - 1000} bytes before this are not kept]\n{'y' * 1000}"


@pytest.mark.parametrize(
    ("limits", "script", "words"),
    [
        (ProcessLimits(memory_mb=300), "data = bytearray(600 * 2**20)", "MemoryError"),
        (ProcessLimits(file_mb=1), "open('f', 'wb').write(bytes(2**21))", "File too large|SIGXFSZ"),
        (ProcessLimits(open_files=20), "kept = [open('main.py') for _ in range(50)]", "Too many open files"),
        (ProcessLimits(cpu_s=1), "while True: pass", "SIGXCPU|SIGKILL"),
    ],
    ids=["memory", "file", "open files", "processor"],
)
async def test_a_script_that_takes_too_much_fails(
    limits: ProcessLimits, script: str, words: str, files: AppFiles, tmp_path: Path
) -> None:
    worker = PythonEvalWorker(limits=limits, root=tmp_path / "root")
    with pytest.raises(WorkerError, match=words):
        await worker.start(files.config(script=script, timeout=600))
    await worker.shutdown()


@pytest.mark.skipif(os.getuid() != 0, reason="the system limits the processes of others than root itself")
async def test_a_session_with_too_many_processes_is_ended(
    files: AppFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarms, "_LOOK_S", 0.05)
    worker = PythonEvalWorker(limits=ProcessLimits(processes=5), root=tmp_path / "root")
    script = "import os, time\nfor _ in range(12):\n  if not os.fork(): time.sleep(600)\ntime.sleep(600)"
    config = files.config(script=script, timeout=600)
    with pytest.raises(WorkerError, match="SIGKILL"):
        await worker.start(config)
    page = await worker.get_logs(config["id"], "info")
    assert "It had more than 5 processes and was ended." in [item["content"] for item in page["items"]]
    await worker.shutdown()


HOGS = """
import os, time
kept = bytearray({shared} * 2**20)
for _ in range({parts}):
    if not os.fork():
        os.setsid()
        own = bytearray({own} * 2**20)
        time.sleep(600)
print("all there", flush=True)
time.sleep({lasts})
"""


async def test_a_session_whose_processes_take_too_much_together_is_ended(
    files: AppFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarms, "_LOOK_S", 0.05)
    worker = PythonEvalWorker(limits=ProcessLimits(session_memory_mb=200), root=tmp_path / "root")
    config = files.config(script=HOGS.format(parts=4, shared=1, own=80, lasts=600), timeout=600)
    with pytest.raises(WorkerError, match="SIGKILL"):
        await worker.start(config)
    page = await worker.get_logs(config["id"], "info")
    assert "It used more than 200 MiB of memory and was ended." in [each["content"] for each in page["items"]]
    await worker.shutdown()


async def test_the_end_of_a_script_is_noticed_while_others_hold_its_output(
    worker: PythonEvalWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_DRAIN_S", 0.1)
    left = "import os, sys, time\nif not os.fork():\n  time.sleep(600)\nsys.exit({})"
    await worker.start(files.config(1, script=left.format(0), timeout=600))
    assert worker._sessions[files.config(1)["id"]].status is SessionStatus.COMPLETED
    with pytest.raises(WorkerError, match="exit code 3"):
        await worker.start(files.config(2, script=left.format(3), timeout=600))


async def test_what_processes_share_counts_once(
    files: AppFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarms, "_LOOK_S", 0.05)
    monkeypatch.setattr(children, "_DRAIN_S", 0.1)
    worker = PythonEvalWorker(limits=ProcessLimits(session_memory_mb=200), root=tmp_path / "root")
    config = files.config(script=HOGS.format(parts=4, shared=80, own=1, lasts=1))
    await worker.start(config)
    assert worker._sessions[config["id"]].status is SessionStatus.COMPLETED
    await worker.shutdown()


def test_a_limit_of_processes_counts_beside_those_that_are_there() -> None:
    assert ProcessLimits(processes=5).values(100)["RLIMIT_NPROC"] == 105
    assert set(ProcessLimits(cpu_s=0, memory_mb=0, file_mb=0, open_files=0, processes=0).values(9)) == {
        "RLIMIT_CORE"
    }


async def test_what_a_killed_worker_has_left_is_ended_by_the_next(files: AppFiles, tmp_path: Path) -> None:
    config = files.config(script=SERVING.format(before=STUBBORN))
    line = [sys.executable, "-c", WORKER, str(tmp_path), json.dumps(config)]
    process = await asyncio.create_subprocess_exec(*line, stdout=subprocess.PIPE)
    assert process.stdout is not None
    leader, *pids = (int(word) for word in (await process.stdout.readline()).split())
    assert len(pids) == 2 and all(map(lives, [leader, *pids]))
    held = await asyncio.to_thread(WorkerFolder, tmp_path)
    assert all(map(lives, [leader, *pids])), "their worker lives"
    process.kill()
    await process.wait()
    await eventually(lambda: not lives(leader))  # the system ends it with its parent
    assert all(map(lives, pids))
    fresh = await asyncio.to_thread(WorkerFolder, tmp_path)
    assert not any(map(lives, pids))
    assert sorted(os.listdir(tmp_path)) == sorted([held.path.name, fresh.path.name])
    held.remove()
    fresh.remove()


async def test_a_process_that_only_has_the_id_of_one_of_ours_is_left_alone(tmp_path: Path) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    found = stat_of(other.pid)
    assert found is not None
    assert end_all(other.pid, found.started - 1, {}) == 0 and lives(other.pid)
    assert end_all(other.pid, found.started, {}) == 0
    await other.wait()


@pytest.mark.parametrize("entry", ["missing.py", None])
async def test_a_script_that_is_not_there_is_told(
    entry: str | None, worker: PythonEvalWorker, files: AppFiles
) -> None:
    with pytest.raises(WorkerError, match="missing.py.*404" if entry else "no entry_point"):
        await worker.start(files.config(entry_point=entry))


async def test_a_script_is_fetched_with_the_token_of_its_session_and_bounded(
    worker: PythonEvalWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkerError, match="403"):
        await worker.start(files.config(script="", token="another"))
    monkeypatch.setattr(python_eval, "MOST_SCRIPT_BYTES", 10)
    with pytest.raises(WorkerError, match="larger than 10 bytes"):
        await worker.start(files.config(2, script="#" * 11))


async def test_only_so_many_sessions_are_there(files: AppFiles, tmp_path: Path) -> None:
    worker = PythonEvalWorker(root=tmp_path / "root", most_sessions=1)
    await worker.start(files.config(1, script=""))
    with pytest.raises(WorkerError, match="has 1 sessions already"):
        await worker.start(files.config(2, script=""))
    await worker.stop(files.config(1)["id"])
    await worker.start(files.config(3, script=""))
    await worker.shutdown()


def test_a_root_that_others_may_write_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    with pytest.raises(WorkerNotAvailableError, match="this user alone"):
        WorkerFolder(root)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(WorkerNotAvailableError, match="this user alone"):
        WorkerFolder(tmp_path / "link")


def test_what_a_process_is_connected_to_is_seen(files: AppFiles) -> None:
    import socket

    port = int(files.url.rpartition(":")[2])
    assert not is_connected(os.getpid(), port)
    with socket.create_connection(("127.0.0.1", port)):
        assert is_connected(os.getpid(), port)
        assert not is_connected(os.getpid(), port + 1)
