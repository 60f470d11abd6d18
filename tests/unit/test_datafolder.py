"""The data folder: secrets, identity, lock."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.datafolder import DataFolder
from hypha.errors import ConfigurationError
from hypha.store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_in_it_is_private(tmp_path: Path) -> None:
    folder = DataFolder.open(str(tmp_path / "deep" / "data"))
    assert folder.path is not None
    folder.secret("jwt")
    folder.manager_id()
    assert mode(folder.path) == 0o700 and mode(folder.path / "secrets") == 0o700
    assert mode(folder.path / "secrets" / "jwt") == 0o600
    assert folder.database_uri == f"sqlite+aiosqlite:///{folder.path}/hypha.sqlite"
    assert mode(folder.path / "hypha.sqlite") == 0o600
    folder.close()


def test_secrets_and_identity_stay_the_same(tmp_path: Path) -> None:
    first = DataFolder.open(str(tmp_path / "data"))
    kept = (first.secret("jwt"), first.secret("encryption"), first.manager_id())
    assert len(set(kept)) == 3 and len(kept[0]) >= 32
    first.close()
    second = DataFolder.open(str(tmp_path / "data"))
    assert (second.secret("jwt"), second.secret("encryption"), second.manager_id()) == kept
    second.close()


def test_a_second_server_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    first = DataFolder.open(str(tmp_path), "http://127.0.0.1:9527")
    code = (
        "import sys\nfrom hypha.datafolder import DataFolder\nfrom hypha.errors import ConfigurationError\n"
        f"try: DataFolder.open({str(tmp_path)!r})\nexcept ConfigurationError as error: sys.exit(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"http://127.0.0.1:9527 (process {os.getpid()})" in done.stderr
    first.close()
    DataFolder.open(str(tmp_path)).close()


def test_in_memory_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = DataFolder.open(":memory:")
    assert folder.path is None and "nothing is kept" in folder.shown
    assert folder.secret("jwt") == folder.secret("jwt") != DataFolder.open(":memory:").secret("jwt")
    assert folder.manager_id() == folder.manager_id()
    assert list(tmp_path.iterdir()) == []


ODD_NAMES = ["lab?1", "lab?mode=memory", "a%20b", "%41", "100%", "a#b", "数据", "a&b=c;d", "file:x", "a@b:c"]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_name_with_marks_of_urls_is_that_name(tmp_path: Path, name: str) -> None:
    folder = DataFolder.open(str(tmp_path / name))
    assert folder.path == tmp_path / name
    for url in (folder.database_url, folder.database_uri):
        store = await Store(url).open()
        files = {path.name for path in folder.path.iterdir()}
        assert {"hypha.sqlite", "hypha.sqlite-wal", "hypha.sqlite-shm"} < files
        assert {mode(path) for path in folder.path.iterdir() if path.is_file()} == {0o600}
        await store.close()
    assert os.listdir(tmp_path) == [name]
    folder.close()


def test_files_that_others_could_read_are_closed_to_them(tmp_path: Path) -> None:
    folder = DataFolder.open(str(tmp_path / "data"))
    assert folder.path is not None
    folder.secret("jwt")
    folder.manager_id()
    folder.close()
    files = [folder.path / name for name in ("lock", "deployment.json", "hypha.sqlite", "secrets/jwt")]
    for file in files:
        file.touch()
        file.chmod(0o644)
    (folder.path / "secrets").chmod(0o755)
    DataFolder.open(str(folder.path)).close()
    assert {mode(file) for file in files} == {0o600} and mode(folder.path / "secrets") == 0o700


def test_an_empty_folder_that_was_made_for_the_server_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    DataFolder.open(str(tmp_path / "data")).close()
    assert mode(tmp_path / "data") == 0o700


@pytest.mark.parametrize("name", ["a\0b", "~nobody-of-this-name/data"])
def test_what_is_no_name_of_a_folder_gives_one_sentence(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        DataFolder.open(name)


def test_an_unusable_place_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be used \(.*\): choose another with --data-dir"):
        DataFolder.open(str(tmp_path / "file" / "data"))


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 1}', '{"version": 1, "manager_id": 5}'])
def test_a_damaged_identity_is_not_replaced_silently(tmp_path: Path, text: str) -> None:
    (tmp_path / "deployment.json").write_text(text)
    folder = DataFolder.open(str(tmp_path))
    with pytest.raises(ConfigurationError, match="damaged"):
        folder.manager_id()
    folder.close()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").write_text(json.dumps({"version": 99, "manager_id": "m"}))
    folder = DataFolder.open(str(tmp_path))
    with pytest.raises(ConfigurationError, match="newer version"):
        folder.manager_id()
    folder.close()
