"""What the server gives of the folder with Python for pages."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hypha.features.pyodide.client_wheel import client_wheel
from hypha.features.pyodide.folder import PyodideFolder, project_of
from hypha.features.pyodide.routes import routes_of
from hypha.findings import Grade
from tests.kit.doctor import bad

WHEEL = "Typing_Inspection-0.4.5-py3-none-any.whl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "console.html", WHEEL):
        (tmp_path / name).write_text(name)
    packages = {"there": {"file_name": WHEEL}, "gone": {"file_name": "gone-1-py3-none-any.whl"}}
    (tmp_path / "pyodide-lock.json").write_text(
        json.dumps({"info": {"arch": "wasm32"}, "packages": packages})
    )
    return tmp_path


@pytest.fixture
def http(folder: Path) -> httpx.AsyncClient:
    application = Starlette(routes=[Mount("/assets/pyodide", routes=routes_of(PyodideFolder(folder)))])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://server/assets/pyodide/"
    )


async def test_pages_learn_which_wheels_are_there_and_where(http: httpx.AsyncClient, folder: Path) -> None:
    known = (await http.get("index.json")).json()
    assert known == {"url": None, "wheels": ["hypha-rpc", "typing-inspection"]}
    index = await http.get("simple/typing-inspection/")
    assert f'<a href="../../{WHEEL}">{WHEEL}</a>' in index.text
    assert index.headers["content-type"].startswith("application/vnd.pypi.simple.v1+html")
    assert (await http.get(WHEEL)).text == WHEEL
    (folder / "new-1.0-py3-none-any.whl").write_text("")
    assert "new" in (await http.get("index.json")).json()["wheels"]


async def test_packages_whose_files_are_not_there_are_not_in_the_list_of_pyodide(
    http: httpx.AsyncClient,
) -> None:
    lock = (await http.get("pyodide-lock.json")).json()
    assert lock == {"info": {"arch": "wasm32"}, "packages": {"there": {"file_name": WHEEL}}}


@pytest.mark.parametrize(
    "path",
    ["console.html", "simple/gone/", "simple/../../x/", "wheels/other-1-py3-none-any.whl",
     "..%2f..%2fetc%2fpasswd", "%2e%2e/secret.json", "none.wasm"],
)  # fmt: skip
async def test_nothing_else_is_served_and_no_page(http: httpx.AsyncClient, folder: Path, path: str) -> None:
    (folder.parent / "secret.json").write_text("secret")
    assert (await http.get(path)).status_code == 404


async def test_the_client_that_is_installed_here_is_a_wheel_without_numpy(http: httpx.AsyncClient) -> None:
    name, content = client_wheel()
    assert project_of(name) == "hypha-rpc"
    index = await http.get("simple/hypha-rpc/")
    assert f"../../wheels/{name}" in index.text
    served = (await http.get(f"wheels/{name}")).content
    with zipfile.ZipFile(io.BytesIO(served)) as archive:
        names = archive.namelist()
        (metadata,) = (each for each in names if each.endswith("/METADATA"))
        told = archive.read(metadata).decode()
    assert (
        served == content and "hypha_rpc/__init__.py" in names and not any(".pyc" in each for each in names)
    )
    assert "Requires-Dist: msgpack" in told and "numpy" not in told


@pytest.mark.usefixtures("doctor_folder")
def test_a_folder_without_pyodide_is_broken_and_says_what_it_lacks(tmp_path: Path) -> None:
    (finding,) = bad(f"--pyodide-dir={tmp_path}")
    assert finding.grade is Grade.BROKEN and "lacks pyodide.mjs" in finding.text
    (finding,) = bad("--pyodide-url=ftp://x")
    assert "--pyodide-url" in finding.text
