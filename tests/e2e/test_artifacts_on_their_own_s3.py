"""Artifacts whose secrets name a storage have their files there, and in no other place."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from obstore.store import S3Store

from hypha.testing import ServerProcess
from tests.kit.clients import Connections
from tests.kit.people import Person, make_person
from tests.kit.s3 import KEY_ID, SECRET, S3Server, running

PREFIX = "lab-secret/deep"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running("moto") as server:
        httpx.put(f"{server.url}/lab")
        httpx.put(f"{server.url}/other-lab")
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    flags = ["--artifact-s3-endpoints", s3.url]
    async with ServerProcess(flags=flags, data_dir=tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def person(server: ServerProcess) -> AsyncIterator[tuple[Person, Any]]:
    who, connections = make_person(server), Connections(server)
    client = await connections.connect(who)
    yield who, await client.get_service("public/artifact-manager")
    await connections.close()


def secrets_of(s3: S3Server, bucket: str = "lab", **more: str) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": s3.url, "S3_ACCESS_KEY_ID": KEY_ID, "S3_SECRET_ACCESS_KEY": SECRET,
        "S3_BUCKET": bucket, "S3_PREFIX": PREFIX, **more,
    }  # fmt: skip


def keys_in(s3: S3Server, bucket: str, prefix: str) -> list[str]:
    store = S3Store(
        bucket, endpoint=s3.url, region="us-east-1", access_key_id=KEY_ID, secret_access_key=SECRET,
        virtual_hosted_style_request=False, client_options={"allow_http": True},
    )  # fmt: skip
    return sorted(info["path"] for page in store.list(prefix) for info in page)


async def send(method: str, url: str, content: bytes | None = None, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as http:
        return await http.request(method, url, content=content, headers=headers)


def files_of(server: ServerProcess, workspace: str) -> list[str]:
    assert server.data_dir is not None
    folder = server.data_dir / "objects" / "hypha-workspaces" / workspace
    return [each.name for each in folder.rglob("*") if each.is_file()]


def paths(s3: S3Server, who: Person, bucket: str = "lab") -> list[str]:
    """What lies in a bucket of somebody's artifacts, behind the ids of the home and the artifact."""
    found = keys_in(s3, bucket, f"{PREFIX}/{who.workspace}/artifacts/")
    return [key.split("/", 6)[6] for key in found]


