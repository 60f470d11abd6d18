"""The service `s3-storage` with unmodified clients: addresses, lists, deletion, and who may what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import NodeWorker, ServerProcess
from hypha.testing.waiting import eventually
from tests.kit.clients import Connect, Connections, StartServer
from tests.kit.people import Person, make_person

CLIMBING = ["../x", "a/../../x", "a//b", "a\\b", "a\0", "./x", "a/..", "..", "a/./b", " /../x"]


@pytest_asyncio.fixture(loop_scope="session")
async def storage(connect: Connect, alice: Person) -> Any:
    return await (await connect(alice)).get_service("public/s3-storage")


async def put(url: str, content: bytes | str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.put(url, content=content, headers=headers)


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(url, headers=headers)


async def kept(storage: Any, *paths: str) -> None:
    """Keep a small file at each path."""
    urls = await storage.put_file(list(paths))
    for url in urls.values():
        assert (await put(url, "x")).status_code == 200


@pytest.mark.spec("artifacts-C3.1")
async def test_files_and_addresses_outlast_the_server(start_server: StartServer) -> None:
    own = await start_server()
    person, connections = make_person(own), Connections(own)
    storage = await (await connections.connect(person)).get_service("public/s3-storage")
    content = bytes(range(256)) * 5000
    answer = await put(await storage.put_file("folder/data ü.bin"), content)
    assert answer.status_code == 200 and answer.headers["etag"].startswith('"')
    url = await storage.get_file("folder/data ü.bin")
    assert (await get(url)).content == content
    on_disk = own.data_dir / "objects/hypha-workspaces" / person.workspace / "folder/data ü.bin"
    assert on_disk.read_bytes() == content
    await connections.close()
    await asyncio.to_thread(own.restart)
    again = await get(url, range="bytes=1000-1999")
    assert (again.status_code, again.content) == (206, content[1000:2000])
    storage = await (await connections.connect(person)).get_service("public/s3-storage")
    assert (await get(await storage.get_file("folder/data ü.bin"))).content == content
    await connections.close()


async def test_a_body_in_pieces_of_all_sizes_is_kept_as_it_was_sent(storage: Any) -> None:
    sizes = [1, 0, 70_000, 3, 300_000, 1, 1, 1_500_000, *[7] * 500, 2_000_000]
    pieces = [bytes([n % 251]) * size for n, size in enumerate(sizes)]

    async def sent() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    url = await storage.put_file("pieces.bin")
    async with httpx.AsyncClient() as http:
        assert (await http.put(url, content=sent())).status_code == 200
    assert (await get(await storage.get_file("pieces.bin"))).content == b"".join(pieces)


@pytest.mark.spec("artifacts-C3.2")
async def test_only_the_address_as_it_was_given_opens(storage: Any) -> None:
    await kept(storage, "a.txt", "b.txt")
    for_get, for_put = await storage.get_file("a.txt"), await storage.put_file("a.txt")
    altered = for_get[:-1] + ("0" if for_get[-1] != "0" else "1")
    for answer in (
        await get(altered),
        await get(for_get.replace("a.txt", "b.txt")),
        await get(for_get.partition("?")[0]),
        await get(for_put),
        await put(for_get, "evil"),
        await put(for_put.replace("a.txt", "b.txt"), "evil"),
    ):
        assert answer.status_code == 403 and "<Error><Code>" in answer.text
    short = await storage.get_file("a.txt", expires_in=1)
    assert (await get(short)).status_code == 200
    await asyncio.sleep(2.1)
    expired = await get(short)
    assert expired.status_code == 403 and "expired" in expired.text
    assert (await get(for_get)).text == "x"


@pytest.mark.spec("artifacts-C3.3")
async def test_what_is_removed_is_said(storage: Any) -> None:
    await kept(storage, "gone/a.txt", "gone/deep/b.txt", "gone/c.txt", "stays.txt")
    assert await storage.remove_file("gone/c.txt") == {
        "success": True, "message": "File deleted successfully: gone/c.txt",
    }  # fmt: skip
    assert await storage.remove_file("gone") == {
        "success": True, "message": "Directory deleted successfully: gone",
    }  # fmt: skip
    assert await storage.remove_file("gone") == {"success": False, "message": "Path does not exist: gone"}
    assert await storage.remove_file("gone/") == {"success": False, "message": "Path does not exist: gone/"}
    await kept(storage, "old/a", "b")
    assert (await storage.delete_directory("old/"))["success"] and (await storage.delete_file("b"))["success"]
    for call in (storage.delete_file("old/"), storage.delete_directory("old")):
        with pytest.raises(Exception, match="ValueError"):
            await call
    assert (await get(await storage.get_file("stays.txt"))).status_code == 200


@pytest.mark.spec("artifacts-C3.6")
async def test_long_lists_come_in_pages(storage: Any, server: ServerProcess, alice: Person) -> None:
    await kept(storage, "many/folder/x")
    folder = server.data_dir / "objects/hypha-workspaces" / alice.workspace / "many"
    for n in range(2500):
        (folder / f"{n:04d}").write_bytes(b"x")
    seen: list[str] = []
    while page := await storage.list_files("many", max_length=700, offset=len(seen)):
        assert len(page) <= 700
        seen += [entry["name"] for entry in page]
    assert sorted(seen) == [*(f"{n:04d}" for n in range(2500)), "folder"]
    first = (await storage.list_files("many/"))[0]
    assert (first["type"], first["name"], first["size"]) == ("file", "0000", 1)
    assert isinstance(first["last_modified"], float)
    assert len(await storage.list_files("many", max_length=10_000)) == 2501
    assert await storage.list_files("nowhere") == []
    assert {"type": "directory", "name": "many"} in await storage.list_files()


async def test_an_upload_in_parts(storage: Any) -> None:
    begun = await storage.put_file_start_multipart("parts/whole.bin", part_count=3)
    content = [b"a" * 1000, b"b" * 2000, b"c"]
    parts = []
    for part, body in zip(begun["parts"], content, strict=True):
        answer = await put(part["url"], body)
        parts.append({"part_number": part["part_number"], "etag": answer.headers["etag"]})
    assert await storage.list_files("parts") == []
    done = await storage.put_file_complete_multipart(begun["upload_id"], parts[::-1])
    assert done["success"] and done["etag"] and done["location"].endswith("/parts/whole.bin")
    assert (await get(await storage.get_file("parts/whole.bin"))).content == b"".join(content)
    with pytest.raises(Exception, match="not found or expired"):
        await storage.put_file_complete_multipart(begun["upload_id"], parts)


async def test_an_upload_belongs_to_its_workspace(storage: Any, connect: Connect, bob: Person) -> None:
    begun = await storage.put_file_start_multipart("mine.bin", 1)
    tag = (await put(begun["parts"][0]["url"], "mine")).headers["etag"]
    parts = [{"part_number": 1, "etag": tag}]
    other = await (await connect(bob)).get_service("public/s3-storage")
    for call in (
        other.put_file_complete_multipart(begun["upload_id"], parts),
        storage.put_file_complete_multipart(begun["upload_id"], []),
        storage.put_file_complete_multipart("no-such-id", parts),
    ):
        with pytest.raises(Exception, match=r"ValueError: Upload ID .* not found or expired"):
            await call
    for wrong in ([{"part_number": 1, "etag": "0" * 32}], [{"part_number": 2, "etag": tag}], [{}], "x", [1]):
        with pytest.raises(Exception, match="ValueError"):
            await storage.put_file_complete_multipart(begun["upload_id"], wrong)
    assert (await storage.put_file_complete_multipart(begun["upload_id"], parts))["success"]


async def test_addresses_by_other_ways(storage: Any, server: ServerProcess) -> None:
    await put(await storage.generate_presigned_url("p.txt", "put_object"), "p")
    assert (await get(await storage.generate_presigned_url("p.txt"))).text == "p"
    assert (await storage.get_file("p.txt", use_local_url=True)).startswith(server.url + "/s3/")
    named = await storage.get_file("p.txt", use_proxy=True, use_local_url="http://other:1/base/")
    assert named.startswith("http://other:1/base/s3/hypha-workspaces/")
    assert (await get(named.replace("http://other:1/base", server.url))).text == "p"


async def test_values_that_make_no_sense_are_refused(storage: Any) -> None:
    for call in (
        storage.list_files(max_length=0),
        storage.list_files(max_length=10_001),
        storage.list_files(offset=-1),
        storage.put_file("a", expires_in=0),
        storage.put_file("a", expires_in=604_801),
        storage.get_file("a", expires_in=-1),
        storage.put_file([]),
        storage.put_file(["a", 1]),
        storage.put_file(["a", "b"], ttl=[1]),
        storage.put_file("a", ttl=0),
        storage.put_file("a", ttl="x"),
        storage.put_file_start_multipart("a", 0),
        storage.put_file_start_multipart("a", 10_001),
        storage.generate_presigned_url("a", "delete_object"),
        storage.get_file("a", use_local_url="javascript:alert(1)"),
    ):
        with pytest.raises(Exception, match=r"ValueError|TypeError"):
            await call


@pytest.mark.parametrize("path", CLIMBING)
async def test_no_path_leads_out_of_the_workspace(storage: Any, path: str) -> None:
    calls = [
        storage.put_file(path), storage.get_file(path), storage.put_file([path]), storage.get_file([path]),
        storage.remove_file(path), storage.delete_file(path), storage.delete_directory(path + "/"),
        storage.list_files(path), storage.put_file_start_multipart(path, 1),
        storage.generate_presigned_url(path), storage.generate_presigned_url(path, "put_object"),
    ]  # fmt: skip
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, Exception) and "ValueError" in str(result), (path, result)


@pytest.mark.spec("artifacts-C3.10")
async def test_the_root_of_all_workspaces_is_for_administrators(
    storage: Any, connect: Connect, server: ServerProcess, alice: Person
) -> None:
    await kept(storage, "inside.txt")
    for call in (
        storage.put_file("/a"), storage.get_file("/a"), storage.remove_file("/a"), storage.list_files("/"),
        storage.put_file(f"/{alice.workspace}/inside.txt"), storage.put_file_start_multipart("/a", 1),
        storage.generate_presigned_url("/a"), storage.delete_file("/a"), storage.delete_directory("/a/"),
    ):  # fmt: skip
        with pytest.raises(Exception, match="PermissionError"):
            await call
    root = await connect(token=server.root_token, workspace="ws-user-root")
    of_root = await root.get_service("public/s3-storage")
    await kept(of_root, "/a")
    assert (server.data_dir / "objects/hypha-workspaces/a").read_text() == "x"
    assert (await get(await of_root.get_file(f"/{alice.workspace}/inside.txt"))).text == "x"
    assert {"type": "directory", "name": alice.workspace} in await of_root.list_files("/")
    begun = await of_root.put_file_start_multipart("/b", 1)
    tag = (await put(begun["parts"][0]["url"], "b")).headers["etag"]
    await of_root.put_file_complete_multipart(begun["upload_id"], [{"part_number": 1, "etag": tag}])
    assert (await of_root.remove_file("/b"))["success"] and (await of_root.remove_file("/a"))["success"]


async def test_who_may_read_and_who_may_write(storage: Any, connect: Connect, alice: Person) -> None:
    await kept(storage, "shared.txt")
    reader = await connect(alice.with_token(alice.token_for("r")), workspace=alice.workspace)
    reading = await reader.get_service("public/s3-storage")
    assert (await get(await reading.get_file("shared.txt"))).text == "x"
    assert any(entry["name"] == "shared.txt" for entry in await reading.list_files())
    for call in (
        reading.put_file("shared.txt"), reading.put_file_start_multipart("x", 1),
        reading.put_file_complete_multipart("x", []), reading.remove_file("shared.txt"),
        reading.delete_file("shared.txt"), reading.delete_directory("x/"),
        reading.generate_presigned_url("shared.txt", "put_object"),
    ):  # fmt: skip
        with pytest.raises(Exception, match="Permission denied"):
            await call


async def test_each_workspace_has_its_own_files(storage: Any, connect: Connect, bob: Person) -> None:
    await kept(storage, "only-alices.txt")
    other = await (await connect(bob)).get_service("public/s3-storage")
    assert (await get(await other.get_file("only-alices.txt"))).status_code == 404
    assert not any(entry["name"] == "only-alices.txt" for entry in await other.list_files())
    assert not (await other.remove_file("only-alices.txt"))["success"]


async def test_anonymous_users_keep_no_files(connect: Connect) -> None:
    storage = await (await connect()).get_service("public/s3-storage")
    assert await storage.list_files() == []
    assert (await get(await storage.get_file("x"))).status_code == 404
    for call in (
        storage.put_file("x"), storage.put_file_start_multipart("x", 1), storage.remove_file("x"),
        storage.delete_file("x"), storage.delete_directory("x/"),
        storage.generate_presigned_url("x", "put_object"),
    ):  # fmt: skip
        with pytest.raises(Exception, match="workspace is read-only"):
            await call


async def test_what_the_artifact_manager_keeps_is_not_for_this_service(storage: Any) -> None:
    for call in (
        storage.put_file("artifacts/x"), storage.get_file("artifacts/x"), storage.remove_file("artifacts"),
        storage.list_files("artifacts"), storage.delete_directory("artifacts/"),
    ):  # fmt: skip
        with pytest.raises(Exception, match="kept by the artifact manager"):
            await call


async def test_a_person_who_never_connected_keeps_files_over_http(server: ServerProcess) -> None:
    person = make_person(server)
    headers = {"authorization": f"Bearer {person.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:

        async def call(function: str, **arguments: Any) -> Any:
            answer = await http.post(f"/public/services/s3-storage/{function}", json=arguments)
            assert answer.status_code == 200, answer.text
            return answer.json()

        await put(await call("put_file", file_path="x.txt"), "x")
        assert (await get(await call("get_file", file_path="x.txt"))).text == "x"
        assert [entry["name"] for entry in await call("list_files")] == ["x.txt"]


@pytest.mark.spec("artifacts-C3.4")
async def test_files_with_an_end_go_by_themselves(start_server: StartServer) -> None:
    own = await start_server(flags=["--s3-cleanup-period=1", "--enable-s3"])
    person, connections = make_person(own), Connections(own)
    storage = await (await connections.connect(person)).get_service("public/s3-storage")
    urls = await storage.put_file(["t.txt", "later.txt", "stays.txt"], ttl=[2, 6, None])
    await asyncio.gather(*(put(url, "x") for url in urls.values()))
    await put(await storage.put_file("kept.txt", ttl=2), "x")
    await put(await storage.put_file("kept.txt"), "again, for good")
    begun = await storage.put_file_start_multipart("parts.txt", 1, ttl=2)
    tag = (await put(begun["parts"][0]["url"], "x")).headers["etag"]
    await storage.put_file_complete_multipart(begun["upload_id"], [{"part_number": 1, "etag": tag}])

    async def are(names: set[str]) -> bool:
        return {entry["name"] for entry in await storage.list_files()} == names

    assert await are({"t.txt", "later.txt", "stays.txt", "kept.txt", "parts.txt"})
    await eventually(partial(are, {"later.txt", "stays.txt", "kept.txt"}), within_s=5, interval_s=0.1)
    await connections.close()
    await asyncio.to_thread(own.restart)
    storage = await (await connections.connect(person)).get_service("public/s3-storage")
    await eventually(partial(are, {"stays.txt", "kept.txt"}), within_s=9, interval_s=0.1)
    await connections.close()


async def test_the_files_of_a_workspace_go_with_it(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    client = await connect(alice)
    workspace = f"ws-gone-{alice.id.lower()}"
    await client.create_workspace({"id": workspace, "name": workspace, "persistent": True})
    inside = await connect(token=await client.generate_token({"workspace": workspace}), workspace=workspace)
    storage = await inside.get_service("public/s3-storage")
    await kept(storage, "a", "b/c")
    begun = await storage.put_file_start_multipart("x", 1)
    for_get, for_put = await storage.get_file("a"), await storage.put_file("a")
    folder = server.data_dir / "objects/hypha-workspaces" / workspace
    assert folder.is_dir()
    await client.delete_workspace(workspace)
    assert not folder.exists()
    assert (await get(for_get)).status_code == 403 and (await put(for_put, "late")).status_code == 403
    assert (await put(begun["parts"][0]["url"], "late")).status_code == 403
    await client.create_workspace({"id": workspace, "name": workspace, "persistent": True})
    assert (await get(for_get)).status_code == 403 and (await put(for_put, "late")).status_code == 403
    assert not folder.exists()


async def test_a_workspace_keeps_no_more_than_it_may(start_server: StartServer) -> None:
    own = await start_server(env={"HYPHA_MAX_FILE_BYTES_PER_WORKSPACE": "1000000"})
    person, connections = make_person(own), Connections(own)
    client = await connections.connect(person)
    storage = await client.get_service("public/s3-storage")

    async def used() -> tuple[int, int]:
        limits = (await client.get_summary())["limits"]["kept"]["files"]
        assert limits["limit_bytes"] == 1_000_000
        return limits["used"], limits["used_bytes"]

    await put(await storage.put_file("a"), b"x" * 600_000)
    assert await used() == (1, 600_000)
    refused = await put(await storage.put_file("b"), b"x" * 600_000)
    assert refused.status_code == 429 and "<Code>QuotaExceeded</Code>" in refused.text
    begun = await storage.put_file_start_multipart("c", 1)
    assert (await put(begun["parts"][0]["url"], b"x" * 600_000)).status_code == 429
    headers = {"authorization": f"Bearer {person.token}"}
    by_http = await put(f"{own.url}/{person.workspace}/files/b", b"x" * 600_000, **headers)
    assert by_http.status_code == 429 and "keeps too many files" in by_http.json()["detail"]
    assert await used() == (1, 600_000)  # an upload counts by its parts, and this one has none
    assert (await put(await storage.put_file("a"), b"x" * 400_000)).status_code == 200
    assert (await put(await storage.put_file("b"), b"x" * 600_000)).status_code == 200
    await storage.remove_file("a")
    assert await used() == (1, 600_000)
    await connections.close()
    await asyncio.to_thread(own.kill)
    await asyncio.to_thread(own.start)
    client = await connections.connect(person)
    assert await used() == (1, 600_000)
    await connections.close()


@pytest.mark.spec("artifacts-C3.1")
async def test_anonymous_users_keep_files_where_the_operator_lets_them(start_server: StartServer) -> None:
    own = await start_server(flags=["--enable-s3-for-anonymous-users", "--data-dir=:memory:"])
    connections = Connections(own)
    client = await connections.connect()
    storage = await client.get_service("public/s3-storage")
    await kept(storage, "mine.txt")
    url = await storage.get_file("mine.txt")
    assert (await get(url)).text == "x"
    limits = (await client.get_summary())["limits"]["kept"]["files"]
    assert limits["limit_bytes"] == 1024**4 // 10
    await connections.close()


@pytest.mark.spec("artifacts-C3.7")
async def test_without_a_minio_executable_files_are_kept_all_the_same(
    start_server: StartServer, tmp_path: Path
) -> None:
    flags = ["--start-minio-server", f"--executable-path={tmp_path}", f"--minio-workdir={tmp_path}/files"]
    own = await start_server(flags=[*flags, "--minio-file-system-mode"])
    said = [line for line in own.log.splitlines() if "minio" in line]
    assert len(said) == 1 and "embedded store" in said[0], said
    person, connections = make_person(own), Connections(own)
    storage = await (await connections.connect(person)).get_service("public/s3-storage")
    await kept(storage, "a/b.txt")
    assert (await get(await storage.get_file("a/b.txt"))).text == "x"
    assert (tmp_path / "files/hypha-workspaces" / person.workspace / "a/b.txt").read_text() == "x"
    second = await start_server(wait=False, flags=[*flags, "--minio-file-system-mode"])
    await eventually(lambda: not second.is_running, within_s=20, what="the end of the second server")
    assert "--minio-workdir is in use" in second.log
    await connections.close()


@pytest.mark.node
@pytest.mark.spec("artifacts-C3.1")
async def test_the_javascript_client_keeps_files(node: NodeWorker, server: ServerProcess) -> None:
    person = make_person(server, "js")
    code = """
      const api = await connect({server_url: args.url, token: args.token});
      const storage = await api.getService("public/s3-storage");
      const put = await fetch(await storage.put_file("a/b.txt"), {method: "PUT", body: "from js"});
      const etag = put.headers.get("etag");
      const got = await fetch(await storage.get_file("a/b.txt"), {headers: {Range: "bytes=5-"}});
      const begun = await storage.put_file_start_multipart("parts.bin", 2);
      const parts = [];
      for (const part of begun.parts) {
        const answer = await fetch(part.url, {method: "PUT", body: new Uint8Array(10)});
        parts.push({part_number: part.part_number, etag: answer.headers.get("etag")});
      }
      const done = await storage.put_file_complete_multipart(begun.upload_id, parts);
      const names = (await storage.list_files()).map((entry) => entry.name);
      return [put.status, Boolean(etag), got.status, await got.text(), done.success, names];
    """
    said = await node.run(code, url=server.url, token=person.token)
    assert said == [200, True, 206, "js", True, ["parts.bin", "a"]]


async def test_files_that_a_crash_left_are_not_those_of_the_next_workspace(start_server: StartServer) -> None:
    own = await start_server()
    connections, workspace = Connections(own), "ws-came-back"
    folder = own.data_dir / "objects/hypha-workspaces" / workspace

    async def make(person: Person) -> Any:
        client = await connections.connect(person)
        await client.create_workspace({"id": workspace, "name": workspace, "persistent": True})
        token = await client.generate_token({"workspace": workspace})
        inside = await connections.connect(token=token, workspace=workspace)
        return client, await inside.get_service("public/s3-storage")

    first, storage = await make(make_person(own, "first"))
    await kept(storage, "secret.txt")
    note = own.data_dir / "objects/.owners" / workspace
    noted, content = note.read_text(), (folder / "secret.txt").read_bytes()
    await first.delete_workspace(workspace)
    assert not folder.exists() and not note.exists()
    folder.mkdir()  # as if the server had been killed before it deleted the files
    (folder / "secret.txt").write_bytes(content)
    note.write_text(noted)
    second = make_person(own, "second")
    _, storage = await make(second)
    headers = {"authorization": f"Bearer {second.token}"}
    assert (await get(f"{own.url}/{workspace}/files/secret.txt", **headers)).status_code == 404
    assert await storage.list_files() == []
    assert (await get(await storage.get_file("secret.txt"))).status_code == 404
    await kept(storage, "mine.txt")
    (left,) = (own.data_dir / "objects/.left").iterdir()
    assert (left / "secret.txt").read_bytes() == content and workspace in own.log
    await connections.close()
    await asyncio.to_thread(own.restart)
    assert (await get(f"{own.url}/{workspace}/files/mine.txt", **headers)).text == "x"
