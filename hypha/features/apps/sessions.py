"""Running apps: what is known of each session, and how many there may be."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from hypha.auth.users import Context
from hypha.errors import NotFound, QuotaExceeded
from hypha.registry.records import ServiceRecord

Key = TypeVar("Key")


class Status(StrEnum):
    """Where a session is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    """It gets no more calls, and is stopped once it has answered those that it has."""
    STOPPED = "stopped"
    """Its program has ended; its log can still be read."""


@dataclass(eq=False, slots=True)
class Session:
    """One running copy of an app.

    `starter` is who started it: its worker is called in that name. `token_mark` and `token_until` are by what
    its token is revoked (Unix time, s).
    """

    app_id: str
    client_id: str
    starter: Context
    worker: ServiceRecord
    app_type: str
    manifest: dict[str, Any]
    version: str | None = None
    wait_for_service: str | None = None
    stop_after_inactive_s: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    status: Status = Status.STARTING
    created_at: float = field(default_factory=time.time)
    services: list[dict[str, Any]] = field(default_factory=list)
    service_id: str | None = None
    logs: dict[str, Any] | None = None
    token_mark: str = ""
    token_until: float = 0.0
    revision: str = ""
    """Which one of the app it is, where nobody asked for the start: it reads no files of another."""
    timeout_s: float = 60.0
    """What a start of it may take."""
    active_at: float = field(default_factory=time.monotonic)
    """When its program was last seen to do something, or to be asked (`time.monotonic`)."""
    has_connected: bool = False
    """Whether the client of a daemon was seen."""
    is_trial: bool = False
    """Whether it only shows that an app can be installed: nobody shares it."""
    starting: asyncio.Task[Session] | None = None
    """What starts it, until it runs."""

    @property
    def workspace(self) -> str:
        """Where it runs."""
        return self.starter.workspace

    @property
    def id(self) -> str:
        """`workspace/client_id`."""
        return f"{self.workspace}/{self.client_id}"

    @property
    def person(self) -> str:
        """For whom it counts."""
        return self.starter.user.person

    @property
    def is_detached(self) -> bool:
        """Whether it is a script of which nobody waits for a service."""
        return self.wait_for_service is None

    @property
    def outlives_client(self) -> bool:
        """Whether its client is expected to come back."""
        return self.manifest.get("daemon") is True or self.manifest.get("worker_managed") is True

    def shown(self) -> dict[str, Any]:
        """The session as callers get it, with the same types everywhere."""
        manifest = self.manifest
        shown = {
            "id": self.id,
            "session_id": self.id,
            "app_id": self.app_id,
            "workspace": self.workspace,
            "client_id": self.client_id,
            "app_type": self.app_type,
            "entry_point": manifest.get("entry_point"),
            "name": manifest.get("name"),
            "description": manifest.get("description"),
            "version": self.version,
            "source_hash": manifest.get("source_hash"),
            "worker_id": self.worker.id,
            "daemon": manifest.get("daemon") is True,
            "worker_managed": manifest.get("worker_managed") is True,
            "services": [dict(each) for each in self.services],
            "config": dict(self.config),
            "status": self.status.value,
            "created_at": self.created_at,
        }
        if self.service_id is not None:
            shown["service_id"] = self.service_id
        if self.logs is not None:
            shown["logs"] = dict(self.logs)
        return shown


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions there may be; 0: any number."""

    total: int
    workspace: int
    person: int


class Sessions:
    """All sessions of this server, found by id, workspace and worker."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._by_id: dict[str, Session] = {}
        self._by_workspace: dict[str, dict[str, Session]] = {}
        self._by_worker: dict[tuple[str, str], dict[str, Session]] = {}
        self._persons: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, session: Session) -> None:
        """Count one more.

        Raises:
            QuotaExceeded: the server, the workspace or the person has too many.
        """
        limits = self._limits
        for used, most, whose in (
            (len(self._by_workspace.get(session.workspace, ())), limits.workspace, "this workspace"),
            (self._persons[session.person], limits.person, "you"),
            (len(self._by_id), limits.total, "this server"),
        ):
            if 0 < most <= used:
                have = "have" if whose == "you" else "has"
                raise QuotaExceeded(
                    f"Session quota exceeded: {whose} {have} {used} sessions of apps (max {most}). "
                    "Stop one first."
                )
        self._by_id[session.id] = session
        self._by_workspace.setdefault(session.workspace, {})[session.id] = session
        self._by_worker.setdefault(_worker_of(session), {})[session.id] = session
        self._persons[session.person] += 1

    def remove(self, session: Session) -> bool:
        """Forget a session; False if that was done already."""
        if self._by_id.get(session.id) is not session:
            return False
        del self._by_id[session.id]
        _drop(self._by_workspace, session.workspace, session.id)
        _drop(self._by_worker, _worker_of(session), session.id)
        self._persons[session.person] -= 1
        if not self._persons[session.person]:
            del self._persons[session.person]
        return True

    def has(self, session: Session) -> bool:
        """Whether a session is still there."""
        return self._by_id.get(session.id) is session

    def find(self, session_id: str) -> Session | None:
        """The session of an id."""
        return self._by_id.get(session_id)

    def get(self, session_id: object) -> Session:
        """The session of an id.

        Raises:
            NotFound: there is none.
        """
        found = self._by_id.get(session_id) if isinstance(session_id, str) else None
        if found is None:
            raise NotFound(f"Server app instance not found: {str(session_id)[:600]}")
        return found

    def of(self, workspace: str) -> list[Session]:
        """The sessions of a workspace, the oldest first."""
        return list(self._by_workspace.get(workspace, {}).values())

    def of_app(self, workspace: str, app_id: str) -> list[Session]:
        """Those of one app."""
        return [session for session in self.of(workspace) if session.app_id == app_id]

    def of_worker(self, workspace: str, client_id: str) -> Iterable[Session]:
        """Those that run on a client's workers."""
        return list(self._by_worker.get((workspace, client_id), {}).values())

    def workers(self) -> list[tuple[str, str]]:
        """Workspaces and ids of the clients whose workers run some."""
        return list(self._by_worker)

    def all(self) -> list[Session]:
        """All of them."""
        return list(self._by_id.values())


def _drop(index: dict[Key, dict[str, Session]], key: Key, session_id: str) -> None:
    bucket = index[key]
    del bucket[session_id]
    if not bucket:
        del index[key]


def _worker_of(session: Session) -> tuple[str, str]:
    return session.worker.workspace, session.worker.client_id
