"""Several replicas in one test that share a real Redis, which is emptied before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from hypha.bus.redis import RedisBus
from hypha.presence.redis import RedisPresence
from hypha.redis.link import read_uri
from hypha.testing import eventually
from tests.kit.deployments import Deployment, Listener, MemoryDeployment
from tests.kit.redis import RedisServer


@contextlib.asynccontextmanager
async def deployed(request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    """Replicas for a fixture with parameters: in memory, or on a server that another fixture starts."""
    if request.param == "memory":
        yield MemoryDeployment()
        return
    deployment = await RedisDeployment(request.getfixturevalue(request.param)).begin()
    try:
        yield deployment
    finally:
        await deployment.close()


class RedisDeployment(Deployment):
    """Replicas in this process. Time passes for leases by letting them end so much earlier."""

    lease_s = 60.0

    def __init__(self, server: RedisServer) -> None:
        self._pool = read_uri(server.uri)
        self._redis = Redis.from_url(server.uri)
        self._opened: list[RedisPresence | RedisBus] = []
        self._buses: dict[str, RedisBus] = {}

    async def begin(self) -> RedisDeployment:
        """Forget what was there."""
        await self._redis.flushall()
        return self

    async def ask(self, *words: str) -> object:
        """Ask Redis something."""
        return await self._redis.execute_command(*words)

    async def keys(self) -> list[str]:
        """All that is in Redis."""
        return sorted(key.decode() for key in await self._redis.keys())

    async def presence(self, replica: str) -> RedisPresence:
        presence = RedisPresence(self._pool, replica, f"facts of {replica}".encode(), self.lease_s)
        self._opened.append(presence)
        await presence.open()
        return presence

    async def bus(self, receiver: Listener) -> RedisBus:
        bus = RedisBus(self._pool, receiver.replica, receiver)
        self._opened.append(bus)
        self._buses[receiver.replica] = bus
        await bus.open()
        return bus

    async def lose(self, one: str, other: str) -> None:
        bus = self._buses[one]
        bus.link.drop()
        await eventually(lambda: not bus.link.is_up, within_s=30, interval_s=0)
        await eventually(lambda: bus.link.is_up, within_s=30, interval_s=0.001)

    async def pass_time(self, seconds: float) -> None:
        for replica in await self._redis.zrange("hypha:expiry", 0, -1):
            await self._redis.zincrby("hypha:expiry", -seconds * 1000, replica)

    async def settle(self) -> None:
        quiet_rounds = 0
        while quiet_rounds < 3:  # what is heard may be answered
            quiet_rounds += 1
            for member in self._opened:
                await member.flush()
            for member in self._opened:
                while member.is_hearing and not await self._has_heard(member):
                    quiet_rounds = 0
                    await asyncio.sleep(0.001)

    async def _has_heard(self, member: RedisPresence | RedisBus) -> bool:
        found = await self._redis.xrevrange(member.stream, count=1)
        return not found or _place(found[0][0]) <= _place(member.heard)

    async def close(self) -> None:
        for member in self._opened:
            await member.close()
        await self._redis.aclose()


def _place(text: bytes) -> tuple[int, ...]:
    return tuple(map(int, text.split(b"-")))
