"""The records of the store as the rest of the server sees them; plain values, no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """A tenant: who owns it, how it is called, whether it lasts (docs/spec/manager.md#workspaces).

    `owners` holds user ids or e-mail addresses; `created_by` is the person behind the creator (the
    first ancestor of a child token), against whose quota it counts; `created_at` is Unix time.
    """

    id: str
    name: str = ""
    description: str = ""
    owners: tuple[str, ...] = ()
    persistent: bool = False
    read_only: bool = False
    icon: str | None = None
    covers: Any = None
    docs: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)
    created_by: str | None = None
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A workspace or service that a user has marked in the own workspace."""

    bookmark_type: str
    id: str
    name: str = ""
    description: str = ""
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ServiceType:
    """A named shape that services can be checked against; `id` is without its workspace."""

    id: str
    name: str = ""
    definition: Any = None
    description: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    docs: Any = None


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry of a workspace's event log; `timestamp` is Unix time."""

    id: int
    event_type: str
    workspace: str
    user_id: str
    timestamp: float
    data: Any
