"""Programs in terminals: what they find, what people see of them and type, how they end."""

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

from hypha.errors import PermissionDenied
from hypha.testing import eventually
from hypha.workers import swarms
from hypha.workers.base import SessionNotFoundError, SessionStatus, WorkerError
from hypha.workers.children import ProcessLimits
from hypha.workers.options import Connection
from hypha.workers.processes import stat_of
from hypha.workers.terminal import TerminalWorker
from tests.kit.app_files import AppFiles, app_files

LONG = {"timeout": 60}
ADMIN = {"id": "root", "roles": ["admin"], "scope": {"workspaces": {"*": "a"}}}
SOMEBODY = {"id": "ann", "roles": [], "scope": {"workspaces": {"w": "a"}}}


@pytest.fixture(scope="module")
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[TerminalWorker]:
    running = TerminalWorker(root=tmp_path / "root")
    yield running
    await running.shutdown()


def config_of(
    files: AppFiles, number: int = 1, command: str | None = None, **manifest: Any
) -> dict[str, Any]:
    """What `start` gets for a program; without one, for the usual shell, whose prompt is `$ `."""
    manifest |= {"name": "T", "type": "terminal", "startup_command": command or "env PS1='$ ' bash --norc"}
    return files.config(number, entry_point=None, manifest=manifest)


async def run(worker: TerminalWorker, session: str, script: str, **wish: Any) -> str:
    """What a script prints."""
    done = await worker.execute(session, script, LONG | wish)
    assert done["status"] == "ok"
    return str(done["outputs"][0]["text"])


def lives(pid: int) -> bool:
    found = stat_of(pid)
    return found is not None and not found.is_zombie


