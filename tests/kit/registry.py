"""Callers, and how tests register services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.registry.records import Registrant, ServiceRecord, parse_registration

MakeContext = Callable[..., Context]
Register = Callable[..., ServiceRecord]


def make_context(
    workspace: str = "w", client: str = "me", level: Level = Level.ADMIN, **more: Level
) -> Context:
    """A caller in a workspace with a level there; `more` gives levels elsewhere."""
    user = User(f"user-of-{workspace}", scope=Scope({workspace: level, **more}, workspace, client))
    return Context(user, workspace, client)


WHO = Registrant("w", "c", "user-1")


def record(number: int, size: int = 0, **more: Any) -> ServiceRecord:
    info = {
        "id": f"w/c:svc-{number}",
        "name": f"Service {number}",
        "description": "d",
        "service_schema": {"hello": {"type": "function", "function": {"name": "hello", "parameters": {}}}},
        "docs": "x" * size,
        **more,
    }
    return parse_registration(info, WHO)


def size_of(infos: Any) -> int:
    return len(msgpack.packb(infos))
