"""Names and values of the metrics, and how often they are made."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass

import pytest

from hypha.observe.metrics import PROCESS_FOR_S, TEXT_FOR_S, Metrics, Reading, counts_of
from tests.kit.clock import Clock

NAMES = """websocket_connections websocket_connections_established_total
websocket_rate_limited_disconnects_total rpc_call_total client_requests_total client_load_current
redis_rpc_connections_created_total redis_rpc_connections_closed_total redis_rpc_active_connections
event_bus_total redis_pubsub_latency_seconds redis_eventbus_messages_processed_total
redis_eventbus_active_pubsub_connections redis_eventbus_pubsub_connections_created_total
redis_eventbus_pubsub_connections_closed_total redis_eventbus_patterns_subscribed_total
redis_eventbus_patterns_unsubscribed_total redis_eventbus_local_clients redis_eventbus_active_patterns
redis_eventbus_reconnect_attempts_total process_resident_memory_bytes process_open_fds python_info"""


@dataclass
class Stats:
    frames_in: int = 0
    connections_total: int = 4


class Read:
    """Readings that are counted."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Reading:
        self.times += 1
        return Reading({"websocket_connections": self.times})


@pytest.mark.spec("core-O1")
async def test_every_name_that_existing_dashboards_use_is_there() -> None:
    text = (await Metrics().text()).decode()
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert set(NAMES.split()) <= families


async def test_values_are_read_when_scraped() -> None:
    stats = Stats()
    metrics = Metrics(
        lambda: Reading(
            {"websocket_connections": 2}, {("client_connected", "success"): 5}, counts_of(stats, "hub")
        )
    )
    stats.frames_in = 7
    text = (await metrics.text()).decode()
    assert "websocket_connections 2.0" in text
    assert "hypha_hub_frames_in_total 7.0" in text
    assert "hypha_hub_connections_total 4.0" in text
    assert 'event_bus_total{event="client_connected",status="success"} 5.0' in text


async def test_the_text_is_made_ten_times_a_second_at_most_whoever_asks() -> None:
    clock, read = Clock(), Read()
    metrics = Metrics(read, clock=clock)
    first = await asyncio.gather(*(metrics.text() for _ in range(50)))
    assert read.times == 1, "those who come together get one text"
    assert set(first) == {await metrics.text()}
    clock.advance(TEXT_FOR_S * 0.9)
    assert [await metrics.text() for _ in range(50)] == first
    assert read.times == 1
    clock.advance(TEXT_FOR_S * 0.2)
    assert b"websocket_connections 2.0" in await metrics.text()
    assert read.times == 2


async def test_descriptors_are_listed_seldom_and_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lists = Clock(), []
    listdir = os.listdir

    def counted(path: str) -> list[str]:
        lists.append(threading.current_thread())
        return listdir(path)

    monkeypatch.setattr("prometheus_client.process_collector.os.listdir", counted)
    metrics = Metrics(clock=clock)
    await asyncio.gather(*(metrics.text() for _ in range(20)))
    for _ in range(20):
        clock.advance(PROCESS_FOR_S / 25)
        assert b"process_open_fds " in await metrics.text()
    assert len(lists) == 1
    clock.advance(PROCESS_FOR_S)
    await metrics.text()
    assert len(lists) == 2
    assert threading.main_thread() not in lists


async def test_a_scrape_that_is_given_up_leaves_nothing_locked() -> None:
    metrics = Metrics(clock=Clock())
    given_up = asyncio.create_task(metrics.text())
    await asyncio.sleep(0)
    given_up.cancel()
    assert b"process_open_fds " in await asyncio.wait_for(metrics.text(), 5)
