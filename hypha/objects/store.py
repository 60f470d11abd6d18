"""What every object store can do; `hypha.objects.local` does it with plain files."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

DEFAULT_TYPE = "application/octet-stream"
MAX_PARTS = 10_000
MAX_LISTED = 10_000
COPIED_TOGETHER = 16
"""Objects that are copied at a time where each is a request of its own."""

Source = bytes | AsyncIterable[bytes]
Copied = Callable[[Sequence["ObjectInfo"]], None]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object.

    Attributes:
        etag: changes when the content does; without the quotes that HTTP puts around it.
        modified: Unix seconds.
        sha256: hex digest of the content; empty where it is not known (made of parts, put there by hand).
    """

    key: str
    size: int
    etag: str
    modified: float
    content_type: str = DEFAULT_TYPE
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an upload that is there."""

    number: int
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list: objects and folders in the order of their keys; `rest` says whether more follow."""

    objects: list[ObjectInfo]
    folders: list[str]
    rest: bool = False


class Reading(ABC):
    """An opened object, or a range of it; `close` it."""

    info: ObjectInfo
    start: int
    stop: int
    passes_on = False
    """Whether there is `pass_on`."""

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the range, in pieces."""

    @abstractmethod
    async def close(self) -> None:
        """Give back what is held."""

    async def pass_on(self, connection: int, at: int) -> tuple[int, bool]:
        """Let the system send bytes from an offset on to a socket that does not block.

        Returns how many it took, and whether it takes no more now; 0 and False where there is nothing left.

        Raises:
            ConnectionError: the other end has closed it.
        """
        raise NotImplementedError

    async def whole(self) -> bytes:
        """All bytes of the range at once."""
        return b"".join([chunk async for chunk in self.chunks()])


class ObjectStore(ABC):
    """One bucket of objects.

    What `put`, `copy` and `complete` answer for is on disk when they return, and readers see the object of
    before or the new one, never a part. Keys are checked by all of them (`check_key`).

    `shares_copies` says whether a copy takes no room for the bytes, or as little as the file system lets it;
    `gathered_bytes` how much of an object, `gathered_part_bytes` of a part, lies in memory on its way.
    """

    shares_copies: bool = False
    gathered_bytes: int
    gathered_part_bytes: int

    def gathered(self, key: str, *, is_part: bool = False) -> int:
        """How much of an object of this key, or of a part of it, lies in memory on its way."""
        return self.gathered_part_bytes if is_part else self.gathered_bytes

    @abstractmethod
    async def close(self) -> None:
        """Wait for what is being written, and give back what is held."""

    @abstractmethod
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
        """Keep bytes under a key, in place of what was there.

        Args:
            if_absent: nothing may be there. sha256: the hex digest that the bytes must have.
            max_bytes: how many there may be.

        Raises:
            InvalidKey. AlreadyExists: with `if_absent`. Corrupted: the bytes have another digest.
            FrameTooLarge: there are more. StorageFull: there is no room. Nothing is changed by any of them.
        """

    @abstractmethod
    async def head(self, key: str) -> ObjectInfo:
        """What is known of an object.

        Raises:
            ObjectNotFound, InvalidKey.
        """

    @abstractmethod
    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """Open the bytes from `start` up to but not including `stop` (default: its end) for reading.

        Raises:
            ObjectNotFound, InvalidKey.
        """

    @abstractmethod
    async def list(
        self, prefix: str = "", *, after: str = "", skip: int = 0, limit: int = 1000, recursive: bool = True
    ) -> Page:
        """Objects whose keys begin with a prefix, in the order of their keys.

        Of each at least key, size, ETag and time are told; S3 tells no more in lists.

        Args:
            after: only keys behind this one (or behind this folder, given with `/`).
            skip: so many of those are left out first.
            recursive: all below; else the objects of that folder, and the folders in it with `/` at the end.

        Raises:
            InvalidKey: the prefix is none.
        """

    async def pages(self, prefix: str, *, limit: int = MAX_LISTED) -> AsyncIterator[Page]:
        """All objects and folders of one folder, page by page.

        Raises:
            InvalidKey: the prefix is none.
        """
        after, rest = "", True
        while rest:
            page = await self.list(prefix, after=after, limit=limit, recursive=False)
            yield page
            last = [*page.folders[-1:], *(each.key for each in page.objects[-1:])]
            after, rest = max(last, default=""), page.rest

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Delete an object; False if there was none.

        Raises:
            InvalidKey.
        """

    @abstractmethod
    async def delete_folder(self, prefix: str, *, spare: str = "") -> int:
        """Delete all objects of a folder and below; returns how many there were.

        Args:
            spare: the name of a folder directly in it that stays, with all below it.

        Raises:
            InvalidKey.
        """

    @abstractmethod
    async def copy(self, source: str, target: str, *, if_absent: bool = False) -> ObjectInfo:
        """Keep the bytes and facts of an object under another key, too.

        Raises:
            ObjectNotFound, InvalidKey, AlreadyExists, StorageFull: see `put`.
            Conflict: the object was changed meanwhile, where that cannot be helped.
        """

    async def copy_many(
        self, pairs: Sequence[tuple[str, str]], told: Copied | None = None
    ) -> Sequence[ObjectInfo]:
        """Copy objects (source, target) as `copy` does; what they are, in the order of the pairs.

        With an error some of them were copied and some were not: whoever chose the targets deletes them.
        `told` is called with those that were copied, some at a time.

        Raises:
            ObjectNotFound, InvalidKey, QuotaExceeded, StorageFull: see `copy`.
        """
        done: list[ObjectInfo] = []
        for start in range(0, len(pairs), COPIED_TOGETHER):
            some = pairs[start : start + COPIED_TOGETHER]
            # none goes on behind the back of whoever cleans up after an error
            ended = await asyncio.gather(
                *(self.copy(source, target) for source, target in some), return_exceptions=True
            )
            copied = [each for each in ended if isinstance(each, ObjectInfo)]
            for each in ended:
                if isinstance(each, BaseException):
                    raise each
            if told is not None:
                told(copied)
            done += copied
        return done

    @abstractmethod
    async def begin(
        self,
        key: str,
        *,
        content_type: str = DEFAULT_TYPE,
        metadata: Mapping[str, str] | None = None,
        sha256: str | None = None,
    ) -> str:
        """Begin an upload in parts and return its id.

        Args:
            sha256: the hex digest that the whole must have; without it that of the object is not known.

        Raises:
            InvalidKey.
        """

    @abstractmethod
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
        """Keep one part, 1 to 10,000, in place of what was sent for it before; returns its ETag.

        Args:
            max_bytes, sha256: of the part; see `put`.

        Raises:
            UploadNotFound: there is no such upload to this key. InvalidRequest: the number is none.
            Corrupted, FrameTooLarge, StorageFull: see `put`.
        """

    @abstractmethod
    async def parts(self, key: str, upload: str) -> Sequence[Part]:
        """The parts that are there, in the order of their numbers; who goes on with an upload sends the rest.

        Raises:
            UploadNotFound: see `put_part`.
        """

    @abstractmethod
    async def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> ObjectInfo:
        """Put the parts (number, ETag) together under the key and forget the upload.

        Raises:
            UploadNotFound. InvalidRequest: parts are missing, in no order, or of another ETag.
            Corrupted: together they have another digest than was said; the upload can go on.
            StorageFull: see `put`.
        """

    @abstractmethod
    async def abort(self, key: str, upload: str) -> None:
        """Forget an upload and its parts.

        Raises:
            UploadNotFound: there is none of this id for this key.
        """

    @abstractmethod
    async def uploads_before(self, time: float, prefix: str = "") -> Sequence[tuple[str, str]]:
        """Key and id of the uploads that were begun before a time, in Unix seconds.

        Args:
            prefix: only of those to keys that begin with it; what others upload costs nothing then.
        """
