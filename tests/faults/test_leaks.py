"""Promise: clients that come, work and die leave nothing behind, on any transport."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from hypha.testing import CrowdClient, RawClient, ServerProcess, eventually
from hypha.testing.rawclient import pack, unpack
from tests.kit.clients import StartServer
from tests.kit.people import Person, make_person

AT_ONCE = 20
COUNT_OBJECTS = """
import asyncio, collections, ctypes, gc, json
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
kinds = collections.Counter(type(each).__name__ for each in gc.get_objects())
found = {"tasks": len(asyncio.all_tasks()), "objects": kinds.total(), "kinds": kinds}
print(json.dumps(found))
"""


def hello() -> str:
    return "hello"


@dataclass
class Holdings:
    """What a server holds after collecting its garbage."""

    objects: int
    tasks: int
    handles: int
    rss_bytes: int
    kinds: dict[str, int]

    def grown(self, before: Holdings) -> str:
        """What there is more of, for the log."""
        more = {name: count - before.kinds.get(name, 0) for name, count in self.kinds.items()}
        most = sorted(more.items(), key=lambda entry: -entry[1])[:5]
        return (
            f"objects {self.objects - before.objects:+d} {most}, tasks {self.tasks - before.tasks:+d}, "
            f"handles {self.handles - before.handles:+d}, "
            f"memory {(self.rss_bytes - before.rss_bytes) / 1e6:+.1f} MB"
        )


class Cycles:
    """Clients with an id of their own each, that connect, register, call and are gone."""

    def __init__(self, own: ServerProcess, root: RawClient, terminal: dict[str, Any]) -> None:
        self.own = own
        self.person: Person = make_person(own, "alice")
        self._root = root
        self._terminal = terminal
        self._process = psutil.Process(own.pid)
        self._http = httpx.AsyncClient()

    async def websocket(self, number: int) -> None:
        """One client of `/ws`, cut off or leaving in order."""
        client = await CrowdClient.connect(self.own.ws_url, token=self.person.token)
        await client.offer("svc", {"hello": hello})
        await client.call_manager("subscribe", ["news"])
        assert await client.call(client.address, "services.svc.hello") == "hello"
        client.drop() if number % 2 else client.leave()

    async def stream(self, number: int) -> None:
        """One client of `/rpc`; the end of a stream is always a cut."""
        url, name = f"{self.own.url}/rpc", f"stream-{uuid.uuid4().hex[:12]}"
        async with self._http.stream("GET", url, params={"client_id": name}) as response:
            pieces = response.aiter_raw()
            info = unpack((await anext(pieces))[4:]).main
            where = {"client_id": name, "workspace": info["workspace"]}
            service = {
                "id": f"{info['workspace']}/{name}:svc",
                "name": "svc",
                "type": "generic",
                "config": {},
            }
            main = {
                "type": "method",
                "to": f"*/{info['manager_id']}",
                "method": "services.default.register_service",
                "session": "s",
            }
            body = pack(main, {"args": [service], "promise": "*", "t": 5.0})
            answer = await self._http.post(url, params=where, content=body)
            assert answer.status_code == 200
            assert b"s.resolve" in await anext(pieces)

    async def plain_http(self, number: int) -> None:
        """One call on a connection of its own, some cut off before the answer."""
        host, port = self.own.host, self.own.port
        reader, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST /{self.person.workspace}/services/callee:svc/hello HTTP/1.1\r\nhost: {host}\r\n"
            f"authorization: Bearer {self.person.token}\r\ncontent-length: 2\r\n\r\n{{}}"
        )
        writer.write(head.encode())
        await writer.drain()
        if number % 3:
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert await reader.readuntil(b'"hello"')
        writer.transport.abort()

    async def run(self, cycle: Callable[[int], Awaitable[None]], count: int) -> None:
        """So many cycles, some at once."""
        numbers = iter(range(count))

        async def loop() -> None:
            for number in numbers:
                await cycle(number)

        headers = {"Authorization": f"Bearer {self.person.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as self._http:
            await asyncio.gather(*(loop() for _ in range(AT_ONCE)))

    async def holdings(self) -> Holdings:
        """Look inside the server, once every client that left is forgotten."""

        async def are_forgotten() -> bool:
            listed = await self._root.call_manager("list_clients", self.person.workspace)
            return [entry["id"] for entry in listed] == [f"{self.person.workspace}/callee"]

        await eventually(are_forgotten, within_s=30, interval_s=0.2, what="all clients to be forgotten")
        found = await self._look()

        async def are_still() -> bool:
            nonlocal found
            before, found = found, await self._look()
            return found.objects >= before.objects

        await eventually(are_still, within_s=60, interval_s=2, what="timers that hold objects to run out")
        return found

    async def _look(self) -> Holdings:
        answer = await self._root.call(
            self._terminal["_rtarget"], self._terminal["_rmethod"], COUNT_OBJECTS, timeout_s=30
        )
        self._root.frames.clear()
        found = json.loads(answer["output"])
        rss_bytes = self._process.memory_info().rss
        return Holdings(found["objects"], found["tasks"], self._process.num_fds(), rss_bytes, found["kinds"])


@contextlib.asynccontextmanager
async def _cycles(start_server: StartServer) -> Any:
    env = {
        "HYPHA_RESUME_WINDOW": "1",
        "HYPHA_HOLD_TIME": "0.5",
        "HYPHA_HTTP_AUTHENTICATED_BURST_LIMIT": "1e6",
    }
    own = await start_server(flags=["--enable-admin-terminal"], env=env)
    async with await RawClient.connect(own.ws_url, token=own.root_token) as root:
        admin = await root.call_manager("get_service", "ws-user-root/admin-utils")
        cycles = Cycles(own, root, admin["execute_command"])
        callee = await CrowdClient.connect(own.ws_url, token=cycles.person.token, client_id="callee")
        await callee.offer("svc", {"hello": hello})
        yield cycles
        callee.drop()


TRANSPORTS = ["websocket", "stream", "plain_http"]


@pytest.mark.timeout(120)
@pytest.mark.spec("faults-F15")
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_clients_that_came_and_went_leave_nothing(start_server: StartServer, transport: str) -> None:
    await _check(start_server, transport, warm_up=300, count=1000)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.spec("faults-F15")
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ten_thousand_clients_that_came_and_went_leave_nothing(
    start_server: StartServer, transport: str
) -> None:
    await _check(start_server, transport, warm_up=2_000, count=10_000)


async def _check(start_server: StartServer, transport: str, warm_up: int, count: int) -> None:
    async with _cycles(start_server) as cycles:
        cycle = getattr(cycles, transport)
        await cycles.run(cycle, warm_up)
        before = await cycles.holdings()
        await cycles.run(cycle, count)
        after = before

        async def objects_returned() -> bool:
            nonlocal after
            after = await cycles.holdings()
            return after.objects < before.objects + max(1000, count // 10)

        try:  # the last streams end by themselves, a little later
            await eventually(
                objects_returned, within_s=20, interval_s=2, what="all but caches that fill to go"
            )
        finally:
            print(f"{count} cycles over {transport}: {after.grown(before)}")
        assert after.tasks <= before.tasks + 2
        assert after.handles <= before.handles + 5
        assert after.rss_bytes < before.rss_bytes + 8e6
