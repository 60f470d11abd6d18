"""In which home an artifact lies: chosen when it is made, and anew while it has no files.

An artifact whose own secrets hold a key for S3 has a home of its own; else it has that of its parent. The
secrets of both are never mixed: who may set some in a child shall not send the key of the parent elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import Conflict
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.homes import seal_place
from hypha.features.artifacts.places import NAMES, Place, Places
from hypha.features.artifacts.tables import Artifact as Table
from hypha.features.artifacts.tables import ArtifactFile, ArtifactHome, ArtifactUpload, StagedFile
from hypha.ids import random_id
from hypha.store.sealing import Seal

STAYS = (
    "The files of this artifact, or of those in it, would have to move to another storage by that: they stay "
    "where they are. Make a new artifact with these secrets for them, or remove all files first."
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What new secrets mean for an artifact: another home, another key for its own, or nothing."""

    home: str | None
    place: Place | None = None
    is_move: bool = False


class Housing:
    """Chooses homes and writes them down.

    Args:
        seal: None where no place is allowed. forget: called with a home whose key was changed.
    """

    def __init__(
        self,
        places: Places | None = None,
        seal: Seal | None = None,
        forget: Callable[[str], None] | None = None,
    ) -> None:
        self._places = places or Places()
        self._seal = seal
        self._forget = forget

    def place_of(self, secrets: Mapping[str, Any]) -> Place | None:
        """The place that the secrets of a new artifact name.

        Raises:
            PermissionDenied, InvalidRequest: see `Places.of`.
        """
        return self._places.of(secrets)

    @staticmethod
    def home_for(place: Place | None, parent: Artifact | None) -> str | None:
        """The home of a new artifact: one that is yet to be written down, or that of its parent."""
        if place is not None:
            return random_id()
        return parent.home if parent is not None else None

    async def add(self, connection: AsyncConnection, artifact: Artifact, place: Place) -> None:
        """Write down the home of a new artifact, in the transaction that makes it."""
        assert artifact.home is not None
        await self._insert(connection, artifact.home, artifact.workspace, artifact.id, place)

    async def decide(
        self, connection: AsyncConnection, artifact: Artifact, secrets: Mapping[str, Any]
    ) -> Decision:
        """What comes of it when an artifact has these secrets and no others.

        Raises:
            Conflict: files would have to move. And as `place_of`.
        """
        place = self._places.of(secrets)
        query = select(Table.home, Table.parent_id).where(Table.id == artifact.id).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return Decision(None)
        if place is None:
            of_parent = select(Table.home).where(Table.id == row.parent_id)
            wanted = (await connection.execute(of_parent)).scalar_one_or_none()
            if wanted == row.home:
                return Decision(row.home)
        else:
            wanted = None
            own = await self._own(connection, artifact.id, row.home)
            if own is not None and own.is_where(place):
                return Decision(row.home, place if own != place else None)
        if await self._is_bound(connection, artifact.id, row.home):
            raise Conflict(STAYS)
        return Decision(wanted, place, is_move=True)

    async def settle(
        self, connection: AsyncConnection, artifact: Artifact, secrets: Mapping[str, Any]
    ) -> str | None:
        """Do what `decide` says, in the transaction that writes the secrets; the home that has a new key now.

        Raises:
            As `decide`.
        """
        decision = await self.decide(connection, artifact, secrets)
        if not decision.is_move:
            if decision.home is None or decision.place is None:
                return None
            values = {"sealed": self._sealed(decision.home, decision.place)}
            of_home = ArtifactHome.id == decision.home
            await connection.execute(update(ArtifactHome).where(of_home).values(values))
            return decision.home
        home = decision.home
        if decision.place is not None:
            home = random_id()
            await self._insert(connection, home, artifact.workspace, artifact.id, decision.place)
        round_id = {"round": random_id()} if artifact.round is not None else {}  # addresses for the old one
        moved = {"home": home, "change": Table.change + 1, **round_id}
        await connection.execute(update(Table).where(Table.id == artifact.id).values(moved))
        return None

    def renewed(self, home: str | None) -> None:
        """What `settle` gave is written."""
        if home is not None and self._forget is not None:
            self._forget(home)

    async def _own(self, connection: AsyncConnection, artifact: str, home: str | None) -> Place | None:
        """The place of a home that was made for this artifact."""
        if home is None:
            return None
        query = select(ArtifactHome.sealed).where(ArtifactHome.id == home, ArtifactHome.artifact == artifact)
        sealed = (await connection.execute(query)).scalar_one_or_none()
        return None if sealed is None else Place.decoded(self._opened(home, sealed))

    @staticmethod
    async def _is_bound(connection: AsyncConnection, artifact: str, home: str | None) -> bool:
        """Whether an artifact has files or uploads, or others have the home that was made for it."""
        tables = (ArtifactFile, StagedFile, ArtifactUpload)
        has: list[ColumnElement[bool]] = [exists().where(table.artifact == artifact) for table in tables]
        if home is not None:
            own = exists().where(ArtifactHome.id == home, ArtifactHome.artifact == artifact)
            has.append(own & exists().where(Table.home == home, Table.id != artifact))
        for each in has:
            if (await connection.execute(select(each))).scalar_one():
                return True
        return False

    async def _insert(
        self, connection: AsyncConnection, home: str, workspace: str, artifact: str, place: Place
    ) -> None:
        row = {"id": home, "workspace": workspace, "artifact": artifact, "sealed": self._sealed(home, place)}
        await connection.execute(insert(ArtifactHome).values(**row))

    def _sealed(self, home: str, place: Place) -> bytes:
        assert self._seal is not None  # places are allowed
        return self._seal.close(place.encoded(), seal_place(home))

    def _opened(self, home: str, sealed: bytes) -> bytes:
        assert self._seal is not None
        return self._seal.open(sealed, seal_place(home))


def name_a_place(names: Mapping[str, Any]) -> bool:
    """Whether some of these secrets say where files lie."""
    return not NAMES.isdisjoint(names)
