"""Every cell of the table of credentials in docs/security.md, on a running server."""

from __future__ import annotations

import importlib.util
import json
import struct
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import msgpack
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as open_socket

from hypha.testing import ServerProcess
from hypha.testing.arrivals import REQUESTS, SOCKETS, Sample
from tests.kit.clients import JS_FOLDER, Connect
from tests.kit.people import Person, make_person

ROOT = JS_FOLDER.parent.parent
STRANGERS = "anonymouz-"


def load_table() -> Any:
    spec = importlib.util.spec_from_file_location("table", ROOT / "tools" / "credentials_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = load_table()


class Desk:
    """A public service and a public application that say who asks."""

    def __init__(self, server: ServerProcess, owner: Person, visitor: Person) -> None:
        self.server = server
        self.visitor = visitor
        self.mount = f"/{owner.workspace}/apps/desk/"
        self.paths = [
            f"/{owner.workspace}/services/diary/note",
            self.mount,
            f"{self.mount}inside",
            "/rpc",
            "/public/apps/hypha-login/approve",
        ]
        self.http = httpx.AsyncClient(base_url=server.url, timeout=10)
        self.http.headers.clear()

    async def register(self, client: Any) -> None:
        def note(context: Any = None) -> str:
            return str(context["user"]["id"])

        async def serve(args: dict[str, Any], context: Any = None) -> None:
            send, who = args["send"], context["user"]["id"]
            if args["scope"]["type"] == "websocket":
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.send", "text": who})
                await send({"type": "websocket.close"})
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": who.encode()})

        public = {"visibility": "public", "require_context": True}
        await client.register_service({"id": "diary", "config": public, "note": note})
        await client.register_service({"id": "desk", "type": "asgi", "config": public, "serve": serve})

    async def who(self, sample: Sample, carrying: Mapping[str, str], number: int) -> str:
        """Who a request counts as at one of the places; empty where it is refused."""
        headers = {**sample.sent(self.server.url, self.mount), **carrying}
        path = self.paths[number]
        if path == "/rpc" and sample.method == "GET":
            return await self._who_streams(headers)
        if path == "/rpc":
            return await self._who_speaks(headers)
        if path.endswith("/approve"):
            answer = await self.http.post(path, json={"key": "none"}, headers=headers)
            assert answer.status_code in (400, 401, 403), answer.text
            return {400: "somebody", 401: STRANGERS, 403: ""}[answer.status_code]
        answer = await self.http.request(sample.method, path, headers=headers)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return str(answer.json() if number == 0 else answer.text)

    async def _who_streams(self, headers: dict[str, str]) -> str:
        params = {"client_id": f"table-{uuid.uuid4().hex}"}
        async with self.http.stream("GET", "/rpc", params=params, headers=headers) as answer:
            assert answer.status_code == 200
            data = b""
            async for part in answer.aiter_raw():
                data += part
                if len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
                    break
        info = msgpack.unpackb(data[4 : 4 + struct.unpack(">I", data[:4])[0]])
        return str(info["user"]["id"])

    async def _who_speaks(self, headers: dict[str, str]) -> str:
        """Whether a POST may speak for a stream that was opened with the token it carries."""
        token = self.visitor.token
        params = {"client_id": f"table-{uuid.uuid4().hex}"}
        bearer = {"authorization": f"Bearer {token}"}
        async with self.http.stream("GET", "/rpc", params=params, headers=bearer) as answer:
            await anext(answer.aiter_raw())
            params["workspace"] = self.visitor.workspace
            body = msgpack.packb({"type": "ping"})
            posted = await self.http.post("/rpc", params=params, content=body, headers=headers)
        assert posted.status_code in (200, 401), posted.text
        return self.visitor.id if posted.status_code == 200 else STRANGERS

    async def who_connects(self, sample: Sample, carrying: Mapping[str, str], place: str) -> str:
        """Who the handshake of a WebSocket counts as."""
        headers = {**sample.sent(self.server.url, self.mount), **carrying}
        agent = headers.pop("user-agent")
        is_hub = place == TABLE.SOCKET
        url = self.server.ws_url.removesuffix("/ws") + ("/ws" if is_hub else f"{self.mount}socket")
        async with open_socket(url, additional_headers=headers, user_agent_header=agent) as socket:
            if is_hub:
                await socket.send(json.dumps({"client_id": f"table-{uuid.uuid4().hex}"}))
                return str(json.loads(await socket.recv())["user"]["id"])
            return str(await socket.recv())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(server: ServerProcess, module_connect: Connect) -> Any:
    owner = make_person(server, "desk")
    found = Desk(server, owner, make_person(server, "visitor"))
    await found.register(await module_connect(owner, client_id="desk"))
    yield found
    await found.http.aclose()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", TABLE.PLACES)
async def test_requests_count_as_the_table_says(desk: Desk, place: str) -> None:
    number = list(TABLE.PLACES).index(place)
    for name, sample in REQUESTS.items():
        if place == TABLE.ACTS and sample.method != "POST":
            continue
        told = (await TABLE.letters(sample, place)).split()
        for letter, (named, ways) in zip(told, TABLE.carried(desk.visitor.token).items(), strict=True):
            for carrying in ways:
                who = await desk.who(sample, carrying, number)
                is_person = who in (desk.visitor.id, "somebody")
                assert is_person is (letter == named), (name, carrying, who)
                assert is_person or who.startswith(STRANGERS) or (place == TABLE.ACTS and not who)


@pytest.mark.parametrize("place", TABLE.SOCKET_PLACES)
async def test_sockets_count_as_the_table_says(desk: Desk, place: str) -> None:
    for name, sample in SOCKETS.items():
        told = (await TABLE.letters(sample, place)).split()
        for letter, (named, ways) in zip(told, TABLE.carried(desk.visitor.token).items(), strict=True):
            for carrying in ways:
                who = await desk.who_connects(sample, carrying, place)
                assert (who == desk.visitor.id) is (letter == named), (name, carrying, who)
                assert who == desk.visitor.id or who.startswith(STRANGERS)


async def test_the_table_gives_cookies_to_nobody_elses_requests() -> None:
    """What must hold, said apart from the rule: the table alone would follow any rule."""
    own = ("a program", "a script of the server's own pages", "any other script of this origin, posting")
    for name, sample in REQUESTS.items():
        for place in TABLE.PLACES:
            found = await TABLE.letters(sample, place)
            is_own = name.startswith(own) and "another method" not in name
            is_app = place.endswith("an application") and "application itself" in name
            is_front = place.startswith("front") and name in (
                "the address bar, a bookmark, a link in a letter",
                "a link of this origin, or the end of a sign-in",
            )
            if "C" in found:
                assert is_own or is_app or is_front, (name, place)
            if is_own and place not in (TABLE.STREAM, TABLE.ACTS):
                assert "C" in found, (name, place)
