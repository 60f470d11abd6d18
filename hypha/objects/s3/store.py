"""`ObjectStore` in a bucket at an S3 endpoint: an object's key there is its key here."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any

import obstore
from aiobotocore.session import AioSession

from hypha.errors import (
    AlreadyExists,
    BackendUnavailable,
    Corrupted,
    ObjectNotFound,
    UploadNotFound,
)
from hypha.locks import NamedLocks
from hypha.objects.checks import check_number, check_range, checked_parts
from hypha.objects.keys import check_bucket, check_key, check_prefix
from hypha.objects.local.draft import told as told_of_disk
from hypha.objects.room import Disk, Room, owner_of
from hypha.objects.s3.control import Control
from hypha.objects.s3.counting import Counting
from hypha.objects.s3.data import EmptyReading, S3Reading, data_client
from hypha.objects.s3.endpoint import Endpoint
from hypha.objects.s3.facts import WANTED_SHA256, info_of, joined_etag, told_attributes
from hypha.objects.s3.failures import UNAVAILABLE, told
from hypha.objects.s3.incoming import Incoming
from hypha.objects.s3.listing import all_below, list_page
from hypha.objects.s3.probes import has_conditions, takes_unsigned
from hypha.objects.store import (
    DEFAULT_TYPE,
    MAX_LISTED,
    ObjectInfo,
    ObjectStore,
    Page,
    Part,
    Reading,
    Source,
)

AT_ONCE_BYTES = 8 * 1024 * 1024
"""What is smaller is sent with one request, with its sha-256; the rest in parts of this size."""
PARTS_AT_ONCE = 2
COPIED_AT_ONCE_BYTES = 4 * 1024**3
"""S3 copies at most 5 GiB with one request."""
COPIED_PART_BYTES = 1024**3
PART_IN_MEMORY_BYTES = 2 * 1024 * 1024
MAX_PART_BYTES = 5 * 1024**3
"""As S3 has it."""


class S3Objects(ObjectStore):
    """See `ObjectStore`. What a list tells of objects is key, size, ETag and time alone.

    Args:
        is_bounded: what owners keep here is bounded, see `Counting`. session: see `Control`.

    Attributes:
        room: counts what is kept, as far as it is known; see `Counting`.
        spool: the disk on which parts wait until they are whole.
        is_conditional: the storage itself keeps two from creating one object.
        takes_unsigned: its signed addresses to write must not be given away; see `probes`.
    """

    gathered_bytes = (1 + PARTS_AT_ONCE) * AT_ONCE_BYTES
    gathered_part_bytes = PART_IN_MEMORY_BYTES

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Callable[[], float] = time.time,
        *,
        is_bounded: bool = True,
        session: AioSession | None = None,
    ) -> None:
        check_bucket(endpoint.bucket)
        self.endpoint = endpoint
        self.control = Control(endpoint, clock, session)
        self.is_conditional = self.takes_unsigned = False
        self.counting = Counting(self.control, is_bounded=is_bounded)
        self.room: Room = self.counting.room
        self.spool = Disk(Path(gettempdir()))
        self._locks = NamedLocks()
        self._data = data_client(endpoint)

    async def start(self, *, takes_cors: bool = True) -> None:
        """Make the bucket if it is missing, and find out what the storage can do.

        Raises:
            ConfigurationError: the bucket can neither be made nor used.
        """
        await self.control.start()
        try:
            await self.control.ensure_bucket()
            if takes_cors:
                await self.control.open_to_browsers()
            self.is_conditional = await has_conditions(self._data)
            self.takes_unsigned = await takes_unsigned(self._data, self.control)
        except BaseException:
            await self.control.close()
            raise

    async def start_as_guest(self, folder: str) -> None:
        """Use a bucket of somebody else as it is: nothing is made or tried out there.

        Args:
            folder: with `/` at its end; it must be possible to list it.

        Raises:
            BackendUnavailable: it is not.
        """
        await self.control.start()
        try:
            await self.list(folder, limit=1)
        except BaseException:
            await self.control.close()
            raise

    async def close(self) -> None:
        """End what goes on beside, and the connections."""
        await self.counting.close()
        await self.control.close()

    # -- objects

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
        key = check_key(key)
        told_attributes(content_type, metadata or {})
        self.counting.check(key)
        source_of = Incoming(source, key, self.room, sha256, max_bytes)
        try:
            async with self._alone(key, if_absent):
                await self._send(key, source_of, content_type, metadata or {}, if_absent)
                info = await self.head(key)
            if info.size != source_of.size:
                raise BackendUnavailable(UNAVAILABLE)
        finally:
            self.room.release(owner_of(key), source_of.size)
        self.room.add(owner_of(key), 1, info.size)
        return info

    async def _send(
        self,
        key: str,
        source: Incoming,
        content_type: str,
        metadata: Mapping[str, str],
        if_absent: bool,
    ) -> None:
        beginning, is_all = await source.beginning(AT_ONCE_BYTES)
        more: dict[str, Any] = {"chunk_size": AT_ONCE_BYTES, "max_concurrency": PARTS_AT_ONCE}
        if is_all:
            mode = "create" if if_absent and self.is_conditional else "overwrite"
            more = {"mode": mode, "use_multipart": False}
        attributes = told_attributes(content_type, metadata, source.sha256 if is_all else "")
        body = beginning if is_all else source.from_beginning(beginning)
        before = "" if is_all else await self._etag(key)
        try:
            with told(key):
                await obstore.put_async(self._data, key, body, attributes=attributes, **more)
        except ObjectNotFound:
            # it was asked twice to put the parts together, since its first answer was lost
            if await self._etag(key) in ("", before):
                raise BackendUnavailable(UNAVAILABLE) from None

    async def _etag(self, key: str) -> str:
        """The ETag of what is there; empty for nothing."""
        try:
            return (await self.head(key)).etag
        except ObjectNotFound:
            return ""

    @asynccontextmanager
    async def _alone(self, key: str, if_absent: bool) -> AsyncIterator[None]:
        """For what may only be created: nobody else of this server does it, and nothing is there."""
        if not if_absent:
            yield
            return
        async with self._locks.held(key):
            try:
                await self.head(key)
            except ObjectNotFound:
                yield
                return
            raise AlreadyExists(f"A file is at {key[:200]} already.")

    async def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        info, _ = await self._facts(check_key(key))
        return info

    async def _facts(self, key: str) -> tuple[ObjectInfo, str]:
        """What is known of an object, and the digest that it must have, empty for any."""
        with told(key):
            found = await obstore.get_async(self._data, key, options={"head": True})
            wanted = str(found.attributes.get(WANTED_SHA256, ""))
            return info_of(key, found.meta, found.attributes), wanted

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """See `ObjectStore`."""
        key = check_key(key)
        check_range(start, stop)
        if start == 0 and stop is None:
            return await self._opened(key, None)
        if stop is None or stop > start:
            try:
                wanted = {"offset": start} if stop is None else (start, stop)
                return await self._opened(key, {"range": wanted})
            except BackendUnavailable:
                pass  # perhaps it has nothing of the range
        info = await self.head(key)
        if start >= info.size or stop == start:
            return EmptyReading(info, min(start, info.size))
        return await self._opened(
            key, {"range": (start, info.size if stop is None else min(info.size, stop))}
        )

    async def _opened(self, key: str, options: Any) -> Reading:
        with told(key):
            found = await obstore.get_async(self._data, key, options=options)
            return S3Reading(found, info_of(key, found.meta, found.attributes))

    async def list(
        self, prefix: str = "", *, after: str = "", skip: int = 0, limit: int = 1000, recursive: bool = True
    ) -> Page:
        """See `ObjectStore`."""
        limit = max(1, min(limit, MAX_LISTED))
        return await list_page(self.control, check_prefix(prefix), after, skip, limit, recursive=recursive)

    async def delete(self, key: str) -> bool:
        """See `ObjectStore`."""
        try:
            info = await self.head(key)
        except ObjectNotFound:
            return False
        with told(key):
            await obstore.delete_async(self._data, key)
        self.room.add(owner_of(key), -1, -info.size)
        return True

    async def delete_folder(self, prefix: str, *, spare: str = "") -> int:
        """See `ObjectStore`."""
        folder = check_key(prefix.removesuffix("/")) + "/"
        spared = f"{folder}{spare}/" if spare else ""
        count = 0
        async for listed in all_below(self.control, folder):
            page = [info for info in listed if not (spared and info.key.startswith(spared))]
            if not page:
                continue
            await self.control.delete([info.key for info in page])
            count += len(page)
            self.room.add(owner_of(folder), -len(page), -sum(info.size for info in page))
        return count

    async def copy(self, source: str, target: str, *, if_absent: bool = False) -> ObjectInfo:
        """See `ObjectStore`; the bytes stay in the storage."""
        source, target = check_key(source), check_key(target)
        info = await self.head(source)
        if source == target:
            return info
        self.counting.check(target)
        self.room.hold(owner_of(target), info.size)
        try:
            async with self._alone(target, if_absent):
                if info.size > COPIED_AT_ONCE_BYTES:
                    await self._copy_in_parts(info, target)
                else:
                    with told(source):
                        await obstore.copy_async(self._data, source, target)
        finally:
            self.room.release(owner_of(target), info.size)
        self.room.add(owner_of(target), 1, info.size)
        return await self.head(target)

    async def _copy_in_parts(self, info: ObjectInfo, target: str) -> None:
        control, parts = self.control, []
        upload = await control.begin(target, info.content_type, dict(info.metadata))
        try:
            for number, start in enumerate(range(0, info.size, COPIED_PART_BYTES), 1):
                stop = min(info.size, start + COPIED_PART_BYTES)
                parts.append((number, await control.copy_part(info, target, upload, number, start, stop)))
            await control.complete(target, upload, parts)
        except BaseException:
            await control.abort(target, upload)
            raise

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
        key = check_key(key)
        self.counting.check(key)
        wanted = {WANTED_SHA256: sha256.lower()} if sha256 else {}
        return await self.control.begin(key, content_type, {**(metadata or {}), **wanted})

    async def parts(self, key: str, upload: str) -> Sequence[Part]:
        """See `ObjectStore`."""
        return await self.control.parts(check_key(key), upload)

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
        """See `ObjectStore`; a part waits on disk until it is whole, since S3 must be told its size."""
        key, number = check_key(key), check_number(number)
        most = MAX_PART_BYTES if max_bytes is None else min(max_bytes, MAX_PART_BYTES)
        incoming = Incoming(source, key, self.room, sha256, most)
        body = SpooledTemporaryFile(PART_IN_MEMORY_BYTES)
        try:
            async for piece in incoming.from_beginning():
                if incoming.size > PART_IN_MEMORY_BYTES:
                    self.spool.check(len(piece))
                with told_of_disk():
                    await asyncio.to_thread(body.write, piece)
            with told_of_disk():
                await asyncio.to_thread(body.flush)
            return await self.control.put_part(key, upload, number, body, incoming.size)
        finally:
            self.room.release(owner_of(key), incoming.size)
            with suppress(OSError):  # what could not be written is of no use
                body.close()

    async def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> ObjectInfo:
        """See `ObjectStore`.

        S3 shows no part before all are put together: what has another digest than was said is deleted then.
        """
        key = check_key(key)
        checked = checked_parts(parts)
        try:
            await self.control.complete(key, upload, checked)
            is_new = True
        except UploadNotFound:
            # perhaps it was asked twice, since its first answer was lost
            if await self._etag(key) != joined_etag([etag for _, etag in checked]):
                raise
            is_new = False
        info, wanted = await self._facts(key)
        self.room.add(owner_of(key), int(is_new), info.size * is_new)  # whatever its digest: it is there
        if wanted and wanted != await self._digest(key):
            await self.delete(key)
            raise Corrupted(f"The parts of {key[:200]} have together another sha-256 than was said.")
        return info

    async def _digest(self, key: str) -> str:
        digest = hashlib.sha256()
        reading = await self.open(key)
        async for chunk in reading.chunks():
            await asyncio.to_thread(digest.update, chunk)
        return digest.hexdigest()

    async def abort(self, key: str, upload: str) -> None:
        """See `ObjectStore`."""
        await self.control.abort(check_key(key), upload)

    async def uploads_before(self, time: float, prefix: str = "") -> Sequence[tuple[str, str]]:
        """See `ObjectStore`."""
        found = await self.control.uploads(check_prefix(prefix))
        return [(key, upload) for key, upload, begun in found if begun < time]
