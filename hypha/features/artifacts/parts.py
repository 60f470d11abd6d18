"""What the functions of the artifact manager work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hypha.auth.users import Context
from hypha.features.artifacts.access import Access
from hypha.features.artifacts.applications import ApplicationManifests
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.file_records import Files
from hypha.features.artifacts.garbage import Garbage
from hypha.features.artifacts.records import Artifacts
from hypha.features.artifacts.tables import APPLICATION
from hypha.features.progress import Progress
from hypha.limits.crew import Crew
from hypha.locks import NamedLocks
from hypha.objects.store import ObjectStore
from hypha.objects.urls import SignedUrls
from hypha.store.repository import Connections
from hypha.store.sealing import Seal
from hypha.store.usage import Usage

THREADS = 2
"""For contents, manifests and digests; callers take turns at them."""

Result = TypeVar("Result")
NewProgress = Callable[[object, Context, str], Progress]
"""Given what a caller wants to be told by, who that is, and the operation: see `Reports.of`."""


def untold(callback: object, context: Context, operation: str) -> Progress:
    """The progress of a call of which nobody hears."""
    return Progress()


@dataclass(frozen=True, slots=True)
class Parts:
    """Records, objects, rights; `locks` let one change of an artifact run at a time, by its internal id.

    `crew` does what takes long beside the event loop. `clock` tells Unix seconds.
    """

    access: Access
    artifacts: Artifacts
    files: Files
    data: Connections
    usage: Usage
    store: ObjectStore
    urls: SignedUrls
    seal: Seal
    garbage: Garbage
    applications: ApplicationManifests
    locks: NamedLocks = field(default_factory=NamedLocks)
    crew: Crew = field(default_factory=lambda: Crew(THREADS, "artifacts"))
    clock: Callable[[], float] = time.time
    progress: NewProgress = untold

    def committed(self, *states: Artifact) -> None:
        """An artifact was committed: after what was committed before, if anything was."""
        if any(each.type == APPLICATION for each in states):
            self.applications.committed(states[0].workspace)

    def now(self) -> int:
        """Unix seconds, whole."""
        return int(self.clock())
