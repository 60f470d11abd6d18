"""Sessions of the environment worker, with a stub of conda and a kernel that is a fake."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypha.errors import InvalidArguments, PermissionDenied
from hypha.testing import eventually
from hypha.workers import children, swarms
from hypha.workers.base import SessionNotFoundError, SessionStatus, WorkerError, WorkerNotAvailableError
from hypha.workers.children import ProcessLimits
from hypha.workers.conda import kernel as kernels
from hypha.workers.conda import session as sessions
from hypha.workers.conda import worker as workers
from hypha.workers.conda.locks import FileLock
from hypha.workers.conda.worker import CondaWorker
from hypha.workers.options import Connection
from hypha.workers.processes import stat_of
from tests.kit.app_files import AppFiles, app_files
from tests.kit.conda_stub import CondaStub

MANIFEST = {"name": "App", "type": "python-env", "dependencies": ["numpy"]}
HERE = {"from": "w/someone", "user": {"scope": {"workspaces": {"w": "rw"}}}}
READER = {"from": "w/someone", "user": {"scope": {"workspaces": {"w": "r"}}}}
ELSEWHERE = {"from": "other/someone"}


WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from hypha.workers.conda import CondaWorker

async def main():
    place = Path(sys.argv[1])
    worker = CondaWorker(cache=place / "c", root=place / "r", variables={"PATH": sys.argv[2]})
    await worker.start(json.loads(sys.argv[3]))
    page = await worker.get_logs("w/_rapp_1__rlb", "stdout")
    print("".join(item["content"] for item in page["items"]), end="", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """None with kernels that don't end when asked; with a slow machine much."""
    monkeypatch.setattr(children, "_GRACE_S", 0.1)
    monkeypatch.setattr(sessions, "_SETTLED_S", 120)
    monkeypatch.setattr(kernels, "_INTERRUPTED_S", 120)


@pytest.fixture
async def worker(place: Path, conda: CondaStub) -> AsyncIterator[CondaWorker]:
    running = made(place, conda)
    yield running
    await running.shutdown()


def made(place: Path, conda: CondaStub, **more: Any) -> CondaWorker:
    variables = {"PATH": f"{conda.path}:/usr/bin:/bin", "SECRET_OF_THE_WORKER": "s"}
    return CondaWorker(cache=place / "c", root=place / "r", variables=variables, **more)


def config_of(files: AppFiles, script: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return files.config(number, script=script, manifest={**MANIFEST, **more.pop("fields", {})}, **more)


async def texts(worker: CondaWorker, config: dict[str, Any], kind: str) -> str:
    """All entries of a type in a session's log."""
    page = await worker.get_logs(config["id"], kind)
    return "".join(item["content"] for item in page["items"])


def lives(pid: int) -> bool:
    found = stat_of(pid)
    return found is not None and not found.is_zombie


async def test_a_script_runs_in_the_environment_and_finds_its_session_and_nothing_of_the_worker(
    worker: CondaWorker, files: AppFiles, conda: CondaStub
) -> None:
    script = "import os, sys, json\nprint('ready'); print('warned', file=sys.stderr); number = 41"
    told: list[Any] = []
    config = config_of(files, script, progress_callback=told.append)
    assert await worker.start(config, HERE) == config["id"]
    assert [each["message"] for each in told] == [
        "Fetching the script",
        "Looking for the environment",
        "Installing 6 packages with conda",
        "Installing 1 packages with pip",
        "The environment is ready",
        "Starting the kernel",
        "Running the script",
    ]
    assert await texts(worker, config, "progress") == "".join(each["message"] for each in told)
    assert await texts(worker, config, "stdout") == "ready\n"
    assert await texts(worker, config, "stderr") == "warned\n"
    result = await worker.execute(config["id"], "number + 1", context=HERE)
    assert result == {
        "status": "ok",
        "outputs": [
            {"type": "execute_result", "data": {"text/plain": "42"}, "metadata": {}, "execution_count": 2}
        ],
    }
    looked = await worker.execute(config["id"], "[dict(os.environ), os.getcwd(), os.listdir()]")
    environment, folder, listed = eval(looked["outputs"][0]["data"]["text/plain"])
    (started,) = conda.calls("ipykernel_launcher")
    environment.pop("LC_CTYPE", None)  # Python's own
    prefix = environment.pop("CONDA_PREFIX")
    assert environment == {
        "PATH": f"{prefix}/bin:{conda.path}:/usr/bin:/bin",
        "HOME": str(Path(folder).parent / "home"),
        "HYPHA_SERVER_URL": files.url,
        "HYPHA_WORKSPACE": "w",
        "HYPHA_CLIENT_ID": config["client_id"],
        "HYPHA_TOKEN": config["token"],
        "HYPHA_APP_ID": "app",
        "HYPHA_SESSION_DIR": folder,
    }
    assert listed == [] and started["cwd"] == []
    await worker.stop(config["id"], HERE)
    assert not os.path.exists(Path(folder).parent)  # noqa: ASYNC240
    with pytest.raises(SessionNotFoundError):
        await worker.execute(config["id"], "1")


async def test_a_script_that_fails_fails_the_start_with_its_words_and_leaves_no_process(
    worker: CondaWorker, files: AppFiles
) -> None:
    config = config_of(files, "import os\nprint(os.getpid())\nraise RuntimeError('no camera')", timeout=600)
    with pytest.raises(WorkerError, match=r"The script failed:\n(.*\n)*RuntimeError: no camera"):
        await worker.start(config)
    pid = int(await texts(worker, config, "stdout"))
    assert not lives(pid)
    assert "no camera" in await texts(worker, config, "error")
    assert worker._sessions[config["id"]].status is SessionStatus.FAILED
    with pytest.raises(WorkerError, match="no kernel"):
        await worker.execute(config["id"], "1")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os._exit(7)", "The kernel has ended with exit code 7"),
        ("def broken(:", "SyntaxError"),
    ],
)
async def test_a_script_that_cannot_run_or_ends_the_kernel_fails_the_start(
    worker: CondaWorker, files: AppFiles, script: str, words: str
) -> None:
    with pytest.raises(WorkerError, match=words):
        await worker.start(config_of(files, script, timeout=600))


