"""Files and artifacts of a server whose files lie in S3, with unmodified clients."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from hypha.testing.server import free_port
from hypha.testing.waiting import eventually
from tests.e2e.chromium import Page
from tests.e2e.visit import ONLY_HERE, Visit, click, upload
from tests.kit.clients import Connections, StartServer
from tests.kit.people import Person, make_person
from tests.kit.s3 import KEY_ID, SECRET, S3Server, running


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running("moto") as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    async with ServerProcess(flags=s3.flags(), data_dir=tmp_path_factory.mktemp("own")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def person(own: ServerProcess) -> AsyncIterator[tuple[Person, Any]]:
    who, connections = make_person(own), Connections(own)
    yield who, await connections.connect(who)
    await connections.close()


async def send(method: str, url: str, content: bytes | None = None, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as http:
        return await http.request(method, url, content=content, headers=headers)


@pytest.mark.spec("artifacts-C3.8")
async def test_bytes_go_to_the_storage_itself_or_through_the_server(
    person: tuple[Person, Any], s3: S3Server, own: ServerProcess
) -> None:
    who, client = person
    storage = await client.get_service("public/s3-storage")
    content = bytes(range(256)) * 500
    direct = await storage.put_file("folder/data ü.bin")
    assert direct.startswith(f"{s3.url}/hypha-workspaces/{who.workspace}/folder/")
    assert KEY_ID in direct and SECRET not in direct
    assert (await send("PUT", direct, content)).headers["etag"]
    through = await storage.get_file("folder/data ü.bin", use_proxy=True)
    assert through.startswith(f"{own.url}/s3/hypha-workspaces/") and KEY_ID not in through
    assert (await send("GET", through)).content == content
    part = await send("GET", through, range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, content[1000:2000])
    assert (await send("GET", through[:-1] + ("0" if through[-1] != "0" else "1"))).status_code == 403
    written = await storage.put_file("through.txt", use_proxy=True)
    assert (await send("PUT", written, b"x" * 3000)).status_code == 200
    assert (await send("GET", await storage.get_file("through.txt"))).content == b"x" * 3000
    local = await storage.get_file("through.txt", use_local_url="http://inside:1", use_proxy=False)
    assert local.startswith("http://inside:1/s3/hypha-workspaces/") and KEY_ID not in local
    victim = f"{s3.url}/hypha-workspaces/ws-victim"
    evil = await storage.put_file("a.txt", use_local_url=victim, use_proxy=False)
    assert evil.startswith(f"{victim}/s3/") and KEY_ID not in evil
    named = await storage.get_file("through.txt", use_local_url=s3.url, use_proxy=False)
    assert (await send("GET", named)).content == b"x" * 3000 and named.startswith(f"{s3.url}/hypha-")
    assert [entry["name"] for entry in await storage.list_files()] == ["through.txt", "folder"]


@pytest.mark.spec("artifacts-C3.8")
async def test_files_over_http_parts_and_deletion(person: tuple[Person, Any], own: ServerProcess) -> None:
    who, client = person
    storage = await client.get_service("public/s3-storage")
    at, token = f"{own.url}/{who.workspace}/files", {"authorization": f"Bearer {who.token}"}
    assert (await send("PUT", f"{at}/d/a.txt", b"0123456789", **token)).json()["success"]
    got = await send("GET", f"{at}/d/a.txt", range="bytes=-4", **token)
    assert (got.status_code, got.text, got.headers["content-type"]) == (206, "6789", "text/plain")
    assert (await send("GET", f"{at}/d/none.txt", **token)).status_code == 404
    begun = await storage.put_file_start_multipart("d/whole.bin", part_count=2)
    pieces = [b"a" * 2000, b"b" * 1000]
    parts = []
    for part, piece in zip(begun["parts"], pieces, strict=True):
        answer = await send("PUT", part["url"], piece)
        parts.append({"part_number": part["part_number"], "etag": answer.headers["etag"]})
    done = await storage.put_file_complete_multipart(begun["upload_id"], parts)
    assert done["success"] and SECRET not in str(done)
    assert (await send("GET", f"{at}/d/whole.bin", **token)).content == b"".join(pieces)
    assert (await send("GET", f"{at}/d/", **token)).json()["children"][1]["name"] == "whole.bin"
    assert (await storage.remove_file("d"))["message"] == "Directory deleted successfully: d"
    assert (await storage.remove_file("d"))["success"] is False


async def test_files_in_s3_go_with_their_workspace_and_are_not_the_next_ones(
    person: tuple[Person, Any], s3: S3Server, own: ServerProcess
) -> None:
    _, client = person
    connections, workspace = Connections(own), "ws-ends-in-s3"
    for content in (b"", b"first", b"second"):
        await client.create_workspace({"id": workspace, "name": workspace, "persistent": True})
        token = await client.generate_token({"workspace": workspace})
        inside = await connections.connect(token=token, workspace=workspace)
        storage = await inside.get_service("public/s3-storage")
        assert await storage.list_files() == []
        late = await storage.put_file("late.txt")
        if content:  # the first one keeps nothing
            assert (await send("PUT", await storage.put_file("a.txt"), content)).status_code == 200
            assert (await send("GET", await storage.get_file("a.txt"))).content == content
        await inside.disconnect()
        await client.delete_workspace(workspace)
        assert (await send("PUT", late, b"late")).status_code == 200, "S3 does not know that it has ended"
    await connections.close()


@pytest.mark.slow
@pytest.mark.spec("artifacts-C3.4")
async def test_files_in_s3_end_when_it_was_said(s3: S3Server, start_server: StartServer) -> None:
    own = await start_server(flags=[*s3.flags("hypha-short"), "--s3-cleanup-period=1"])
    connections = Connections(own)
    storage = await (await connections.connect(make_person(own))).get_service("public/s3-storage")
    assert (await send("PUT", await storage.put_file("short.txt", ttl=1), b"x")).status_code == 200

    async def is_gone() -> bool:
        return not await storage.list_files()

    await eventually(is_gone, within_s=20, what="the end of the file")
    await connections.close()


@pytest.mark.slow
@pytest.mark.spec("artifacts-C3.8")
async def test_artifacts_lie_in_s3(person: tuple[Person, Any], own: ServerProcess) -> None:
    who, client = person
    artifacts = await client.get_service("public/artifact-manager")
    made = await artifacts.create(alias="data", manifest={"name": "Data"}, stage=True)
    url = await artifacts.put_file(made["id"], "images/a.bin")
    content = bytes(range(256)) * 4000
    assert (await send("PUT", url, content)).status_code == 200
    committed = await artifacts.commit(made["id"])
    assert committed["file_count"] == 1
    assert (await send("GET", await artifacts.get_file(made["id"], "images/a.bin"))).content == content
    await artifacts.edit(made["id"], version="new", stage=True)
    url = await artifacts.put_file(made["id"], "b.txt", use_proxy=True)
    assert (await send("PUT", url, b"second")).status_code == 200
    await artifacts.commit(made["id"])
    at = f"{own.url}/{who.workspace}/artifacts/data"
    token = {"authorization": f"Bearer {who.token}"}
    assert (await send("GET", f"{at}/files/b.txt", **token)).text == "second"
    assert (await send("GET", f"{at}/create-zip-file", **token)).content[:2] == b"PK"
    await artifacts.delete(made["id"])


async def test_no_key_of_s3_is_told(own: ServerProcess, person: tuple[Person, Any]) -> None:
    _, client = person
    storage = await client.get_service("public/s3-storage")
    with pytest.raises(Exception) as refused:
        await storage.put_file_complete_multipart("0" * 32, [{"part_number": 1, "etag": "x"}])
    assert SECRET not in str(refused.value) and SECRET not in own.log
    assert "generate_credential" not in storage


@pytest.mark.slow
async def test_a_storage_that_cannot_be_used_is_told_at_start(
    s3: S3Server, start_server: StartServer
) -> None:
    flags = ["--endpoint-url=http://127.0.0.1:9", "--access-key-id=me", f"--secret-access-key={SECRET}"]
    own = await start_server(wait=False, flags=flags)
    await eventually(lambda: not own.is_running, within_s=60, what="the end of the server")
    assert "S3 endpoint cannot be used" in own.log and SECRET not in own.log


MINIO = """#!{python}
import os, runpy, sys, pathlib
if sys.argv[1:] == ["--version"]:
    print("minio version RELEASE.2024-07-16T23-46-41Z"); sys.exit()
