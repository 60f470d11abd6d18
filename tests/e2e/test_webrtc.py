"""WebRTC between two real Python clients, which find each other through the server.

See docs/spec/wire-protocol.md#encryption.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from tests.e2e.chromium import LOAD_CLIENT, Page
from tests.kit.clients import Connect
from tests.kit.people import Person

pytest.importorskip("aiortc", reason="aiortc is not installed")

from aioice import stun  # type: ignore[import-untyped]
from hypha_rpc import get_rtc_service, register_rtc_service

pytestmark = pytest.mark.timeout(90)


class StunServer(asyncio.DatagramProtocol):
    """Tells everybody his own address, so that no other machine is asked."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = stun.parse_message(data)
        answer = stun.Message(
            message_method=message.message_method,
            message_class=stun.Class.RESPONSE,
            transaction_id=message.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = addr[:2]
        self.transport.sendto(bytes(answer), addr)


@pytest_asyncio.fixture(loop_scope="session")
async def ice() -> AsyncIterator[dict[str, Any]]:
    """Configuration with a STUN server of our own."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
    port = cast(tuple[str, int], transport.get_extra_info("sockname"))[1]
    yield {"ice_servers": [{"urls": [f"stun:127.0.0.1:{port}"]}]}
    transport.close()


@pytest.mark.spec("wire-54")
@pytest.mark.parametrize("where", ["same workspace", "other workspace"])
async def test_two_clients_connect_directly(
    connect: Connect, alice: Person, bob: Person, ice: dict[str, Any], where: str
) -> None:
    provider = await connect(alice, client_id="provider")
    config = {"visibility": "public"}
    await provider.register_service({"id": "direct", "config": config, "hello": lambda name: f"hello {name}"})
    shown = {"visibility": "public", "require_context": True, **ice}
    await register_rtc_service(provider, "direct-rtc", shown)
    is_same = where == "same workspace"
    caller = await connect(alice if is_same else bob, client_id="caller")
    peer = await get_rtc_service(caller, f"{alice.workspace}/provider:direct-rtc", dict(ice))
    try:
        service = await peer.get_service("direct")
        assert await service.hello("you") == "hello you"
        data = bytes(range(256)) * 256
        assert await service.hello(data.hex()) == f"hello {data.hex()}"
    finally:
        await peer.close()


@pytest.mark.spec("wire-54")
async def test_a_stranger_cannot_offer_to_a_protected_peer(
    connect: Connect, alice: Person, bob: Person, ice: dict[str, Any]
) -> None:
    provider = await connect(alice, client_id="provider")
    await register_rtc_service(provider, "closed-rtc", {"visibility": "protected", **ice})
    caller = await connect(bob)
    with pytest.raises(Exception, match="Permission denied"):
        await get_rtc_service(caller, f"{alice.workspace}/provider:closed-rtc", dict(ice))


RTC_IN_A_PAGE = """
  const ice = {ice_servers: [{urls: [args.stun]}]};
  const open = (token) => hyphaWebsocketClient.connectToServer({server_url: args.url, token});
  const provider = await open(args.provider);
  await provider.registerService(
    {id: "direct", config: {visibility: "public"}, hello: (name) => "hello " + name}, {overwrite: true});
  const shown = {visibility: "public", require_context: true, ...ice};
  await hyphaWebsocketClient.registerRTCService(provider, "page-rtc", shown);
  const caller = await open(args.caller);
  const id = provider.config.workspace + "/" + provider.config.client_id + ":page-rtc";
  const peer = await hyphaWebsocketClient.getRTCService(caller, id, {...ice});
  const service = await peer.getService("direct");
  return await service.hello("page");
"""


@pytest.mark.browser
@pytest.mark.spec("wire-54")
@pytest.mark.parametrize("where", ["same workspace", "other workspace"])
async def test_two_clients_in_a_browser_connect_directly(
    server: ServerProcess, alice: Person, bob: Person, ice: dict[str, Any], where: str
) -> None:
    async with Page() as page:
        await page.open(f"{server.url}/health/readiness")
        await page.run(LOAD_CLIENT, source=f"{server.url}/assets/hypha-rpc-websocket.js")
        caller = alice if where == "same workspace" else bob
        stun_url = ice["ice_servers"][0]["urls"][0]
        found = await page.run(
            RTC_IN_A_PAGE, url=server.url, provider=alice.token, caller=caller.token, stun=stun_url
        )
        assert found == "hello page"
