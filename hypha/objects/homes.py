"""Objects that lie elsewhere than in the server's own store: their keys say where.

`ws-1/artifacts/@k7…/…` lies at the home `k7…` of the workspace `ws-1`, all other keys in the own store. So
whoever holds a key needs to know no more, and asks nobody about the usual ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from hypha.errors import BackendUnavailable, HyphaError, InvalidKey
from hypha.objects.keys import MAX_KEY_BYTES, check_prefix
from hypha.objects.store import (
    DEFAULT_TYPE,
    Copied,
    ObjectInfo,
    ObjectStore,
    Page,
    Part,
    Reading,
    Source,
)
from hypha.objects.urls import AS_ANNOUNCED, Reach, SignedUrls

FOLDER, MARK = "artifacts", "@"


def home_of(key: str) -> str:
    """The home at which an object lies; empty for the server's own store."""
    if f"/{FOLDER}/{MARK}" not in key:
        return ""
    words = key.split("/", 3)
    return words[2][1:] if words[1] == FOLDER and words[2].startswith(MARK) else ""


def folder_at(workspace: str, home: str | None) -> str:
    """Where the artifacts of a workspace lie that have this home; None for the own store."""
    return f"{workspace}/{FOLDER}/{MARK}{home}" if home else f"{workspace}/{FOLDER}"


@dataclass(frozen=True, slots=True)
class Opened:
    """The store of a home; keys begin with `lead` there."""

    store: ObjectStore
    lead: str = ""


@dataclass(frozen=True, slots=True)
class AsGuest:
    """How the server uses storages that aren't its own.

    Attributes:
        bucket: where nobody names one. least_free_bytes: of the disk on which parts of uploads wait.
        heeds_proxies: whether requests go through the proxies that the environment names.
    """

    bucket: str
    least_free_bytes: int = 0
    heeds_proxies: bool = False


class Homes(ABC):
    """Opens the stores of homes; `gathered_bytes` and `gathered_part_bytes` are as those of the stores."""

    gathered_bytes: int
    gathered_part_bytes: int

    @abstractmethod
    def opened(self, workspace: str, home: str) -> AbstractAsyncContextManager[Opened]:
        """The store of a home, which stays open while the block runs.

        Raises:
            BackendUnavailable: it cannot be used now; also in place of what the block raises of that kind.
        """


