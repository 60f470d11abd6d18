"""Where pages of apps may connect to: not to the machines around the server.

A page is code of somebody else that runs inside the operator's network. It reaches the server and the
internet; addresses of this machine and of private networks only where the operator names their hosts, or
where the server itself is reached under such an address, as while developing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Route

    from hypha.workers.base import WorkerConfig

HOSTS_VARIABLE = "HYPHA_BROWSER_PRIVATE_HOSTS"
"""Names of hosts on private addresses, with commas, to which pages may connect all the same."""


def is_private(address: str) -> bool:
    """Whether an address is not one of the internet."""
    return not ip_address(address.partition("%")[0]).is_global


async def _addresses(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(entry[4][0]) for entry in found]


async def reaches_private(host: str) -> bool:
    """Whether a host, by address or by name, is one of a private network; false where it has no address."""
    return any(map(is_private, await _addresses(host)))


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").lower()


async def guard_network(
    context: BrowserContext, environment: Mapping[str, str], config: WorkerConfig, target: str
) -> None:
    """Break off what a context asks of machines that it has no business with.

    What the page itself is must not be private either, unless it is the server's.
    """
    public = str(config.public_base_url or config.server_url)
    if await reaches_private(_host(public)):
        return
    named = {word.strip().lower() for word in environment.get(HOSTS_VARIABLE, "").split(",")}
    allowed = frozenset({_host(config.server_url), _host(public), *named} - {""})
    known: dict[str, bool] = {}

    async def is_refused(address: str) -> bool:
        host = _host(address)
        if host not in known:
            known[host] = await reaches_private(host)
        return known[host]

    if _host(target) not in allowed and await is_refused(target):
        raise ValueError(
            f"The page is on a private address: the operator has to name its host in {HOSTS_VARIABLE}."
        )
    await context.route(lambda address: _is_foreign(address, allowed), partial(_pass, is_refused))
    await context.route_web_socket(
        lambda address: _is_foreign(address, allowed), partial(_pass_socket, is_refused)
    )


def _is_foreign(address: str, allowed: frozenset[str]) -> bool:
    return urlsplit(address).scheme in ("http", "https", "ws", "wss") and _host(address) not in allowed


async def _pass(is_refused: Any, route: Route) -> None:
    if await is_refused(route.request.url):
        await route.abort("accessdenied")
    else:
        await route.fallback()


async def _pass_socket(is_refused: Any, socket: Any) -> None:
    if await is_refused(socket.url):
        await socket.close(code=1008, reason="private address")
    else:
        socket.connect_to_server()
