"""The fault proxy does what its modes say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hypha.testing import Direction, FaultProxy, eventually
from hypha.testing.proxy import FaultScript


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[tuple[FaultProxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """An echo server, a proxy before it, and a connection through both."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with FaultProxy(url) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        yield proxy, reader, writer
        writer.close()
    server.close()


async def test_bytes_pass_unchanged() -> None:
    async with echo_behind_proxy() as (_, reader, writer):
        data = bytes(range(256)) * 4096
        writer.write(data)
        assert await asyncio.wait_for(reader.readexactly(len(data)), 5) == data


async def test_cut_ends_the_link() -> None:
    async with echo_behind_proxy() as (proxy, reader, _):
        assert proxy.cut_all() == 1
        assert await asyncio.wait_for(reader.read(), 2) == b""
        assert proxy.open_links == []


async def test_reset_is_seen_as_a_reset() -> None:
    async with echo_behind_proxy() as (proxy, reader, _):
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 2)


async def test_end_of_one_side_ends_the_other() -> None:
    async with echo_behind_proxy() as (proxy, _, writer):
        writer.close()
        await eventually(lambda: proxy.open_links == [], within_s=3)


async def test_stalled_link_holds_bytes_until_it_heals() -> None:
    async with echo_behind_proxy() as (proxy, reader, writer):
        link = proxy.open_links[0]
        link.stall()
        writer.write(b"later")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(5), 0.2)
        link.heal()
        assert await asyncio.wait_for(reader.readexactly(5), 2) == b"later"


async def test_lost_bytes_of_one_direction_never_come() -> None:
    async with echo_behind_proxy() as (proxy, reader, writer):
        proxy.open_links[0].lose(Direction.DOWN)
        writer.write(b"never")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(5), 0.2)
        assert proxy.open_links[0].up.forwarded_bytes == 10


async def test_delay_holds_bytes_back() -> None:
    async with echo_behind_proxy() as (proxy, reader, writer):
        proxy.open_links[0].slow(delay_s=0.1)
        start = time.monotonic()
        writer.write(b"slow!")
        await reader.readexactly(5)
        assert time.monotonic() - start >= 0.19


async def test_throttle_limits_the_rate() -> None:
    async with echo_behind_proxy() as (proxy, reader, writer):
        proxy.open_links[0].slow(Direction.UP, rate_bytes_per_s=100_000)
        start = time.monotonic()
        writer.write(b"x" * 30_000)
        await asyncio.wait_for(reader.readexactly(30_000), 5)
        assert 0.25 <= time.monotonic() - start < 2


async def test_refusing_proxy_accepts_again() -> None:
    async with echo_behind_proxy() as (proxy, _, _):
        proxy.accepts = False
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 2)
        writer.close()
        proxy.accepts = True
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a")
        assert await asyncio.wait_for(reader.readexactly(1), 2) == b"a"
        writer.close()


async def test_script_of_one_seed_breaks_the_same_things() -> None:
    histories = []
    for _ in range(2):
        async with echo_behind_proxy() as (proxy, _, _):
            script = FaultScript({"one": proxy}, seed=5, gap_s=0.05)
            await script.run(0.2)
            histories.append([(kind, name) for _, kind, name in script.history])
    assert histories[0] == histories[1] and len(histories[0]) >= 1
