"""Names and values of the metrics."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hypha.observe.metrics import Metrics, Reading, counts_of

NAMES = """websocket_connections websocket_connections_established_total
websocket_rate_limited_disconnects_total rpc_call_total client_requests_total client_load_current
redis_rpc_connections_created_total redis_rpc_connections_closed_total redis_rpc_active_connections
event_bus_total redis_pubsub_latency_seconds redis_eventbus_messages_processed_total
redis_eventbus_active_pubsub_connections redis_eventbus_pubsub_connections_created_total
redis_eventbus_pubsub_connections_closed_total redis_eventbus_patterns_subscribed_total
redis_eventbus_patterns_unsubscribed_total redis_eventbus_local_clients redis_eventbus_active_patterns
redis_eventbus_reconnect_attempts_total process_resident_memory_bytes python_info"""


@pytest.mark.spec("core-O1")
def test_every_name_that_existing_dashboards_use_is_there() -> None:
    text = Metrics().render().decode()
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert set(NAMES.split()) <= families


def test_values_are_read_when_scraped() -> None:
    @dataclass
    class Stats:
        frames_in: int = 0
        connections_total: int = 4

    stats = Stats()
    metrics = Metrics(
        lambda: Reading(
            {"websocket_connections": 2}, {("client_connected", "success"): 5}, counts_of(stats, "hub")
        )
    )
    stats.frames_in = 7
    text = metrics.render().decode()
    assert "websocket_connections 2.0" in text
    assert "hypha_hub_frames_in_total 7.0" in text
    assert "hypha_hub_connections_total 4.0" in text
    assert 'event_bus_total{event="client_connected",status="success"} 5.0' in text
