"""Folders served over HTTP."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Mount

from hypha.gateways.http import HttpApplication
from hypha.web.files import SmallFiles, StaticFolder
from tests.unit.gateways.http.fakes import FakeServer, services_of


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path / "open"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    (folder / "big.bin").write_bytes(bytes(3 * 1024 * 1024))
    (folder / "sub" / "index.html").write_text("<p>index</p>")
    (tmp_path / "secret.txt").write_text("secret")
    os.symlink(tmp_path / "secret.txt", folder / "link.txt")
    mount = Mount("/tools", app=StaticFolder(folder, cache_control="no-cache"))
    app = HttpApplication(services_of(FakeServer()), first=[mount])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
        yield client


async def test_files_have_type_etag_and_ranges(http: httpx.AsyncClient) -> None:
    answer = await http.get("/tools/a.txt")
    part = await http.get("/tools/a.txt", headers={"range": "bytes=1-2"})
    same = await http.get("/tools/a.txt", headers={"if-none-match": answer.headers["etag"]})
    assert (answer.text, answer.headers["cache-control"]) == ("hello", "no-cache")
    assert (part.status_code, part.text) == (206, "el")
    assert same.status_code == 304


@pytest.mark.parametrize("path", ["/tools/a.txt", "/tools/big.bin"])
@pytest.mark.parametrize(
    "given",
    [
        "items=0-1",
        "bytes=3-1",
        "bytes=1-2,3-1",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1_0-",
        "0-1",
    ],
)
async def test_a_range_of_other_units_or_none_at_all_is_ignored(
    http: httpx.AsyncClient, path: str, given: str
) -> None:
    answer = await http.get(path, headers={"range": given})
    assert answer.status_code == 200 and "content-range" not in answer.headers
    assert len(answer.content) == int(answer.headers["content-length"]) > 4


@pytest.mark.parametrize(
    ("given", "status", "content", "place"),
    [
        ("bytes=0-0", 206, "h", "bytes 0-0/5"),
        ("Bytes = 1-2 ", 206, "el", "bytes 1-2/5"),
        ("bytes=3-", 206, "lo", "bytes 3-4/5"),
        ("bytes=-2", 206, "lo", "bytes 3-4/5"),
        ("bytes=-99", 206, "hello", "bytes 0-4/5"),
        ("bytes=1-99999999999999999999999999", 206, "ello", "bytes 1-4/5"),
        ("bytes=, 1-1 ,", 206, "e", "bytes 1-1/5"),
        ("bytes=0-1,9-", 206, "he", "bytes 0-1/5"),
        ("bytes=5-", 416, None, "bytes */5"),
        ("bytes=7-8", 416, None, "bytes */5"),
        ("bytes=-0", 416, None, "bytes */5"),
    ],
)
async def test_ranges_of_bytes_are_answered(
    http: httpx.AsyncClient, given: str, status: int, content: str | None, place: str
) -> None:
    answer = await http.get("/tools/a.txt", headers={"range": given})
    assert (answer.status_code, answer.headers["content-range"]) == (status, place)
    assert content is None or answer.text == content


async def test_a_range_counts_for_get_alone(http: httpx.AsyncClient) -> None:
    answer = await http.head("/tools/a.txt", headers={"range": "bytes=1-2"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, "5")


async def test_a_folder_leads_to_its_index_by_path_alone(http: httpx.AsyncClient) -> None:
    answer = await http.get("/tools/sub?a=1")
    assert (answer.status_code, answer.headers["location"]) == (307, "/tools/sub/?a=1")
    assert (await http.get("/tools/sub/")).text == "<p>index</p>"


async def test_a_large_file_arrives_whole(http: httpx.AsyncClient) -> None:
    assert len((await http.get("/tools/big.bin")).content) == 3 * 1024 * 1024


@pytest.mark.parametrize(
    "path",
    [
        "/tools/../secret.txt",
        "/tools/%2e%2e/secret.txt",
        "/tools/..%2fsecret.txt",
        "/tools/sub/..%2f..%2fsecret.txt",
        "/tools/link.txt",
        "/tools/%00",
        "/tools/" + "a" * 5000,
        "/tools//etc/passwd",
        "/tools/none.txt",
    ],
)
async def test_nothing_outside_of_the_folder_is_reached(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text or "File not found" in answer.text


async def test_writing_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/tools/a.txt")).status_code == 405


async def test_a_changed_file_is_read_again(http: httpx.AsyncClient, tmp_path: Path) -> None:
    assert (await http.get("/tools/a.txt")).text == "hello"
    (tmp_path / "open" / "a.txt").write_text("changed now")
    answer = await http.get("/tools/a.txt")
    assert (answer.text, answer.headers["content-length"]) == ("changed now", "11")


async def test_kept_contents_are_bounded(tmp_path: Path) -> None:
    files = SmallFiles(kept_bytes=100)
    for number in range(5):
        path = tmp_path / str(number)
        path.write_bytes(bytes(40))
        assert await files.read(str(path), path.stat()) == bytes(40)
    (tmp_path / "4").unlink()
    (tmp_path / "0").unlink()
    stat = (tmp_path / "1").stat()
    assert len(await files.read(str(tmp_path / "1"), stat)) == 40
    with pytest.raises(FileNotFoundError):
        await files.read(str(tmp_path / "0"), stat)


async def test_head_tells_the_size_only(http: httpx.AsyncClient) -> None:
    answer = await http.head("/tools/a.txt")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "5")
