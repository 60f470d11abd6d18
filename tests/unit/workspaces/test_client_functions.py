"""Listing, pinging and cleaning up clients."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.scopes import Level
from hypha.errors import PermissionDenied
from hypha.registry.roster import LocalRoster, Present
from hypha.workspaces.functions_clients import ClientFunctions
from hypha.workspaces.parts import Parts
from tests.kit.manager import FakeHub, refused


@pytest.fixture
def clients(parts: Parts) -> ClientFunctions:
    return ClientFunctions(parts)


def pong(method: str, args: Any) -> str:
    return "pong"


@pytest.mark.spec("wire-37")
async def test_members_list_clients_with_their_users(clients: ClientFunctions, hub: FakeHub) -> None:
    reader = hub.join("w/b", Level.READ)
    hub.join("w/a")
    hub.join("x/c")
    found = await clients.list_clients(context=reader.context)
    assert [entry["id"] for entry in found] == ["w/a", "w/b"]
    assert found[0]["user"]["id"] == "user-a"


async def test_clients_of_other_replicas_are_listed_too(
    clients: ClientFunctions, parts: Parts, hub: FakeHub
) -> None:
    reader, elsewhere = hub.join("w/b", Level.READ), hub.join("w/a")
    del hub.clients["w/a"]

    class Everywhere(LocalRoster):
        async def of(self, workspace: str) -> Sequence[Present]:
            return [*await super().of(workspace), *([elsewhere] if workspace == "w" else [])]

    parts.selection.roster = Everywhere(hub)  # type: ignore[arg-type]
    assert [entry["id"] for entry in await clients.list_clients(context=reader.context)] == ["w/a", "w/b"]


@pytest.mark.spec("core-11.1.19")
async def test_strangers_do_not_list_clients(clients: ClientFunctions, hub: FakeHub) -> None:
    hub.join("w/a")
    with pytest.raises(PermissionDenied) as caught:
        await clients.list_clients("w", context=hub.join("x/c").context)
    assert refused(caught) == "PermissionError: Permission denied for workspace w"


@pytest.mark.spec("core-M9", "wire-37")
@pytest.mark.parametrize(
    ("target", "timeout", "expected"),
    [
        ("alive", 5, "pong"),
        ("w/alive", 5, "pong"),
        ("nobody", 1, "Failed to ping client w/nobody: "),
        ("silent", 0.01, "Failed to ping client w/silent: no answer within 0.01 s"),
        ("x/far", 1, "Failed to ping client x/far: Permission denied"),
        ("alive", "x", "Failed to ping client w/alive: "),
        (None, 1, "Failed to ping client w/None: "),
    ],
)
async def test_ping_never_raises(
    clients: ClientFunctions, hub: FakeHub, target: Any, timeout: Any, expected: str
) -> None:
    for address in ("w/alive", "w/silent", "x/far"):
        hub.join(address)
    hub.answers = {"w/alive": pong, "x/far": pong}
    answer = await clients.ping(target, timeout, context=hub.clients["w/alive"].context)
    assert answer.startswith(expected)


@pytest.mark.spec("core-M13")
async def test_cleanup_removes_silent_clients(clients: ClientFunctions, hub: FakeHub) -> None:
    admin = hub.join("w/admin")
    hub.join("w/dead")
    hub.join("x/dead")
    hub.answers["w/admin"] = pong
    assert await clients.cleanup(timeout=0.01, context=admin.context) == {"removed_clients": ["w/dead"]}
    assert await clients.cleanup(timeout=0.01, context=admin.context) == {}
    assert hub.kicked == ["w/dead"]


async def test_cleanup_spares_a_client_that_came_back(clients: ClientFunctions, hub: FakeHub) -> None:
    admin, other = hub.join("w/admin"), hub.join("w/other")
    hub.answers["w/admin"] = pong

    def resumes(method: str, args: Any) -> Any:
        other.generation += 1
        raise TimeoutError

    hub.answers["w/other"] = resumes
    assert await clients.cleanup(timeout=1, context=admin.context) == {}
    assert hub.kicked == []


@pytest.mark.parametrize("workspace", [None, "w", "y"])
async def test_cleanup_needs_admin_there(
    clients: ClientFunctions, hub: FakeHub, workspace: str | None
) -> None:
    caller = hub.join("w/a", Level.READ_WRITE, y=Level.READ)
    with pytest.raises(PermissionDenied) as caught:
        await clients.cleanup(workspace, context=caller.context)
    assert f"Permission denied for workspace {workspace or 'w'}, user: user-a" in refused(caught)


async def test_summary_counts_clients_and_services(parts: Parts, hub: FakeHub) -> None:
    async def require(workspace: str) -> Any:
        return SimpleNamespace(name=workspace, description="A place")

    parts.tenancy = SimpleNamespace(workspaces=SimpleNamespace(require=require))  # type: ignore[assignment]
    member = hub.join("w/a", Level.READ)
    hub.join("w/b")
    summary = await ClientFunctions(parts).get_summary(context=member.context)
    assert summary == {
        "name": "w",
        "description": "A place",
        "client_count": 2,
        "clients": ["w/a", "w/b"],
        "service_count": 0,
        "services": [],
        "limits": {},
    }
