"""`functions` and ASGI services of a JavaScript client in Node (docs/applications.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as connect_socket

from hypha.testing import NodeWorker, ServerProcess
from tests.kit.people import make_person

pytestmark = [pytest.mark.node, pytest.mark.timeout(90)]

SERVE = """
const server = await connect({server_url: args.url, token: args.token, client_id: "js"});
const config = {visibility: "public"};
const encode = (text) => new TextEncoder().encode(text);
await server.registerService({
  id: "pages", type: "functions", config: {...config, require_context: true},
  index: async (event, context) => ({
    status: 201, headers: {"Content-Type": "text/html"},
    body: `<h1>${event.method} ${context.user.id}</h1>`}),
  raw: async () => ({body: new Uint8Array([1, 2, 255])}),
  echo: async (event) => ({body: JSON.stringify([event.query_string, Array.from(event.body || [])])}),
  stream: async () => ({
    headers: {"content-type": "text/plain"}, body: (async function* () { yield "a"; yield "b"; })()}),
  boom: async () => { throw new TypeError("no film in the camera"); },
  api: {v1: {items: async (event) => ({body: event.path})}},
  default: async (event) => ({status: 404, body: `no ${event.function_path}`}),
});
await server.registerService({id: "web", type: "asgi", config, serve: async ({scope, receive, send}) => {
  if (scope.type === "websocket") {
    await receive();
    await send({type: "websocket.accept"});
    for (;;) {
      const message = await receive();
      if (message.type === "websocket.disconnect") return;
      await send({type: "websocket.send", text: message.text, bytes: message.bytes});
    }
  }
  let size = 0;
  for (let more = true; more;) {
    const part = await receive();
    size += part.body ? part.body.length : 0;
    more = part.more_body;
  }
  await send({type: "http.response.start", status: 200, headers: [["x-size", String(size)]]});
  await send({type: "http.response.body", body: encode(`${scope.method} ${scope.path}`), more_body: true});
  await send({type: "http.response.body", body: encode("!"), more_body: false});
}});
return server.config.workspace;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def apps(server: ServerProcess, node: NodeWorker) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP to the applications of a Node program."""
    person = make_person(server, "node-apps")
    workspace = await node.run(SERVE, url=server.url, token=person.token)
    async with httpx.AsyncClient(base_url=f"{server.url}/{workspace}/apps/", timeout=30) as http:
        yield http


@pytest.mark.spec("core-H6")
async def test_functions_in_javascript_answer_requests(apps: httpx.AsyncClient) -> None:
    front = await apps.get("pages/")
    assert (front.status_code, front.headers["content-type"]) == (201, "text/html")
    assert front.text == "<h1>GET anonymouz-http</h1>"
    assert (await apps.head("pages/")).content == b""
    assert (await apps.get("pages/raw")).content == b"\x01\x02\xff"
    assert (await apps.post("pages/echo?x=%20", content=b"\x00\x07")).json() == ["x=%20", [0, 7]]
    assert (await apps.get("pages/stream")).text == "ab"
    assert (await apps.get("pages/api/v1/items")).text == "/api/v1/items"
    missing = await apps.get("pages/api/v2")
    assert (missing.status_code, missing.text) == (404, "no /api/v2")
    broken = await apps.get("pages/boom")
    assert broken.status_code == 500
    assert broken.text.startswith("Internal Server Error: ") and "no film in the camera" in broken.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
async def test_an_application_in_javascript_gets_every_method(apps: httpx.AsyncClient, method: str) -> None:
    answer = await apps.request(method, "web/a/b")
    assert (answer.status_code, answer.headers["x-size"]) == (200, "0")
    assert answer.text == ("" if method == "HEAD" else f"{method} /a/b!")


async def test_an_application_in_javascript_takes_large_bodies_and_websockets(
    apps: httpx.AsyncClient,
) -> None:
    answer = await apps.post("web/upload", content=b"z" * 3_000_000)
    assert (answer.headers["x-size"], answer.text) == ("3000000", "POST /upload!")
    url = str(apps.base_url).replace("http", "ws", 1)
    async with connect_socket(f"{url}web/socket", max_size=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await socket.send(b"x" * 1_000_000)
        assert await socket.recv() == b"x" * 1_000_000
