"""Subscribing to events."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import HyphaError, NotFound, PermissionDenied
from hypha.workspaces.functions_events import EventFunctions, parse_event_names
from hypha.workspaces.parts import Parts
from tests.kit.manager import FakeHub, refused


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
    assert hub.kept == ["w/a", "w/a"]


async def test_callers_without_a_connection_cannot_subscribe(parts: Parts, hub: FakeHub) -> None:
    client = hub.join("w/a")
    del hub.clients["w/a"]
    with pytest.raises(NotFound) as caught:
        await EventFunctions(parts).subscribe("x", context=client.context)
    assert "Connection not found for client w/a" in refused(caught)