class RoutedObjects(ObjectStore):
    """See `ObjectStore`: the own store, and homes for the keys that name one.

    Attributes:
        homes: None until somebody knows some.
    """

    def __init__(self, own: ObjectStore, as_guest: AsGuest) -> None:
        self.own = own
        self.as_guest = as_guest
        self.homes: Homes | None = None
        self.shares_copies = own.shares_copies
        self.gathered_bytes, self.gathered_part_bytes = own.gathered_bytes, own.gathered_part_bytes

    async def close(self) -> None:
        """Close the own store; whoever knows the homes closes them."""
        await self.own.close()

    def gathered(self, key: str, *, is_part: bool = False) -> int:
        """See `ObjectStore`."""
        if not home_of(key) or self.homes is None:
            return self.own.gathered(key, is_part=is_part)
        return self.homes.gathered_part_bytes if is_part else self.homes.gathered_bytes

    @asynccontextmanager
    async def _at(self, key: str, home: str) -> AsyncIterator[Opened]:
        if self.homes is None:
            raise BackendUnavailable("The storage of this file is not in use on this server.")
        check_prefix(key)
        async with self.homes.opened(key.partition("/")[0], home) as found:
            if len(f"{found.lead}{key}".encode()) > MAX_KEY_BYTES:
                raise InvalidKey("The path of the file is too long for the storage of its artifact.")
            try:
                yield found
            except HyphaError as error:
                if found.lead:  # it is a secret of the artifact
                    error.message = error.message.replace(found.lead, "")
                    error.args = (error.message,)
                raise

    async def put(
        self,
        key: str,
        source: Source,
        *,
        content_type: str = DEFAULT_TYPE,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        sha256: str | None = None,
        max_bytes: int | None = None,
    ) -> ObjectInfo:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.put(
                key, source, content_type=content_type, metadata=metadata, if_absent=if_absent,
                sha256=sha256, max_bytes=max_bytes,
            )  # fmt: skip
        async with self._at(key, home) as at:
            info = await at.store.put(
                at.lead + key, source, content_type=content_type, metadata=metadata, if_absent=if_absent,
                sha256=sha256, max_bytes=max_bytes,
            )  # fmt: skip
        return replace(info, key=key)

    async def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.head(key)
        async with self._at(key, home) as at:
            return replace(await at.store.head(at.lead + key), key=key)

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """See `ObjectStore`; a reading goes on when the store of its home is closed meanwhile."""
        home = home_of(key)
        if not home:
            return await self.own.open(key, start, stop)
        async with self._at(key, home) as at:
            reading = await at.store.open(at.lead + key, start, stop)
        reading.info = replace(reading.info, key=key)
        return reading

    async def list(
        self, prefix: str = "", *, after: str = "", skip: int = 0, limit: int = 1000, recursive: bool = True
    ) -> Page:
        """See `ObjectStore`; what lies at homes is listed below the folder of a home alone."""
        home = home_of(prefix)
        if not home:
            return await self.own.list(prefix, after=after, skip=skip, limit=limit, recursive=recursive)
        async with self._at(prefix, home) as at:
            behind = at.lead + after if after else ""
            page = await at.store.list(
                at.lead + prefix, after=behind, skip=skip, limit=limit, recursive=recursive
            )
        return Page(
            [*_without(at.lead, page.objects)],
            [folder.removeprefix(at.lead) for folder in page.folders],
            page.rest,
        )

    async def delete(self, key: str) -> bool:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.delete(key)
        async with self._at(key, home) as at:
            return await at.store.delete(at.lead + key)

    async def delete_folder(self, prefix: str, *, spare: str = "") -> int:
        """See `ObjectStore`."""
        home = home_of(prefix)
        if not home:
            return await self.own.delete_folder(prefix, spare=spare)
        async with self._at(prefix, home) as at:
            return await at.store.delete_folder(at.lead + prefix, spare=spare)

    # -- copies

    async def copy(self, source: str, target: str, *, if_absent: bool = False) -> ObjectInfo:
        """See `ObjectStore`; from one home to another the bytes come through the server."""
        home = home_of(source)
        if home == home_of(target):
            if not home:
                return await self.own.copy(source, target, if_absent=if_absent)
            async with self._at(source, home) as at:
                return replace(
                    await at.store.copy(at.lead + source, at.lead + target, if_absent=if_absent), key=target
                )
        reading = await self.open(source)
        try:
            info = reading.info
            return await self.put(
                target, reading.chunks(), content_type=info.content_type, metadata=info.metadata,
                if_absent=if_absent, sha256=info.sha256 or None,
            )  # fmt: skip
        finally:
            await reading.close()

    async def copy_many(
        self, pairs: Sequence[tuple[str, str]], told: Copied | None = None
    ) -> Sequence[ObjectInfo]:
        """See `ObjectStore`."""
        homes = {home_of(pairs[0][0]), home_of(pairs[0][1])} if pairs else {""}
        if homes == {""}:
            return await self.own.copy_many(pairs, told)
        if len(homes) > 1:
            return await self._carried(pairs, told)
        first = pairs[0][0]
        async with self._at(first, homes.pop()) as at:
            there = [(at.lead + source, at.lead + target) for source, target in pairs]
            hears = None if told is None else lambda infos: told(_without(at.lead, infos))
            return _without(at.lead, await at.store.copy_many(there, hears))

    async def _carried(self, pairs: Sequence[tuple[str, str]], told: Copied | None) -> Sequence[ObjectInfo]:
        """Copy one after the other: each takes memory of ours."""
        done = []
        for source, target in pairs:
            done.append(await self.copy(source, target))
            if told is not None:
                told(done[-1:])
        return done

    # -- uploads in parts

    async def begin(
        self,
        key: str,
        *,
        content_type: str = DEFAULT_TYPE,
        metadata: Mapping[str, str] | None = None,
        sha256: str | None = None,
    ) -> str:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.begin(key, content_type=content_type, metadata=metadata, sha256=sha256)
        async with self._at(key, home) as at:
            return await at.store.begin(
                at.lead + key, content_type=content_type, metadata=metadata, sha256=sha256
            )

    async def put_part(
        self,
        key: str,
        upload: str,
        number: int,
        source: Source,
        *,
        max_bytes: int | None = None,
        sha256: str | None = None,
    ) -> str:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.put_part(key, upload, number, source, max_bytes=max_bytes, sha256=sha256)
        async with self._at(key, home) as at:
            return await at.store.put_part(
                at.lead + key, upload, number, source, max_bytes=max_bytes, sha256=sha256
            )

    async def parts(self, key: str, upload: str) -> Sequence[Part]:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.parts(key, upload)
        async with self._at(key, home) as at:
            return await at.store.parts(at.lead + key, upload)

    async def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> ObjectInfo:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.complete(key, upload, parts)
        async with self._at(key, home) as at:
            return replace(await at.store.complete(at.lead + key, upload, parts), key=key)

    async def abort(self, key: str, upload: str) -> None:
        """See `ObjectStore`."""
        home = home_of(key)
        if not home:
            return await self.own.abort(key, upload)
        async with self._at(key, home) as at:
            await at.store.abort(at.lead + key, upload)

    async def uploads_before(self, time: float, prefix: str = "") -> Sequence[tuple[str, str]]:
        """See `ObjectStore`."""
        home = home_of(prefix)
        if not home:
            return await self.own.uploads_before(time, prefix)
        async with self._at(prefix, home) as at:
            found = await at.store.uploads_before(time, at.lead + prefix)
        return [(key.removeprefix(at.lead), upload) for key, upload in found]


