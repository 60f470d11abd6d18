"""`ObjectStore` with plain files: each object is one, under its own name."""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from hypha.background import to_its_end
from hypha.errors import Corrupted, FrameTooLarge, HyphaError, UploadNotFound
from hypha.objects.checks import check_number, check_range, checked_metadata
from hypha.objects.keys import check_bucket, check_key, check_prefix
from hypha.objects.local.counting import count_folder, read_note, size_of, write_note
from hypha.objects.local.draft import ETAG_CHARS, Draft, told
from hypha.objects.local.facts import Facts, FactsKeeper
from hypha.objects.local.layout import Layout
from hypha.objects.local.linking import LINKED_AT_ONCE, Links
from hypha.objects.local.listing import list_page
from hypha.objects.local.uploads import Uploads, joined_etag
from hypha.objects.room import Room, owner_of
from hypha.objects.store import (
    DEFAULT_TYPE,
    MAX_LISTED,
    Copied,
    ObjectInfo,
    ObjectStore,
    Page,
    Part,
    Reading,
    Source,
)

BLOCK_BYTES = 1024 * 1024
"""Read and written at a time: each costs a trip to a worker thread."""
PASSED_BYTES = 4 * 1024 * 1024
"""Sent to one reader before another has the thread."""
PATIENCE_MS = 2.0
"""So long a thread waits for a reader that is about to take more, which costs less than to come again."""
PIECES = 64
"""Of a block that is written as it came; more are put together first."""
THREADS = 8
FLUSHERS = 2
"""Beside those, because they are waited for by them."""

Result = TypeVar("Result")


