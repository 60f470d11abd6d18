"""Pages connect to no machine around the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import pytest

from hypha.networks import is_of_internet
from hypha.workers.base import WorkerConfig
from hypha.workers.browser.network import Gate, Network, is_private


class Page:
    """A page as the browser serves it: what is not passed by goes through the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def ask(self, url: str) -> str:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
        if host is None or host in self._gate.bypass or f"{host}:{port}" in self._gate.bypass:
            return "passed"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gate.port)
        name = host.encode()
        writer.write(b"\x05\x01\x00" + bytes((5, 1, 0, 3, len(name))) + name + port.to_bytes(2, "big"))
        answer = await reader.readexactly(2 + 10)
        writer.close()
        return {0: "passed", 2: "broken off"}[answer[3]]


@pytest.fixture(autouse=True)
def internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none here, and no server: whoever connects reaches nobody, and all is well."""
    connect = asyncio.open_connection

    async def open_connection(host: str, port: int, **more: Any) -> Any:
        if host == "127.0.0.1" and port != 9527:
            return await connect(host, port, **more)
        reader = asyncio.StreamReader()
        reader.feed_eof()
        return reader, MagicMock(asyncio.StreamWriter)

    monkeypatch.setattr("asyncio.open_connection", open_connection)


def config(public: str) -> WorkerConfig:
    return WorkerConfig(
        id="w/c", app_id="a", workspace="w", client_id="c", server_url="http://127.0.0.1:9527",
        artifact_id="w/a", manifest={}, public_base_url=public,
    )  # fmt: skip


GUARDED = "http://127.0.0.1:9527/x"


@contextlib.asynccontextmanager
async def guarded(target: str = GUARDED, **environment: str) -> AsyncIterator[Page]:
    network = Network(environment)
    gate = await network.gate(config("https://93.184.216.34"), target)
    assert gate is not None
    yield Page(gate)
    await gate.close()
    network.close()


@pytest.mark.parametrize(
    "address",
    ["http://10.0.0.1/", "http://169.254.169.254/meta", "http://[::1]:80/", "ws://192.168.1.1/", "http://localhost/",
     "http://2130706433/"],
)  # fmt: skip
async def test_private_machines_are_out_of_reach(address: str) -> None:
    async with guarded() as page:
        assert await page.ask(address) == "broken off"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9527/ws", "https://93.184.216.34/", "https://1.1.1.1/", "data:text/plain,a"]
)
async def test_the_server_and_the_internet_are_in_reach(address: str) -> None:
    async with guarded() as page:
        assert await page.ask(address) == "passed"


async def test_a_server_on_this_machine_does_not_take_pages_for_its_proxy() -> None:
    came: asyncio.Queue[str] = asyncio.Queue()

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.put_nowait(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    network = Network({})
    own = config("https://93.184.216.34").model_copy(update={"server_url": address})
    gate = await network.gate(own, f"{address}/page")
    assert gate is not None and address.removeprefix("http://") not in gate.proxy["bypass"]
    assert await Page(gate).ask(address) == "passed"
    assert await came.get() not in ("127.0.0.1", "::1")
    await gate.close()
    network.close()
    server.close()


async def test_named_hosts_are_in_reach() -> None:
    named = {"HYPHA_BROWSER_PRIVATE_HOSTS": "10.0.0.1, lab"}
    async with guarded(**named) as page:
        assert await page.ask("http://10.0.0.1/") == "passed"


async def test_a_page_on_a_private_machine_is_not_opened() -> None:
    with pytest.raises(ValueError, match="HYPHA_BROWSER_PRIVATE_HOSTS"):
        async with guarded("http://192.168.0.1/"):
            pass


async def test_beside_a_server_on_a_private_address_nothing_is_kept_away() -> None:
    network = Network({})
    assert await network.gate(config("http://127.0.0.1:9527"), GUARDED) is None
    network.close()


async def test_other_ports_of_the_servers_machine_are_out_of_reach() -> None:
    async with guarded() as page:
        assert await page.ask("http://127.0.0.1:9528/") == "broken off"


async def test_a_name_with_one_private_address_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", (address, 0)) for address in ("1.1.1.1", "10.0.0.1")]
    async with guarded() as page:
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
        assert await page.ask("http://two.example/") == "broken off"


async def test_too_many_connections_of_a_page_and_other_protocols_are_closed() -> None:
    network = Network({})
    gate = await network.gate(config("https://93.184.216.34"), GUARDED)
    assert gate is not None
    opened = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(64)]
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    assert await reader.read() == b""
    opened[0][1].write(b"GET http://10.0.0.1/ HTTP/1.1\r\n" + b"x" * 100)
    assert await opened[0][0].read() == b"\x05\x00"
    await gate.close()
    assert await opened[1][0].read() == b""
    for _, each in (*opened, (reader, writer)):
        each.close()
    network.close()


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1", "::ffff:10.0.0.1", "::7f00:1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe", "fec0::1", "224.0.0.1", "ff0e::1",
    ],
)  # fmt: skip
def test_addresses_that_lead_to_private_ones_are_private_as_are_those_of_groups(address: str) -> None:
    assert is_private(address) and not is_of_internet(address)


@pytest.mark.parametrize("address", ["64:ff9b::101:101", "2002:101:101::1", "2606:4700::1111"])
def test_addresses_that_lead_into_the_internet_are_of_it(address: str) -> None:
    assert not is_private(address) and is_of_internet(address)


def test_what_is_private() -> None:
    private = ("127.0.0.1", "10.1.1.1", "fe80::1%eth0", "::1", "100.64.0.1", "0.0.0.0")
    assert all(map(is_private, private)) and not is_private("1.1.1.1")
