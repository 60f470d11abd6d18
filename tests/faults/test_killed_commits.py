"""Promise: a commit is seen whole or not at all. The server is killed at random instants of commits that
change files, add and remove some; afterwards readers find the old files or the new ones, and can go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.kit.clients import StartServer
from tests.kit.people import make_person

MANAGER = "/public/services/artifact-manager"
FILES = 40
KILLS = 5


class Shelf:
    """One artifact and what a program that writes to it knows."""

    def __init__(self, server: ServerProcess) -> None:
        person = make_person(server, "keeper")
        self.http = httpx.AsyncClient(
            base_url=server.url, timeout=15, headers={"authorization": f"Bearer {person.token}"}
        )
        self.files = f"/{person.workspace}/artifacts/shelf/files"
        self.allowed: list[dict[str, str]] = []
        self.committing = asyncio.Event()

    async def call(self, function: str, **arguments: object) -> object:
        answer = await self.http.post(f"{MANAGER}/{function}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def change(self, number: int) -> None:
        """Commit a new content of every file, and of one file that only this commit has."""
        names = [*(f"d/{n}.txt" for n in range(FILES)), f"only-{number}.txt"]
        content = {name: f"{name} {number}" for name in names}
        await self.call("discard_changes", artifact_id="shelf")
        await self.call("edit", artifact_id="shelf", stage=True)
        if self.allowed and (gone := [name for name in self.allowed[-1] if name.startswith("only")]):
            await self.call("remove_file", artifact_id="shelf", file_path=gone[0])
        for name, text in content.items():
            await self.call("write_file", artifact_id="shelf", file_path=name, content=text)
        self.allowed.append(content)
        self.committing.set()
        await self.call("commit", artifact_id="shelf")
        self.allowed = [content]

    async def found(self) -> dict[str, str]:
        """What a reader finds."""
        names = []
        for folder in ("", "d/"):
            listed = (await self.http.get(f"{self.files}/{folder}")).json()
            names += [folder + entry["name"] for entry in listed if entry["type"] == "file"]
        return {name: (await self.http.get(f"{self.files}/{name}")).text for name in names}


@pytest.mark.timeout(240)
@pytest.mark.spec("artifacts-C1.9")
async def test_a_killed_commit_is_there_whole_or_not_at_all(start_server: StartServer) -> None:
    limits = {"HYPHA_HTTP_RATE_LIMIT": "0", "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT": "0"}
    server = await start_server(env=limits)
    dice = random.Random(7)
    shelf = Shelf(server)
    await shelf.call("create", alias="shelf", manifest={"name": "S"}, stage=True)
    await shelf.change(0)
    shelf.committing.clear()
    for number in range(1, KILLS + 1):
        changing = asyncio.ensure_future(shelf.change(number))
        await shelf.committing.wait()
        shelf.committing.clear()
        await asyncio.sleep(dice.random() * 0.3)
        await asyncio.to_thread(server.kill)
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            await changing
        await asyncio.to_thread(server.start)
        found = await shelf.found()
        assert found in shelf.allowed
        shelf.allowed = [found]
    await shelf.change(100)
    assert await shelf.found() in shelf.allowed
    await shelf.http.aclose()