class LocalObjects(ObjectStore):
    """Objects under `{root}/{bucket}/{key}`; what is not complete lies in folders beside the bucket.

    Args:
        root: a folder that no other server uses. bucket: see `check_bucket`.
        looks_on: another server may use it all the same: nothing is cleared away, and nothing may be changed.

    Attributes:
        room: counts what is kept; whoever bounds it says so there.
    """

    def __init__(self, root: Path, bucket: str, *, looks_on: bool = False) -> None:
        check_bucket(bucket)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = root.resolve()
        self.folder = root / bucket
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._drafts = root / ".drafts" / bucket
        self._trash = root / ".trash" / bucket
        self._looks_on = looks_on
        for folder in (self._drafts, self._trash):
            if not looks_on:
                shutil.rmtree(folder, ignore_errors=True)  # of a server that was killed
            folder.mkdir(mode=0o700, parents=True, exist_ok=looks_on)
        self._uploads = Uploads(root / ".uploads" / bucket, self._trash)
        self._note = root / f".kept.{bucket}.json"
        counted = {} if looks_on else read_note(self._note) or self._count()
        self.room = Room(counted, self.folder)
        self._layout = Layout(self.folder, FactsKeeper.of(root / ".facts" / bucket, self.folder))
        self._threads = ThreadPoolExecutor(THREADS, "objects")
        self._flushers = ThreadPoolExecutor(FLUSHERS, "flushing objects")

    shares_copies = True
    gathered_bytes = gathered_part_bytes = BLOCK_BYTES

    @classmethod
    async def open_at(cls, root: Path, bucket: str) -> Self:
        """The same beside the event loop."""
        return await asyncio.to_thread(cls, root, bucket)

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._flushers.shutdown)
        if not self._looks_on:
            await asyncio.to_thread(write_note, self._note, self.room.all())

    def _count(self) -> dict[str, tuple[int, int]]:
        counted = count_folder(self.folder)
        for owner, (count, size) in self._uploads.counted().items():
            before = counted.get(owner, (0, 0))
            counted[owner] = before[0] + count, before[1] + size
        return counted

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
        key, more = check_key(key), checked_metadata(metadata)
        facts = Facts(0, 0, "", content_type, more, (sha256 or "").lower())
        blocks = _blocks(source)
        first: Sequence[bytes] = await anext(blocks, [])  # a tuple would be taken apart
        if isinstance(source, bytes) or sum(map(len, first)) < BLOCK_BYTES:
            return await self._put_small(b"".join(first), key, facts, if_absent, max_bytes)
        async with self._draft(key) as draft:
            await self._write(draft, key, first, max_bytes)
            await self._fill(draft, key, blocks, max_bytes)
            return await self._run(self._keep, draft, key, _digested(facts, draft, key), if_absent)

    async def _put_small(
        self, data: bytes, key: str, facts: Facts, if_absent: bool, max_bytes: int | None
    ) -> ObjectInfo:
        """Keep what has come as a whole, with one trip to a thread."""
        _check_size(len(data), max_bytes)
        self.room.take(owner_of(key), len(data), 1)
        return await self._run(self._keep_small, data, key, facts, if_absent)

    async def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        facts, _ = await self._run(self._layout.look, check_key(key))
        return facts.info(key)

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """See `ObjectStore`."""
        return await self._run(self._open, check_key(key), start, stop, drop=_LocalReading.drop)

    async def list(
        self, prefix: str = "", *, after: str = "", skip: int = 0, limit: int = 1000, recursive: bool = True
    ) -> Page:
        """See `ObjectStore`."""
        limit = max(1, min(limit, MAX_LISTED))
        return await self._run(list_page, self._layout, check_prefix(prefix), after, skip, limit, recursive)

    async def delete(self, key: str) -> bool:
        """See `ObjectStore`."""
        return await self._run(self._delete, check_key(key))

    async def delete_folder(self, prefix: str, *, spare: str = "") -> int:
        """See `ObjectStore`."""
        return await self._run(self._delete_folder, check_key(prefix.removesuffix("/")), spare)

    async def copy(self, source: str, target: str, *, if_absent: bool = False) -> ObjectInfo:
        """See `ObjectStore`; both share their bytes on disk where the file system lets them."""
        info = await self.head(source)
        shares = self._layout.facts.has_attributes
        self.room.take(owner_of(check_key(target)), info.size, 1, shares_bytes=shares)
        return await self._run(self._copy, check_key(source), target, if_absent, info.size)

    async def copy_many(
        self, pairs: Sequence[tuple[str, str]], told: Copied | None = None
    ) -> Sequence[ObjectInfo]:
        """See `ObjectStore`; all share their bytes on disk, and reach it together."""
        if not self._layout.facts.has_attributes:
            return await super().copy_many(pairs, told)
        links, done, taken = Links(self._layout), list[ObjectInfo](), list[tuple[str, str]]()
        for start in range(0, len(pairs), LINKED_AT_ONCE):
            some = pairs[start : start + LINKED_AT_ONCE]
            is_last = start + len(some) == len(pairs)
            found, count, size = await self._run(links.link, some, is_last)
            await self._count_links(links, [target for _, target in some], found, count, size)
            copied = [info for info in found if info is not None]
            if told is not None:
                told(copied)
            done += copied
            taken += [pair for pair, info in zip(some, found, strict=True) if info is None]
        done += await super().copy_many(taken, told)
        by_key = {info.key: info for info in done}
        return [by_key[target] for _, target in pairs]

    async def _count_links(
        self, links: Links, targets: Sequence[str], found: Sequence[ObjectInfo | None], count: int, size: int
    ) -> None:
        """Count new links, or take them away if they are too many."""
        owner = owner_of(targets[0])
        try:
            self.room.take(owner, size, count, shares_bytes=True)
        except HyphaError:
            made = [target for target, info in zip(targets, found, strict=True) if info is not None]
            await self._run(links.drop, made)
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
        more, whole = checked_metadata(metadata), (sha256 or "").lower()
        return await self._run(self._uploads.begin, check_key(key), content_type, more, whole)

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
        check_number(number)
        await self._run(self._uploads.about, check_key(key), upload)
        async with self._draft(key) as draft:
            await self._fill(draft, key, _blocks(source), max_bytes)
            if sha256 and sha256.lower() != draft.sha256:
                raise Corrupted(f"The bytes that came for a part of {key[:200]} have another sha-256.")
            return await self._run(self._keep_part, draft, key, upload, number)

    async def parts(self, key: str, upload: str) -> Sequence[Part]:
        """See `ObjectStore`."""
        await self._run(self._uploads.about, check_key(key), upload)
        return await self._run(self._uploads.there, key, upload)

    async def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> ObjectInfo:
        """See `ObjectStore`."""
        about = await self._run(self._uploads.about, check_key(key), upload)
        files, wanted = await self._run(self._uploads.parts, key, upload, parts), about.get("sha256", "")
        async with self._draft(key, takes_room=False) as draft:
            for file in files:  # counted as parts already, so they are not refused
                await self._run(self._append, draft, key, file, bool(wanted))
            if wanted and wanted != draft.sha256:
                raise Corrupted(f"The parts of {key[:200]} have together the sha-256 {draft.sha256}.")
            facts = Facts(0, 0, joined_etag(files), about["content_type"], about["metadata"], wanted)
            info = await self._run(self._keep, draft, key, facts, False)
        await self._run(self._forget, key, upload)
        return info

    async def abort(self, key: str, upload: str) -> None:
        """See `ObjectStore`."""
        await self._run(self._uploads.about, check_key(key), upload)
        await self._run(self._forget, key, upload)

    async def uploads_before(self, time: float, prefix: str = "") -> Sequence[tuple[str, str]]:
        """See `ObjectStore`."""
        return await self._run(self._uploads.before, time, check_prefix(prefix))

    async def set_aside(self, prefix: str, target: Path, *, spare: str = "") -> bool:
        """Move a folder with all below it out of the store, but `spare` in it; False if there is nothing."""
        return await self._run(self._set_aside, check_key(prefix.removesuffix("/")), target, spare)

    # -- in worker threads

    def _keep_small(self, data: bytes, key: str, facts: Facts, if_absent: bool) -> ObjectInfo:
        is_kept = False
        try:
            draft = Draft(self._drafts)
            try:
                draft.write(data)
                info = self._keep(draft, key, _digested(facts, draft, key), if_absent)
                is_kept = True
                return info
            finally:
                draft.discard()
        finally:
            if not is_kept:
                self.room.add(owner_of(key), -1, -len(data))

    def _keep(self, draft: Draft, key: str, facts: Facts, if_absent: bool) -> ObjectInfo:
        facts = draft.finish(facts, self._layout.facts)
        replaced = self._layout.put(draft.path, key, facts, if_absent=if_absent)
        self._kept(draft, key, len(replaced), sum(replaced))
        return facts.info(key)

    def _kept(self, draft: Draft, key: str, count: int, size: int) -> None:
        """A draft stays, in place of so many files of so many bytes."""
        draft.held, draft.is_kept = 0, True
        self.room.add(owner_of(key), -count, -size)

    def _keep_part(self, draft: Draft, key: str, upload: str, number: int) -> str:
        draft.flush()
        etag, count, size = self._uploads.put(key, upload, number, draft)
        self._kept(draft, key, count, size)
        return etag

    def _append(self, draft: Draft, key: str, file: Path, is_hashed: bool) -> None:
        before = draft.size
        try:
            self.room.disk.check(file.stat().st_size)
            draft.append(file, is_hashed=is_hashed)
        except FileNotFoundError:
            raise UploadNotFound("The upload was completed, given up or changed by somebody else.") from None
        finally:
            self.room.add(owner_of(key), 0, draft.size - before)
            draft.held += draft.size - before

    def _forget(self, key: str, upload: str) -> None:
        count, size = self._uploads.forget(key, upload)
        self.room.add(owner_of(key), -count, -size)

    def _delete(self, key: str) -> bool:
        gone = self._layout.delete(key)
        self.room.add(owner_of(key), -len(gone), -sum(gone))
        return bool(gone)

    def _delete_folder(self, key: str, spare: str) -> int:
        away = self._trash / secrets.token_hex(12)
        if not self._layout.move_away(key, away, spare):
            return 0
        count = self._uncount(key, away)
        shutil.rmtree(away, ignore_errors=True)
        return count

    def _set_aside(self, key: str, target: Path, spare: str) -> bool:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        is_there = self._layout.move_away(key, target, spare)
        if is_there:
            self._uncount(key, target)
        return is_there

    def _uncount(self, key: str, away: Path) -> int:
        count, size = size_of(away)
        self.room.add(owner_of(f"{key}/"), -count, -size)
        return count

    def _open(self, key: str, start: int, stop: int | None) -> _LocalReading:
        check_range(start, stop)
        descriptor, place, found = self._layout.open(key)
        info = self._layout.facts.read(descriptor, place, found).info(key)
        stop = info.size if stop is None else min(stop, info.size)
        return _LocalReading(self._run, descriptor, info, min(start, stop), stop)

    def _copy(self, source: str, target: str, if_absent: bool, taken: int) -> ObjectInfo:
        draft, replaced, is_kept, kept = None, list[int](), 0, 0
        try:
            draft = Draft(self._drafts)
            facts, place = self._layout.look(source)
            if self._layout.facts.has_attributes:
                draft.discard()
                os.link(self.folder / place, draft.path)
                # another one may have taken its place meanwhile: what counts is what was linked
                facts = self._layout.facts.read(draft.path, place, os.lstat(draft.path))
            else:
                draft.append(self.folder / place)
                facts = draft.finish(facts, self._layout.facts)
            replaced = self._layout.put(draft.path, target, facts, if_absent=if_absent)
            is_kept, kept = 1, facts.size
        finally:
            if draft is not None:
                draft.discard()
            self.room.add(owner_of(target), is_kept - 1 - len(replaced), kept - taken - sum(replaced))
        return facts.info(target)

    # -- between the event loop and the threads

    async def _fill(
        self, draft: Draft, key: str, blocks: AsyncIterator[Sequence[bytes]], max_bytes: int | None
    ) -> None:
        """Write what comes; while a block is on its way to disk, the next one is taken in."""
        writing: asyncio.Task[None] | None = None
        try:
            async for block in blocks:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(draft, key, block, max_bytes))
                await asyncio.sleep(0)  # it begins
        finally:
            if writing is not None:
                await writing

    async def _write(self, draft: Draft, key: str, block: Sequence[bytes], max_bytes: int | None) -> None:
        """Store a block and take it into the digest, side by side."""
        size = sum(map(len, block))
        _check_size(draft.size + size, max_bytes)
        self.room.take(owner_of(key), size)
        draft.held += size
        digesting = asyncio.ensure_future(self._run(draft.digest, block))
        try:
            await self._run(draft.store, block)
        finally:
            await to_its_end(digesting)

    @asynccontextmanager
    async def _draft(self, key: str, *, takes_room: bool = True) -> AsyncIterator[Draft]:
        """A draft for a key; it and what it held count no more when it isn't kept."""
        owner, draft = owner_of(key), None
        if takes_room:
            self.room.take(owner, 0, 1)
        else:
            self.room.add(owner, 1, 0)
        try:
            draft = await self._run(Draft, self._drafts, self._flushers, drop=Draft.discard)
            yield draft
        finally:
            if draft is None or not draft.is_kept:
                self.room.add(owner, -1, -draft.held if draft is not None else 0)
            if draft is not None:
                await self._run(draft.discard)

    async def _run(
        self, work: Callable[..., Result], *args: object, drop: Callable[[Result], object] | None = None
    ) -> Result:
        """Do something in a worker thread, to its end even when the caller gives up.

        Args:
            drop: gives back what was made for a caller that has given up.
        """
        job = asyncio.get_running_loop().run_in_executor(self._threads, partial(_told, work, *args))
        try:
            return await to_its_end(job)
        except asyncio.CancelledError:
            if drop is not None and not job.cancelled() and job.exception() is None:
                drop(job.result())
            raise


