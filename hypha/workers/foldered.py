"""What workers have in common whose sessions are processes with folders on this machine."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hypha.errors import HyphaError
from hypha.workers.base import CallContext, WorkerError
from hypha.workers.folders import SessionFolder, WorkerFolder
from hypha.workers.options import Connection
from hypha.workers.processes import end_all
from hypha.workers.serving import ConnectedWorker


@contextlib.contextmanager
def on_this_machine() -> Iterator[None]:
    """Tell what the system refuses, such as room on a disk, without the file that it says it of.

    Raises:
        WorkerError: the system refused something.
    """
    try:
        yield
    except HyphaError:  # of which some are errors of the system, too
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WorkerError(f"The session cannot be made on this machine: {reason}.") from None


class Leader(NamedTuple):
    """The first process of a session, as `end_all` ends it."""

    pid: int
    started: int | None
    marks: Mapping[str, str]


class FolderWorker(ConnectedWorker):
    """A worker with a folder below `root`; a subclass says in `_leaders` what runs."""

    def __init__(self, connection: Connection, root: Path, most_sessions: int) -> None:
        super().__init__(connection, most_sessions)
        self._root = root
        self._folder: WorkerFolder | None = None
        self._making_folder = asyncio.Lock()

    def _leaders(self) -> Iterable[Leader]:
        """The first processes of all sessions."""
        raise self._missing("_leaders")

    async def register_worker_service(self, server: Any) -> Any:
        """Make the folder first: what an earlier worker has left ends before there are new sessions."""
        await self.prepare()
        return await super().register_worker_service(server)

    async def prepare(self) -> None:
        """Make the folder of this worker, and end what an earlier one has left.

        Raises:
            WorkerNotAvailableError: the folder cannot be made.
        """
        async with self._making_folder:
            if self._folder is None:
                self._folder = await asyncio.to_thread(WorkerFolder, self._root)
                atexit.register(self._end_now)

    async def _new_folder(self) -> SessionFolder:
        """A folder for one session."""
        await self.prepare()
        assert self._folder is not None
        return await asyncio.to_thread(self._folder.new_session)

    def _end_now(self) -> None:
        """Leave no process when this one ends and nobody has called `shutdown`."""
        for leader in self._leaders():
            end_all(*leader)
        if self._folder is not None:
            self._folder.remove()

    async def shutdown(self, context: CallContext | None = None) -> None:
        """Stop all sessions; the folder goes with the last of them."""
        await super().shutdown(context)
        if not list(self._leaders()) and self._folder is not None:
            own, self._folder = self._folder, None
            atexit.unregister(self._end_now)
            await asyncio.to_thread(own.remove)
