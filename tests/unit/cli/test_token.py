"""`generate-token`: the minted token and its refusals."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from hypha.auth.scopes import Level
from hypha.auth.tokens import TokenAuthority
from hypha.cli.streams import PatientStream
from hypha.cli.token import generate_token
from hypha.datafolder import DataFolder
from hypha.errors import ConfigurationError

SECRET = "a-signing-secret-of-the-tests-0123456789"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPHA_JWT_SECRET", SECRET)
    monkeypatch.delenv("HYPHA_DATA_DIR", raising=False)


def printed_token(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-2] == "Token:"
    return lines[-1]


def test_the_token_says_what_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--user-id ann --workspace w-1 --permission admin --client-id c --role tester --email a@b.c"
    assert generate_token([*flags.split(), "--scope", "w-2#read", "--expires-in", "60"]) == 0
    user = TokenAuthority(SECRET).parse(printed_token(capsys))
    assert (user.id, user.roles, user.email, user.scope.client_id) == ("ann", ("tester",), "a@b.c", "c")
    assert (user.level("w-1"), user.level("w-2")) == (Level.ADMIN, Level.READ)
    assert user.scope.current_workspace == "w-1"


def test_defaults_are_an_anonymous_user_and_its_workspace(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_token([]) == 0
    user = TokenAuthority(SECRET).parse(printed_token(capsys))
    assert user.id.startswith("anonymous-") and user.roles == ("anonymous",)
    assert user.level(f"ws-user-{user.id}") == Level.READ_WRITE


def test_the_secret_of_a_data_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HYPHA_JWT_SECRET")
    monkeypatch.delenv("JWT_SECRET", raising=False)
    folder = DataFolder.open(str(tmp_path))
    kept = folder.secret("jwt")
    folder.close()
    assert generate_token(["--user-id", "ann", "--data-dir", str(tmp_path)]) == 0
    assert TokenAuthority(kept).parse(printed_token(capsys)).id == "ann"


def test_without_a_secret_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HYPHA_JWT_SECRET")
    monkeypatch.delenv("JWT_SECRET", raising=False)
    assert generate_token(["--data-dir", str(tmp_path)]) == 1
    assert "HYPHA_JWT_SECRET" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ["--scope", "w"],
        ["--scope", "w#root"],
        ["--expires-in", "0"],
        ["--expires-in", "inf"],
        ["--expires-in", "nan"],
        ["--expires-in", "1e300"],
    ],
)
def test_wrong_arguments_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_token(flags) == 2
    assert "hypha: --" in capsys.readouterr().err


def test_settings_that_are_refused_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise ConfigurationError("HYPHA_LAMP must be on")

    monkeypatch.setattr("hypha.cli.token.load_settings", refuse)
    assert generate_token([]) == 1
    assert capsys.readouterr().err == "hypha: HYPHA_LAMP must be on\n"


def test_a_token_that_cannot_be_written_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", PatientStream(inner))
    inner.close()
    assert generate_token([]) == 1
    assert "the token could not be written" in capsys.readouterr().err
