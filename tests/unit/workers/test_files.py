"""Files that `python -m hypha.workers` cannot run, and how that is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypha_rpc import api

from hypha.workers.__main__ import main

NOWHERE = ("--server-url", "http://127.0.0.1:1")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Variables, logging and the library's `api` are those of the whole process."""
    with mock.patch.dict(os.environ), mock.patch("hypha.workers.__main__.set_up_logging"):
        for name in [name for name in os.environ if name.startswith("HYPHA_")]:
            del os.environ[name]
        yield
        api.set_export_handler(api._default_export_handler)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("own.py", "x = 1\n", "offers nothing"),
        ("own.py", "x = \n", "is no Python"),
        ("own.py", "x = '\0'\n", "is no Python"),
        ("own.py", "raise KeyError('of the file')\n", "KeyError: 'of the file'"),
        ("own.txt", "x", "neither a Python file nor a plugin"),
        ("own.imjoy.html", "<script lang='ruby'>x</script>", "has no script in Python"),
        ("own.py", "def hypha_startup(server): pass\n", "No connection to the server"),
        (None, "", "cannot be read"),
    ],
    ids=lambda given: (given or "")[:20],
)
def test_what_cannot_run_is_told(
    name: str | None, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name:
        (tmp_path / name).write_text(text)
    assert main([str(tmp_path / (name or "none.py")), *NOWHERE]) == 1
    assert said in capsys.readouterr().err


def test_the_address_of_the_server_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["own.py"]) == 1
    assert capsys.readouterr().err == "Missing: --server-url (or HYPHA_SERVER_URL)\n"
    assert main(["mcp-client-worker", *NOWHERE]) == 1
    assert "come later" in capsys.readouterr().err


def test_a_file_of_a_worker_does_not_run_its_own_main(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "own.py").write_text(
        f"open({str(mark)!r}, 'w').write(__name__)\nasync def hypha_startup(server): pass\n"
    )
    assert main([str(tmp_path / "own.py"), *NOWHERE]) == 1
    assert mark.read_text() == "hypha_program"
