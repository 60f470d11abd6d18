"""Artifacts over plain HTTP: routes, ranges, conditions, uploads, rights and tokens for single files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

PUBLIC = {"permissions": {"*": "r"}}


class Place:
    """A person's artifacts: `pub` for everybody with `a.txt`, `own` for nobody else."""

    def __init__(self, owner: Person, client: Any, artifacts: Any, http: httpx.AsyncClient) -> None:
        self.owner, self.client, self.artifacts, self.http = owner, client, artifacts, http
        self.base = f"/{owner.workspace}/artifacts"
        self.auth = {"Authorization": f"Bearer {owner.token}"}

    async def get(self, path: str, *, anonymous: bool = False, **how: Any) -> httpx.Response:
        headers = {**({} if anonymous else self.auth), **how.pop("headers", {})}
        method = how.pop("method", "GET")
        return await self.http.request(method, f"{self.base}{path}", headers=headers, **how)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(server: ServerProcess, module_connect: Connect) -> AsyncIterator[Place]:
    owner = make_person(server, "artist")
    client = await module_connect(owner)
    artifacts = await client.get_service("public/artifact-manager")
    async with httpx.AsyncClient(base_url=server.url) as http:
        for alias, config in (("pub", PUBLIC), ("own", None)):
            await artifacts.create(alias=alias, manifest={"name": alias}, config=config, stage=True)
            for path in ("a.txt", "b/c.txt"):
                url = await artifacts.put_file(alias, path, download_weight=1)
                (await http.put(url, content=b"hello")).raise_for_status()
            await artifacts.commit(alias)
        yield Place(owner, client, artifacts, http)


@pytest.mark.spec("artifacts-C2.1")
async def test_an_artifact_by_its_address(place: Place) -> None:
    found = await place.get("/pub", anonymous=True)
    assert (found.status_code, found.json()["id"]) == (200, f"{place.owner.workspace}/pub")
    assert "secrets" not in found.json()
    assert (await place.get("/nope", anonymous=True)).status_code == 404
    refused = await place.get("/own", anonymous=True)
    assert (refused.status_code, "permission 'read'" in refused.json()["detail"]) == (403, True)
    views = [(await place.get("/own?silent=true")).json()["view_count"] for _ in range(2)]
    await place.get("/own", method="HEAD")
    await place.get("/own?version=v0")
    assert (await place.get("/own?silent=true")).json()["view_count"] == views[0] + 1 == views[1] + 1
    bad = await place.get("/own", headers={"Authorization": "Bearer nonsense"})
    assert bad.status_code == 401


@pytest.mark.spec("artifacts-C2.2")
async def test_lists_show_what_the_caller_may_see(place: Place) -> None:
    mine = await place.get("/")
    assert [item["alias"] for item in mine.json()] == ["pub", "own"]
    theirs = await place.get("/", anonymous=True)
    assert [item["alias"] for item in theirs.json()] == ["pub"]
    again = await place.get("/", headers={"If-None-Match": mine.headers["etag"]})
    assert (again.status_code, mine.headers["cache-control"]) == (304, "private, no-cache")
    page = (
        await place.get('/-/search?keywords=own&filters={"type":"generic"}&pagination=true&limit=1')
    ).json()
    assert (page["total"], page["items"][0]["alias"]) == (1, "own")
    for wrong in ("/?filters=x", '/?filters={"no":1}', "/?mode=NOT", "/?limit=0", "/?order_by=manifest.a b"):
        assert (await place.get(wrong)).status_code == 400
    assert (await place.get("/?limit=x")).status_code == 422
    await place.artifacts.create(alias="box", type="collection", manifest={"name": "B"})
    await place.artifacts.create(alias="in-box", parent_id="box", manifest={"name": "I"})
    assert [item["alias"] for item in (await place.get("/box/children")).json()] == ["in-box"]
    assert (await place.get("/box/children", anonymous=True)).status_code == 403
    missing = await place.get("/nope/children")
    assert (missing.status_code, missing.json()["detail"]) == (404, "Parent artifact not found")


