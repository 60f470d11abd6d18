"""Secrets of artifacts, encrypted at rest and in no other record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.errors import InvalidRequest
from hypha.features.artifacts.artifact import Artifact
from hypha.features.artifacts.housing import Housing, name_a_place
from hypha.features.artifacts.records import KIND, changing
from hypha.features.artifacts.tables import ArtifactSecret
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Connections, Repository, insert
from hypha.store.sealing import Seal
from hypha.store.usage import Allowance, Usage
from hypha.wire.decodable import check_key, made_decodable, may_be_odd, shown_key
from hypha.workspaces.values import encode_plain

MAX_SECRETS = 100
MAX_NAME_CHARS = 256
MAX_SECRET_BYTES = 64 * 1024


class Secrets(Repository):
    """The secrets of each artifact, one row for each."""

    def __init__(
        self, connections: Connections, usage: Usage, seal: Seal, housing: Housing | None = None
    ) -> None:
        super().__init__(connections)
        self._usage = usage
        self._seal = seal
        self.housing = housing or Housing()

    async def all(self, artifact: str) -> dict[str, Any]:
        """All secrets of an artifact, opened."""
        async with self._connections.reading() as connection:
            return await self._all(connection, artifact)

    async def _all(self, connection: AsyncConnection, artifact: str) -> dict[str, Any]:
        query = select(ArtifactSecret.name, ArtifactSecret.value).where(ArtifactSecret.artifact == artifact)
        rows = (await connection.execute(query)).all()
        return {shown_key(name): self._opened(artifact, name, value) for name, value in rows}

    def _opened(self, artifact: str, name: str, sealed: bytes) -> Any:
        text = self._seal.open(sealed, f"{artifact}/{name}")
        value = orjson.loads(text)
        return made_decodable(value) if may_be_odd(text) else value

    async def set(
        self, artifact: Artifact, record: WorkspaceRecord, name: str, value: Any, allowance: Allowance | None
    ) -> None:
        """Set one secret; None removes it.

        Raises:
            InvalidRequest: there are too many. QuotaExceeded. And as `Housing.settle`.
        """
        async with changing(self._connections) as connection:
            renewed = None
            if name_a_place({name: value}):
                after = {**await self._all(connection, artifact.id), name: value}
                renewed = await self.housing.settle(connection, artifact, after)
            await self._usage.hold(connection, record, KIND)
            where = ArtifactSecret.artifact == artifact.id, ArtifactSecret.name == name
            gone = await connection.execute(
                delete(ArtifactSecret).where(*where).returning(ArtifactSecret.size)
            )
            freed = gone.scalar_one_or_none() or 0
            added = 0 if value is None else await self._insert(connection, artifact.id, {name: value})
            await self._usage.add(connection, record, KIND, 0, added - freed, allowance)
        self.housing.renewed(renewed)

    async def replace(
        self,
        artifact: Artifact,
        record: WorkspaceRecord,
        values: Mapping[str, Any],
        allowance: Allowance | None,
    ) -> None:
        """Set all secrets of an artifact, in place of those that it had.

        Raises:
            QuotaExceeded. And as `Housing.settle`.
        """
        async with changing(self._connections) as connection:
            renewed = None
            if artifact.home is not None or name_a_place(values):
                renewed = await self.housing.settle(connection, artifact, values)
            await self.clear(connection, artifact.workspace, artifact.id)
            added = await self._insert(connection, artifact.id, values)
            await self._usage.add(connection, record, KIND, 0, added, allowance)
        self.housing.renewed(renewed)

    async def check(self, artifact: Artifact, values: Mapping[str, Any]) -> None:
        """See that an artifact may have these secrets and no others.

        Raises:
            As `Housing.settle`.
        """
        if artifact.home is not None or name_a_place(values):
            async with self._connections.writing() as connection:
                await self.housing.decide(connection, artifact, values)

    async def write(
        self, connection: AsyncConnection, record: WorkspaceRecord, artifact: str, values: Mapping[str, Any]
    ) -> None:
        """Write the secrets of a new artifact, in the transaction that makes it."""
        if values:
            added = await self._insert(connection, artifact, values)
            await self._usage.add(connection, record, KIND, 0, added, None)

    async def clear(self, connection: AsyncConnection, workspace: str, artifact: str) -> None:
        """Remove all secrets of an artifact, in the caller's transaction."""
        where = ArtifactSecret.artifact == artifact
        query = select(func.coalesce(func.sum(ArtifactSecret.size), 0)).where(where)
        size = int((await connection.execute(query)).scalar_one())
        if size:
            await connection.execute(delete(ArtifactSecret).where(where))
            await self._usage.remove(connection, workspace, KIND, 0, size)

    async def _insert(self, connection: AsyncConnection, artifact: str, values: Mapping[str, Any]) -> int:
        """Bytes of what was written."""
        size = 0
        for name, value in values.items():
            sealed = self._seal.close(encode_plain(value, name, MAX_SECRET_BYTES), f"{artifact}/{name}")
            row = {"artifact": artifact, "name": name, "value": sealed, "size": len(sealed)}
            await connection.execute(insert(connection, ArtifactSecret).values(**row))
            size += len(sealed)
        count = select(func.count()).select_from(ArtifactSecret).where(ArtifactSecret.artifact == artifact)
        if int((await connection.execute(count)).scalar_one()) > MAX_SECRETS:
            raise InvalidRequest(f"An artifact has at most {MAX_SECRETS} secrets.")
        return size


def check_secrets(values: object) -> dict[str, Any]:
    """The secrets that an artifact shall have.

    Raises:
        InvalidRequest: they are no object of names and plain values. FrameTooLarge: one is too large.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping) or len(values) > MAX_SECRETS:
        raise InvalidRequest(f"The secrets are an object of at most {MAX_SECRETS} names and values.")
    return {check_name(name): checked_value(name, value) for name, value in values.items()}


def check_name(name: object) -> str:
    """The name of a secret.

    Raises:
        InvalidRequest: it is no text of 1 to 256 characters.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or "\x00" in name:
        raise InvalidRequest(f"The name of a secret is a text of 1 to {MAX_NAME_CHARS} characters.")
    return name


def checked_value(name: object, value: Any) -> Any:
    """A value that can be kept as a secret.

    Raises:
        InvalidRequest: it is no plain data. FrameTooLarge: it is larger than 64 KiB.
    """
    if value is not None:  # which removes it
        check_key(str(name), "the name of a secret")
    encode_plain(value, str(name)[:100], MAX_SECRET_BYTES)
    return value
