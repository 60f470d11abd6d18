"""Static mounts: what is served, what is refused."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from hypha.gateways.http.static import mount_routes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "tools"
    inside.mkdir()
    (inside / "a.txt").write_text("text of a")
    (inside / "index.html").write_text("<p>index</p>")
    (tmp_path / "secret.txt").write_text("not yours")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    return inside


def client(*mounts: str) -> httpx.AsyncClient:
    application = Starlette(routes=mount_routes(mounts))
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://server")


@pytest.mark.spec("core-L7")
@pytest.mark.parametrize(
    ("path", "text"),
    [("/tools/a.txt", "text of a"), ("/tools", "<p>index</p>"), ("/tools/", "<p>index</p>")],
)
async def test_files_and_index_are_served(folder: Path, path: str, text: str) -> None:
    async with client(f"/tools:{folder}") as web:
        answer = await web.get(path)
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize(
    "path",
    [
        "/tools/../secret.txt",
        "/tools/%2e%2e/secret.txt",
        "/tools/..%2fsecret.txt",
        "/tools/link.txt",
        "/tools/a%00.txt",
        "/tools//etc/passwd",
        "/tools/" + "x" * 5000,
    ],
)
async def test_nothing_outside_is_reached(folder: Path, path: str) -> None:
    async with client(f"/tools:{folder}") as web:
        answer = await web.get(path)
    assert answer.status_code == 404
    assert "not yours" not in answer.text


async def test_without_an_index_the_mount_itself_is_not_found(tmp_path: Path) -> None:
    async with client(f"/tools:{tmp_path}") as web:
        assert (await web.get("/tools")).status_code == 404
        assert (await web.get("/tools/")).status_code == 404


async def test_several_mounts(folder: Path) -> None:
    async with client(f"/one:{folder}", f"/two:{folder}") as web:
        assert (await web.get("/one/a.txt")).text == (await web.get("/two/a.txt")).text == "text of a"


@pytest.mark.parametrize(
    "mount", ["tools:{0}", "/a/b:{0}", "/:{0}", "/tools", "/ws:{0}", "/health:{0}", "/..:{0}"]
)
def test_wrong_mount_points_are_refused(tmp_path: Path, mount: str) -> None:
    with pytest.raises(ValueError):
        mount_routes([mount.format(tmp_path)])


def test_the_same_mount_point_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="collides"):
        mount_routes([f"/a:{tmp_path}", f"/a:{tmp_path}"])


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(FileNotFoundError):
        mount_routes(["/tools:/nowhere/at/all"])
