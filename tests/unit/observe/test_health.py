"""Readiness and the operator's report."""

from __future__ import annotations

from hypha.observe.health import Health, State


def test_a_server_is_ready_after_its_start_and_while_all_checks_pass() -> None:
    health = Health()
    assert health.readiness()[0] is False
    health.is_ready = True
    is_ok, body = health.readiness()
    assert (is_ok, body["status"]) == (True, "OK")
    assert {"store", "redis", "event_bus", "pubsub"} <= set(body["detail"])
    health.add_check("store", lambda: State(False, "disk full"))
    is_ok, body = health.readiness()
    assert (is_ok, body["detail"]["store"], health.status()) == (False, "disk full", "WARNING")


async def test_the_report_counts_connections() -> None:
    health = Health(
        connections=lambda: {"active": 3, "total_created": 5, "total_closed": 2}, clock=lambda: 4.0
    )
    health.is_ready = True
    report = health.report()
    assert report["connections"]["active"] == 3
    assert report["uptime_seconds"] == 0.0
    assert report["memory"]["rss_mb"] > 1
