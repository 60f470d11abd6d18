"""Waiting until the program of a session offers what it is started for, or is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypha.errors import CallFailed, CallTimedOut

if TYPE_CHECKING:
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry
    from hypha.registry.records import ServiceRecord

LOOK_S = 0.25
"""Between two looks whether the program is still connected."""
GONE_S = 0.75
"""A program that is starting, and has been away for so long, is taken for dead."""
TIMED_OUT = "Application startup timed out"


class Awaited:
    """One program that is being started: what it offers wakes those who wait."""

    def __init__(self, workspace: str, client_id: str, name: str, worker: tuple[str, str]) -> None:
        self.workspace = workspace
        self.client_id = client_id
        self.name = name
        self.worker = worker
        """Workspace and client id of who runs it."""
        self.offered = asyncio.Event()
        self.lost = ""
        """Who is gone for good, if anybody is."""


class Waiting:
    """Hears of all services that are registered, and of clients that end."""

    def __init__(self, registry: Registry, hub: Hub) -> None:
        self._registry = registry
        self._hub = hub
        self._awaited: dict[tuple[str, str], set[Awaited]] = {}
        """By workspace and client id of the program."""
        self._workers: dict[tuple[str, str], set[Awaited]] = {}
        """By those of the worker."""

    def service_added(self, record: ServiceRecord) -> None:
        """A service was registered."""
        for awaited in self._awaited.get((record.workspace, record.client_id), ()):
            if awaited.name == record.name:
                awaited.offered.set()

    def client_ended(self, workspace: str, client_id: str) -> None:
        """A client is gone."""
        for awaited in self._workers.get((workspace, client_id), ()):
            awaited.lost = "The worker"
        for awaited in self._awaited.get((workspace, client_id), ()):
            awaited.lost = "The program"

    async def until_offered(
        self, workspace: str, client_id: str, name: str, timeout_s: float, worker: ServiceRecord
    ) -> None:
        """Wait until a client that is about to come offers a service.

        Raises:
            CallTimedOut: it did not in time. CallFailed: it came, and left without; or its worker did.
        """
        awaited = Awaited(workspace, client_id, name, (worker.workspace, worker.client_id))
        places = (self._awaited, (workspace, client_id)), (self._workers, awaited.worker)
        for index, key in places:
            index.setdefault(key, set()).add(awaited)
        if self._registry.get(workspace, client_id, name) is not None:
            awaited.offered.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._watch(awaited)
        except TimeoutError:
            raise CallTimedOut(TIMED_OUT) from None
        finally:
            for index, key in places:
                index[key].discard(awaited)
                if not index[key]:
                    del index[key]

    async def _watch(self, awaited: Awaited) -> None:
        away_s = 0.0
        while not awaited.offered.is_set():
            if awaited.lost or away_s >= GONE_S:
                who = awaited.lost or "The program"
                raise CallFailed(f"{who} has disconnected before the service {awaited.name} was there")
            try:
                async with asyncio.timeout(LOOK_S):
                    await awaited.offered.wait()
            except TimeoutError:
                client = self._hub.client(awaited.workspace, awaited.client_id)
                away_s = away_s + LOOK_S if client is not None and not client.is_live else 0.0