async def test_an_artifact_lives_on_the_storage_that_its_secrets_name(
    person: tuple[Person, Any], s3: S3Server, server: ServerProcess
) -> None:
    who, artifacts = person
    await artifacts.create("mine", manifest={"name": "x"}, secrets=secrets_of(s3), stage=True)
    url = await artifacts.put_file("mine", "folder/a.txt")
    assert url.startswith(f"{server.url}/s3/") and KEY_ID not in url and "secret" not in url
    assert (await send("PUT", url, b"first")).headers["etag"]
    await artifacts.write_file("mine", "b.json", {"b": 1}, format="json")
    started = await artifacts.put_file_start_multipart("mine", "big.bin", 2, use_proxy=False)
    etags = [(await send("PUT", part["url"], b"12345")).headers["etag"] for part in started["parts"]]
    told = [{"part_number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
    await artifacts.put_file_complete_multipart("mine", started["upload_id"], told)
    page, token = f"{server.url}/{who.workspace}/artifacts/mine", {"Authorization": f"Bearer {who.token}"}
    assert (await send("PUT", f"{page}/files/http.txt", b"by http", **token)).status_code == 200
    staged = await artifacts.list_files("mine", stage=True)
    assert [each["name"] for each in staged] == ["b.json", "big.bin", "http.txt", "folder"]
    done = await artifacts.commit("mine")
    assert done["file_count"] == 4 and not files_of(server, who.workspace)
    assert set(paths(s3, who)) >= {"v0/folder/a.txt", "v0/b.json", "v0/big.bin", "v0/http.txt"}

    assert (await send("GET", await artifacts.get_file("mine", "big.bin"))).content == b"12345" * 2
    assert (await artifacts.read_file("mine", "b.json", format="json"))["content"] == {"b": 1}
    part = await send("GET", f"{page}/files/folder/a.txt", Range="bytes=1-3", **token)
    assert (part.status_code, part.content) == (206, b"irs")
    zipped = await send("GET", f"{page}/create-zip-file", **token)
    assert sorted(zipfile.ZipFile(io.BytesIO(zipped.content)).namelist()) == [
        "b.json", "big.bin", "folder/a.txt", "http.txt"
    ]  # fmt: skip
    assert (await artifacts.verify("mine"))["damaged"] == []

    await artifacts.edit("mine", version="new", stage=True)
    await artifacts.write_file("mine", "folder/a.txt", "second")
    await artifacts.commit("mine")
    assert (await artifacts.read_file("mine", "folder/a.txt"))["content"] == "second"
    assert (await artifacts.read_file("mine", "folder/a.txt", version="v0"))["content"] == "first"
    await artifacts.edit("mine", stage=True)
    await artifacts.remove_file("mine", "folder/a.txt")
    await artifacts.discard("mine")
    assert not files_of(server, who.workspace)
    read = await artifacts.read("mine")
    assert all(secret not in str(read) for secret in (KEY_ID, SECRET, s3.url, PREFIX))


async def test_copies_and_children_lie_where_theirs_say(
    person: tuple[Person, Any], s3: S3Server, server: ServerProcess
) -> None:
    who, artifacts = person
    await artifacts.create("all", manifest={"name": "x"}, type="collection", secrets=secrets_of(s3))
    await artifacts.create("child", parent_id="all", manifest={"name": "x"}, stage=True)
    await artifacts.write_file("child", "a.txt", "of the child")
    await artifacts.commit("child")
    assert "v0/a.txt" in paths(s3, who) and not files_of(server, who.workspace)

    await artifacts.duplicate("child", "outside")
    assert files_of(server, who.workspace) == ["a.txt"]
    await artifacts.duplicate("outside", "inside", target_parent_id="all")
    await artifacts.duplicate("child", "twin", target_parent_id="all", stage=True)
    await artifacts.commit("twin")
    for name in ("child", "outside", "inside", "twin"):
        assert (await artifacts.read_file(name, "a.txt"))["content"] == "of the child"
    assert files_of(server, who.workspace) == ["a.txt"]
    other = {**secrets_of(s3, "other-lab")}
    await artifacts.create("elsewhere", parent_id="all", manifest={"name": "x"}, secrets=other, stage=True)
    await artifacts.write_file("elsewhere", "b.txt", "b")
    await artifacts.commit("elsewhere")
    assert "v0/b.txt" in paths(s3, who, "other-lab")
    with pytest.raises(Exception, match="stay"):
        await artifacts.set_secret("all", "S3_BUCKET", "other-lab")
    await artifacts.delete("all", recursive=True)
    await artifacts.create("all", manifest={"name": "x"}, secrets=secrets_of(s3, "other-lab"), overwrite=True)
    assert (await artifacts.read_file("outside", "a.txt"))["content"] == "of the child"


async def test_files_move_whole_or_not_at_all(person: tuple[Person, Any], s3: S3Server) -> None:
    who, artifacts = person
    await artifacts.create("late", manifest={"name": "x"}, stage=True)
    for name, value in secrets_of(s3).items():
        await artifacts.set_secret("late", name, value)
    await artifacts.set_secret("late", "S3_BUCKET", "other-lab")  # nothing lies there yet
    await artifacts.write_file("late", "a.txt", "a")
    for change in (
        artifacts.set_secret("late", "S3_BUCKET", "lab"),
        artifacts.set_secret("late", "S3_ACCESS_KEY_ID", None),
        artifacts.edit("late", manifest={"name": "changed"}, secrets={"OTHER": "x"}),
    ):
        with pytest.raises(Exception, match="stay where they are"):
            await change
    assert (await artifacts.read("late", stage=True))["manifest"] == {"name": "x"}
    await artifacts.set_secret("late", "OTHER", "x")
    await artifacts.set_secret("late", "S3_ACCESS_KEY_ID", "a-newer-key")
    await artifacts.commit("late")
    assert "v0/a.txt" in paths(s3, who, "other-lab")
    assert (await artifacts.read_file("late", "a.txt"))["content"] == "a"
    assert (await artifacts.get_secret("late"))["S3_ACCESS_KEY_ID"] == "a-newer-key"


async def test_a_storage_that_fails_is_told_in_one_sentence(person: tuple[Person, Any], s3: S3Server) -> None:
    _, artifacts = person
    secrets = secrets_of(s3, "no-such-bucket")
    await artifacts.create("dead", manifest={"name": "x"}, secrets=secrets, stage=True)
    for call in (artifacts.write_file("dead", "a.txt", "a"), artifacts.list_files("dead", stage=True)):
        with pytest.raises(Exception, match="storage that the secrets of this artifact name") as told:
            await call
        assert "no-such-bucket" not in str(told.value)
    await artifacts.create("well", manifest={"name": "x"}, stage=True)
    await artifacts.write_file("well", "a.txt", "a")
    await artifacts.commit("well")
    await artifacts.delete("dead")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:1"}, "--artifact-s3-endpoints"),
        ({"S3_ENDPOINT_URL": "http://169.254.169.254"}, "--artifact-s3-endpoints"),
        ({"S3_ENDPOINT_URL": ""}, "need S3_ENDPOINT_URL"),
        ({"S3_BUCKET": "../lab"}, "S3_BUCKET"),
        ({"S3_PREFIX": "../lab"}, "S3_PREFIX"),
        ({"S3_REGION_NAME": "x/y"}, "S3_REGION_NAME"),
        ({"S3_SECRET_ACCESS_KEY": "very hidden"}, "S3_SECRET_ACCESS_KEY"),
    ],
)
async def test_other_places_are_refused(
    person: tuple[Person, Any], s3: S3Server, change: dict[str, str], told: str
) -> None:
    _, artifacts = person
    with pytest.raises(Exception, match=told) as refused:
        await artifacts.create("refused", manifest={"name": "x"}, secrets={**secrets_of(s3), **change})
    text = str(refused.value).splitlines()[-1]
    assert "169.254" not in text and "very hidden" not in text and "../lab" not in text
    with pytest.raises(Exception, match="does not exist"):
        await artifacts.read("refused")


