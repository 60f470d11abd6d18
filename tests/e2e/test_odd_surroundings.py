"""Where and how the server is started: streams, folders, files and signals that others would not expect."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypha.testing import eventually, free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections")


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HYPHA_", "PYTHON"))}
    return {**kept, **more}


def launch(port: int, folder: Path, *flags: str, within: str = "", **streams: Any) -> subprocess.Popen[str]:
    """A server's process, behind a shell's redirections."""
    line = [sys.executable, "-m", "hypha.server", f"--port={port}", f"--data-dir={folder}", *flags]
    env = environment(PYTHONIOENCODING="ascii", LC_ALL="C", HYPHA_LOGLEVEL="INFO", HYPHA_ACCESS_LOG="true")
    return subprocess.Popen(["sh", "-c", f'exec "$@" {within}', "sh", *line], env=env, text=True, **streams)


@contextlib.asynccontextmanager
async def started(folder: Path, **places: Any) -> AsyncIterator[str]:
    """The URL of a server; it has to end in order."""
    port = free_port()
    process = launch(port, folder, **places)
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient() as http:

            async def is_ready() -> bool:
                return (await http.get(f"{url}/health/readiness")).status_code == 200

            await eventually(is_ready, within_s=30)
        yield url
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()


def ended(*flags: str, cwd: Path, within: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a server that refuses to start."""
    line = [sys.executable, "-m", "hypha.server", "--port=0", *flags]
    script = f'{within}exec "$@"'
    return subprocess.run(
        ["sh", "-c", script, "sh", *line],
        cwd=cwd,
        env=environment(PYTHONPATH=os.getcwd(), **env),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
async def test_a_server_whose_output_goes_nowhere_serves(tmp_path: Path, redirections: str) -> None:
    folder = tmp_path / "数据?1%20"
    async with started(folder, within=redirections) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/public/services/")).status_code == 200
        assert (folder / "hypha.sqlite").is_file()
    assert os.listdir(tmp_path) == ["数据?1%20"]


async def test_a_server_outlives_the_reader_of_its_output(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    streams = {"stdout": write_end, "stderr": write_end}
    async with started(tmp_path / "data", **streams) as url, httpx.AsyncClient() as http:
        os.close(write_end)
        for _turn in range(3):
            assert (await http.get(f"{url}/public/services/")).status_code == 200


@pytest.mark.parametrize(
    "content", ["HYPHA_SERVER_ID=größe\n".encode("utf-16"), "A=größe\n".encode("latin-1"), b"A=b\0\n"]
)
def test_an_env_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    done = ended(cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("hypha: The file ") and done.stderr.count("\n") == 1


def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = ended(cwd=tmp_path / "gone", within="rmdir ../gone; ")
    assert done.returncode == 1
    assert "cannot be used (no such file or directory)" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--public-base-url=hub.example.org"], "with its scheme"),
        (["--host=no such host"], "Cannot listen on"),
        (["--database-uri=sqlite:////tmp/lab?1/x.db"], "write %3F for it"),
        (["--static-mounts=/x:\udcff/none"], "/x"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(tmp_path: Path, flags: list[str], words: str) -> None:
    done = ended(*flags, cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1


HANGING = """
import asyncio, pathlib
async def start(server):
    pathlib.Path({marker!r}).touch()
    await asyncio.sleep(3600)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_while_the_server_starts_ends_it_in_order(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "hanging.py").write_text(HANGING.format(marker=str(tmp_path / "begun")))
    flag = f"--startup-functions={tmp_path / 'hanging.py'}:start"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with launch(0, tmp_path / "data", flag, **streams) as process:
        await eventually((tmp_path / "begun").exists, within_s=30)
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == code
    assert "stopped by a signal before the server was ready" in output and "Traceback" not in output