@pytest.mark.spec("apps-12.4.5")
async def test_what_is_typed_is_run_in_a_folder_that_goes_with_the_session(
    worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    assert await worker.start(config) == config["id"]
    done = await worker.execute(config["id"], "echo hello; pwd", LONG)
    stream, screen = done["outputs"]
    assert (done["status"], done["complete"]) == ("ok", True)
    assert (stream["type"], stream["name"]) == ("stream", "stdout")
    assert (screen["type"], screen["name"]) == ("screen", "screen_diff")
    first, folder = stream["text"].split("\n")
    assert first == "hello" and os.stat(folder).st_mode & 0o777 == 0o700
    assert "hello" in screen["text"].split("\n")
    shown = await worker.get_logs(config["id"], "screen")
    assert isinstance(shown, str) and "$ echo hello; pwd\nhello\n" in shown
    page = await worker.get_logs(config["id"], "stdout")
    assert page["total"] == 1 and "hello\n" in page["items"][0]["content"]
    assert await run(worker, config["id"], "stty size") == "24 80"
    await worker.stop(config["id"])
    assert not os.path.exists(folder)  # noqa: ASYNC240
    with pytest.raises(SessionNotFoundError):
        await worker.get_screen_content(config["id"])


async def test_a_program_finds_nothing_of_the_workers_environment(
    worker: TerminalWorker, files: AppFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "s")
    config = config_of(files)
    await worker.start(config)
    found = dict(
        line.split("=", 1)
        for line in (await run(worker, config["id"], "env -u _ -u SHLVL -u PWD")).split("\n")
    )
    work = found["HOME"]
    assert found == {
        "PATH": os.environ["PATH"],
        "PS1": "$ ",
        "HOME": work,
        "SHELL": "/bin/bash",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "HYPHA_SERVER_URL": files.url,
        "HYPHA_WORKSPACE": "w",
        "HYPHA_CLIENT_ID": config["client_id"],
        "HYPHA_APP_ID": "app",
        "HYPHA_SESSION_DIR": work,
    }
    descriptors = await run(worker, config["id"], "ls /proc/$$/fd")
    assert set(descriptors.split()) <= {"0", "1", "2", "255"}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("for i in 1 2; do\n echo $i\ndone\necho end", "1\n2\nend"),
        ("sleep 0.1\necho late\n", "late"),
        ("echo " + "x" * 300, "x" * 300),
        ("printf '\\033[31mred\\033[0m\\033]0;title\\007 a\\rb\\n'", "bed a"),
        ("", ""),
        ("true", ""),
        ("printf 'no newline'; echo", "no newline"),
    ],
)
async def test_echo_prompts_and_sequences_are_taken_away(
    script: str, expected: str, worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    await worker.start(config)
    assert await run(worker, config["id"], script) == expected


async def test_raw_output_is_as_it_came(worker: TerminalWorker, files: AppFiles) -> None:
    config = config_of(files)
    await worker.start(config)
    found = await run(worker, config["id"], "printf '\\033[1mx\\n'", raw_output=True)
    assert "printf" in found and "\x1b[1mx\r\n" in found and found.endswith("$ ")


async def test_an_execution_ends_with_the_timeout_or_when_the_shell_waits_for_somebody(
    worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    await worker.start(config)
    done = await worker.execute(config["id"], "sleep 600", {"timeout": 0.2})
    assert done["complete"] is False
    await worker.write_terminal(config["id"], "\x03")
    done = await worker.execute(config["id"], "read name", LONG)
    assert done["complete"] is False
    assert await run(worker, config["id"], "value") == ""
    assert await run(worker, config["id"], "echo $name") == "value"
    for timeout in (0, -1, "5", True, 1e9):
        with pytest.raises(ValueError, match="number of seconds"):
            await worker.execute(config["id"], "true", {"timeout": timeout})


async def test_other_programs_have_prompts_too(worker: TerminalWorker, files: AppFiles) -> None:
    config = config_of(files, command=f"{sys.executable} -q")
    await worker.start(config)
    assert await run(worker, config["id"], "6 * 7") == "42"
    assert await run(worker, config["id"], "import os; os.tcgetpgrp(0) == os.getpid()") == "True"
    done = await worker.execute(config["id"], "exit(3)", LONG)
    assert done["complete"] is True
    await eventually(lambda: worker._sessions[config["id"]].status is SessionStatus.FAILED)
    page = await worker.get_logs(config["id"], "info")
    assert page["items"] == [{"type": "info", "content": "The program ended with exit code 3."}]
    with pytest.raises(WorkerError, match="has ended"):
        await worker.write_terminal(config["id"], "x")


async def test_output_is_given_out_as_it_comes(worker: TerminalWorker, files: AppFiles) -> None:
    config = config_of(files)
    await worker.start(config)
    folder = worker._running[config["id"]].folder
    assert folder is not None
    seen: list[dict[str, Any]] = []
    has_answered = False
    async for piece in worker.execute_stream(config["id"], "mkfifo go; echo one; cat go; echo two", LONG):
        seen.append(piece)
        if not has_answered and "\none\n" in "".join(each.get("content", "") for each in seen):
            has_answered = True  # the program waits, and what it printed is here
            await asyncio.to_thread((folder.work / "go").write_text, "said\n")
    assert seen[-1] == {"type": "complete", "status": "ok", "complete": True}
    assert "\none\nsaid\ntwo\n" in "".join(each["content"] for each in seen[:-1])
    await worker.write_terminal(config["id"], "exit\n")
    await eventually(lambda: worker._running[config["id"]].has_ended)
    ended = [piece async for piece in worker.execute_stream(config["id"], "true", LONG)]
    assert [piece["type"] for piece in ended] == ["error"]


@pytest.mark.spec("apps-12.4.5")
async def test_a_terminal_is_resized_read_written_and_attached_to(
    worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    session = config["id"]
    await worker.start(config)
    told: list[dict[str, Any]] = []
    attached = asyncio.create_task(worker.attach(session, told.append))
    await eventually(lambda: told)
    first = told[0]
    assert (first["type"], first["content"], first["terminal_size"]) == (
        "initial",
        "$",
        {"rows": 24, "cols": 80},
    )
    assert first["cursor"] == {"row": 0, "column": 2, "is_hidden": False}
    assert await worker.resize_terminal(session, 30, 100) == {"success": True, "rows": 30, "cols": 100}
    assert await run(worker, session, "stty size") == "30 100"
    assert (await worker.get_screen_content(session))["terminal_size"] == {"rows": 30, "cols": 100}
    await worker.read_terminal(session)
    assert await worker.write_terminal(session, "echo $((6*7))\n") == {"success": True}
    await eventually(lambda: told[-1]["type"] == "update" and "\n42\n" in told[-1]["content"])
    read = await worker.read_terminal(session)
    assert read["success"] and "\r\n42\r\n" in read["output"].replace("\x1b[?2004l\r", "")
    assert (await worker.list_sessions())[0]["status"] == "running"
    await worker.write_terminal(session, "exit\n")
    assert await attached == {"success": True}
    for rows, columns in ((0, 80), (24, 1), (121, 80), (24, 401), (True, 80), (24.0, 80)):
        with pytest.raises(ValueError, match="terminal"):
            await worker.resize_terminal(session, rows, columns)  # type: ignore[arg-type]


async def test_who_does_not_take_updates_is_left_alone(worker: TerminalWorker, files: AppFiles) -> None:
    config = config_of(files)
    await worker.start(config)

    def refuse(message: object) -> None:
        raise ConnectionError("gone")

    assert await worker.attach(config["id"], refuse) == {"success": True}


async def test_stopping_ends_all_processes_whatever_they_ignore(
    worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    await worker.start(config)
    script = (
        "(trap '' HUP TERM; sleep 600; true) & sleep 600 & jobs -p\n"
        "setsid bash -c 'echo $$ > pid; exec sleep 600' & until [ -s pid ]; do sleep 0.02; done; cat pid"
    )
    printed = await run(worker, config["id"], script)
    program = worker._running[config["id"]].program
    assert program is not None
    pids = [int(line) for line in printed.split("\n") if line.isdigit()]
    assert len(pids) == 3 and all(map(lives, pids))
    await worker.stop(config["id"])
    assert not any(map(lives, [program.pid, *pids]))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program-at-all", "there is no program 'no-such-program-at-all'"),
        ("'", "cannot be read"),
        ("", "is a command"),
        (["bash", 5], "is a command"),
        ("bash -c 'echo because; exit 4'", "exit code 4.\nbecause"),
    ],
)
async def test_a_start_that_fails_says_why(
    command: Any, said: str, worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files, command="x")
    config["manifest"]["startup_command"] = command
    with pytest.raises(WorkerError, match=said):
        await worker.start(config)
    assert all(session.is_closed for session in worker._running.values())
    for refused in (worker.execute(config["id"], "id"), worker.get_screen_content(config["id"])):
        with pytest.raises(SessionNotFoundError):
            await refused


@pytest.mark.spec("apps-12.4.5")
async def test_files_are_staged(worker: TerminalWorker, files: AppFiles) -> None:
    files.files |= {"a.csv": b"1,2", "deep/b.txt": b"b"}
    config = config_of(files, files_to_stage=["a.csv", "deep/b.txt:in/c.txt", "a.csv:in/"])
    await worker.start(config)
    found = await run(worker, config["id"], "find . -type f | sort; cat in/c.txt")
    assert found.split("\n") == ["./a.csv", "./in/a.csv", "./in/c.txt", "b"]


async def test_a_session_is_used_from_its_own_workspace_alone(
    worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    session = config["id"]
    with pytest.raises(PermissionDenied, match="administrators alone"):
        await worker.start(config, {"from": "w/me", "ws": "w", "user": SOMEBODY})
    with pytest.raises(PermissionDenied, match="administrators alone"):
        await worker.start(config, {"from": "*/manager", "ws": "w", "user": SOMEBODY})
    with pytest.raises(PermissionDenied, match="administrators alone"):
        await worker.start(config, {"from": "w/me", "ws": "w"})
    await worker.start(config, {"from": "*/manager", "ws": "w", "user": ADMIN})
    stranger = {"from": "other/me", "ws": "other", "user": SOMEBODY}
    with pytest.raises(PermissionDenied):
        await worker.execute(session, "id", context=stranger)
    for refused in (
        worker.write_terminal(session, "x", context=stranger),
        worker.read_terminal(session, context=stranger),
        worker.resize_terminal(session, 10, 10, context=stranger),
        worker.get_screen_content(session, context=stranger),
        worker.attach(session, print, context=stranger),
        worker.get_logs(session, "screen", context=stranger),
        worker.get_logs(session, context=stranger),
        worker.stop(session, context=stranger),
    ):
        with pytest.raises(PermissionDenied):
            await refused
    with pytest.raises(PermissionDenied):
        async for _ in worker.execute_stream(session, "id", context=stranger):
            pass
    assert await worker.list_sessions(stranger) == []
    reader = {"from": "w/me", "ws": "w", "user": {"id": "bob", "scope": {"workspaces": {"w": "r"}}}}
    for refused in (
        worker.execute(session, "id", context=reader),
        worker.write_terminal(session, "id", context=reader),
        worker.resize_terminal(session, 10, 10, context=reader),
    ):
        with pytest.raises(PermissionDenied, match="read_write"):
            await refused
    assert (await worker.get_screen_content(session, context=reader))["success"]
    own = await worker.list_sessions({"from": "w/me"})
    assert [each["session_id"] for each in own] == [session]


async def test_a_list_of_workspaces_lets_them_in(files: AppFiles, tmp_path: Path) -> None:
    worker = TerminalWorker(Connection(authorized_workspaces=("w",)), root=tmp_path)
    await worker.start(config_of(files), {"from": "*/manager", "ws": "w", "user": SOMEBODY})
    other = config_of(files, 2) | {"workspace": "v", "id": "v/x"}
    with pytest.raises(PermissionDenied):
        await worker.start(other, {"from": "v/me", "ws": "v", "user": SOMEBODY})
    assert worker.get_service()["config"] == {
        "visibility": "protected", "run_in_executor": False, "require_context": True,
        "authorized_workspaces": ["w"],
    }  # fmt: skip
    await worker.shutdown()


async def test_there_are_no_more_terminals_than_allowed(files: AppFiles, tmp_path: Path) -> None:
    worker = TerminalWorker(root=tmp_path, most_sessions=1)
    with pytest.raises(WorkerError, match="exit code 1"):
        await worker.start(config_of(files, 3, command="false"))
    await worker.start(config_of(files, 1))
    with pytest.raises(WorkerError, match="HYPHA_MAX_TERMINAL_SESSIONS"):
        await worker.start(config_of(files, 2))
    await worker.stop(config_of(files, 1)["id"])
    await worker.start(config_of(files, 4))
    await worker.shutdown()
    assert os.listdir(tmp_path) == []


async def test_endless_output_takes_a_bounded_share_and_bounded_memory(
    worker: TerminalWorker, files: AppFiles
) -> None:
    config = config_of(files)
    await worker.start(config)
    done = await worker.execute(config["id"], "yes 0123456789", {"timeout": 1})
    assert done["complete"] is False and len(done["outputs"][0]["text"]) < 600_000
    await worker.write_terminal(config["id"], "\x03")
    await run(worker, config["id"], "echo over", timeout=60)
    assert "\nover\n" in (await worker.get_logs(config["id"], "screen"))


async def test_too_much_is_not_typed_at_once(worker: TerminalWorker, files: AppFiles) -> None:
    config = config_of(files)
    await worker.start(config)
    with pytest.raises(WorkerError, match="at once"):
        await worker.write_terminal(config["id"], "x" * 65_537)


@pytest.mark.skipif(os.getuid() != 0, reason="the system limits the processes of others than root itself")
async def test_a_terminal_with_too_many_processes_is_ended(
    files: AppFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarms, "_LOOK_S", 0.05)
    worker = TerminalWorker(limits=ProcessLimits(processes=5), root=tmp_path)
    config = config_of(files)
    await worker.start(config)
    done = await worker.execute(config["id"], "for i in 1 2 3 4 5 6 7 8; do sleep 600 & done; wait", LONG)
    assert done["complete"] is True
    page = await worker.get_logs(config["id"], "info")
    assert "It had more than 5 processes and was ended." in [item["content"] for item in page["items"]]
    await worker.shutdown()


WORKER = """
import asyncio, json, sys
from pathlib import Path
from hypha.workers.terminal import TerminalWorker

async def main():
    worker = TerminalWorker(root=Path(sys.argv[1]))
    config = json.loads(sys.argv[2])
    await worker.start(config)
    script = "(trap '' HUP; exec setsid bash -c 'echo $$ > pid; exec sleep 600') & until [ -s pid ]; do sleep 0.02; done; cat pid"
    done = await worker.execute(config["id"], script, {"timeout": 60})
    printed = [word for word in done["outputs"][0]["text"].split() if word.isdigit()]
    print(worker._running[config["id"]].program.pid, printed[-1], flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""  # noqa: E501


async def test_what_a_killed_worker_has_left_ends(files: AppFiles, tmp_path: Path) -> None:
    line = [sys.executable, "-c", WORKER, str(tmp_path), json.dumps(config_of(files))]
    process = await asyncio.create_subprocess_exec(*line, stdout=subprocess.PIPE)
    assert process.stdout is not None
    shell, left = (int(word) for word in (await process.stdout.readline()).split())
    assert lives(shell) and lives(left)
    process.kill()
    await process.wait()
    await eventually(lambda: not lives(shell))  # the system ends it with its parent
    fresh = TerminalWorker(root=tmp_path)
    await fresh.prepare()
    assert not lives(left)
    await fresh.shutdown()
    assert os.listdir(tmp_path) == []
