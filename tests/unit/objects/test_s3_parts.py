"""A part on its way to S3 waits on a disk that may be full, and is no larger than S3 takes."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import Any

import pytest
import pytest_asyncio

from hypha.errors import FrameTooLarge, StorageFull

pytest.importorskip("obstore")
from hypha.objects.s3 import store as module
from hypha.objects.s3.endpoint import Endpoint
from hypha.objects.s3.store import PART_IN_MEMORY_BYTES, S3Objects
from tests.kit.fake_s3 import ETAG, FakeS3, serving

SMALL, LARGE = b"x" * 1000, b"x" * (PART_IN_MEMORY_BYTES + 1000)


@pytest_asyncio.fixture
async def storage() -> AsyncIterator[FakeS3]:
    async with serving(FakeS3()) as made:
        yield made


@pytest_asyncio.fixture
async def store(storage: FakeS3) -> AsyncIterator[S3Objects]:
    made = S3Objects(Endpoint(storage.url, "bucket", "id", "secret"))
    await made.control.start()
    yield made
    await made.close()


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 500_000):
        yield content[at : at + 500_000]


async def test_a_part_that_the_disk_has_no_room_for_is_refused(store: S3Objects, storage: FakeS3) -> None:
    store.spool.least_free_bytes = 10**18
    with pytest.raises(StorageFull):
        await store.put_part("ws/a", "u1", 1, pieces(LARGE))
    assert storage.seen == [] and store.room.all() == {}
    assert await store.put_part("ws/a", "u1", 1, pieces(SMALL)) == ETAG.strip('"')  # it needs no disk
    store.spool.least_free_bytes = 0
    await store.put_part("ws/a", "u1", 2, pieces(LARGE))
    assert [len(body) for _, _, body in storage.seen] == [len(SMALL), len(LARGE)]


@pytest.mark.parametrize("failing", ["write", "flush"])
async def test_a_disk_that_becomes_full_is_said_to_be(
    store: S3Objects, storage: FakeS3, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile(SpooledTemporaryFile):  # type: ignore[type-arg]
        def close(self) -> None:
            super().close()
            full()

    setattr(FullFile, failing, full)
    monkeypatch.setattr(module, "SpooledTemporaryFile", FullFile)
    with pytest.raises(StorageFull, match="nothing was changed"):
        await store.put_part("ws/a", "u1", 1, pieces(LARGE))
    assert storage.seen == [] and store.room.all() == {}


async def test_a_part_is_no_larger_than_s3_takes(
    store: S3Objects, storage: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PART_BYTES", 1_000_000)
    for most in (None, 10**12):
        with pytest.raises(FrameTooLarge, match="1,000,000"):
            await store.put_part("ws/a", "u1", 1, pieces(LARGE), max_bytes=most)
    with pytest.raises(FrameTooLarge, match="larger than 100 bytes"):
        await store.put_part("ws/a", "u1", 1, pieces(SMALL), max_bytes=100)
    assert storage.seen == []
