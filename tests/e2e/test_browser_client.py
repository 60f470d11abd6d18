"""The unmodified JavaScript client in a real browser, loaded from the server."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.testing import FaultProxy, ServerProcess, eventually
from tests.e2e.chromium import LOAD_CLIENT, Page
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


CONNECT = """
  const config = {server_url: args.url, token: args.token, client_id: "browser", transport: args.transport};
  state.server = await hyphaWebsocketClient.connectToServer(config);
  await state.server.registerService({
    id: "page",
    title: () => document.title,
    echo: (value) => value,
    add: (a, b) => a + b,
    numbers: async function* (n) { for (let i = 0; i < n; i++) yield i; },
  }, {overwrite: true});
  return state.server.config.workspace;
"""


async def _load(page: Page, url: str) -> None:
    await page.open(f"{url}/health/readiness")
    source = f"{url}/assets/hypha-rpc-websocket.js"
    assert await page.run(LOAD_CLIENT, source=source) == "function"


@pytest.mark.spec("core-H12", "wire-2", "wire-15", "wire-24")
@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_browser_registers_is_called_and_calls(
    page: Page, server: ServerProcess, connect: Connect, alice: Person, transport: str
) -> None:
    await _load(page, server.url)
    workspace = await page.run(CONNECT, url=server.url, token=alice.token, transport=transport)
    assert workspace == alice.workspace
    python = await connect(alice, client_id="python")
    service = await python.get_service("browser:page")
    assert await service.add(1, 2) == 3
    assert await service.echo({"a": [1, None, "🦉"]}) == {"a": [1, None, "🦉"]}
    assert await service.echo(b"x" * 1_000_000) == b"x" * 1_000_000
    assert [n async for n in await service.numbers(3)] == [0, 1, 2]
    await python.register_service({"id": "svc", "greet": lambda name: f"hello {name}", "size": len})
    seen = await page.run(
        """
        const svc = await state.server.getService("python:svc");
        return [await svc.greet("page"), await svc.size(new Uint8Array(1000000))];
        """
    )
    assert seen == ["hello page", 1_000_000]
    await page.run("await state.server.disconnect();")


@pytest.mark.spec("core-H12")
async def test_module_build_of_the_client_loads_too(page: Page, server: ServerProcess) -> None:
    await page.open(f"{server.url}/health/readiness")
    kind = await page.run(
        """
        const client = await import(args.source);
        return typeof (client.connectToServer || client.hyphaWebsocketClient.connectToServer);
        """,
        source=f"{server.url}/assets/hypha-rpc-websocket.mjs",
    )
    assert kind == "function"


@pytest.mark.spec("wire-42")
async def test_browser_comes_back_after_a_cut(page: Page, server: ServerProcess, connect: Connect) -> None:
    alice = make_person(server, "alice")
    async with FaultProxy(server.url) as proxy:
        await _load(page, server.url)
        await page.run(CONNECT, url=proxy.url, token=alice.token, transport="websocket")
        python = await connect(alice)
        service = await python.get_service("browser:page")
        assert await service.add(1, 1) == 2
        accepted = proxy.accepted
        proxy.cut_all()
        await eventually(lambda: proxy.accepted > accepted)
        assert await service.add(2, 2) == 4

        async def calls_work() -> Any:
            return await page.run("return await state.server.echo(7);") == 7

        await eventually(calls_work, within_s=10)
        await page.run("await state.server.disconnect();")


@pytest.mark.spec("core-H12")
async def test_page_of_another_origin_may_connect(page: Page, server: ServerProcess) -> None:
    async with FaultProxy(server.url) as other_origin:
        await page.open(f"{other_origin.url}/health/readiness")
        assert await page.run(LOAD_CLIENT, source=f"{server.url}/assets/hypha-rpc-websocket.js") == "function"
        user = await page.run(
            """
            const server = await hyphaWebsocketClient.connectToServer({server_url: args.url});
            const id = server.config.user.id;
            await server.disconnect();
            const health = await fetch(`${args.url}/public/services/`);
            return [id, health.status];
            """,
            url=server.url,
        )
        assert user[0].startswith("anonymouz-") and user[1] == 200
