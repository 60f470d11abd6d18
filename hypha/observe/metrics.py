"""Prometheus metrics, read from plain integers at scrape time.

Nothing on the hot path touches a metric object: the server counts in plain integers, and this
module turns them into the names that dashboards of this kind of server know, and into ours. Labels never
hold names of workspaces, clients or services of users.

Anybody may ask for them as often as they like, and with thousands of clients they take long to make. So
the text is kept for a moment, and what the system tells of the process is asked seldom and in a thread: it
lists every open descriptor.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

TEXT_FOR_S = 0.1
PROCESS_FOR_S = 5.0

_COUNTERS = {
    "websocket_connections_established": "Connections accepted since the start",
    "websocket_rate_limited_disconnects": "Connections closed for sending too fast (never, by default)",
    "rpc_call": "Calls routed or handled",
    "client_requests": "Frames received from clients",
    "redis_rpc_connections_created": "Client connections opened",
    "redis_rpc_connections_closed": "Client connections closed",
    "redis_eventbus_messages_processed": "Messages taken from the bus between replicas",
    "redis_eventbus_pubsub_connections_created": "Subscriptions of the bus opened",
    "redis_eventbus_pubsub_connections_closed": "Subscriptions of the bus closed",
    "redis_eventbus_patterns_subscribed": "Patterns subscribed at the bus",
    "redis_eventbus_patterns_unsubscribed": "Patterns unsubscribed at the bus",
    "redis_eventbus_reconnect_attempts": "Attempts to reach the bus again",
}
_GAUGES = {
    "websocket_connections": "Connections open now",
    "client_load_current": "Frames per second over the last minute",
    "redis_rpc_active_connections": "Clients connected now",
    "redis_eventbus_active_pubsub_connections": "Subscriptions of the bus open now",
    "redis_eventbus_local_clients": "Clients of this replica known to the bus",
    "redis_eventbus_active_patterns": "Patterns subscribed at the bus now",
}


@dataclass(slots=True)
class Reading:
    """Values at one moment: metric name (without `_total`) to number.

    `events` maps (event type, status) to how often it was published; `counts` are our own counters
    by short name, exported as `hypha_<name>_total`, and `levels` our own gauges, as `hypha_<name>`.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)


def counts_of(stats: object, prefix: str) -> dict[str, float]:
    """Every integer of a dataclass of counters, under `<prefix>_<field>`."""
    if not dataclasses.is_dataclass(stats):
        raise TypeError("counts_of expects a dataclass of counters")
    return {
        f"{prefix}_{item.name.removesuffix('_total')}": getattr(stats, item.name)
        for item in dataclasses.fields(stats)
        if isinstance(getattr(stats, item.name), int)
    }


class _ServerCollector(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        reading = self._read()
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=reading.values.get(name, 0))
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(name, text, value=reading.values.get(name, 0))
        events = CounterMetricFamily("event_bus", "Server events published", labels=["event", "status"])
        for labels, count in (reading.events or {("service_added", "success"): 0}).items():
            events.add_metric(labels, count)
        yield events
        for name, value in reading.counts.items():
            yield CounterMetricFamily(f"hypha_{name}", name.replace("_", " "), value=value)
        for name, value in reading.levels.items():
            yield GaugeMetricFamily(f"hypha_{name}", name.replace("_", " "), value=value)


class _ProcessCollector(Collector):
    """What was found out last about the process; nothing is asked when it is collected."""

    def __init__(self) -> None:
        self._system = ProcessCollector(registry=None)
        self._found: list[Metric] = []

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return self._found

    def look(self) -> None:
        """Find it out anew; takes long with many descriptors."""
        self._found = list(self._system.collect())


class Metrics:
    """All metrics of one server, in a registry of its own. `clock` counts seconds."""

    def __init__(
        self, read: Callable[[], Reading] = Reading, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.registry = CollectorRegistry()
        self._process = _ProcessCollector()
        self.registry.register(self._process)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_ServerCollector(read))
        self.bus_latency = Histogram(
            "redis_pubsub_latency_seconds", "Round trip through the bus", registry=self.registry
        )
        self._clock = clock
        self._text = b""
        self._text_until = self._process_until = clock()
        self._look = asyncio.Lock()

    content_type = CONTENT_TYPE_LATEST

    async def text(self) -> bytes:
        """The text that a Prometheus server scrapes: 0.1 s old at most, about the process 5 s."""
        if self._clock() < self._text_until:
            return self._text
        async with self._look:
            if self._clock() >= self._process_until:
                await asyncio.to_thread(self._process.look)
                self._process_until = self._clock() + PROCESS_FOR_S
        if self._clock() >= self._text_until:  # else others waited too, and one has made it
            self._text = generate_latest(self.registry)
            self._text_until = self._clock() + TEXT_FOR_S
        return self._text
