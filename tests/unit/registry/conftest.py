"""Contexts and records of the registry's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.registry.index import Registry
from hypha.registry.records import Registrant, ServiceRecord, parse_registration

MakeContext = Callable[..., Context]
Register = Callable[..., ServiceRecord]


def make_context(
    workspace: str = "w", client: str = "me", level: Level = Level.ADMIN, **more: Level
) -> Context:
    """A caller in a workspace with a level there; `more` gives levels elsewhere."""
    user = User(f"user-of-{workspace}", scope=Scope({workspace: level, **more}, workspace, client))
    return Context(user, workspace, client)


@pytest.fixture
def member() -> Context:
    """A caller in workspace `w`."""
    return make_context()


@pytest.fixture
def stranger() -> Context:
    """A caller of another workspace without any right in `w`."""
    return make_context("elsewhere", "guest")


@pytest.fixture
def registry() -> Registry:
    """An empty registry."""
    return Registry()


@pytest.fixture
def register(registry: Registry) -> Register:
    """Register `workspace/client:name` with a config; returns the stored record."""

    def _register(service_id: str, *, config: dict[str, Any] | None = None, **info: Any) -> ServiceRecord:
        workspace, rest = service_id.split("/")
        client, name = rest.split(":")
        who = Registrant(workspace, client, f"user-of-{workspace}")
        registry.add(parse_registration({"id": service_id, "config": config or {}, **info}, who))
        stored = registry.get(workspace, client, name)
        assert stored is not None
        return stored

    return _register
