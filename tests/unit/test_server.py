"""What programs import from `hypha.server` (core-api 1.1)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from hypha.server import create_application, get_argparser


def application(*flags: str) -> Any:
    """An application that keeps nothing."""
    return create_application(get_argparser().parse_args(["--data-dir", ":memory:", *flags]))


@pytest.mark.spec("core-1.1")
async def test_made_application_serves_between_its_start_and_its_end() -> None:
    app = application("--server-id", "made-here")
    received: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "state": {}}, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    assert await asyncio.wait_for(sent.get(), 20) == {"type": "lifespan.startup.complete"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        assert (await http.get("/health/readiness")).json()["status"] == "OK"
    assert app.state.store.server_id == "made-here"
    await received.put({"type": "lifespan.shutdown"})
    assert await asyncio.wait_for(sent.get(), 20) == {"type": "lifespan.shutdown.complete"}
    await asyncio.wait_for(life, 5)


@pytest.mark.spec("core-1.1", "core-L4", "core-L7")
@pytest.mark.parametrize(
    ("flags", "error", "text"),
    [
        (["--root-token", "short"], ValueError, "32 characters"),
        (["--static-mounts", "/health:."], ValueError, "collides"),
        (["--static-mounts", "tools:."], ValueError, "must start with /"),
        (["--static-mounts", "/tools:/no/such/folder"], FileNotFoundError, "/no/such/folder"),
        (["--start-minio-server", "--endpoint-url", "http://s3"], ValueError, "--endpoint-url"),
    ],
)
def test_refused_settings_are_an_error_of_the_call(
    flags: list[str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        application(*flags)
