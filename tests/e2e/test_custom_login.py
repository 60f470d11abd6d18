"""Providers written by operators (docs/authentication.md#custom-providers)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypha_rpc import connect_to_server, login

from hypha.testing import ServerFailed, ServerProcess, mint_token
from tests.kit.clients import StartServer

FILE = Path(__file__).parent / "login_providers.py"
LOGIN = "/public/services/hypha-login"


async def running(function: str) -> AsyncIterator[ServerProcess]:
    own = ServerProcess(flags=[f"--startup-functions={FILE}:{function}"])
    try:
        yield await asyncio.to_thread(own.start)
    finally:
        await asyncio.to_thread(own.close)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hooked() -> AsyncIterator[ServerProcess]:
    """A server with the three hooks."""
    async for own in running("with_hooks"):
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def serviced() -> AsyncIterator[ServerProcess]:
    """A server with a whole provider."""
    async for own in running("with_service"):
        yield own


async def who(server: ServerProcess, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as web:
        return await web.get(
            f"{LOGIN}/profile", headers={name.replace("_", "-"): v for name, v in headers.items()}
        )


async def connected(server: ServerProcess, token: str, **config: Any) -> Any:
    return await connect_to_server({"server_url": server.url, "token": token, "method_timeout": 10, **config})


@pytest.mark.spec("core-A6")
@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_hooks_read_and_make_tokens_of_clients(hooked: ServerProcess, transport: str) -> None:
    client = await connected(hooked, "gold-ann", transport=transport)
    assert (client.config.user["id"], client.config.workspace) == ("ann", "ws-user-ann")
    token = await client.generate_token({"permission": "read_write"})
    assert token.startswith("made:")
    child = await connected(hooked, token, transport=transport)
    assert child.config.workspace == "ws-user-ann"
    assert (await child.check_status())["user_permission"] == "rw"
    assert (await child.parse_token("gold-dict"))["id"] == "dict-user"
    await child.disconnect()
    await client.revoke_token(token)
    revoked = await who(hooked, Authorization=f"Bearer {token}")
    assert (revoked.status_code, revoked.json()["detail"]) == (401, "Token has been revoked")
    if transport == "websocket":  # the client's other transport tries again and again
        with pytest.raises(Exception, match="revoked"):
            await connected(hooked, token)
    await client.disconnect()


@pytest.mark.spec("core-A6", "core-11.2.6")
async def test_get_token_comes_first_and_none_falls_back(hooked: ServerProcess) -> None:
    assert (await who(hooked, X_Gold="gold-ann")).json()["user_id"] == "ann"
    assert (await who(hooked, Authorization="Bearer gold-dict")).json()["user_id"] == "dict-user"
    assert (await who(hooked, Authorization="Bearer gold-dict", X_Gold="gold-ann")).json()["user_id"] == "ann"
    assert (await who(hooked, Cookie="access_token=gold-ann")).json()["user_id"] == "ann"
    assert (await who(hooked)).json()["is_anonymous"] is True


@pytest.mark.spec("core-A6")
async def test_a_broken_hook_tells_nothing_of_itself(hooked: ServerProcess) -> None:
    broken = await who(hooked, X_Broken="secret")
    assert broken.status_code == 500
    assert broken.json()["detail"] == "The sign-in provider failed to read the request."


@pytest.mark.spec("core-A6")
async def test_get_token_is_used_for_http_streams(hooked: ServerProcess) -> None:
    async with (
        httpx.AsyncClient(base_url=hooked.url, timeout=10) as web,
        web.stream("GET", "/rpc?client_id=stream", headers={"X-Gold": "gold-ann"}) as answer,
    ):
        assert answer.status_code == 200
        async for part in answer.aiter_raw():
            assert b"ws-user-ann" in part
            break


@pytest.mark.spec("core-A6")
async def test_tokens_signed_by_the_server_and_the_root_token_still_count(hooked: ServerProcess) -> None:
    assert hooked.secret and hooked.root_token
    token = mint_token(hooked.secret, "zoe")
    assert (await who(hooked, Authorization=f"Bearer {token}")).json()["user_id"] == "zoe"
    assert (await who(hooked, Authorization=f"Bearer {hooked.root_token}")).json()["user_id"] == "root"


@pytest.mark.spec("core-A6")
async def test_refused_tokens_are_told_without_the_hooks_inner_life(hooked: ServerProcess) -> None:
    for token, text in (
        ("gold-refused", "Authentication error: this coin is false"),
        ("gold-bug", "Authentication error: the token is not valid."),
        ("gold-root", "Authentication error: only an administrator can be root."),
        ("nonsense", "Authentication error: Error decoding token headers."),
        ("x" * 20_000, "Authentication error: the token is empty or too long."),
    ):
        refused = await who(hooked, X_Gold=token)
        assert (refused.status_code, refused.json()["detail"]) == (401, text)
        with pytest.raises(Exception, match=text[:40]):
            await connected(hooked, token)


@pytest.mark.spec("core-A6")
async def test_only_the_role_admin_gives_rights_everywhere(hooked: ServerProcess) -> None:
    with pytest.raises(Exception, match="Permission denied for workspace: ws-user-root"):
        await connected(hooked, "gold-wild", workspace="ws-user-root")
    boss = await connected(hooked, "gold-boss", workspace="ws-user-root")
    assert (await boss.check_status())["user_permission"] == "a"
    await boss.disconnect()


@pytest.mark.spec("core-A6")
async def test_a_client_of_a_hook_comes_back_after_its_link_was_cut(hooked: ServerProcess) -> None:
    client = await connected(hooked, "gold-ann", client_id="returning")
    await client.rpc._connection._websocket.close(1012)
    async with asyncio.timeout(15):
        while True:
            try:
                assert (await client.check_status())["status"] == "ready"
                break
            except Exception:
                await asyncio.sleep(0.1)
    await client.disconnect()


@pytest.mark.spec("core-A6")
async def test_handlers_replace_functions_and_extra_ones_are_added(serviced: ServerProcess) -> None:
    seen: list[Any] = []

    async def callback(context: Any) -> None:
        seen.append(context)

    token = await login({"server_url": serviced.url, "login_callback": callback, "login_timeout": 5})
    assert token == "gold-ann"
    assert seen[0]["key"] == "own-key"
    async with httpx.AsyncClient(base_url=serviced.url, timeout=10) as web:
        gold = {"Authorization": "Bearer gold-ann"}
        wrong = await web.post(f"{LOGIN}/check", json={"key": "other"})
        assert (wrong.status_code, wrong.json()["detail"]) == (
            400,
            "RemoteException: ValueError: Invalid key, not one of ours",
        )
        assert (await web.post(f"{LOGIN}/check", json={"k": 1})).status_code == 400
        page = await web.get("/public/apps/hypha-login/?key=k", headers=gold)
        assert (page.status_code, page.headers["x-own"]) == (200, "yes")
        assert page.text == "<h1>Hello ann key=k</h1>"
        called = await web.post(f"{LOGIN}/whoami", json={"said": "hi", "user": {"id": "root"}}, headers=gold)
        assert called.json() == {"id": "ann", "said": "hi"}
        visited = await web.get("/public/apps/hypha-login/whoami", headers=gold)
        assert visited.json() == {"id": "ann", "said": None}
        assert (
            await web.get("/public/apps/hypha-login/", headers={"Cookie": "access_token=old"})
        ).status_code == 200
        assert (await web.get(f"{LOGIN}/logout")).json()["logout_url"].startswith(serviced.url)
    client = await connected(serviced, "gold-ann")
    service = await client.get_service("public/hypha-login")
    assert await service.whoami({"said": "hi"}) == {"id": "ann", "said": "hi"}
    await client.disconnect()


@pytest.mark.spec("core-A6")
async def test_a_provider_that_cannot_work_stops_the_start(start_server: StartServer) -> None:
    with pytest.raises(ServerFailed, match="parse_token must be a function"):
        await start_server(flags=[f"--startup-functions={FILE}:with_nonsense"])


@pytest.mark.spec("core-A6")
async def test_pages_of_a_provider_are_told_of_pages_as_destinations_only(serviced: ServerProcess) -> None:
    page = "/public/apps/hypha-login/"
    async with httpx.AsyncClient(base_url=serviced.url, timeout=10) as web:
        for word in ("redirect", "redirect_uri", "next"):
            bad = {"key": "k", word: "/ws-user-ann/services/ws/get_env"}
            moved = await web.get(page, params=bad)
            assert moved.status_code == 307
            assert moved.headers["location"] == f"{page}?key=k&{word}=%2F"
            good = await web.get(page, params={"key": "k", word: "/public/"})
            assert good.status_code == 200
            away = await web.get(page, params={word: "https://evil.example/"})
            assert away.status_code == 400
        # a page that is opened has no session; its scripts have
        opened = {
            "User-Agent": "Mozilla/5.0",
            "Cookie": "access_token=gold-ann",
            "Sec-Fetch-Dest": "document",
        }
        opened |= {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        asked = {
            **opened,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
            "Referer": f"{serviced.url}{page}",
        }
        assert (await web.get(f"{page}whoami", headers=opened)).json()["id"].startswith("anonymouz")
        assert (await web.get(f"{page}whoami", headers=asked)).json()["id"] == "ann"
