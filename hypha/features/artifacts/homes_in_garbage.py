"""Files that lie at homes, when they are to be deleted: a storage of somebody else may be dead.

A home that fails is left alone for an hour, with all that is to go there, and holds up nothing else. When no
artifact has a home any more its folder goes, and then its record with the key; after a week the record goes
whether the folder could be deleted or not.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import HyphaError
from hypha.features.artifacts.homes import HomeGone
from hypha.features.artifacts.records import discard_later
from hypha.features.artifacts.tables import Artifact, ArtifactGarbage, ArtifactHome
from hypha.objects.homes import folder_at, home_of
from hypha.store.repository import Connections

logger = logging.getLogger(__name__)

PAUSE_S = 3600.0
GIVEN_UP_S = 7 * 86400.0


class HomesInGarbage:
    """Which homes fail, and which are over.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failing: dict[str, tuple[str, float]] = {}
        """Home -> its folder, and until when it is left alone."""

    async def spared(self, key: str, work: Callable[[str], Awaitable[None]]) -> bool:
        """Do something with a key, whose home may fail; whether it was done."""
        home = home_of(key)
        if not home:
            await work(key)
            return True
        if self._is_failing(home):
            return False
        try:
            await work(key)
        except HomeGone:
            return True
        except HyphaError as error:
            folder = folder_at(key.partition("/")[0], home)
            self._failing[home] = f"{folder}/", self._clock() + PAUSE_S
            logger.warning("files of artifacts in %s cannot be deleted now: %s", folder, error.message)
            return False
        return True

    def _is_failing(self, home: str) -> bool:
        _, until = self._failing.get(home, ("", 0.0))
        if until <= self._clock():
            self._failing.pop(home, None)
            return False
        return True

    async def postpone(self, connection: AsyncConnection) -> None:
        """Let what is to go at homes that fail become due later."""
        self._failing = {home: each for home, each in self._failing.items() if each[1] > self._clock()}
        for folder, until in self._failing.values():
            of_home = ArtifactGarbage.key.startswith(folder, autoescape=True)
            late = update(ArtifactGarbage).where(of_home, ArtifactGarbage.due <= self._clock())
            await connection.execute(late.values(due=until))

    async def folders_of(self, connections: Connections, workspace: str | None) -> Sequence[str]:
        """The folders of all homes of a workspace; with None of those that artifacts have."""
        of = ArtifactHome.unused_since.is_(None) if workspace is None else ArtifactHome.workspace == workspace
        query = select(ArtifactHome.workspace, ArtifactHome.id).where(of)
        async with connections.reading() as connection:
            return [f"{folder_at(of, home)}/" for of, home in await connection.execute(query)]

    async def retire(self, connections: Connections) -> None:
        """Forget homes whose files are gone; the files of those go that no artifact has any more."""
        now = self._clock()
        is_used = exists().where(Artifact.home == ArtifactHome.id)
        async with connections.writing() as connection:
            again = update(ArtifactHome).where(is_used, ArtifactHome.unused_since.is_not(None))
            await connection.execute(again.values(unused_since=None))
            left = select(ArtifactHome.id, ArtifactHome.workspace, ArtifactHome.unused_since).where(~is_used)
            fresh = list[str]()
            for home, workspace, since in (await connection.execute(left)).all():
                folder = f"{folder_at(workspace, home)}/"
                if since is None:
                    fresh.append(folder)
                    begin = update(ArtifactHome).where(ArtifactHome.id == home)
                    await connection.execute(begin.values(unused_since=now))
                else:
                    await self._end(connection, home, folder, is_late=since + GIVEN_UP_S <= now)
            await discard_later(connection, fresh, now)

    @staticmethod
    async def _end(connection: AsyncConnection, home: str, folder: str, *, is_late: bool) -> None:
        """Forget a home that no artifact has, unless its folder is yet to go."""
        of_home = ArtifactGarbage.key.startswith(folder, autoescape=True)
        if (await connection.execute(select(exists().where(of_home)))).scalar_one():
            if not is_late:
                return
            logger.warning("files of artifacts in %s could not be deleted for a week, and are left", folder)
            await connection.execute(delete(ArtifactGarbage).where(of_home))
        await connection.execute(delete(ArtifactHome).where(ArtifactHome.id == home))