async def test_a_long_list_is_as_good_as_a_short_one(place: Place) -> None:
    await place.artifacts.create(alias="long", type="collection", manifest={"name": "L"})
    names = [f"long-{number:02}" for number in range(21)]
    for name in names:
        await place.artifacts.create(alias=name, parent_id="long", manifest={"name": name})
    found = await place.get("/long/children?order_by=manifest.name")
    assert [item["alias"] for item in found.json()] == names
    again = await place.get(
        "/long/children?order_by=manifest.name", headers={"If-None-Match": found.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.spec("artifacts-C2.3", "artifacts-C2.4")
async def test_files_whole_in_part_or_not_at_all(place: Place) -> None:
    found = await place.get("/pub/files/a.txt", anonymous=True)
    assert (found.status_code, found.content) == (200, b"hello")
    assert found.headers["content-type"].startswith("text/plain")
    assert found.headers["accept-ranges"] == "bytes"
    for asked, status, content, told in (
        ("bytes=1-2", 206, b"el", "bytes 1-2/5"),
        ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
        ("bytes=99-", 416, None, None),
    ):
        part = await place.get("/pub/files/a.txt", headers={"Range": asked})
        assert (part.status_code, part.headers.get("content-range")) == (status, told)
        assert content is None or part.content == content
    head = await place.get("/pub/files/a.txt", method="HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, "5")
    same = await place.get("/pub/files/a.txt", headers={"If-None-Match": found.headers["etag"]})
    assert same.status_code == 304
    for missing in ("/pub/files/x", "/pub/files/b", "/pub/files/nothing/", "/nope/files/a.txt"):
        assert (await place.get(missing)).status_code == 404
    assert (await place.get("/own/files/a.txt", anonymous=True)).status_code == 403
    listed = await place.get("/pub/files/")
    assert [entry["name"] for entry in listed.json()] == ["a.txt", "b"]
    assert [entry["name"] for entry in (await place.get("/pub/files/b/")).json()] == ["c.txt"]


@pytest.mark.spec("artifacts-C1.3")
async def test_downloads_count_unless_they_are_silent(place: Place) -> None:
    before = (await place.get("/own?silent=true")).json()["download_count"]
    await place.get("/own/files/a.txt")
    await place.get("/own/files/a.txt?silent=true")
    await place.get("/own/files/a.txt", method="HEAD")
    await place.get("/own/files/missing.txt")
    assert (await place.get("/own?silent=true")).json()["download_count"] == before + 1


@pytest.mark.spec("artifacts-C2.9", "artifacts-C1.11")
@pytest.mark.parametrize(
    "path", ["..%2f..%2fx", "a/%2e%2e/%2e%2e/x", "%2fetc%2fpasswd", "a%5c..%5cb", "a%00b", "a//b"]
)
async def test_no_address_leads_out_of_an_artifact(place: Place, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = await place.get(f"/own/files/{path}", method=method)
        assert answer.status_code == 400, (method, answer.text)


@pytest.mark.spec("artifacts-C2.5", "artifacts-C2.11")
async def test_files_are_put_into_what_is_staged(place: Place) -> None:
    content = b"x" * 3_000_000

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 500_000):
            yield content[start : start + 500_000]

    refused = await place.get("/own/files/new.bin", method="PUT", content=b"x")
    assert refused.status_code == 400
    assert refused.json()["detail"] == "Artifact must be in staging mode to upload files"
    assert (await place.get("/own/files/a.txt", method="DELETE")).status_code == 400
    await place.artifacts.edit("own", stage=True)
    await place.artifacts.edit("pub", stage=True)
    done = await place.get("/own/files/new.bin?download_weight=2", method="PUT", content=chunks())
    assert (done.status_code, done.json()) == (
        200,
        {"success": True, "message": "File uploaded successfully"},
    )
    assert done.headers["etag"]
    assert (await place.get("/pub/files/x", method="PUT", content=b"x", anonymous=True)).status_code == 403
    assert (await place.get("/pub/files/a.txt?stage=true", anonymous=True)).status_code == 403
    assert (await place.get("/pub/files/?stage=true", anonymous=True)).status_code == 403
    assert (await place.get("/nope/files/x", method="PUT", content=b"x")).status_code == 404
    status = await place.artifacts.get_status("own")
    assert status["files"] == [{"path": "new.bin", "download_weight": 2}]
    assert (await place.get("/own/files/new.bin?stage=true")).content == content
    assert (await place.get("/own/files/new.bin")).status_code == 404
    assert (await place.get("/own/files/nothing", method="DELETE")).status_code == 404
    assert (await place.get("/own/files/a.txt", method="DELETE")).json() == {"success": True}
    assert (await place.get("/own/files/a.txt?stage=true")).status_code == 404
    await place.artifacts.commit("own")
    assert (await place.get("/own/files/a.txt")).status_code == 404
    assert (await place.get("/own/files/a.txt", method="POST")).status_code == 405
    await place.artifacts.discard("pub")


@pytest.mark.spec("artifacts-C2.6")
async def test_a_file_in_parts_by_http_alone(place: Place) -> None:
    await place.artifacts.create(alias="parts", manifest={"name": "P"}, stage=True)
    begin = "/parts/create-multipart-upload?path=big.bin&part_count="
    for count, status in (("0", 422), ("10001", 400), ("x", 422)):
        assert (await place.get(f"{begin}{count}", method="POST")).status_code == status
    assert (await place.get(f"{begin}2", method="POST", anonymous=True)).status_code == 403
    begun = (await place.get(f"{begin}2", method="POST")).json()
    parts = []
    for part in begun["parts"]:
        sent = await place.http.put(part["url"], content=b"z" * 1_000_000)
        parts.append({"part_number": part["part_number"], "etag": sent.headers["etag"]})
    complete = "/parts/complete-multipart-upload"
    wrong = {"upload_id": begun["upload_id"], "parts": [{"part_number": 1, "etag": "x"}]}
    for body in (wrong, {"upload_id": "unknown", "parts": parts}, {}, []):
        assert (await place.get(complete, method="POST", json=body)).status_code == 400
    body = {"upload_id": begun["upload_id"], "parts": parts}
    done = await place.get(complete, method="POST", json=body)
    assert done.json() == {"success": True, "message": "File uploaded successfully"}
    assert (await place.get(complete, method="POST", json=body)).status_code == 400
    await place.artifacts.commit("parts")
    assert len((await place.get("/parts/files/big.bin")).content) == 2_000_000


@pytest.mark.spec("artifacts-C2.10")
async def test_a_token_for_one_file_opens_that_file(place: Place) -> None:
    token = await place.client.generate_token(
        {"permission": "read", "extra_scopes": [f"get_file:{place.owner.workspace}/own:b%2Fc.txt"]}
    )
    get = place.http.get
    assert (await get(f"{place.base}/own/files/b/c.txt", params={"token": token})).content == b"hello"
    for path, status in (("own/files/new.bin", 403), ("pub/files/a.txt", 403), ("own/files/", 403)):
        assert (await get(f"{place.base}/{path}", params={"token": token})).status_code == status
    put = await place.http.put(f"{place.base}/own/files/b/c.txt", params={"token": token}, content=b"x")
    assert put.status_code == 403
    own = {"params": {"token": place.owner.token}}
    assert (await get(f"{place.base}/own/files/b/c.txt", **own)).status_code == 200


@pytest.mark.spec("artifacts-C2.10", "artifacts-C1.12")
async def test_nobody_makes_a_token_for_the_files_of_others(
    place: Place, connect: Connect, bob: Person
) -> None:
    client = await connect(bob)
    word = f"get_file:{place.owner.workspace}/own:*"
    token = await client.generate_token({"extra_scopes": [word]})
    answer = await place.http.get(f"{place.base}/own/files/b/c.txt", params={"token": token})
    assert answer.status_code == 403


@pytest.mark.spec("artifacts-C7.2")
async def test_functions_over_http_give_addresses(place: Place) -> None:
    query = {"artifact_id": f"{place.owner.workspace}/pub", "file_path": "a.txt", "silent": "true"}
    answer = await place.http.get("/public/services/artifact-manager/get_file", params=query)
    assert isinstance(answer.json(), str)
    assert (await place.http.get(answer.json())).content == b"hello"


async def test_grants_to_members_of_a_workspace_are_not_for_visitors(place: Place) -> None:
    grants = {"permissions": {f"{place.owner.workspace}/*": "r"}}
    await place.artifacts.create(alias="members", manifest={"name": "M"}, config=grants)
    assert (await place.get("/members", anonymous=True)).status_code == 403
    assert (await place.get("/members")).status_code == 200


@pytest.mark.spec("artifacts-C9.1")
async def test_all_files_as_a_zip(place: Place) -> None:
    await place.artifacts.create(alias="zipped", manifest={"name": "Z"}, config=PUBLIC, stage=True)
    contents = {"a.txt": b"hello", "b/ä.bin": b"x" * 300_000}
    for path, content in contents.items():
        url = await place.artifacts.put_file("zipped", path, download_weight=1)
        (await place.http.put(url, content=content)).raise_for_status()
    await place.artifacts.commit("zipped")
    whole = await place.get("/zipped/create-zip-file", anonymous=True)
    assert whole.headers["content-disposition"] == 'attachment; filename="zipped.zip"'
    assert int(whole.headers["content-length"]) == len(whole.content)
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    rest = await place.get("/zipped/create-zip-file?silent=1", headers={"Range": "bytes=300000-"})
    assert (rest.status_code, rest.content) == (206, whole.content[300_000:])
    some = await place.get("/zipped/create-zip-file?file=a.txt&file=a.txt")
    with zipfile.ZipFile(io.BytesIO(some.content)) as archive:
        assert archive.namelist() == ["a.txt"]
    assert (await place.get("/zipped?silent=1")).json()["download_count"] == 3
    await place.artifacts.set_download_weight("zipped", "create-zip-file", 10)
    await place.get("/zipped/create-zip-file")
    assert (await place.get("/zipped?silent=1")).json()["download_count"] == 13
    for wrong, status in (("file=x", 404), ("file=../x", 400), ("version=v7", 404), ("stage=true", 400)):
        assert (await place.get(f"/zipped/create-zip-file?{wrong}")).status_code == status
    assert (await place.get("/own/create-zip-file", anonymous=True)).status_code == 403