folder = pathlib.Path({folder!r})
(folder / "arguments").write_text("\\n".join([*sys.argv[1:], os.environ["MINIO_ROOT_USER"]]))
import moto.server, werkzeug.serving
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
inner = DomainDispatcherApplication(create_backend_app)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/minio/health/live":
        start_response("200 OK", []); return [b""]
    return inner(environ, start_response)
host, _, port = sys.argv[sys.argv.index("--address") + 1].rpartition(":")
(folder / "pid").write_text(str(os.getpid()))
werkzeug.serving.run_simple(host, int(port), app, threaded=True)
"""


@pytest.mark.slow
@pytest.mark.spec("artifacts-C3.7")
async def test_a_minio_that_is_installed_begins_and_ends_with_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    program, port = tmp_path / "bin/minio", free_port()
    program.parent.mkdir()
    program.write_text(MINIO.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    flags = [
        "--start-minio-server", f"--executable-path={program.parent}", f"--minio-port={port}",
        f"--minio-workdir={tmp_path}/files", "--minio-root-user=rootuser",
        "--minio-root-password=a-password-of-root", "--minio-version=RELEASE.2022-10-24T18-35-07Z",
    ]  # fmt: skip
    own = await start_server(flags=flags)
    said = (tmp_path / "arguments").read_text().split("\n")
    console = ["--console-address", f"127.0.0.1:{port + 1}"]
    assert said == ["server", "--address", f"127.0.0.1:{port}", *console, f"{tmp_path}/files", "rootuser"]
    assert "RELEASE.2022-10-24T18-35-07Z" in own.log and "a-password-of-root" not in own.log
    person, connections = make_person(own), Connections(own)
    storage = await (await connections.connect(person)).get_service("public/s3-storage")
    url = await storage.put_file("a.txt")
    assert url.startswith(f"http://127.0.0.1:{port}/") and (await send("PUT", url, b"x")).status_code == 200
    assert (await send("GET", await storage.get_file("a.txt"))).text == "x"
    await connections.close()
    pid = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(pid)
    await asyncio.to_thread(own.stop)
    await eventually(lambda: not psutil.pid_exists(pid), within_s=20, what="the end of MinIO")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.spec("artifacts-C3.8")
def test_the_tests_of_artifacts_pass_where_files_lie_in_s3() -> None:
    names = ("test_artifacts", "test_artifacts_http", "test_artifact_transfers")
    files = [f"tests/e2e/{name}.py" for name in names]
    line = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "not slow and not node and not browser"]
    env = {**os.environ, "HYPHA_TEST_S3": "moto"}
    ended = subprocess.run([*line, *files], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:]


@pytest.mark.slow
@pytest.mark.browser
async def test_the_workspace_page_reaches_files_through_the_server(
    person: tuple[Person, Any], own: ServerProcess
) -> None:
    who, client = person
    lab = f"lab-{who.id}"
    await client.create_workspace({"id": lab, "name": lab, "persistent": True})
    artifacts = await client.get_service("public/artifact-manager")
    made = await artifacts.create("data", workspace=lab, manifest={"name": "D"}, stage=True)
    files = {f"{lab}.bin": 20_000_000, "small.bin": 5000}
    async with Page(ONLY_HERE) as page:
        await page.command("Page.enable")
        visit = Visit(page, own)
        for place in ("#files", "#artifacts/data"):
            await visit.open(lab, place, who.token)
            await visit.shows("Upload files", "#area")
            await upload(visit, *files.items())
            await visit.shows("Uploaded: 2 of 2 files", ".uploads")
        for place in ("#files/small.bin", "#artifacts/data/small.bin"):
            await visit.open(lab, place, who.token)
            await visit.shows("It is no text", ".preview")
            await page.run("HTMLAnchorElement.prototype.click = function () { window.saved = this.href; };")
            await click(visit, "Download", ".file")

            async def is_saved() -> bool:
                return bool(await page.run("return window.saved;"))

            await eventually(is_saved, within_s=10)
            saved = await page.run("return [window.saved, (await (await fetch(window.saved)).blob()).size];")
            assert saved[0].startswith(f"{own.url}/s3/") and saved[1] == 5000
        assert await visit.complaints() == []
    committed = await artifacts.commit(made["id"])
    assert committed["file_count"] == 2
