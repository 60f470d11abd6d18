"""Finds HTTP streams whose client is gone although its network says nothing.

See docs/spec/wire-protocol.md#http-streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hypha.errors import HyphaError
from hypha.transports.http_stream import StreamLink

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.transports.reception import Ping

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """When the client of a stream is asked for life, and when it is given up."""

    idle_threshold_s: float
    """One that has sent nothing for so long is asked."""
    sweep_interval_s: float
    """How often all are looked at."""
    ping_timeout_s: float
    """How long it may take to answer."""
    max_misses: int
    """How often in a row it may fail to."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.stream_idle_threshold_s,
            settings.stream_sweep_interval_s,
            settings.stream_ping_timeout_s,
            settings.stream_max_ping_misses,
        )


class StreamWatch:
    """Asks clients that have long sent nothing over HTTP, and ends the streams of those that are silent.

    Args:
        ping: asks one of them.
        answers_pings: True for clients that host `built-in` and so can answer.
    """

    def __init__(
        self, hub: Hub, limits: WatchLimits, ping: Ping, answers_pings: Callable[[Client], bool]
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._ping = ping
        self._answers_pings = answers_pings

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(max(self._limits.sweep_interval_s, 0.1))
            await self.look()

    async def look(self) -> None:
        """Ask every idle stream's client once."""
        gate = asyncio.Semaphore(MOST_AT_ONCE)

        async def ask(client: Client, link: StreamLink) -> None:
            async with gate:
                await self._ask(client, link)

        since = self._hub.time() - self._limits.idle_threshold_s
        async with asyncio.TaskGroup() as group:
            for client in self._hub.clients.live():
                link = client.connection
                if not isinstance(link, StreamLink) or client.last_received > since:
                    continue
                if self._answers_pings(client):
                    group.create_task(ask(client, link))

    async def _ask(self, client: Client, link: StreamLink) -> None:
        try:
            await self._ping(client.address, self._limits.ping_timeout_s)
        except HyphaError:
            link.misses += 1
            if link.misses >= self._limits.max_misses and client.connection is link:
                logger.info("Stream of %s is dead: %d pings went unanswered", client.address, link.misses)
                link.abort()
        else:
            link.misses = 0
