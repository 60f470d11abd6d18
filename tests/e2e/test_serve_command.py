"""`python -m hypha_rpc.utils.serve` of the client library, which serves a FastAPI application."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.kit.people import Person

APPLICATION = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/things/{name}")
async def thing(name: str) -> dict[str, str]:
    return {"thing": name}
"""


@pytest.mark.spec("apps-12.5.2")
async def test_a_fastapi_application_is_served_with_its_docs_under_its_mount(
    server: ServerProcess, alice: Person, tmp_path: Path
) -> None:
    (tmp_path / "lab.py").write_text(APPLICATION)
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "hypha_rpc.utils.serve", "lab:app", "--id", "lab"),
        *("--server-url", server.url, "--token", alice.token, "--workspace", alice.workspace),
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    assert program.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(30):
            while mount_in(said, alice) is None:
                line = await program.stdout.readline()
                assert line, said.decode()
                said += line
        mount = f"/{alice.workspace}/apps/lab"
        async with httpx.AsyncClient(base_url=server.url) as http:
            answer = await http.get(f"{mount}/things/scope")
            assert answer.json() == {"thing": "scope"}
            docs = await http.get(f"{mount}/docs")
            assert docs.status_code == 200
            assert f"{mount}/openapi.json" in docs.text
            description = (await http.get(f"{mount}/openapi.json")).json()
            assert "/things/{name}" in description["paths"]
    finally:
        program.terminate()
        await program.wait()


def mount_in(said: bytes, person: Person) -> bytes | None:
    """The line in which the program says where the application is."""
    where = f"/{person.workspace}/apps/".encode()
    return next((line for line in said.splitlines() if where in line), None)
