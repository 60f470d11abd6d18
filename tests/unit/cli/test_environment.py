"""What the command line reads around its arguments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypha.cli.environment import adopt_uvicorn_flags, load_env_file
from hypha.errors import ConfigurationError


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("HYPHA_TEST_ONE=größe\n".encode("utf-16"), "is not UTF-8 text: save it as UTF-8"),
        ("HYPHA_TEST_ONE=größe\n".encode("latin-1"), "is not UTF-8 text: save it as UTF-8"),
        ("HYPHA_TEST_ONE=x\n".encode("utf-16-le"), "holds a NUL character"),
        (b"HYPHA_TEST_ONE=a\0b\n", "holds a NUL character"),
    ],
)
def test_an_env_file_that_is_no_text_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=words) as refused:
        load_env_file()
    assert str(tmp_path / ".env") in str(refused.value)
    assert "HYPHA_TEST_ONE" not in os.environ


def test_a_byte_order_mark_of_an_env_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("HYPHA_TEST_ONE=größe\n", encoding="utf-8-sig")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYPHA_TEST_ONE", "")
    monkeypatch.delenv("HYPHA_TEST_ONE")
    load_env_file()
    assert os.environ["HYPHA_TEST_ONE"] == "größe"


def test_a_folder_named_env_is_no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").mkdir()
    monkeypatch.chdir(tmp_path)
    load_env_file()


def test_a_working_folder_that_is_gone_has_no_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    load_env_file()
