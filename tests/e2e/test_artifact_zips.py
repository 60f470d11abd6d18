"""Zip files of artifacts over HTTP: looked into, and made of all their files, however large."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

MIB = 1024 * 1024


class Place:
    """A person's artifacts."""

    def __init__(self, owner: Person, artifacts: Any, http: httpx.AsyncClient) -> None:
        self.owner, self.artifacts, self.http = owner, artifacts, http
        self.auth = {"Authorization": f"Bearer {owner.token}"}

    async def make(self, alias: str, files: dict[str, Any], **config: Any) -> None:
        await self.artifacts.create(alias=alias, manifest={"name": alias}, config=config, stage=True)
        for path, content in files.items():
            url = await self.artifacts.put_file(alias, path)
            (await self.http.put(url, content=content, timeout=600)).raise_for_status()
        await self.artifacts.commit(alias)

    def url(self, path: str) -> str:
        return f"/{self.owner.workspace}/artifacts/{path}"

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        return await self.http.request(method, self.url(path), headers={**self.auth, **headers})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(server: ServerProcess, module_connect: Connect) -> AsyncIterator[Place]:
    owner = make_person(server, "packer")
    client = await module_connect(owner)
    artifacts = await client.get_service("public/artifact-manager")
    async with httpx.AsyncClient(base_url=server.url) as http:
        yield Place(owner, artifacts, http)


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            method = zipfile.ZIP_STORED if name.endswith("stored") else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, method)
    return target.getvalue()


@pytest.mark.spec("artifacts-C9.2", "artifacts-C9.3")
async def test_what_is_in_a_zip_is_listed_and_sent(place: Place) -> None:
    inside = {"a.txt": b"hello", "sub/b.stored": b"0123456789", "sub/x/c.json": b"{}", "../x": b"climbs"}
    await place.make("packed", {"data/all.zip": zipped(**inside), "plain.txt": b"hello"})
    base = "packed/zip-files/data/all.zip"
    listed = await place.get(base)
    assert [(entry["type"], entry["name"]) for entry in listed.json()] == [
        ("file", "a.txt"), ("directory", ".."), ("directory", "sub"),
    ]  # fmt: skip
    assert listed.json()[0]["size"] == 5 and listed.json()[0]["last_modified"] > 0
    for folder in ("?path=sub/", "/~/sub/"):
        assert [entry["name"] for entry in (await place.get(base + folder)).json()] == ["b.stored", "x"]
    for path, content in inside.items():
        forms = [f"?path={path}"] if ".." in path else [f"?path={path}", f"/~/{path}"]
        for form in forms:
            found = await place.get(base + form)
            assert (found.status_code, found.content) == (200, content)
            assert int(found.headers["content-length"]) == len(content)
            name = path.rpartition("/")[2]
            assert found.headers["content-disposition"] == f'attachment; filename="{name}"'
            assert found.headers["content-security-policy"] == "sandbox"
    for path in ("a.txt", "sub/b.stored"):
        part = await place.get(f"{base}/~/{path}", Range="bytes=2-3")
        assert (part.status_code, part.content) == (206, inside[path][2:4])
        head = await place.get(f"{base}/~/{path}", method="HEAD")
        assert int(head.headers["content-length"]) == len(inside[path])
        same = await place.get(f"{base}/~/{path}", **{"If-None-Match": head.headers["etag"]})
        assert same.status_code == 304


@pytest.mark.spec("artifacts-C9.2", "artifacts-C1.11")
async def test_what_is_not_there_or_not_to_be_had_is_refused(place: Place) -> None:
    await place.make("closed", {"a.zip": zipped(**{"a.txt": b"a"}), "b.txt": b"no zip"})
    for path, status, text in (
        ("nope.zip", 404, "ZIP file not found: nope.zip"),
        ("a.zip/~/nope", 404, "File not found inside ZIP: nope"),
        ("a.zip?path=nope/", 404, "File not found inside ZIP: nope/"),
        ("a.zip/~/a.txt?path=a.txt", 400, "once"),
        ("b.txt", 422, "This is not a ZIP"),
        ("a.zip?version=v9", 404, "version"),
        ("..%5ca.zip", 400, ""),
    ):
        answer = await place.get(f"closed/zip-files/{path}")
        assert (answer.status_code, text in answer.json()["detail"]) == (status, True), (path, answer.text)
        assert answer.json()["success"] is False
    assert (await place.http.get(place.url("closed/zip-files/a.zip"))).status_code == 403
    assert (await place.get("closed/zip-files/a.zip", method="POST")).status_code == 405
    assert (await place.get("closed/zip-files/a.zip?stage=true")).status_code == 200
    token = {"params": {"token": place.owner.token}}
    assert (await place.http.get(place.url("closed/zip-files/a.zip"), **token)).status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.spec("artifacts-C9.3")
async def test_a_bomb_streams_and_stops_with_its_reader(place: Place, server: ServerProcess) -> None:
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros", "w") as member,
    ):
        for _ in range(512):
            member.write(bytes(MIB))
    await place.make("bomb", {"bomb.zip": target.getvalue()})
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    url = place.url("bomb/zip-files/bomb.zip/~/zeros")
    async with place.http.stream("GET", url, headers=place.auth) as answer:
        assert int(answer.headers["content-length"]) == 512 * MIB
        seen = 0
        async for chunk in answer.aiter_raw():
            seen += len(chunk)
            if seen > 100 * MIB:
                break
    assert process.memory_info().rss - before < 64 * MIB
    last = await place.get("bomb/zip-files/bomb.zip/~/zeros", Range="bytes=-5")
    assert last.content == bytes(5)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.spec("artifacts-C9.1")
async def test_a_zip_beyond_4_gib_is_as_long_as_it_says_and_goes_on_where_it_broke_off(place: Place) -> None:
    directory = pytest.importorskip("hypha.features.artifacts.zip_directory")
    zeros, count = bytes(4 * MIB), 1056  # 4.1 GiB

    async def source() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield zeros

    await place.make("huge", {"a.bin": source(), "b.txt": b"behind"})
    url, size, tail = place.url("huge/create-zip-file"), 0, b""
    async with place.http.stream("GET", url, headers=place.auth, timeout=600) as answer:
        async for chunk in answer.aiter_raw():
            size += len(chunk)
            tail = (tail + chunk)[-2 * directory.END_BYTES :]
        assert size == int(answer.headers["content-length"]) > 2**32
    found = directory.place_of(tail, size)
    entries, _ = directory.entries_in(tail[found.start - size : found.stop - size])
    crc = 0
    for _ in range(count):
        crc = zlib.crc32(zeros, crc)
    assert [(entry.path, entry.size, entry.crc) for entry in entries] == [
        ("a.bin", count * 4 * MIB, crc), ("b.txt", 6, zlib.crc32(b"behind")),
    ]  # fmt: skip
    rest = await place.http.get(url, headers={**place.auth, "Range": f"bytes={size - 1000}-"}, timeout=600)
    assert (rest.status_code, rest.content) == (206, tail[-1000:])