async def test_without_the_option_such_secrets_are_refused(tmp_path: Path, s3: S3Server) -> None:
    async with ServerProcess(data_dir=tmp_path) as server:
        connections = Connections(server)
        artifacts = await (await connections.connect(make_person(server))).get_service(
            "public/artifact-manager"
        )
        with pytest.raises(Exception, match="Its operator may allow some, with --artifact-s3-endpoints"):
            await artifacts.create("mine", manifest={"name": "x"}, secrets=secrets_of(s3))
        await artifacts.create("mine", manifest={"name": "x"}, secrets={"S3_BUCKET": "lab", "OTHER": "x"})
        with pytest.raises(Exception, match="--artifact-s3-endpoints"):
            await artifacts.edit("mine", manifest={"name": "y"}, secrets=secrets_of(s3))
        assert (await artifacts.read("mine"))["manifest"] == {"name": "x"}
        await connections.close()


async def test_keys_are_kept_sealed(person: tuple[Person, Any], s3: S3Server, server: ServerProcess) -> None:
    _, artifacts = person
    await artifacts.create("sealed", manifest={"name": "x"}, secrets=secrets_of(s3))
    assert server.data_dir is not None
    database = sqlite3.connect(f"file:{server.data_dir / 'hypha.sqlite'}?mode=ro", uri=True)
    rows = [str(row) for row in database.execute("SELECT * FROM artifact_homes")]
    database.close()
    assert rows and not any(secret in row for row in rows for secret in (KEY_ID, SECRET, s3.url, PREFIX))
    assert all(secret not in server.log for secret in (KEY_ID, SECRET, PREFIX))
