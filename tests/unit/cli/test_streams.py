"""Standard streams that never keep the server from starting."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest

from hypha.cli.streams import PatientStream
from hypha.observe.logs import setup_logging


class FullDisk(io.RawIOBase):
    """A file that takes nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def full() -> PatientStream:
    return PatientStream(io.TextIOWrapper(io.BufferedWriter(FullDisk()), write_through=True))


def test_what_cannot_be_written_is_dropped_and_remembered() -> None:
    stream = full()
    print("hello", file=stream, flush=True)
    assert stream.has_lost and not stream.isatty()


def test_a_closed_stream_is_none_to_complain_about() -> None:
    inner = io.TextIOWrapper(io.BytesIO())
    stream = PatientStream(inner)
    inner.close()
    print("hello", file=stream, flush=True)
    assert stream.has_lost and stream.isatty() is False


def test_log_lines_that_cannot_be_written_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    kept, levels = list(root.handlers), {name: logging.getLogger(name).level for name in ("hypha", "uvicorn")}
    try:
        setup_logging("INFO", stream=io.TextIOWrapper(io.BufferedWriter(FullDisk()), write_through=True))
        logging.getLogger("hypha.tests").warning("a line")
    finally:
        root.handlers[:] = kept
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    assert capsys.readouterr().err == ""


WITH_STREAMS = """
import os, sys
from hypha.cli.streams import secure_streams
secure_streams()
secure_streams()
print("数据 ünd more", flush=True)
print("hypha: 数据", file=sys.stderr)
print(sys.stdin.read() if sys.stdin else "")
opened = os.open("/dev/null", os.O_RDONLY)
sys.exit(opened > 2 and os.fstat(1) is not None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections")
@pytest.mark.parametrize(
    "redirections", ["<&- >&- 2>&-", ">&-", "2>&-", ">/dev/full 2>/dev/full", "| true", "</dev/null", ""]
)
def test_whatever_the_streams_are_printing_goes_on(redirections: str) -> None:
    line = f'"$0" -c "$1" {redirections}'
    line = f"set -o pipefail; {line}" if "|" in redirections else line
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, WITH_STREAMS],
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        input=b"",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr and b"Error" not in done.stderr
