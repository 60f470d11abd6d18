"""Files of workspaces by plain HTTP: every row, ranges, conditions, and everybody who may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, mint_token
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

CONTENT = bytes(range(256)) * 40


@pytest_asyncio.fixture(loop_scope="session")
async def http(server: ServerProcess, alice: Person) -> AsyncIterator[httpx.AsyncClient]:
    """Alice's requests to her own workspace."""
    headers = {"authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=f"{server.url}/{alice.workspace}", headers=headers) as made:
        yield made


def as_(person: Person | None, server: ServerProcess, token: str = "") -> httpx.AsyncClient:
    token = token or (person.token if person else "")
    return httpx.AsyncClient(
        base_url=server.url, headers={"authorization": f"Bearer {token}"} if token else {}
    )


@pytest.mark.spec("artifacts-C3.5")
async def test_files_are_written_read_listed_and_deleted(http: httpx.AsyncClient) -> None:
    put = await http.put("/files/folder/a ü.bin", content=CONTENT)
    assert put.json() == {"success": True, "message": "File uploaded successfully"}
    got = await http.get("/files/folder/a ü.bin")
    assert (got.status_code, got.content, got.headers["etag"]) == (200, CONTENT, put.headers["etag"])
    assert got.headers["accept-ranges"] == "bytes" and got.headers["last-modified"].endswith("GMT")
    assert got.headers["content-security-policy"] == "sandbox"
    part = await http.get("/files/folder/a ü.bin", headers={"range": "bytes=256-511"})
    assert (part.status_code, part.content) == (206, bytes(range(256)))
    assert part.headers["content-range"] == f"bytes 256-511/{len(CONTENT)}"
    assert (await http.get("/files/folder/a ü.bin", headers={"range": "bytes=-1"})).content == b"\xff"
    assert (await http.get("/files/folder/a ü.bin", headers={"range": "bytes=99999-"})).status_code == 416
    known = {"if-none-match": got.headers["etag"]}
    assert (await http.get("/files/folder/a ü.bin", headers=known)).status_code == 304
    head = await http.head("/files/folder/a ü.bin")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
    for path, name, child in (("folder/", "folder", "a ü.bin"), ("", "", "folder")):
        listed = (await http.get(f"/files/{path}")).json()
        assert (listed["success"], listed["type"], listed["name"]) == (True, "directory", name)
        assert [entry["name"] for entry in listed["children"]] == [child]
    gone = await http.delete("/files/folder/a ü.bin")
    assert (gone.status_code, gone.json()) == (200, {"success": True})
    for path in ("folder/a ü.bin", "folder/", "", "nothing"):
        missing = await http.get(f"/files/{path}")
        assert missing.status_code == 404 and missing.json()["success"] is False, path
    assert (await http.delete("/files/folder/a ü.bin")).status_code == 404


async def test_folders_are_deleted_and_listed_in_pages(http: httpx.AsyncClient) -> None:
    await asyncio.gather(*(http.put(f"/files/f/{n}.txt", content=b"x") for n in range(5)))
    pages = [(await http.get(f"/files/f/?max_length=2&offset={at}")).json() for at in (0, 2, 4)]
    assert [len(page["children"]) for page in pages] == [2, 2, 1]
    assert (await http.get("/files/f/?max_length=x")).status_code == 422
    assert (await http.get("/files/f/?max_length=0")).status_code == 400
    assert (await http.delete("/files/f/")).json() == {"success": True}
    assert (await http.delete("/files/f/")).status_code == 404


async def test_an_upload_in_parts_by_http(http: httpx.AsyncClient) -> None:
    begun = (await http.post("/create-multipart-upload", params={"path": "w.bin", "part_count": 2})).json()
    tags = []
    for part, body in zip(begun["parts"], (b"a" * 100, b"b"), strict=True):
        async with httpx.AsyncClient() as anybody:
            answer = await anybody.put(part["url"], content=body)
        tags.append({"part_number": part["part_number"], "etag": answer.headers["etag"]})
    wrong = {"upload_id": begun["upload_id"], "parts": [{**tags[0], "etag": "0" * 32}, tags[1]]}
    assert (await http.post("/complete-multipart-upload", json=wrong)).status_code == 400
    done = await http.post(
        "/complete-multipart-upload", json={"upload_id": begun["upload_id"], "parts": tags}
    )
    assert done.status_code == 200 and done.json()["success"] and done.json()["location"]
    assert (await http.get("/files/w.bin")).content == b"a" * 100 + b"b"
    again = await http.post(
        "/complete-multipart-upload", json={"upload_id": begun["upload_id"], "parts": tags}
    )
    assert (again.status_code, "not found or expired" in again.json()["detail"]) == (400, True)
    for params, status in (
        ({"path": "x", "part_count": 1, "upload_id": begun["upload_id"]}, 404),
        ({"path": "x", "part_count": 1, "use_local_url": "nowhere"}, 400),
        ({"path": "x", "part_count": 0}, 422),
        ({"path": "x"}, 422),
        ({"part_count": 1}, 422),
        ({"path": "x", "part_count": "many"}, 422),
        ({"path": "x", "part_count": 10_001}, 400),
        ({"path": "../x", "part_count": 1}, 400),
        ({"path": "/x", "part_count": 1}, 400),
        ({"path": "x", "part_count": 1, "expires_in": 0}, 400),
    ):
        assert (await http.post("/create-multipart-upload", params=params)).status_code == status, params
    for body in (b"no json", b"[]", b'{"upload_id": [], "parts": 1}'):
        assert (await http.post("/complete-multipart-upload", content=body)).status_code == 400


async def test_an_upload_in_parts_goes_on_by_http(http: httpx.AsyncClient) -> None:
    asked = {"path": "on.bin", "part_count": 2, "use_proxy": "true", "use_local_url": "http://inside:1/base"}
    begun = (await http.post("/create-multipart-upload", params=asked)).json()
    url = begun["parts"][0]["url"]
    assert url.startswith("http://inside:1/base/s3/")
    here = url.replace("http://inside:1/base", str(http.base_url.copy_with(path="/")).rstrip("/"))
    async with httpx.AsyncClient() as anybody:
        etag = (await anybody.put(here, content=b"a" * 100)).headers["etag"].strip('"')
    on = {**asked, "upload_id": begun["upload_id"]}
    again = (await http.post("/create-multipart-upload", params=on)).json()
    assert again["upload_id"] == begun["upload_id"]
    assert [(part.get("etag"), part.get("size")) for part in again["parts"]] == [(etag, 100), (None, None)]
    for wrong in ({"path": "other.bin"}, {"upload_id": "0" * 32}, {"upload_id": "../x"}):
        assert (await http.post("/create-multipart-upload", params={**on, **wrong})).status_code == 404
    assert (
        await http.post("/create-multipart-upload", params={**on, "part_count": 10_001})
    ).status_code == 400


async def test_an_upload_that_is_given_up_keeps_no_parts(http: httpx.AsyncClient) -> None:
    begun = (await http.post("/create-multipart-upload", params={"path": "up.bin", "part_count": 2})).json()
    before = int((await http.put("/files/small", content=b"x")).headers["x-storage-used"])
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.put(begun["parts"][0]["url"], content=b"a" * 54_321)).status_code == 200
    used = int((await http.put("/files/small", content=b"x")).headers["x-storage-used"])
    upload = {"upload_id": begun["upload_id"]}
    answer = await http.delete("/create-multipart-upload", params=upload)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert (int(answer.headers["x-storage-used"]), used) == (before, before + 54_321)
    for given in (upload, {"upload_id": "../x"}, {}):
        assert (await http.delete("/create-multipart-upload", params=given)).status_code == 404
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.put(begun["parts"][0]["url"], content=b"a")).status_code == 404
    assert (await http.get("/files/up.bin")).status_code == 404