class _LocalReading(Reading):
    passes_on = hasattr(os, "sendfile")

    def __init__(
        self, run: Callable[..., object], descriptor: int, info: ObjectInfo, start: int, stop: int
    ) -> None:
        self.info, self.start, self.stop = info, start, stop
        self._run = run
        self._descriptor: int | None = descriptor

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Reading`."""
        at = self.start
        while at < self.stop and self._descriptor is not None:
            data: bytes = await self._run(  # type: ignore[misc]
                os.pread, self._descriptor, min(BLOCK_BYTES, self.stop - at), at
            )
            if not data:
                return
            at += len(data)
            yield data

    async def pass_on(self, connection: int, at: int) -> tuple[int, bool]:
        """See `Reading`."""
        passed: tuple[int, bool] = await self._run(  # type: ignore[misc]
            _pass_on, connection, self._descriptor, at, min(self.stop, at + PASSED_BYTES)
        )
        return passed

    async def close(self) -> None:
        """See `Reading`."""
        self.drop()

    def drop(self) -> None:
        """The same without waiting."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _pass_on(connection: int, file: int, at: int, stop: int) -> tuple[int, bool]:
    start = at
    while at < stop:
        try:
            sent = os.sendfile(connection, file, at, stop - at)
        except BlockingIOError:
            writable = select.poll()
            writable.register(connection, select.POLLOUT)
            if not writable.poll(PATIENCE_MS):
                return at - start, True
            continue
        if not sent:
            break
        at += sent
    return at - start, False


def _told(work: Callable[..., Result], *args: object) -> Result:
    with told():
        return work(*args)


def _digested(facts: Facts, draft: Draft, key: str) -> Facts:
    """Facts with the digest of what was written.

    Raises:
        Corrupted: they are to have another one.
    """
    if facts.sha256 and facts.sha256 != draft.sha256:
        raise Corrupted(f"The bytes that came for {key[:200]} have the sha-256 {draft.sha256}.")
    return replace(facts, sha256=draft.sha256, etag=draft.sha256[:ETAG_CHARS])


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise FrameTooLarge(f"The file is larger than {max_bytes:,} bytes.")


async def _blocks(source: Source) -> AsyncIterator[Sequence[bytes]]:
    """The pieces of a source, as many together as are worth a trip to a thread."""
    if not isinstance(source, AsyncIterable):
        yield (source,)
        return
    waiting: list[bytes] = []
    size = 0
    async for piece in source:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield waiting if len(waiting) <= PIECES else [b"".join(waiting)]
            waiting, size = [], 0
    if waiting:
        yield [b"".join(waiting)]