async def test_a_kernel_that_does_not_come_up_fails_the_start_with_its_words(
    place: Path, conda: CondaStub, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = conda.path / "conda"
    text = program.read_text().replace(
        'if sys.argv[2] == \\"ipykernel_launcher\\"', "sys.exit('no kernel here')"
    )
    program.write_text(text.replace("ipykernel_launcher", "no_such"))
    own = made(place, conda)
    with pytest.raises(WorkerError, match="did not start, but ended with exit code"):
        await own.start(config_of(files, "1"))
    await own.shutdown()


async def test_outputs_come_as_they_are_and_live(worker: CondaWorker, files: AppFiles) -> None:
    config = config_of(files, "import sys, time")
    await worker.start(config)
    code = (
        "print('a'); print('b')\nprint('c', file=sys.stderr)\n"
        "display({'image/png': 'iVBO', 'text/plain': 'picture'})\nprint('d')"
    )
    live: list[Any] = []
    result = await worker.execute(config["id"], code, {}, live.append)
    assert result == {
        "status": "ok",
        "outputs": [
            {"type": "stream", "name": "stdout", "text": "a\nb\n"},
            {"type": "stream", "name": "stderr", "text": "c\n"},
            {
                "type": "display_data",
                "data": {"image/png": "iVBO", "text/plain": "picture"},
                "metadata": {},
            },
            {"type": "stream", "name": "stdout", "text": "d\n"},
        ],
    }
    assert [each["type"] for each in live].count("display_data") == 1
    assert "".join(each["text"] for each in live if each.get("name") == "stdout") == "a\nb\nd\n"
    failed = await worker.execute(config["id"], "print('before'); 1 / 0")
    assert failed["status"] == "error" and failed["outputs"][0]["text"] == "before\n"
    assert (failed["error"]["ename"], failed["error"]["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert failed["error"]["traceback"][-1] == "ZeroDivisionError: division by zero"


async def test_code_that_takes_too_long_is_interrupted_and_the_session_goes_on(
    worker: CondaWorker, files: AppFiles
) -> None:
    config = config_of(files, "import time; kept = 1")
    await worker.start(config)
    result = await worker.execute(config["id"], "print('begun'); time.sleep(600)", {"timeout": 0.5})
    assert result["status"] == "error" and result["outputs"][0]["text"] == "begun\n"
    assert result["error"]["ename"] == "TimeoutError"
    assert result["error"]["evalue"] == "The code ran longer than 0.5 seconds and was interrupted."
    again = await worker.execute(config["id"], "kept")
    assert again["outputs"][0]["data"] == {"text/plain": "1"}


async def test_code_waits_for_earlier_code_as_long_as_it_may_take_itself(
    worker: CondaWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_SETTLED_S", 0.2)
    config = config_of(files, "import time\nprint('serving')\ntime.sleep(600)")
    await worker.start(config)
    result = await worker.execute(config["id"], "1", {"timeout": 0.2})
    assert result["status"] == "error" and "Earlier code still runs" in result["error"]["evalue"]
    assert worker._sessions[config["id"]].status is SessionStatus.RUNNING
    await worker.stop(config["id"])


async def test_a_script_that_fails_after_its_start_shows_in_status_and_log(
    worker: CondaWorker, files: AppFiles, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_SETTLED_S", 0.2)
    script = (
        f"import os, time\nwhile not os.path.exists('{place}/go'): time.sleep(0.01)\nraise ValueError('late')"
    )
    config = config_of(files, script)
    await worker.start(config)
    (place / "go").touch()
    info = worker._sessions[config["id"]]
    await eventually(lambda: info.status is SessionStatus.FAILED)
    assert info.error == "ValueError: late" and "late" in await texts(worker, config, "error")


async def test_the_end_of_a_kernel_shows_in_status_and_log(worker: CondaWorker, files: AppFiles) -> None:
    config = config_of(files, "import os, signal")
    await worker.start(config)
    with pytest.raises(WorkerError, match="The kernel has ended with signal SIGKILL: stop the session"):
        await worker.execute(config["id"], "os.kill(os.getpid(), signal.SIGKILL)")
    info = worker._sessions[config["id"]]
    await eventually(lambda: info.status is SessionStatus.FAILED)
    assert info.error == "The kernel ended with signal SIGKILL."
    assert "The kernel ended with signal SIGKILL." in await texts(worker, config, "error")
    with pytest.raises(WorkerError, match="stop the session"):
        await worker.execute(config["id"], "1")


async def test_stop_ends_all_processes_also_while_code_runs(worker: CondaWorker, files: AppFiles) -> None:
    script = (
        "import os, signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "line = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "pids = [os.getpid(), subprocess.Popen(line).pid,"
        " subprocess.Popen(line, start_new_session=True).pid]\nprint(*pids)"
    )
    config = config_of(files, script)
    await worker.start(config)
    pids = [int(word) for word in (await texts(worker, config, "stdout")).split()]
    running = asyncio.create_task(worker.execute(config["id"], "print('begun'); time.sleep(600)"))

    async def has_begun() -> bool:
        return "begun" in await texts(worker, config, "stdout")

    await eventually(has_begun)
    assert all(map(lives, pids))
    await worker.stop(config["id"])
    assert not any(map(lives, pids))
    with pytest.raises(WorkerError, match="has ended"):
        await running


async def test_a_session_that_still_starts_can_be_stopped(
    worker: CondaWorker, files: AppFiles, conda: CondaStub, place: Path
) -> None:
    (conda.path / "conda").write_text(f"#!/bin/sh\necho $$ > {place}/pid\nexec sleep 600\n")
    config = config_of(files, "1")
    starting = asyncio.create_task(worker.start(config))
    note = place / "pid"
    pid = int(await eventually(lambda: note.exists() and note.read_text().strip()))
    await worker.stop(config["id"])
    with pytest.raises(WorkerError, match="stopped while it started"):
        await starting
    assert not lives(pid)


async def test_what_a_killed_worker_has_left_ends_before_the_next_begins(
    place: Path, conda: CondaStub, files: AppFiles
) -> None:
    script = (
        "import os, subprocess, sys\nline = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "print(os.getpid(), subprocess.Popen(line, start_new_session=True).pid)"
    )
    config = json.dumps(config_of(files, script))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, str(place), f"{conda.path}:/usr/bin:/bin", config),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert len(pids) == 2 and all(map(lives, pids))
    process.kill()
    await process.wait()
    fresh = made(place, conda)
    await fresh.prepare()
    await eventually(lambda: not any(map(lives, pids)))  # they are killed by now, not all gone
    assert len(os.listdir(place / "r")) == 1
    await fresh.start(config_of(files, "1"))
    assert len(conda.calls("create")) == 1, "the environment is kept"
    await fresh.shutdown()


async def test_files_are_there_before_the_script_begins(
    worker: CondaWorker, files: AppFiles, conda: CondaStub
) -> None:
    files.files["data.csv"] = b"1,2"
    fields = {"files_to_stage": ["data.csv", "data.csv:in/other.csv"]}
    script = "import os\nprint(open('data.csv').read(), open('in/other.csv').read(), sorted(os.listdir()))"
    config = config_of(files, script, fields=fields)
    await worker.start(config)
    assert await texts(worker, config, "stdout") == "1,2 1,2 ['data.csv', 'in']\n"
    config = config_of(files, "1", 2, fields={"files_to_stage": ["missing.csv"]})
    with pytest.raises(WorkerError, match=r"missing\.csv.*404"):
        await worker.start(config)
    assert len(conda.calls("ipykernel_launcher")) == 1
    with pytest.raises(WorkerError, match="leads out of the folder"):
        await worker.compile({**MANIFEST, "files_to_stage": ["../x"]}, [])


@pytest.mark.skipif(os.getuid() != 0, reason="others are limited by the system")
async def test_a_session_with_too_many_processes_is_ended_also_while_it_starts(
    place: Path, conda: CondaStub, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarms, "_LOOK_S", 0.05)
    own = made(place, conda, limits=ProcessLimits(processes=5))
    script = "import subprocess, time\nfor i in range(9): subprocess.Popen(['sleep', '600'])\ntime.sleep(600)"
    config = config_of(files, script, timeout=600)
    with pytest.raises(WorkerError, match="The kernel has ended with signal SIGKILL"):
        await own.start(config)
    assert "more than 5 processes" in await texts(own, config, "error")
    await own.shutdown()


async def test_a_session_is_used_from_its_own_workspace_alone(worker: CondaWorker, files: AppFiles) -> None:
    config = config_of(files, "secret = 1")
    with pytest.raises(PermissionDenied):
        await worker.start(config, ELSEWHERE)
    await worker.start(config, HERE)
    for refused in (
        worker.execute(config["id"], "secret", context=ELSEWHERE),
        worker.execute(config["id"], "secret", context=READER),
        worker.get_logs(config["id"], context=ELSEWHERE),
        worker.stop(config["id"], ELSEWHERE),
    ):
        with pytest.raises(PermissionDenied):
            await refused
    assert (await worker.get_logs(config["id"], context=READER))["total"] > 0
    assert (await worker.execute(config["id"], "secret", context={"from": "*/server"}))["status"] == "ok"


async def test_only_apps_of_the_named_workspaces_run_where_some_are_named(
    place: Path, conda: CondaStub, files: AppFiles
) -> None:
    class Server:
        async def register_service(self, service: dict[str, Any]) -> dict[str, str]:
            return {"id": f"own/client:{service['id']}"}

    own = made(place, conda, connection=Connection(authorized_workspaces=("lab",)))
    await own.register_worker_service(Server())
    assert own.get_service()["config"]["authorized_workspaces"] == ["lab"]
    with pytest.raises(PermissionDenied, match="no apps of the workspace w"):
        await own.start(config_of(files, "1"))
    for number, workspace in enumerate(("own", "lab"), 2):
        await own.start(config_of(files, "1", number, workspace=workspace))
    await own.shutdown()


async def test_an_environment_is_held_as_long_as_its_session(
    worker: CondaWorker, files: AppFiles, place: Path
) -> None:
    config = config_of(files, "1")
    await worker.start(config)
    (name,) = os.listdir(place / "c" / "locks")
    lock = FileLock(place / "c" / "locks" / name)
    assert not lock.try_take(shared=False)
    await worker.stop(config["id"])
    assert lock.try_take(shared=False)
    lock.release()
    with pytest.raises(WorkerError, match="The script failed"):
        await worker.start(config_of(files, "1 / 0"))
    assert lock.try_take(shared=False)
    lock.release()


async def test_a_full_disk_is_told_without_folders(
    worker: CondaWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/folder")

    monkeypatch.setattr("hypha.workers.conda.environments.Environments.provide", full)
    config = config_of(files, "1")
    with pytest.raises(WorkerError, match=r"cannot be made on this machine: No space left on device\.$"):
        await worker.start(config)
    (own,) = (worker._root).glob("worker-*")
    assert not list(own.glob("session-*"))


async def test_sessions_and_calls_are_bounded(
    place: Path, conda: CondaStub, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_MOST_CALLS", 2)
    own = made(place, conda, most_sessions=1)
    config = config_of(files, "import time")
    await own.start(config)
    for number in (2, 3):
        with pytest.raises(WorkerError, match="has 1 sessions already"):
            await own.start(config_of(files, "1", number))
    calls = [asyncio.create_task(own.execute(config["id"], "time.sleep(600)")) for _ in range(2)]
    await eventually(lambda: own._running[config["id"]]._calls == 2)
    with pytest.raises(WorkerError, match="runs 2 calls already"):
        await own.execute(config["id"], "1")
    await own.shutdown()
    assert all(isinstance(each, WorkerError) for each in await asyncio.gather(*calls, return_exceptions=True))


async def test_many_outputs_are_cut_and_the_log_is_bounded(
    worker: CondaWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "MOST_OUTPUT_BYTES", 20_000)
    config = config_of(files, "1")
    await worker.start(config)
    result = await worker.execute(config["id"], "for i in range(50): print('x' * 1_000)\n'end'")
    assert result["status"] == "ok"
    total = sum(len(each.get("text", "")) for each in result["outputs"])
    assert 5_000 < total < 20_100 and "are not kept" in result["outputs"][-1]["text"]
    log = worker._running[config["id"]].log
    await worker.execute(config["id"], "for i in range(150): print('x' * 10_000)")
    assert log.dropped > 0


async def test_an_output_that_is_too_large_is_left_out_and_the_session_goes_on(
    worker: CondaWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_IDLE_S", 0.5)
    monkeypatch.setattr(kernels, "_MOST_MESSAGE_BYTES", 100_000)
    config = config_of(files, "1")
    await worker.start(config)
    result = await worker.execute(config["id"], "print('x' * 200_000)")
    assert result["status"] == "ok" and "not kept" in result["outputs"][-1]["text"]

    again = await worker.execute(config["id"], "print('here')")
    assert again["outputs"] == [{"type": "stream", "name": "stdout", "text": "here\n"}]


async def test_what_is_no_timeout_or_no_code_is_refused(worker: CondaWorker, files: AppFiles) -> None:
    config = config_of(files, "1")
    await worker.start(config)
    for timeout in (0, -1, float("inf"), float("nan"), "30", True, None):
        with pytest.raises(InvalidArguments):
            await worker.execute(config["id"], "1", {"timeout": timeout})
    with pytest.raises(InvalidArguments):
        await worker.execute(config["id"], b"1")  # type: ignore[arg-type]


async def test_compile_adds_what_is_needed_and_refuses_what_cannot_be(worker: CondaWorker) -> None:
    files = [{"name": "main.py", "content": "1"}]
    manifest, same = await worker.compile(dict(MANIFEST), files)
    assert same is files and manifest["entry_point"] == "main.py"
    assert manifest["dependencies"] == [
        *("numpy", "pip", "ipykernel", "jupyter_client", "pyzmq"),
        {"pip": ["hypha-rpc"]},
    ]
    with pytest.raises(InvalidArguments):
        await worker.compile({"dependencies": ["-e ."]}, files)


async def test_a_worker_without_what_it_needs_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = CondaWorker(cache=place / "c", root=place / "r", variables={"PATH": "/nowhere"})
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(WorkerNotAvailableError, match=r"hypha-server\[conda\]"):
        await nowhere.prepare()
    long = place / ("x" * 100)
    with pytest.raises(WorkerNotAvailableError, match="too long"):
        kernels.check_path(long)


async def test_the_sessions_of_one_person_use_half_of_the_environments_of_a_worker_for_all(
    worker: CondaWorker, place: Path, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_ENVIRONMENTS", 2)
    worker._own_workspace = "public"

    def context(person: str) -> dict[str, Any]:
        return {"from": "*/server", "user": {"id": person}}

    def wants(number: int, package: str) -> dict[str, Any]:
        return config_of(files, "", number, fields={"dependencies": [package]})

    await worker.start(wants(1, "numpy"), context("eve"))
    await worker.start(wants(2, "numpy"), context("eve"))
    with pytest.raises(WorkerError, match="Your sessions of this worker use 1 environments"):
        await worker.start(wants(3, "scipy"), context("eve"))
    with pytest.raises(InvalidArguments):
        await worker.start(wants(4, " "), context("eve"))
    assert len(list((place / "r").glob("*/session-*"))) == 2  # folders of sessions that run
    await worker.start(wants(5, "scipy"), context("ann"))
