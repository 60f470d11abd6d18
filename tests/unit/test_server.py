"""What programs import from `hypha.server`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypha.assembly.web import kept_words
from hypha.auth.users import Context, root_user
from hypha.configuration import flags_for_all
from hypha.errors import ConfigurationError, HyphaError
from hypha.gateways.http.application import literal_words, path_of
from hypha.gateways.http.static import mount_routes
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
    ],
)
def test_refused_settings_are_an_error_of_the_call(
    flags: list[str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        application(*flags)


async def test_no_first_word_of_a_route_can_become_a_workspace(tmp_path: Path) -> None:
    server = application("--static-mounts", f"/web-tools:{tmp_path}", *flags_for_all()).server
    await server.start()
    try:
        paths = [getattr(route, "path", "") for route in server.app.router.routes]
        paths += ["/health", "/metrics", *server.settings.inactive_features]
        words = {path.split("/")[1] for path in paths if path.strip("/")} - {"public", "{workspace}"}
        assert {"web-tools", "openapi.json", "favicon.ico", "api-docs", "static"} < words
        of_features = literal_words(map(path_of, server.parts.plugged.routes))
        assert of_features <= kept_words() & words
        context = Context(root_user(), "ws-user-root", "me")
        for word in words:
            with pytest.raises(HyphaError, match=r"reserved|belongs to the server|Invalid workspace name"):
                await server.parts.tenants.tenancy.catalogue.create({"id": word}, context)
    finally:
        await server.stop()


def test_no_mount_can_take_a_word_that_a_feature_or_transport_may_need_later(tmp_path: Path) -> None:
    assert "rpc" in kept_words()
    for word in kept_words():
        with pytest.raises(ConfigurationError, match="collides with a route"):
            application("--static-mounts", f"/{word}:{tmp_path}")


def test_a_mount_cannot_take_the_word_of_a_feature(tmp_path: Path) -> None:
    taken = literal_words(["/oidc/{provider}/start", "/{workspace}/info", "/public/apps/x", "/"])
    assert taken == {"oidc"}
    with pytest.raises(ConfigurationError, match="/oidc collides with a route"):
        mount_routes([f"/oidc:{tmp_path}"], taken)
