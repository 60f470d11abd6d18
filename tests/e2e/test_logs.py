"""No credential is in the log, whatever the log's level and however the credential came."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import websockets
from hypha_rpc import connect_to_server

from hypha.testing import RawClient, free_port
from tests.kit.clients import StartServer
from tests.kit.people import make_person

SECRET_COOKIE = "sid-of-an-application-0123456789"


async def raw_request(port: int, head: str) -> bytes:
    """What comes back for a request that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def failing(scope: dict[str, Any]) -> None:
    raise ValueError(f"an application that tells what it got: {scope['context']}")


@pytest.mark.parametrize("kind", ["own", "uvicorn"])
async def test_no_credential_is_ever_logged(start_server: StartServer, tmp_path: Path, kind: str) -> None:
    port = free_port()
    env = {"HYPHA_LOGLEVEL": "DEBUG" if kind == "own" else "TRACE", "HYPHA_ACCESS_LOG": "true"}
    command = None
    if kind == "uvicorn":
        command = [sys.executable, "-m", "uvicorn", "hypha.server:app", "--host=127.0.0.1", f"--port={port}"]
        command += ["--log-level=trace"]
        env["HYPHA_DATA_DIR"] = str(tmp_path / "data")
    own = await start_server(port=port, env=env, command=command)
    anna = make_person(own, "anna")
    secrets = {"token": anna.token, "cookie": SECRET_COOKIE, "root token": own.root_token or ""}
    raw = await RawClient.connect(own.ws_url, token=anna.token, client_id="phoenix")
    secrets["reconnection token"] = raw.info["reconnection_token"]
    await raw.close()
    again = await RawClient.connect(
        own.ws_url, reconnection_token=secrets["reconnection token"], client_id="phoenix"
    )
    async with connect_to_server({"server_url": own.url, "token": anna.token}) as client:
        secrets["minted token"] = await client.generate_token({"workspace": anna.workspace})
        await client.register_service(
            {"id": "shop", "type": "asgi", "config": {"visibility": "public"}, "serve": failing}
        )
        await use(own, anna.workspace, secrets)
    await again.close()
    async with connect_to_server({"server_url": own.url, "token": anna.token, "transport": "http"}) as client:
        assert await client.echo(1) == 1
    login = f"{own.url}/public/services/hypha-login"
    async with httpx.AsyncClient() as http:
        secrets["login key"] = (await http.post(f"{login}/start")).json()["key"]
        for place in ("services/hypha-login/check", "apps/hypha-login/", "services/hypha-login/report"):
            given = {"key": secrets["login key"], "token": anna.token, "timeout": 0}
            await http.get(f"{own.url}/public/{place}", params=given)
    await asyncio.to_thread(own.stop, 12.0)
    assert kind == "uvicorn" or ("/hypha-login/report" in own.log and "/nowhere/<token>" in own.log)
    for name, secret in secrets.items():
        body = secret.rpartition(".")[0] or secret
        for form in (secret, body, quote(secret, safe=""), base64.b64encode(secret.encode())[:40].decode()):
            assert form not in own.log, f"the {name} is in the log"


async def use(own: Any, workspace: str, secrets: dict[str, str]) -> None:
    """Send each secret in each place in which a request can have it."""
    app = f"/{workspace}/apps/shop"
    for secret in [text for name, text in secrets.items() if "token" in name]:
        basic = base64.b64encode(f"anna:{secret}".encode()).decode()
        headers: list[dict[str, str]] = [
            {"Authorization": f"Bearer {secret}"},
            {"Authorization": f"Basic {basic}"},
            {"Authorization": f"Odd {secret}"},
            {"X-Local-Auth": secret},
            {"Cookie": f"access_token={secret}; sid={SECRET_COOKIE}"},
            {"X-Hypha-Stream": secret},
        ]
        async with httpx.AsyncClient() as http:
            for given in headers:
                for path in ("/public/services/", f"{app}/", "/rpc", f"/nowhere/{secret}"):
                    await http.request("POST" if path == "/rpc" else "GET", own.url + path, headers=given)
            for path in (f"/{secret}", f"/public/services/{secret}", f"/%2E%2F{secret}", f"{app}/x/{secret}"):
                await http.get(f"{own.url}{path}?token={secret}&access_token={secret}")
            await http.post(f"{own.url}/public/services/ws/parse_token", json={"token": secret})
        with contextlib.suppress(websockets.WebSocketException):
            await websockets.connect(
                f"ws://127.0.0.1:{own.port}{app}/?token={secret}",
                additional_headers={"Authorization": f"Bearer {secret}", "Cookie": f"sid={SECRET_COOKIE}"},
            )
        for query in (f"?token={secret}", f"?reconnection_token={secret}&client_id=x&workspace=y"):
            with contextlib.suppress(websockets.WebSocketException):
                async with websockets.connect(f"{own.ws_url}{query}") as socket:
                    await socket.send(json.dumps({"client_id": "x", "token": secret + "x"}))
                    await socket.recv()
        for target in (f"http://127.0.0.1/{secret}?token={secret}", f"/a b{secret}", f"*?token={secret}"):
            await raw_request(
                own.port, f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            )
