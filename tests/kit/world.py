"""A hub with fake links and a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgpack

from hypha.auth.scopes import Level
from hypha.auth.users import Context, anonymous_user
from hypha.builtins.service import BuiltinService
from hypha.hub.client import Client
from hypha.hub.connection import LinkKind
from hypha.hub.hub import Hub, HubLimits
from hypha.hub.service_peer import ServicePeer
from hypha.settings import Settings
from hypha.wire.frames import Frame, payload
from tests.frames import decode


class FakeLink:
    """A link that keeps what is written; the test says what arrived."""

    kind = LinkKind.WEBSOCKET
    peer_address = "127.0.0.1"
    farewell_s: float | None = None

    def __init__(self, acknowledges: bool = True) -> None:
        self.acknowledges = acknowledges
        self.frames: list[dict[str, Any]] = []
        self.pings: list[bytes] = []
        self.controls: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.pauses = 0
        self.buffered = 0
        self._some = asyncio.Event()

    def send_frame(self, frame: Frame) -> None:
        if len(frame) > 1_000_000:
            return
        main, extra = decode(payload(frame))
        self.frames.append({**main, **extra})
        self._some.set()

    async def arrived(self) -> None:
        """Wait until there is a frame that the test hasn't taken."""
        if not self.frames:
            self._some.clear()
            await self._some.wait()

    def send_control(self, message: dict[str, Any]) -> None:
        self.controls.append(message)

    def send_ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.closed = (1006, "aborted")

    @property
    def paused(self) -> bool:
        return self.pauses > 0

    def pause_reading(self) -> None:
        self.pauses += 1

    def resume_reading(self) -> None:
        self.pauses -= 1

    def buffered_bytes(self) -> int:
        return self.buffered

    def methods(self) -> list[str]:
        return [frame.get("method", frame["type"]) for frame in self.frames]


class FakeMembership:
    """Writes down what the hub reports."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def services_end(self, client: Client) -> None:
        self.log.append(f"services end {client.client_id}")

    def client_ended(self, client: Client) -> None:
        self.log.append(f"ended {client.client_id}")

    def may_call(self, sender: Client, target: Client, method: str) -> bool:
        return not method.startswith("services.secret.")

    def may_follow(self, caller: Context, target: Client, method: str) -> bool:
        return method.startswith("services.own.")


class World:
    """A hub, shorthands for what clients do, and the clock: its time jumps, timers run in real time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.log: list[str] = []
        self.loop = asyncio.get_running_loop()
        self.hub = Hub("manager-x", HubLimits.from_settings(Settings(ack_interval_s=0.1)), self)
        self.hub.upcalls.membership = FakeMembership(self.log)

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], /, *args: Any) -> asyncio.Handle:
        return self.loop.call_soon(callback, *args)

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: Any) -> asyncio.Handle:
        return self.loop.call_later(delay, callback, *args)

    def join(
        self, client_id: str, workspace: str = "w", level: Level = Level.ADMIN
    ) -> tuple[Client, FakeLink]:
        link = FakeLink()
        user = anonymous_user().within(workspace, client_id, level)
        client = self.hub.join(workspace, client_id, user, None, link)
        self.hub.resume.open(client)
        return client, link

    def add_manager(self, *services: BuiltinService) -> ServicePeer:
        """Put a manager with these services on the wire; who asks for it closes it."""
        peer = ServicePeer(self.hub.peer_ports, f"*/{self.hub.manager_id}", "http://h")
        for service in services:
            peer.services.add(service)
        self.hub.peers.add_manager(peer)
        return peer

    def rejoin(self, client: Client) -> FakeLink:
        link = FakeLink()
        self.hub.rejoin(client, link)
        return link

    def lose(self, client: Client, code: int = 1006) -> None:
        assert client.connection is not None
        self.hub.resume.lost(client, client.connection, code)

    def call(
        self,
        sender: Client,
        to: str,
        session: str | None = "S",
        method: str = "services.s.f",
        t: float = 15.0,
    ) -> None:
        main: dict[str, Any] = {"type": "method", "from": sender.address, "to": to, "method": method}
        if session is not None:
            main["session"] = session
        self.send(sender, main, {"args": [1], "promise": "*", "t": t})

    def answer(self, sender: Client, to: str, session: str = "S", name: str = "resolve") -> None:
        main = {"type": "method", "from": sender.address, "to": to, "method": f"{session}.{name}"}
        self.send(sender, {**main, "parent": session}, {"args": [2]})

    def send(self, sender: Client, main: dict[str, Any], extra: dict[str, Any] | None = None) -> None:
        data = msgpack.packb(main) + (msgpack.packb(extra) if extra is not None else b"")
        self.hub.route(sender, data)

    def pong(self, client: Client, link: FakeLink) -> None:
        self.hub.acknowledgement.pong(client, link.pings[-1])

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.hub.pulse.beat()


class Pair:
    """A sender and a receiver in another workspace."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sender, self.back = world.join("x", "other")
        self.receiver, self.link = world.join("b")

    def call(self, function: str, *args: Any, by: Client | None = None, **body: Any) -> bool:
        """Call a function of the receiver's cache; True if the call reached it."""
        sender, before = by or self.sender, len(self.link.frames)
        method = f"services.built-in.message_cache.{function}"
        main = {"type": "method", "from": sender.address, "to": "w/b", "method": method, "session": "S"}
        self.world.send(sender, main, {"args": list(args), "promise": "*", **body})
        return len(self.link.frames) > before

    def send(self, data: bytes, size: int, key: str = "k", order: list[int] | None = None) -> bool:
        """Send a message as the libraries do; True if the receiver was told to process it."""
        chunks = [data[begin : begin + size] for begin in range(0, len(data), size)]
        if not self.call("create", key, False):
            return False
        for index in order or range(len(chunks)):
            if not self.call("set", key, index, chunks[index], False):
                return False
        return self.call("process", key, False)
