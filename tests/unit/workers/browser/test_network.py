"""Pages connect to no machine around the server."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.workers.base import WorkerConfig
from hypha.workers.browser.network import guard_network, is_private


class Held:
    """A request, or the opening of a WebSocket, that the browser has held up."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.request = self
        self.did = ""

    async def abort(self, reason: str) -> None:
        self.did = "broken off"

    async def fallback(self) -> None:
        self.did = "passed"

    async def close(self, code: int, reason: str) -> None:
        self.did = "broken off"

    def connect_to_server(self) -> None:
        self.did = "passed"


class Context:
    def __init__(self) -> None:
        self.routes: list[Any] = []

    async def route(self, matches: Any, handle: Any) -> None:
        self.routes.append((matches, handle))

    route_web_socket = route

    async def ask(self, url: str) -> str:
        held = Held(url)
        matches, handle = self.routes[url.startswith("ws")]
        if not matches(url):
            return "passed"
        await handle(held)
        return held.did


def config(public: str) -> WorkerConfig:
    return WorkerConfig(
        id="w/c", app_id="a", workspace="w", client_id="c", server_url="http://127.0.0.1:9527",
        artifact_id="w/a", manifest={}, public_base_url=public,
    )  # fmt: skip


async def guarded(target: str = "http://127.0.0.1:9527/x", **environment: str) -> Context:
    context: Any = Context()
    await guard_network(context, environment, config("https://93.184.216.34"), target)
    return context  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "address",
    ["http://10.0.0.1/", "http://169.254.169.254/meta", "http://[::1]:80/", "ws://192.168.1.1/", "http://localhost/",
     "http://2130706433/"],
)  # fmt: skip
async def test_private_machines_are_out_of_reach(address: str) -> None:
    assert await (await guarded()).ask(address) == "broken off"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9527/ws", "https://93.184.216.34/", "https://1.1.1.1/", "data:text/plain,a"]
)
async def test_the_server_and_the_internet_are_in_reach(address: str) -> None:
    assert await (await guarded()).ask(address) == "passed"


async def test_named_hosts_are_in_reach() -> None:
    named = {"HYPHA_BROWSER_PRIVATE_HOSTS": "10.0.0.1, lab"}
    assert await (await guarded(**named)).ask("http://10.0.0.1/") == "passed"


async def test_a_page_on_a_private_machine_is_not_opened() -> None:
    with pytest.raises(ValueError, match="HYPHA_BROWSER_PRIVATE_HOSTS"):
        await guarded("http://192.168.0.1/")


async def test_beside_a_server_on_a_private_address_nothing_is_kept_away() -> None:
    context: Any = Context()
    await guard_network(context, {}, config("http://127.0.0.1:9527"), "http://127.0.0.1:9527/x")
    assert context.routes == []


def test_what_is_private() -> None:
    private = ("127.0.0.1", "10.1.1.1", "fe80::1%eth0", "::1", "100.64.0.1", "0.0.0.0")
    assert all(map(is_private, private)) and not is_private("1.1.1.1")
