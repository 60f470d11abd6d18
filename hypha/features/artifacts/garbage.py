"""Deletes from the object store what no record refers to any more.

What is to go is noted in the transaction that lets go of it, and deleted afterwards; a server that is killed
in between goes on at its next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy import delete, func, insert, select, update

from hypha.errors import HyphaError, UploadNotFound
from hypha.features.artifacts.file_records import batches
from hypha.features.artifacts.homes_in_garbage import HomesInGarbage
from hypha.features.artifacts.records import discard_later
from hypha.features.artifacts.tables import Artifact, ArtifactGarbage, ArtifactUpload
from hypha.objects.homes import home_of
from hypha.objects.store import ObjectStore
from hypha.store.repository import Connections

logger = logging.getLogger(__name__)

GRACE_S = 3600.0
"""Files that a commit replaced stay so long, for those who have an address of them."""
PAUSE_S = 30.0
GATHER_S = 2.0
"""After the first wish to clean up so long is waited for more, which one look then serves."""
LOOK_EVERY_S = 86400.0
"""What nobody noted is looked for so often."""
UNRECORDED_S = 86400.0
"""So long a folder may be filled before a record names it."""
TOGETHER = 100
_LISTED = 1000


class Garbage:
    """The folders and files that are to go; `run` deletes them as they become due."""

    def __init__(
        self, connections: Connections, store: ObjectStore, clock: Callable[[], float] = time.time
    ) -> None:
        self._connections = connections
        self._store = store
        self._clock = clock
        self._homes = HomesInGarbage(clock)
        self._woken = asyncio.Event()
        self._is_closed = False
        self._running: asyncio.Task[object] | None = None

    def wake(self) -> None:
        """Something has become due."""
        self._woken.set()

    async def run(self) -> None:
        """Look for what was left behind, then delete what is due, until closed."""
        if self._is_closed:
            return
        self._running = asyncio.current_task()
        looked_at, ended_at = -LOOK_EVERY_S, -PAUSE_S
        while True:
            if self._clock() - looked_at >= LOOK_EVERY_S:
                looked_at = self._clock()
                await self._guarded(self.find_left_behind)
            if self._clock() - ended_at >= PAUSE_S:
                ended_at = self._clock()
                await self._guarded(self.end_uploads)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await self._woken.wait()
            if self._woken.is_set():
                await asyncio.sleep(GATHER_S)
            self._woken.clear()
            await self._guarded(self.sweep)

    async def close(self) -> None:
        """End `run`, before the object store is closed."""
        self._is_closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except HyphaError as error:
            logger.warning("files of artifacts cannot be cleaned up now: %s", error.message)

    async def sweep(self) -> int:
        """Delete all that is due; how many entries that were."""
        count, is_full = 0, True
        while is_full and (due := await self._due()):
            is_full, gone = len(due) == TOGETHER, list[int]()
            for number, key in due:
                if await self._homes.spared(key, self._delete_folder if key.endswith("/") else self._delete):
                    gone.append(number)
            async with self._connections.writing() as connection:
                await connection.execute(delete(ArtifactGarbage).where(ArtifactGarbage.id.in_(gone)))
                await self._homes.postpone(connection)
            count += len(gone)
        return count

    async def _delete(self, key: str) -> None:
        await self._store.delete(key)

    @contextlib.asynccontextmanager
    async def unrecorded(self, key: str) -> AsyncIterator[int]:
        """While a folder is filled that no record names yet; the number of the note that it is to go.

        The transaction that writes its record takes that back (`records.keep`). With an error before, or when
        the server is killed, the folder goes.
        """
        due = self._clock() + UNRECORDED_S
        query = insert(ArtifactGarbage).values(key=key, due=due).returning(ArtifactGarbage.id)
        async with self._connections.writing() as connection:
            note = int((await connection.execute(query)).scalar_one())
        try:
            yield note
        except Exception:
            now = update(ArtifactGarbage).where(ArtifactGarbage.id == note).values(due=self._clock())
            with contextlib.suppress(HyphaError):  # it goes later then
                async with self._connections.writing() as connection:
                    await connection.execute(now)
                self.wake()
            raise

    async def _delete_folder(self, key: str) -> None:
        """Delete a folder, and the uploads in parts that would have put something there."""
        await self._store.delete_folder(key)
        for of, upload in await self._store.uploads_before(float("inf"), key):
            await self._abort(of, upload)

    async def end_uploads(self) -> None:
        """Delete what was sent of uploads in parts whose time is over."""
        is_over, after = ArtifactUpload.expires_at < self._clock(), ""
        query = select(ArtifactUpload.key, ArtifactUpload.id).order_by(ArtifactUpload.id).limit(TOGETHER)
        while True:
            async with self._connections.reading() as connection:
                found = await connection.execute(query.where(is_over, ArtifactUpload.id > after))
                over = [(key, upload) for key, upload in found]
            if not over:
                return
            gone, after = list[str](), over[-1][1]
            for key, upload in over:
                if await self._homes.spared(key, partial(self._abort, upload=upload)):
                    gone.append(upload)
            async with self._connections.writing() as connection:
                await connection.execute(delete(ArtifactUpload).where(ArtifactUpload.id.in_(gone)))

    async def _abort(self, key: str, upload: str) -> None:
        with contextlib.suppress(UploadNotFound):
            await self._store.abort(key, upload)

    async def _due(self) -> Sequence[tuple[int, str]]:
        query = (
            select(ArtifactGarbage.id, ArtifactGarbage.key)
            .where(ArtifactGarbage.due <= self._clock())
            .order_by(ArtifactGarbage.due)
            .limit(TOGETHER)
        )
        async with self._connections.reading() as connection:
            return [(number, key) for number, key in await connection.execute(query)]

    async def workspace_ended(self, workspace: str) -> None:
        """The records of a workspace are gone: so shall be the files of its artifacts."""
        homes = await self._homes.folders_of(self._connections, workspace)
        await self._note([*homes, *[key async for key in self._folders(f"{workspace}/artifacts/")]])
        self.wake()

    async def find_left_behind(self) -> None:
        """Note what no record knows: a server was killed at a bad time, or an upload came too late.

        An address for an upload may be good for days after the commit or the end of its artifact.
        """
        async for workspace in self._folders(""):
            await self._find_below(f"{workspace}artifacts/")
        await self._homes.retire(self._connections)
        self.wake()
        for folder in await self._homes.folders_of(self._connections, None):
            await self._homes.spared(folder, self._find_below)

    async def _find_below(self, folder: str) -> None:
        lost: list[str] = []
        async for each in self._folders(folder):
            lost.append(each)
            if len(lost) >= TOGETHER:
                await self._note(await self._unknown(lost))
                lost = []
        await self._note(await self._unknown(lost))

    async def _unknown(self, folders: Sequence[str]) -> list[str]:
        """Folders of artifacts that are not there, and of those that are the rounds that are over."""
        by_id = {folder.rstrip("/").rpartition("/")[2]: folder for folder in folders}
        if not by_id:
            return []
        rounds = {each: [key async for key in self._folders(f"{folder}stage/")]
                  for each, folder in by_id.items()}  # fmt: skip
        # before the records are read: those of a folder that is being filled come as its note goes
        noted = await self._noted([*folders, *(key for keys in rounds.values() for key in keys)])
        query = select(Artifact.id, Artifact.round, Artifact.home).where(Artifact.id.in_(by_id))
        async with self._connections.reading() as connection:
            found = await connection.execute(query)
            known = {each: current for each, current, home in found if (home or "") == home_of(by_id[each])}
        lost = [folder for each, folder in by_id.items() if each not in known]
        for each, current in known.items():
            lost += [key for key in rounds[each] if key != f"{by_id[each]}stage/{current}/"]
        return [key for key in lost if key not in noted]

    async def _noted(self, keys: Sequence[str]) -> set[str]:
        """Which of these are noted already."""
        noted: set[str] = set()
        async with self._connections.reading() as connection:
            for some in batches(keys):
                query = select(ArtifactGarbage.key).where(ArtifactGarbage.key.in_(some))
                noted |= set((await connection.execute(query)).scalars())
        return noted

    async def _folders(self, prefix: str) -> AsyncIterator[str]:
        """The folders directly below a prefix, with `/` at the end."""
        async for page in self._store.pages(prefix, limit=_LISTED):
            for folder in page.folders:
                yield folder

    async def _note(self, keys: Sequence[str]) -> None:
        if keys:
            async with self._connections.writing() as connection:
                await discard_later(connection, keys, self._clock())

    async def waiting(self) -> int:
        """How many entries wait, due or not."""
        async with self._connections.reading() as connection:
            query = select(func.count()).select_from(ArtifactGarbage)
            return int((await connection.execute(query)).scalar_one())
