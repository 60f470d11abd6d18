"""Which MinIO is run, with which options; and to whom the folders of a store without files belong."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from hypha.errors import ConfigurationError
from hypha.features.storage.credentials import policy_of
from hypha.features.storage.folders import StoredFolders
from hypha.features.storage.minio import MinioServer, find_minio, without_minio
from hypha.features.storage.options import StorageOptions
from hypha.features.storage.owners import Owners
from hypha.objects.local import LocalObjects
from hypha.testing.server import free_port


def program(folder: Path, name: str = "minio", text: str = "#!/bin/sh\nexit 3\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return folder / name


def test_minio_is_found_as_a_file_in_a_folder_and_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert find_minio(str(tmp_path)) is None and "embedded store" in without_minio("bin")
    on_path = program(tmp_path / "path")
    assert find_minio(str(tmp_path)) == str(on_path)
    inside, other = program(tmp_path / "bin"), program(tmp_path / "bin", "minio.2024")
    assert find_minio(str(tmp_path / "bin")) == str(inside)
    assert find_minio(str(other)) == str(other)


async def test_a_minio_that_ends_at_once_is_told(tmp_path: Path) -> None:
    options = StorageOptions(minio_workdir=str(tmp_path / "files"))
    server = MinioServer(str(program(tmp_path)), options, "127.0.0.1")
    with pytest.raises(ConfigurationError, match="ended at once, with the code 3"):
        await server.start()
    with pytest.raises(ConfigurationError, match="absolute"):
        await MinioServer(str(tmp_path / "minio"), StorageOptions(minio_workdir="here"), "::1").start()


def test_nobody_else_reaches_a_minio_with_the_password_that_all_know(tmp_path: Path) -> None:
    shown = MinioServer("minio", StorageOptions(), "0.0.0.0", tmp_path)
    assert shown.is_new_password and len(shown.password) > 20 and shown.url == "http://127.0.0.1:9000"
    here = MinioServer("minio", StorageOptions(), "127.0.0.1", tmp_path)
    assert here.password == "minioadmin" and not here.is_new_password
    given = MinioServer("minio", StorageOptions(minio_root_password="mine"), "0.0.0.0", tmp_path)
    assert given.password == "mine" and not given.is_new_password


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint_url": "http://s3"},
        {"access_key_id": "a", "secret_access_key": "b"},
        {"endpoint_url": "s3.example.org", "access_key_id": "a", "secret_access_key": "b"},
        {"endpoint_url": "http://me:secret@s3", "access_key_id": "a", "secret_access_key": "b"},
        {"start_minio_server": True, "endpoint_url": "http://s3"},
    ],
)
def test_options_of_s3_that_do_not_fit_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        StorageOptions(**options).check()  # type: ignore[arg-type]
    assert "me:secret" not in str(refused.value)


def test_a_lent_key_is_for_one_workspace_without_its_artifacts() -> None:
    policy = policy_of("files", "ws-1/")
    allowed = [each["Resource"] for each in policy["Statement"] if each["Action"] == ["s3:*"]]
    assert allowed == [["arn:aws:s3:::files/ws-1/*"], ["arn:aws:s3:::files/ws-1/artifacts/*"]]
    assert policy["Statement"][-1]["Effect"] == "Deny"


async def test_what_an_earlier_workspace_left_is_set_aside_in_any_store(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path, "files")
    generation = "1"

    async def generation_of(key: str) -> str:
        return generation

    await store.put("lab/deep/secret", b"theirs")
    await Owners(StoredFolders(store), generation_of).claim("lab")
    assert (await store.list("lab/")).objects, "nobody had noted it"
    generation = "2"
    owners = Owners(StoredFolders(store), generation_of)
    await owners.claim("lab")
    assert not (await store.list("lab/")).objects
    left = (await store.list(".left/")).objects
    assert [info.key.endswith("/deep/secret") for info in left] == [True]
    await store.put("lab/mine", b"1")
    await owners.claim("lab")
    assert (await store.list("lab/")).objects
    await owners.ended("lab")
    assert await StoredFolders(store).noted("lab") == "2", "its files are there still"
    await store.delete_folder("lab")
    await owners.ended("lab")
    assert await StoredFolders(store).noted("lab") == ""
    await store.close()


def test_nothing_of_s3_is_loaded_where_files_lie_in_the_data_folder() -> None:
    check = (
        "import sys, hypha.features.storage.feature as it; "
        "print({'obstore', 'aiohttp', 'botocore', 'hypha.objects.s3.store'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def a_program(folder: Path, text: str) -> str:
    return str(program(folder, text=f"#!/bin/sh\n{text}\n"))


async def test_minio_sees_nothing_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        "HYPHA_JWT_SECRET",
        "JWT_SECRET",
        "HYPHA_SECRET_ACCESS_KEY",
        "AUTH0_CLIENT_ID",
        "GOOGLE_API_KEY",
    )
    for name in secrets:
        monkeypatch.setenv(name, "a secret of ours")
    monkeypatch.setenv("MINIO_BROWSER", "off")
    executable = a_program(tmp_path, f"env >> {tmp_path}/seen; exit 3")
    options = StorageOptions(minio_port=free_port(), minio_version="RELEASE")
    server = MinioServer(executable, options, "127.0.0.1", tmp_path)
    with pytest.raises(ConfigurationError, match="code 3"):
        await server.start()
    seen = (tmp_path / "seen").read_text()
    assert "a secret of ours" not in seen and seen.count("PATH=") >= 2  # to tell its release, and to run
    assert "MINIO_BROWSER=off" in seen and "MINIO_ROOT_PASSWORD=" in seen


async def test_a_program_at_its_port_is_not_taken_for_minio(tmp_path: Path) -> None:
    async def well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    foreign = await asyncio.start_server(well, "127.0.0.1", 0)
    port = foreign.sockets[0].getsockname()[1]
    executable = a_program(tmp_path, f"touch {tmp_path}/begun; sleep 60")
    server = MinioServer(executable, StorageOptions(minio_port=port), "127.0.0.1", tmp_path)
    with pytest.raises(ConfigurationError, match="another program answers"):
        await server.start()
    assert not (tmp_path / "begun").exists()
    foreign.close()


async def test_minio_that_has_ended_is_not_well_whoever_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = StorageOptions(minio_port=free_port())
    server = MinioServer(a_program(tmp_path, "exit 5"), options, "127.0.0.1", tmp_path)

    async def answers_after_its_end(host: str, port: int) -> bool:
        assert server._process is not None
        await server._process.wait()
        return True

    monkeypatch.setattr("hypha.features.storage.minio._is_live", answers_after_its_end)
    with pytest.raises(ConfigurationError, match="code 5"):
        await server.start()
