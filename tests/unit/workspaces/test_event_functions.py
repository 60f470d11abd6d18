"""Subscribing to events, and the event log."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import HyphaError, InvalidRequest, NotFound, PermissionDenied
from hypha.workspaces.functions_events import EventFunctions, parse_event_names, parse_time
from hypha.workspaces.parts import Parts
from tests.unit.workspaces.conftest import FakeHub, refused


@pytest.mark.spec("core-M10", "wire-41")
@pytest.mark.parametrize(
    "name",
    ["other/x", "ws-user-other/x", "ws-user-other", "ws-user-other:x", "*/x", "/x", "ws-user-mee:x",
     "ws-user-mee/x", "ws-user-me-2:x", "ws-", "w2/x/ws-user-me"],
)  # fmt: skip
def test_names_of_other_workspaces_are_forbidden(name: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        parse_event_names(["fine", name], "ws-user-me")
    assert f"Subscription to event '{name}' is forbidden" in refused(caught)


@pytest.mark.parametrize(
    "name",
    ["service_added", "my-event", "ws-user-me", "ws-user-me/x", "ws-user-me:x", "topic:x", "a.b", "wsx"],
)
def test_free_names_are_fine(name: str) -> None:
    assert parse_event_names(name, "ws-user-me") == [name]


@pytest.mark.parametrize("names", [None, 5, "", [], [""], [5], [["x"]], ["x"] * 1001, {"x": 1}])
def test_wrong_names_are_refused(names: Any) -> None:
    with pytest.raises(HyphaError):
        parse_event_names(names, "w")


async def test_subscribing_and_unsubscribing(parts: Parts, hub: FakeHub) -> None:
    events, client = EventFunctions(parts), hub.join("w/a")
    assert await events.subscribe(["x", "y"], context=client.context) is True
    assert client.subscriptions == {"x", "y"}
    assert await events.unsubscribe("x", context=client.context) is True
    assert client.subscriptions == {"y"}


async def test_callers_without_a_connection_cannot_subscribe(parts: Parts, hub: FakeHub) -> None:
    client = hub.join("w/a")
    del hub.clients["w/a"]
    with pytest.raises(NotFound) as caught:
        await EventFunctions(parts).subscribe("x", context=client.context)
    assert "Connection not found for client w/a" in refused(caught)


@pytest.mark.spec("core-M8")
@pytest.mark.parametrize("name", ["a b", "a\tb", "a\nb"])
async def test_event_types_must_not_contain_spaces(parts: Parts, hub: FakeHub, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await EventFunctions(parts).log_event(name, context=hub.join("w/a").context)
    assert "Event type must not contain spaces" in refused(caught)


def test_times_are_read_as_naive_utc() -> None:
    time = parse_time("2024-05-01T12:00:00+02:00")
    assert time is not None and time.isoformat() == "2024-05-01T10:00:00"
    assert parse_time(None) is None
    for wrong in ("yesterday", 5, {}):
        with pytest.raises(InvalidRequest):
            parse_time(wrong)