def _without(lead: str, infos: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
    return [replace(info, key=info.key.removeprefix(lead)) for info in infos]


class RoutedUrls(SignedUrls):
    """See `SignedUrls`: what lies at a home is reached through this server alone.

    An address of the storage itself would name a key of its owner, and be good for whatever it lets through.

    Args:
        own: of what lies in the own store. through: addresses of this server.
    """

    def __init__(self, own: SignedUrls, through: SignedUrls) -> None:
        self._own = own
        self._through = through

    def _of(self, key: str) -> SignedUrls:
        return self._through if home_of(key) else self._own

    async def get(
        self, key: str, *, expires_in: float, reach: Reach = AS_ANNOUNCED, filename: str = ""
    ) -> str:
        """See `SignedUrls`."""
        return await self._of(key).get(key, expires_in=expires_in, reach=reach, filename=filename)

    async def put(
        self,
        key: str,
        *,
        expires_in: float,
        reach: Reach = AS_ANNOUNCED,
        max_bytes: int | None = None,
        sha256: str = "",
        ttl: float | None = None,
    ) -> str:
        """See `SignedUrls`."""
        return await self._of(key).put(
            key, expires_in=expires_in, reach=reach, max_bytes=max_bytes, sha256=sha256, ttl=ttl
        )

    async def part(
        self, key: str, upload: str, number: int, *, expires_in: float, reach: Reach = AS_ANNOUNCED,
        max_bytes: int | None = None,
    ) -> str:  # fmt: skip
        """See `SignedUrls`."""
        return await self._of(key).part(
            key, upload, number, expires_in=expires_in, reach=reach, max_bytes=max_bytes
        )
