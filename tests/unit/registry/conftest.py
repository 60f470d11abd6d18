"""Contexts and records of the registry's tests."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.auth.users import Context
from hypha.registry.index import Registry
from hypha.registry.records import Registrant, ServiceRecord, parse_registration
from tests.kit.registry import Register, make_context


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
