"""What the command line reads around its arguments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypha.cli.environment import adopt_uvicorn_flags, load_env_file


def test_flags_of_uvicorn_become_variables() -> None:
    environment: dict[str, str] = {}
    adopt_uvicorn_flags(
        ["/x/bin/uvicorn", "hypha.server:app", "--port", "9001", "--host=0.0.0.0"], environment
    )
    assert environment == {"HYPHA_PORT": "9001", "HYPHA_HOST": "0.0.0.0"}


def test_uvicorns_own_variables_and_default_port_are_adopted(caplog: pytest.LogCaptureFixture) -> None:
    environment = {"UVICORN_PORT": "9003"}
    adopt_uvicorn_flags(["uvicorn", "hypha.server:app"], environment)
    assert environment["HYPHA_PORT"] == "9003"
    environment = {}
    adopt_uvicorn_flags(["uvicorn", "hypha.server:app"], environment)
    assert environment == {"HYPHA_PORT": "8000"}
    environment = {}
    adopt_uvicorn_flags(["uvicorn", "hypha.server:app", "--uds", "/run/hub"], environment)
    assert environment == {}
    assert not caplog.records
    environment = {"HYPHA_PORT": "9001"}
    adopt_uvicorn_flags(["uvicorn", "hypha.server:app"], environment)
    assert environment == {"HYPHA_PORT": "9001"} and "--port 9001" in caplog.text


def test_python_m_uvicorn_counts_too() -> None:
    environment = {"HYPHA_PORT": "9001"}
    adopt_uvicorn_flags(["/site/uvicorn/__main__.py", "hypha.server:app", "--port=9001"], environment)
    assert environment == {"HYPHA_PORT": "9001"}


@pytest.mark.spec("core-L2")
def test_two_different_ports_are_refused_with_both() -> None:
    with pytest.raises(ValueError, match=r"9002.*9001"):
        adopt_uvicorn_flags(["uvicorn", "hypha.server:app", "--port", "9002"], {"HYPHA_PORT": "9001"})


def test_several_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="needs Redis"):
        adopt_uvicorn_flags(["uvicorn", "hypha.server:app", "--workers", "2"], {})


def test_other_programs_flags_are_left_alone() -> None:
    environment: dict[str, str] = {}
    adopt_uvicorn_flags(["pytest", "--port", "1", "--workers", "4"], environment)
    assert environment == {}


def test_the_nearest_env_file_is_loaded_and_set_variables_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("HYPHA_TEST_ONE=file\nHYPHA_TEST_TWO=file\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.setenv("HYPHA_TEST_ONE", "set")
    monkeypatch.setenv("HYPHA_TEST_TWO", "")
    monkeypatch.delenv("HYPHA_TEST_TWO")
    load_env_file()
    assert (os.environ["HYPHA_TEST_ONE"], os.environ["HYPHA_TEST_TWO"]) == ("set", "file")
    monkeypatch.delenv("HYPHA_TEST_TWO")
