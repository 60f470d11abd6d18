"""A hub of which only what the manager asks is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.errors import HyphaError, NotDelivered


@dataclass(eq=False)
class FakeClient:
    workspace: str
    client_id: str
    user: User
    generation: int = 1
    is_live: bool = True
    load_per_min: float = 0.0
    subscriptions: set[str] = field(default_factory=set)
    ended: bool = False
    told: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    @property
    def address(self) -> str:
        return f"{self.workspace}/{self.client_id}"

    @property
    def context(self) -> Context:
        return Context(self.user, self.workspace, self.client_id)


class FakeClients(dict[str, FakeClient]):
    """Clients by address."""

    def of(self, workspace: str) -> list[FakeClient]:
        return [client for client in self.values() if client.workspace == workspace]

    def everywhere(self, workspace: str) -> list[FakeClient]:
        return self.of(workspace)


class FakeEvents:
    """The events published, and who subscribed to what."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, Any]] = []

    def publish(self, workspace: str, kind: str, data: Any) -> None:
        self.published.append((workspace, kind, data))

    def subscribe(self, client: FakeClient, names: Iterable[str]) -> None:
        client.subscriptions |= set(names)

    def unsubscribe(self, client: FakeClient, names: Iterable[str]) -> None:
        client.subscriptions -= set(names)


class FakeHub:
    """Clients, the events published, and what the manager called at whom."""

    def __init__(self) -> None:
        self.clients = FakeClients()
        self.events = FakeEvents()
        self.kept: list[str] = []
        self.kicked: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[str, Callable[[str, Sequence[Any]], Any]] = {}

    def join(self, address: str, level: Level = Level.ADMIN, **more: Level) -> FakeClient:
        workspace, client_id = address.split("/")
        scope = Scope({workspace: level, **more}, workspace, client_id)
        user = User(f"user-{client_id}", email=f"{client_id}@example.org", scope=scope)
        client = self.clients[address] = FakeClient(workspace, client_id, user)
        return client

    def client(self, workspace: str, client_id: str) -> FakeClient | None:
        return self.clients.get(f"{workspace}/{client_id}")

    async def keep_subscriptions(self, client: Any) -> None:
        self.kept.append(client.address)

    def kick(self, client: FakeClient, code: int, reason: str) -> None:
        self.kicked.append(client.address)
        del self.clients[client.address]

    async def call(
        self,
        target: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        context: Context | None = None,
    ) -> Any:
        self.calls.append((target, method))
        if target not in self.clients:
            raise NotDelivered(f"Target peer {target} is not connected")
        await asyncio.sleep(0)
        answer = self.answers.get(target)
        if answer is None:
            await asyncio.sleep(3600)
        assert answer is not None
        return answer(method, args)

    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.events.published]


def info(
    client: FakeClient, name: str, *, config: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """What the client library sends to register a service."""
    return {
        "id": f"{client.address}:{name}",
        "name": name,
        "type": "generic",
        "description": None,
        "docs": None,
        "app_id": "*",
        "config": {"workspace": client.workspace, **(config or {})},
        "service_schema": {"echo": {"type": "function", "function": {"name": "echo"}}},
        **more,
    }


def refused(caught: pytest.ExceptionInfo[HyphaError]) -> str:
    """The text that an RPC caller reads, free of what makes the clients repeat a call."""
    text = caught.value.rpc_text
    for phrase in (
        "Peer",
        "Method expired",
        "Method not found",
        "Session not found",
        "Connection was closed",
    ):
        assert phrase not in text
    return text


async def level_in_token(user: User, workspace: str) -> Level:
    """What `Workspaces.level_in` says where nobody owns anything."""
    return user.level(workspace)
