"""A hostile client: attacks on a server, each as fast as one process can.

`python -m tests.kit.hostile ATTACK URL --token T --victim WORKSPACE/CLIENT --seconds S` runs one and
prints what it got to see as JSON. Attack only servers of your own.

| attack | does |
|---|---|
| `frames` | sends damaged frames, some of them to the victim |
| `chunks` | sends messages in pieces that never end: WebSocket fragments, and the manager's message cache |
| `large` | sends very large messages to the server itself, and finishes them |
| `values` | sends frames of very many values to the server itself |
| `handshakes` | opens sockets that never send a head, or never a first message |
| `headers` | sends request heads without end |
| `registrations` | registers services without end |
| `tokens` | connects with forged and stolen credentials |
| `addresses` | calls the victim and sends it events under every form of its address |
| `answers` | asks and never reads the answers |
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson
from picows import WSError, WSMsgType

from hypha.testing.crowd import CrowdClient
from hypha.testing.proxy import reset_on_close
from hypha.testing.rawclient import RawCallError, pack

BURST = 200
OPEN_SOCKETS = 2000
_CACHE = "services.built-in.message_cache."
REFUSALS = (OSError, WSError, TimeoutError, RawCallError)


class Attack:
    """One attacker, who comes back whenever it is closed.

    Args:
        url: base URL of the server. token: its own credential. victim: address of another tenant's client.
        seconds: how long it goes on.
    """

    def __init__(self, url: str, token: str, victim: str, seconds: float) -> None:
        self.url = url.rstrip("/")
        self.ws_url = self.url.replace("http", "ws", 1) + "/ws"
        self.token = token
        self.victim = victim
        self.end = time.monotonic() + seconds
        self.seen: Counter[str] = Counter()
        self.chance = random.Random(1)

    @property
    def goes_on(self) -> bool:
        """True until the time is over."""
        return time.monotonic() < self.end

    async def run(self, name: str) -> dict[str, int]:
        """Attack until the end; how often what was done and refused."""
        act: Callable[[], Awaitable[None]] = getattr(self, f"attack_{name}")
        while self.goes_on:
            try:
                await act()
            except REFUSALS as error:
                self.seen[type(error).__name__] += 1
                await asyncio.sleep(0.01)
        return dict(self.seen)

    async def _client(self) -> CrowdClient:
        client = await CrowdClient.connect(self.ws_url, token=self.token)
        self.seen["connections"] += 1
        return client

    async def _flood(self, client: CrowdClient, make: Callable[[int], bytes]) -> None:
        """Send in bursts, as fast as the server reads."""
        numbers = itertools.count()
        while self.goes_on and not client.is_closed:
            for number in itertools.islice(numbers, BURST):
                client.send(make(number))
            self.seen["sent"] += BURST
            await client.drained()
        client.drop()

    async def attack_frames(self) -> None:
        """Damaged frames."""
        client = await self._client()
        main = {"type": "method", "from": client.address, "to": self.victim, "method": "services.svc.hello"}
        whole = pack({**main, "session": "S"}, {"args": ["x" * 50], "promise": "*", "t": 1.0})

        def damage(_number: int) -> bytes:
            data = bytearray(whole)
            for _ in range(self.chance.randint(1, 4)):
                data[self.chance.randrange(len(data))] = self.chance.randrange(256)
            return bytes(data)

        await self._flood(client, damage)

    async def attack_chunks(self) -> None:
        """Pieces of messages that never end."""
        client = await self._client()
        assert client.transport is not None
        with contextlib.suppress(RawCallError):
            await self._send_chunks(client, "endless", itertools.repeat(b"x" * 250_000, 300))
        client.transport.send(WSMsgType.BINARY, b"x" * 60_000, False)
        while self.goes_on and not client.is_closed:
            client.transport.send(WSMsgType.CONTINUATION, b"x" * 60_000, False)
            self.seen["fragments"] += 1
            await client.drained()
        client.drop()

    async def attack_large(self) -> None:
        """Large messages to the server itself, whole ones."""
        client = await self._client()
        main = {"type": "method", "from": client.address, "to": client.manager}
        main |= {"method": "services.default.echo", "session": "L"}
        message = pack(main, {"args": [bytes(64_000_000)], "promise": "*", "t": 5.0})
        parts = [message[begin : begin + 250_000] for begin in range(0, len(message), 250_000)]
        while self.goes_on and not client.is_closed:
            await self._send_chunks(client, "large", parts)
            await client.call(main["to"], f"{_CACHE}process", ["large"])
            self.seen["messages"] += 1
        client.drop()

    async def attack_values(self) -> None:
        """Frames of very many values, some more than are opened."""
        client = await self._client()
        main = {"type": "method", "from": client.address, "to": client.manager}
        main |= {"method": "services.built-in.ping", "session": "V"}
        frames = [
            pack(main, {"args": [[[]] * count], "promise": "*", "t": 5.0})
            for count in (7_000, 50_000, 15_000_000)
        ]
        while self.goes_on and not client.is_closed:
            for frame in frames:
                client.send(frame)
                self.seen["sent"] += 1
                await client.drained()
        client.drop()

    async def _send_chunks(self, client: CrowdClient, key: str, chunks: Iterable[bytes]) -> None:
        await client.call(client.manager, f"{_CACHE}create", [key])
        for chunk in chunks:
            await client.call(client.manager, f"{_CACHE}append", [key, chunk])
            self.seen["chunks"] += 1

    async def attack_handshakes(self) -> None:
        """Sockets that never get further."""
        parts = urlsplit(self.url)
        sockets: list[asyncio.StreamWriter] = []
        upgrade = (
            f"GET /ws HTTP/1.1\r\nhost: {parts.hostname}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        )
        try:
            while self.goes_on and len(sockets) < OPEN_SOCKETS:
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.write(upgrade.encode() + (b"\r\n" if len(sockets) % 2 else b""))
                sockets.append(writer)
                self.seen["sockets"] += 1
            await asyncio.sleep(max(0.0, min(2.0, self.end - time.monotonic())))
        finally:
            for number, writer in enumerate(sockets):
                if number % 4 < 2:  # half of them by a reset
                    reset_on_close(writer.get_extra_info("socket"))
                writer.transport.abort()

    async def attack_headers(self) -> None:
        """Heads of requests without end."""
        parts = urlsplit(self.url)
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        self.seen["connections"] += 1
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n")
        try:
            while self.goes_on:
                writer.write(b"x-more: " + b"y" * 1000 + b"\r\n")
                self.seen["headers"] += 1
                await writer.drain()
        finally:
            writer.transport.abort()

    async def attack_registrations(self) -> None:
        """Services without end."""
        client = await self._client()
        main = {
            "type": "method",
            "from": client.address,
            "to": client.manager,
            "method": "services.default.register_service",
        }

        def register(number: int) -> bytes:
            info = {"id": f"{client.address}:svc-{number}", "name": f"svc-{number}", "config": {}}
            return pack({**main, "session": f"R{number}"}, {"args": [info], "promise": "*", "t": 5.0})

        await self._flood(client, register)

    async def attack_tokens(self) -> None:
        """Forged and stolen credentials."""
        mine = await self._client()
        workspace = self.victim.partition("/")[0]
        stolen = mine.info["reconnection_token"]
        tries: list[dict[str, Any]] = [
            {"token": self.token[:-4] + "AAAA"},
            {"token": "junk"},
            {"token": self.token, "workspace": workspace},
            {"token": self.token, "reconnection_token": stolen, "client_id": self.victim.partition("/")[2]},
            {"token": self.token, "reconnection_token": stolen, "workspace": workspace},
        ]
        while self.goes_on:
            for first in tries:
                try:
                    client = await CrowdClient.connect(self.ws_url, **first)
                except ConnectionError:
                    self.seen["refused"] += 1
                else:
                    self.seen["admitted"] += client.info["workspace"] == workspace
                    client.drop()
        mine.drop()

    async def attack_addresses(self) -> None:
        """The victim under every form of its address."""
        client = await self._client()
        workspace, _, name = self.victim.partition("/")
        targets = [
            self.victim,
            f"{workspace}/*",
            f"{workspace}/../{name}",
            f"*/{name}",
            f"{workspace}//{name}",
        ]
        targets += [f" {self.victim}", f"{self.victim}:svc", f"{self.victim}/", "*/*", "*", "/", workspace]
        frames = [
            pack(
                {"type": kind, "to": to, **rest, "from": self.victim, "ws": workspace, "user": {"id": "root"}}
            )
            for to in targets
            for kind, rest in (
                ("method", {"method": "services.svc.hello", "session": "S"}),
                ("news", {"data": 1}),
                ("client_disconnected", {"data": {"id": name}}),
            )
        ]
        await self._flood(client, lambda number: frames[number % len(frames)])

    async def attack_answers(self) -> None:
        """Questions whose answers are never read."""
        client = await self._client()
        assert client.transport is not None
        client.transport.underlying_transport.pause_reading()
        ask = orjson.dumps({"type": "refresh_token"})
        while self.goes_on and not client.is_closed:
            for _ in range(BURST):
                client.transport.send(WSMsgType.TEXT, ask)
            self.seen["sent"] += BURST
            if client.transport.underlying_transport.get_write_buffer_size() > 1_000_000:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0)
        client.drop()


def main() -> None:
    """Run one attack from the command line."""
    parser = argparse.ArgumentParser(description="Attack a server of your own.")
    parser.add_argument("attack")
    parser.add_argument("url")
    parser.add_argument("--token", required=True)
    parser.add_argument("--victim", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    attack = Attack(options.url, options.token, options.victim, options.seconds)
    print(json.dumps(asyncio.run(attack.run(options.attack))))


if __name__ == "__main__":
    main()
