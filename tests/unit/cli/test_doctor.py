"""`doctor`: what it calls risky or broken, what it leaves alone, and what it never says."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from hypha.__main__ import main as hypha_main
from hypha.cli.exposure import examine
from hypha.configuration import all_options
from hypha.datafolder import DataFolder
from hypha.findings import Grade
from hypha.server import main as server_main
from hypha.settings import Settings
from tests.kit.doctor import ENVIRONMENT, FLAGS, bad, found, state_of


@pytest.fixture(autouse=True)
def folder(doctor_folder: Path) -> Path:
    return doctor_folder


def test_good_settings_are_neither_risky_nor_broken() -> None:
    assert bad() == []


RISKY: list[tuple[list[str], str, dict[str, str], str]] = [
    ([], "--public-base-url", {}, "--public-base-url is not set"),
    (["--public-base-url=http://127.0.0.1:9527"], "", {}, "--public-base-url is not set"),
    (["--public-base-url=http://hub.example"], "", {}, "begins with http://"),
    (["--public-base-url=http://hub.example", "--host=0.0.0.0"], "", {}, "only the proxy reaches port"),
    ([], "--trusted-proxies", {}, "--trusted-proxies names nobody"),
    (["--trusted-proxies=0.0.0.0/0"], "", {}, "holds strangers"),
    (["--trusted-proxies=::/0"], "", {}, "holds strangers"),
    (["--trusted-proxies=127.0.0.1,203.0.0.0/8"], "", {}, "holds strangers"),
    ([], "--allow-origins", {}, "--allow-origins *"),
    (["--allow-origins=https://a.example,*"], "", {}, "--allow-origins *"),
    (["--allow-origins=http://a.example"], "", {}, "page without HTTPS"),
    ([], "--apps-origin", {}, "set --apps-origin"),
    (["--apps-origin=http://hub-apps.example"], "", {}, "--apps-origin begins with http://"),
    (["--apps-origin=https://apps.hub.example"], "", {}, "hosts of one domain"),
    ([], "", {"HYPHA_ALLOW_ANONYMOUS": "true"}, "HYPHA_ALLOW_ANONYMOUS=false"),
    ([], "", {"HYPHA_ROOT_TOKEN": ""}, "nobody can administer"),
    ([], "", {"HYPHA_ROOT_TOKEN": "7" * 64}, "--root-token is made of few different characters"),
    ([], "", {"HYPHA_JWT_SECRET": "s3cr3t!"}, "HYPHA_JWT_SECRET has fewer than 32 characters"),
    ([], "", {"JWT_SECRET": "change-me-password-0123456789-xyz"}, "HYPHA_JWT_SECRET contains a word"),
    ([], "", {"HYPHA_JWT_SECRET": ENVIRONMENT["HYPHA_ROOT_TOKEN"]}, "are the same"),
    (["--trust-apps"], "", {}, "--trust-apps"),
    (["--streams-by-address=on"], "", {}, "--streams-by-address on"),
    ([], "", {"HYPHA_EXPOSE_DETAILED_ERRORS": "1"}, "HYPHA_EXPOSE_DETAILED_ERRORS"),
    ([], "", {"HYPHA_HTTP_RATE_LIMIT": "0"}, "HYPHA_HTTP_RATE_LIMIT is 0"),
    ([], "", {"HYPHA_MAX_STORED_BYTES": "0"}, "HYPHA_MAX_STORED_BYTES is 0"),
    (["--data-dir=:memory:"], "", {}, "--data-dir :memory:"),
    ([], "", {"HYPHA_ALLOW_ANONYMUS": "false"}, "did you mean HYPHA_ALLOW_ANONYMOUS?"),
]


@pytest.mark.parametrize(("flags", "without", "environment", "sentence"), RISKY)
def test_each_risk_is_told_alone(
    flags: list[str], without: str, environment: dict[str, str], sentence: str
) -> None:
    findings = bad(*flags, without=without, **environment)
    assert [each.grade for each in findings if sentence in each.text] == [Grade.RISKY], findings
    assert len(findings) == 1 or sentence == "only the proxy reaches port", findings


BROKEN: list[tuple[list[str], dict[str, str], str]] = [
    (["--public-base-url=hub.example"], {}, "--public-base-url"),
    (["--public-base-url=https://hub.example/lab"], {}, "has the path /lab and --base-path is /:"),
    (["--base-path=/lab"], {}, "has the path / and --base-path is /lab:"),
    (["--trusted-proxies=proxy.example"], {}, "--trusted-proxies"),
    (["--apps-origin=https://hub.example"], {}, "--apps-origin"),
    ([], {"HYPHA_ROOT_TOKEN": "short"}, "--root-token"),
    (["--static-mounts=/tools:no-such-folder"], {}, "static mount"),
    (["--static-mounts=/all:."], {}, "serves the data folder"),
    (["--startup-functions=missing.py:setup"], {}, "missing.py"),
    (["--host=192.0.2.1"], {}, "Cannot listen on 192.0.2.1"),
    (["--database-uri=sqlite+aiosqlite:///no-such-folder/x.sqlite"], {}, "folder of the database"),
    (["--database-uri=oracle://x"], {}, "not supported"),
]


@pytest.mark.parametrize(("flags", "environment", "sentence"), BROKEN)
def test_what_would_not_start_or_work_is_broken(
    flags: list[str], environment: dict[str, str], sentence: str
) -> None:
    findings = bad(*flags, **environment)
    assert [each.grade for each in findings if sentence in each.text] == [Grade.BROKEN], findings


def test_equal_paths_in_the_public_url_and_the_base_path_are_fine() -> None:
    assert bad("--public-base-url=https://hub.example/lab/", "--base-path=lab") == []


def test_neighbouring_hosts_share_cookies_and_others_do_not() -> None:
    for public, apps, is_near in (
        ("hub.uni.example", "apps.uni.example", True),
        ("hub.ac.uk", "apps.ac.uk", False),
        ("hub.uni.ac.uk", "apps.uni.ac.uk", True),
        ("hub.example", "hub-apps.example", False),
        ("uni.example", "apps.uni.example", True),
    ):
        findings = bad(f"--public-base-url=https://{public}", f"--apps-origin=https://{apps}")
        assert any("hosts of one domain" in each.text for each in findings) is is_near, (public, apps)


def test_an_env_file_counts_and_who_may_read_it(folder: Path) -> None:
    file = folder / ".env"
    file.write_text("HYPHA_ALLOW_ANONYMOUS=true\nHYPHA_EXPOSE_DETAILED_ERRORS=true\n")
    file.chmod(0o600)
    assert [each.text.split(":")[0] for each in bad()] == [
        "HYPHA_EXPOSE_DETAILED_ERRORS"  # a variable that is set wins over the file
    ]
    file.chmod(0o644)
    assert any(str(file) in each.text and "every user" in each.text for each in bad())
    assert "HYPHA_EXPOSE_DETAILED_ERRORS" not in os.environ


@pytest.mark.parametrize("content", ["HYPHA_PORT=1\n".encode("utf-16"), b"HYPHA_NAME=M\xfcller\n"])
def test_an_env_file_that_is_no_text_is_broken(folder: Path, content: bytes) -> None:
    (folder / ".env").write_bytes(content)
    assert [each.grade for each in bad()] == [Grade.BROKEN]


def test_variables_that_are_set_and_not_read_are_told() -> None:
    findings = found("--host=127.0.0.1", without="--from-env")
    assert any("HYPHA_ROOT_TOKEN is set and not read" in each.text for each in findings)


def test_a_data_folder_that_others_can_read_is_risky(folder: Path) -> None:
    kept = folder / "hypha-data"
    opened = DataFolder.open(str(kept))
    opened.secret("jwt")
    opened.close()
    assert bad() == []
    kept.chmod(0o755)
    (kept / "secrets" / "jwt").chmod(0o644)
    assert ["is open to other users" in each.text for each in bad()] == [True]


def test_a_weak_key_in_the_data_folder_is_risky(folder: Path) -> None:
    opened = DataFolder.open(str(folder / "hypha-data"))
    opened.secret("jwt")
    opened.close()
    (folder / "hypha-data" / "secrets" / "jwt").write_text("aaaaaaaa")
    assert ["signing key" in each.text for each in bad()] == [True]


def test_a_port_in_use_is_broken_unless_the_server_itself_has_it(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = f"--port={listener.getsockname()[1]}"
        assert ["is in use" in each.text for each in bad(port)] == [True]
        opened = DataFolder.open(str(folder / "hypha-data"), "http://here")
        try:
            assert bad(port) == []
            assert any("the server at http://here" in each.text for each in found(port))
        finally:
            opened.close()


def test_a_database_of_a_newer_version_is_broken(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "hub.sqlite")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    findings = bad(f"--database-uri=sqlite+aiosqlite:///{folder}/hub.sqlite")
    assert [(each.grade, "newer version" in each.text) for each in findings] == [(Grade.BROKEN, True)]


def test_what_is_no_database_is_broken(folder: Path) -> None:
    file = folder / "hub.sqlite"
    file.write_bytes(b"no database at all, but long enough to be looked at" * 30)
    assert ["cannot be read" in each.text for each in bad(f"--database-uri=sqlite+aiosqlite:///{file}")] == [
        True
    ]


def test_nothing_is_made_or_changed(folder: Path) -> None:
    opened = DataFolder.open(str(folder / "hypha-data"))
    opened.close()
    before = state_of(folder)
    found("--database-uri=sqlite+aiosqlite:///new.sqlite")
    found("--data-dir=other")
    assert state_of(folder) == before


SECRETS = [option for option in all_options() if option.is_secret]


@pytest.mark.parametrize("option", SECRETS, ids=lambda option: option.name)
@pytest.mark.parametrize("value", ["zq7!", "zq7!-zq7!-zq7!-zq7!-zq7!-zq7!-zq7!"])
def test_no_value_of_a_secret_is_ever_said(option: object, value: str) -> None:
    name = (option.variables or (option.twin,))[0]  # type: ignore[attr-defined]
    for text in (str(each) for each in found(**{name: value})):
        assert "zq7!" not in text


def test_no_password_in_an_address_is_ever_said() -> None:
    value = "zq7!"
    uri = f"postgresql+asyncpg://hub:{value}@127.0.0.1:1/hub"
    texts = [str(each) for each in found(HYPHA_DATABASE_URI=uri)]
    assert any("the database does not answer" in text for text in texts)
    assert not [text for text in texts if "zq7!" in text]


def test_what_is_said_has_one_line_and_no_control_characters() -> None:
    for each in found("--allow-origins=http://\x1b[31mred\nnext", "--host=0.0.0.0"):
        assert str(each).isprintable()


@pytest.mark.parametrize("run", [server_main, hypha_main])
def test_the_exit_code_is_that_of_the_worst_finding(
    run: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert run(["doctor", *FLAGS]) == 0  # type: ignore[operator]
    assert "0 broken, 0 risky" in capsys.readouterr().out
    assert run(["doctor", *FLAGS, "--trust-apps"]) == 1  # type: ignore[operator]
    assert capsys.readouterr().out.startswith("risky   --trust-apps")
    assert run(["doctor", *FLAGS, "--trust-apps", "--public-base-url=hub"]) == 2  # type: ignore[operator]
    assert capsys.readouterr().out.startswith("broken  ")


def test_without_flags_the_variables_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPHA_TRUST_APPS", "true")
    assert server_main(["doctor"]) == 1
    assert "--trust-apps" in capsys.readouterr().out


def test_unknown_administrators_are_no_finding() -> None:
    texts = [each.text for each in examine(Settings(), has_admin=None)]
    assert not [text for text in texts if "nobody can administer" in text]
