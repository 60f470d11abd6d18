"""An ASGI application and a `functions` service that a page in a browser serves (docs/applications.md)."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from websockets.asyncio.client import connect as connect_socket

from hypha.testing import ServerProcess
from tests.e2e.chromium import LOAD_CLIENT, Page
from tests.kit.people import Person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

SERVE = """
  const server = await hyphaWebsocketClient.connectToServer({server_url: args.url, token: args.token});
  const encoder = new TextEncoder();
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await server.registerService({
    id: "web", type: "asgi", config: {visibility: "public"},
    serve: async ({scope, receive, send}) => {
      if (scope.type === "websocket") {
        await send({type: "websocket.accept"});
        while (true) {
          const event = await receive();
          if (event.type === "websocket.disconnect") return;
          if (event.type !== "websocket.receive") continue;
          await send({type: "websocket.send", text: event.text + "!"});
        }
      }
      let size = 0, more = true;
      while (more) {
        const event = await receive();
        if (event.type !== "http.request") return;
        size += event.body.length;
        more = event.more_body;
      }
      const headers = [[encoder.encode("content-type"), encoder.encode("text/plain")]];
      await send({type: "http.response.start", status: 200, headers});
      const body = encoder.encode(`${scope.method} ${scope.path} ${size}\\n`);
      await send({type: "http.response.body", body, more_body: true});
      await sleep(600);
      await send({type: "http.response.body", body: encoder.encode("end")});
    },
  }, {overwrite: true});
  await server.registerService({
    id: "pages", type: "functions", config: {visibility: "public"},
    index: (event) => ({status: 200, headers: {"Content-Type": "text/html"}, body: `<p>${event.method}`}),
    nested: {hello: (event) => ({body: new Uint8Array([1, 2, 3])})},
  }, {overwrite: true});
"""


@pytest.mark.spec("core-H6")
async def test_a_page_serves_http_and_websockets(page: Page, server: ServerProcess, alice: Person) -> None:
    await page.open(f"{server.url}/health/readiness")
    await page.run(LOAD_CLIENT, source=f"{server.url}/assets/hypha-rpc-websocket.js")
    await page.run(SERVE, url=server.url, token=alice.token)
    base = f"/{alice.workspace}/apps"
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with http.stream("POST", f"{base}/web/a/b", content=b"x" * 500_000) as answer:
            parts = [(part, loop.time() - start) async for part in answer.aiter_text()]
        assert "".join(part for part, _ in parts) == "POST /a/b 500000\nend"
        assert parts[-1][1] - parts[0][1] > 0.4
        answer = await http.get(f"{base}/pages/")
        assert (answer.text, answer.headers["content-type"]) == ("<p>GET", "text/html")
        assert (await http.get(f"{base}/pages/nested/hello")).content == bytes([1, 2, 3])
        assert (await http.get(f"{base}/pages/missing")).status_code == 404
    async with connect_socket(server.url.replace("http", "ws", 1) + f"{base}/web/socket") as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello!"