async def test_a_file_has_an_address_for_who_has_no_credential(http: httpx.AsyncClient) -> None:
    await http.put("/files/a b/\u00fc.txt", content=b"read")
    answer = await http.get("/files/a b/\u00fc.txt?signed=true&use_proxy=true&expires_in=60")
    assert answer.headers["cache-control"] == "no-store"
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(answer.json()["url"])).content == b"read"
        assert (await anybody.get(f"{http.base_url}files/a b/\u00fc.txt?signed=true")).status_code == 403
    assert (await http.get("/files/a b/\u00fc.txt?signed=false")).content == b"read"
    for path, status in (("%2e%2e/x", 400), ("x?expires_in=0&", 400), ("x?use_local_url=ftp://x&", 400)):
        assert (await http.get(f"/files/{path}{'' if '?' in path else '?'}signed=true")).status_code == status


ESCAPES = [
    "%2e%2e/x",
    "..%2fx",
    "%2e%2e%2fx",
    "a/%2e%2e/%2e%2e/x",
    "a%5c..%5cx",
    "%00",
    "a%00b",
    "/etc/x",
    "//x",
    "a//b",
]


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_leads_out(http: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await http.request(method, f"/files/{path}", content=b"x" if method == "PUT" else None)
        assert answer.status_code in (400, 404), (method, path, answer.text)


@pytest.mark.spec("artifacts-C3.5")
async def test_who_may_not(http: httpx.AsyncClient, server: ServerProcess, alice: Person) -> None:
    await http.put("/files/mine.txt", content=b"mine")
    reader, stranger = alice.token_for("r"), make_person(server, "stranger")
    elsewhere = mint_token(server.secret or "", "else", workspaces={"ws-x": "a"}, current="ws-x")
    at = f"/{alice.workspace}"
    upload = f"{at}/create-multipart-upload?path=x&part_count=1"
    body = {"upload_id": "x", "parts": []}
    for client in (as_(None, server), as_(stranger, server), as_(None, server, elsewhere)):
        async with client:
            for answer in (
                await client.get(f"{at}/files/mine.txt"),
                await client.head(f"{at}/files/mine.txt"),
                await client.get(f"{at}/files/"),
                await client.put(f"{at}/files/mine.txt", content=b"evil"),
                await client.delete(f"{at}/files/mine.txt"),
                await client.delete(f"{at}/files/x/"),
                await client.post(upload),
                await client.delete(f"{at}/create-multipart-upload?upload_id=x"),
                await client.post(f"{at}/complete-multipart-upload", json=body),
            ):
                assert answer.status_code == 403, (answer.request.method, answer.request.url)
    async with as_(None, server, reader) as client:
        assert (await client.get(f"{at}/files/mine.txt")).content == b"mine"
        assert (await client.put(f"{at}/files/mine.txt", content=b"evil")).status_code == 403
        assert (await client.delete(f"{at}/files/mine.txt")).status_code == 403
        assert (await client.post(upload)).status_code == 403
        assert (await client.delete(f"{at}/create-multipart-upload?upload_id=x")).status_code == 403
        assert (await client.post(f"{at}/complete-multipart-upload", json=body)).status_code == 403
    async with as_(None, server, "no token") as client:
        assert (await client.get(f"{at}/files/mine.txt")).status_code == 401
    unknown = await http.get(f"{server.url}/no-such-workspace/files/x")
    assert (unknown.status_code, unknown.json()["success"]) == (404, False)
    assert (await http.post("/files/mine.txt")).status_code == 405
    assert (await http.get("/files/mine.txt")).content == b"mine"
    assert (await http.put("/files/artifacts/x", content=b"")).status_code == 403


async def test_a_read_only_workspace_takes_nothing(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    workspace = f"ws-ro-{alice.id.lower()}"
    client = await connect(alice)
    await client.create_workspace({"id": workspace, "name": workspace, "persistent": True, "read_only": True})
    async with as_(alice, server) as http:
        for answer in (
            await http.put(f"/{workspace}/files/x", content=b"x"),
            await http.delete(f"/{workspace}/files/x"),
            await http.post(f"/{workspace}/create-multipart-upload?path=x&part_count=1"),
        ):
            assert answer.status_code == 403 and "read-only" in answer.json()["detail"]


async def test_a_cookie_counts_for_pages_of_ours_alone(
    http: httpx.AsyncClient, server: ServerProcess, alice: Person
) -> None:
    await http.put("/files/secret.txt", content=b"secret")
    cookie = {"cookie": f"access_token={alice.token}"}
    other_site = {
        **cookie,
        "user-agent": "Mozilla/5.0",
        "sec-fetch-site": "cross-site",
        "origin": "http://evil",
    }
    url = f"{server.url}/{alice.workspace}/files/secret.txt"
    async with httpx.AsyncClient(headers=other_site) as browser:
        assert (await browser.get(url)).status_code == 403
        assert (await browser.put(url, content=b"evil")).status_code == 403
        assert (await browser.delete(url)).status_code == 403
    assert (await http.get("/files/secret.txt")).content == b"secret"
