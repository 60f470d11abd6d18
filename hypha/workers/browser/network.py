"""Where pages of apps may connect to: not to the machines around the server.

A page is code of somebody else that runs inside the operator's network. It reaches the server and the
internet; addresses of this machine and of private networks only where the operator names their hosts, or
where the server itself is reached under such an address, as while developing.

The browser makes all other connections through a gate, which looks at the address that it then connects to:
redirects, WebSockets and names that change their address lead nowhere else. A server on this machine is
reached through it, too, from another address than that of the proxy before the server, whose word is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from hypha.workers.base import WorkerConfig

HOSTS_VARIABLE = "HYPHA_BROWSER_PRIVATE_HOSTS"
"""Names of hosts on private addresses, with commas, to which pages may connect all the same."""
_LOOKUP_THREADS, _LOOKUPS_OF_PAGE = 4, 2
_CONNECTIONS = 64
"""Of one page at the same time; the browser itself opens no more than half of them for requests."""
_CONNECT_S = 20.0
_PIECE_BYTES = 64 * 1024
_PAGES_ADDRESS = "127.1.0.1"
"""From here pages reach a server on this machine, which must not take them for its proxy at 127.0.0.1."""
_TRANSLATED = int(IPv6Address("64:ff9b::")) >> 32
_DONE, _REFUSED, _UNREACHABLE = 0, 2, 4
"""Answers to a wish to connect (RFC 1928, 6)."""


class PrivateAddress(ValueError):
    """A host is on a private network."""


def is_private(address: str) -> bool:
    """Whether an address is not that of a machine of the internet; as `hypha.networks.is_of_internet` has it.

    What an IPv6 address leads to by way of a translator counts as the address itself.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.is_site_local:
            return True
        found = _led_to(found)
    return not found.is_global or found.is_multicast


def _led_to(found: IPv6Address) -> IPv4Address | IPv6Address:
    """The address behind one that a translator leads elsewhere (RFC 4291, 6052, 3056, 4380), else itself."""
    if int(found) >> 32 in (0, 0xFFFF, _TRANSLATED):
        return IPv4Address(int(found) & 0xFFFF_FFFF)
    return found.sixtofour or (found.teredo[1] if found.teredo else found)


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").lower()


def _endpoint(address: str) -> str:
    """Host and port of an address, as the browser compares them."""
    parts = urlsplit(address)
    host = f"[{_host(parts)}]" if ":" in _host(parts) else _host(parts)
    return f"{host}:{parts.port or (443 if parts.scheme in ('https', 'wss') else 80)}"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host.lower()}:{port}"


def _is_of_this_machine(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Network:
    """Who may connect to what, for all pages of a worker; its threads look up names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        words = (word.strip().lower() for word in environment.get(HOSTS_VARIABLE, "").split(","))
        self._named = [word for word in words if word]
        self._pool = ThreadPoolExecutor(_LOOKUP_THREADS, "browser-names")

    async def gate(self, config: WorkerConfig, target: str) -> Gate | None:
        """A gate for a page; None beside a server that people reach at a private address.

        Raises:
            ValueError: the page itself is on a private address that nobody named.
        """
        public = str(config.public_base_url or config.server_url)
        if await self._is_private(public):
            return None
        servers = [*dict.fromkeys(map(_endpoint, (config.server_url, public)))]
        inner = frozenset(each for each in servers if _is_of_this_machine(each))
        gate = Gate(self, [*(each for each in servers if each not in inner), *self._named], inner)
        is_near = _endpoint(target) in (*inner, *gate.bypass) or _host(urlsplit(target)) in gate.bypass
        if not is_near and await self._is_private(target):
            raise ValueError(
                f"The page is on a private address: the operator has to name its host in {HOSTS_VARIABLE}."
            )
        await gate.open()
        return gate

    async def _is_private(self, address: str) -> bool:
        try:
            await self.address_of(_host(urlsplit(address)))
        except PrivateAddress:
            return True
        except OSError:
            pass  # it has no address, so nothing is reached
        return False

    async def address_of(self, host: str) -> str:
        """An address of a host in the internet.

        Raises:
            PrivateAddress: it has others, too. OSError: it has none.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._pool, _look_up, host)
        if any(map(is_private, found)):
            raise PrivateAddress(host)
        return found[0]

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Gate:
    """A proxy on this machine (SOCKS 5, RFC 1928) for one page, which connects to the internet alone.

    Args:
        bypass: hosts, with a port or for all, that are in reach whatever their addresses are; the browser
            connects to them by itself, as far as it can.
        inner: servers on this machine, with their ports, to which it connects in the name of pages.
    """

    def __init__(self, network: Network, bypass: list[str], inner: frozenset[str] = frozenset()) -> None:
        self.bypass = bypass
        self.inner = inner
        self._network = network
        self._lookups = asyncio.Semaphore(_LOOKUPS_OF_PAGE)
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def proxy(self) -> dict[str, str]:
        """How a browser context is told of it. By itself a browser takes this machine for near."""
        bypass = ",".join(("<-loopback>", *self.bypass))
        return {"server": f"socks5://127.0.0.1:{self.port}", "bypass": bypass}

    async def close(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if len(self._open) <= _CONNECTIONS:
                await self._pass_on(reader, writer)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.CancelledError):
            pass  # one of the two is gone, or speaks something else
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_CONNECT_S):
            host, port = await _wish(reader, writer)
            try:
                far_reader, far_writer = await self._connected(host, port)
            except PrivateAddress:
                await _answer(writer, _REFUSED)
                return
            except OSError:
                await _answer(writer, _UNREACHABLE)
                return
        try:
            await _answer(writer, _DONE)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()

    async def _connected(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if _joined(host, port) in self.inner:
            with contextlib.suppress(OSError):  # the server has IPv6 alone, or the system no such address
                return await asyncio.open_connection(host, port, local_addr=(_PAGES_ADDRESS, 0))
            return await asyncio.open_connection(host, port)
        return await asyncio.open_connection(await self._address(host, port), port)

    async def _address(self, host: str, port: int) -> str:
        if host.lower() in self.bypass or _joined(host, port) in self.bypass:
            return host
        async with self._lookups:
            return await self._network.address_of(host)


async def _wish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """Read to where the browser wishes to connect.

    Raises:
        ValueError: it is something else than SOCKS 5, or another wish. EOFError: it has left.
    """
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(b"\x05\x00")  # without a password
    _, command, _, kind = await reader.readexactly(4)
    if version != 5 or command != 1:
        raise ValueError("only connections by SOCKS 5")
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
    else:
        family = socket.AF_INET if kind == 1 else socket.AF_INET6
        host = socket.inet_ntop(family, await reader.readexactly(4 if kind == 1 else 16))
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _answer(writer: asyncio.StreamWriter, code: int) -> None:
    writer.write(bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0)))
    await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE_BYTES):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
