"""Startup functions: loading, order, failures."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from hypha.errors import ConfigurationError
from hypha.startup import load_startup_function, run_startup_functions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "services.py"
    path.write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "@dataclasses.dataclass\nclass Kept: value: int\n"
        "async def first(server): server.append(('first', Kept(1).value))\n"
        "async def second(server): server.append('second')\n"
        "async def fails(server): raise RuntimeError('no instrument')\n"
        "def plain(server): pass\n"
    )
    return path


async def new_list() -> list[Any]:
    return []


async def test_functions_run_in_order_with_one_object(file: Path) -> None:
    server = await run_startup_functions([f"{file}:first", f"{file}:second"], new_list)
    assert server == [("first", 1), "second"]


async def test_a_function_named_twice_runs_once(file: Path) -> None:
    assert await run_startup_functions([f"{file}:second", f"{file}:second"], new_list) == ["second"]


async def test_without_functions_no_object_is_made() -> None:
    async def refuse() -> None:
        raise AssertionError

    assert await run_startup_functions([], refuse) is None


async def test_module_form(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    assert await run_startup_functions(["services:second"], new_list) == ["second"]


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("{file}", "must be given as"),
        ("{file}:", "must be given as"),
        ("{file}:third", "has no 'third'"),
        ("{file}:plain", "async def"),
        ("/nowhere/x.py:f", "does not exist"),
        ("no_such_module_here:f", "does not exist"),
        ("no_such_package_here.module:f", "does not exist"),
    ],
)
def test_what_cannot_be_loaded_is_told(file: Path, uri: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_startup_function(uri.format(file=file))


async def test_a_failing_function_is_logged_with_its_traceback(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(ConfigurationError, match="no instrument"):
        await run_startup_functions([f"{file}:fails"], new_list)
    assert caplog.records[0].exc_info


async def test_a_faulty_file_is_logged_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "faulty.py").write_text("import no_such_module_either\n")
    with caplog.at_level(logging.ERROR), pytest.raises(ConfigurationError, match="no_such_module_either"):
        await run_startup_functions([f"{tmp_path / 'faulty.py'}:f"], new_list)
    assert caplog.records[0].exc_info


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("async def f(:", "line 1"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("async def f(server): raise SystemExit(3)", "ended the program: 3"),
        ("x = '\0'", "cannot be imported"),
    ],
)
async def test_a_file_that_is_no_program_is_told_in_one_sentence(
    tmp_path: Path, source: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "odd.py").write_text(source)
    with pytest.raises(ConfigurationError, match=words):
        await run_startup_functions([f"{tmp_path / 'odd.py'}:f"], new_list)
    assert all("Traceback" not in record.getMessage() for record in caplog.records)
