"""Answers to somebody with a credential stay out of caches; those that are the same for all do not."""

from __future__ import annotations

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.e2e.lab import service
from tests.kit.clients import Connect
from tests.kit.people import Person


async def test_answers_for_one_person_say_that_no_cache_may_keep_them(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    client = await connect(alice, client_id="cached")

    async def page(event: dict[str, str]) -> dict[str, object]:
        own = {"Cache-Control": "public, max-age=60"} if event["path"] == "/own" else {}
        return {"status": 200, "headers": own, "body": "<p>hi</p>"}

    await client.register_service(service(visibility="public"))
    public = {"visibility": "public"}
    await client.register_service({"id": "pages", "type": "functions", "config": public, "default": page})
    base = f"{server.url}/{alice.workspace}"
    bearer = {"Authorization": f"Bearer {alice.token}"}
    ways = [bearer, {"Cookie": f"access_token={alice.token}"}, {"X-Local-Auth": alice.token}]
    paths = [
        "services/cached:svc/hello?name=x", "services/cached:svc/nothing", "services/ws/get_env", "services/",
        "services/cached:svc", "info", "openapi.json", "services/cached:svc/openapi.json",
    ]  # fmt: skip
    async with httpx.AsyncClient() as http:
        for path in paths:
            for way in (*ways, {"Authorization": "Bearer forged"}):
                said = (await http.get(f"{base}/{path}", headers=way)).headers["cache-control"]
                assert "private" in said or "no-store" in said, (path, way)
        config = await http.get(f"{server.url}/assets/config.json", headers=bearer)
        assert "no-store" in config.headers["cache-control"]
        app = await http.get(f"{base}/apps/cached:pages/x", headers=bearer)
        assert app.headers["cache-control"] == "private, no-cache"
        authors = await http.get(f"{base}/apps/cached:pages/own", headers=bearer)
        assert authors.headers["cache-control"] == "private, no-cache", (
            "its author sees it without the sandbox"
        )
        visitor = {"Authorization": f"Bearer {alice.token_for('r')}"}
        own = await http.get(f"{base}/apps/cached:pages/own", headers=visitor)
        assert own.headers["cache-control"] == "public, max-age=60"
        shown = {"User-Agent": "Mozilla/5.0", "Cookie": f"access_token={alice.token}"}
        seen = await http.get(f"{base}/apps/cached:pages/x", headers=shown)
        assert "private" in seen.headers["cache-control"], "whether it is in a sandbox depends on the visitor"
        assert "cache-control" not in (await http.get(f"{base}/services/cached:svc/hello")).headers
        assert "cache-control" not in (await http.get(f"{base}/apps/cached:pages/x")).headers


@pytest.mark.parametrize("path", ["/static/shared.js", "/", "/api-docs"])
async def test_files_and_pages_are_the_same_for_everybody(
    server: ServerProcess, alice: Person, path: str
) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {alice.token}"}) as http:
        assert (await http.get(server.url + path)).headers["cache-control"] == "no-cache"
