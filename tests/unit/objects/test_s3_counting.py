"""What is kept in S3 is counted once at a time, with what is on its way, and never below nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from hypha.errors import BackendUnavailable, Corrupted, QuotaExceeded
from hypha.objects.room import Room, Share

pytest.importorskip("obstore")
from hypha.objects.local.urls import LocalUrls
from hypha.objects.s3.control import Control
from hypha.objects.s3.counting import COUNT_EVERY_S, Counting
from hypha.objects.s3.endpoint import Endpoint
from hypha.objects.s3.store import S3Objects
from hypha.objects.s3.urls import S3Urls
from tests.kit.fake_s3 import ETAG, FakeS3, serving

ENDPOINT = Endpoint("http://127.0.0.1:9", "bucket", "id", "secret")
LISTED = (
    b"<ListBucketResult><Contents><Key>ws-1/a</Key><Size>7</Size>"
    b"<LastModified>2025-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>"
)
WANTED = {
    "ETag": ETAG,
    "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT",
    "x-amz-meta-hypha-sha256-wanted": "0" * 64,
}


class Listed(Control):
    """A storage whose only list comes when it may."""

    def __init__(self) -> None:
        super().__init__(ENDPOINT)
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def page(self, query: dict[str, str]) -> bytes:
        self.asked += 1
        await self.may_answer.wait()
        return LISTED


class PartsThatDiffer(FakeS3):
    """Puts parts together to something of another digest than was said."""

    async def answer(self, request: web.Request) -> web.Response:
        self.note(request, await request.read())
        if request.method in ("GET", "HEAD"):
            return web.Response(body=b"12345", headers=WANTED)
        if "delete" in request.query:
            return self.deleted(self.seen[-1][2])
        done = f"<CompleteMultipartUploadResult><ETag>{ETAG}</ETag></CompleteMultipartUploadResult>"
        return web.Response(text=done, content_type="application/xml")


async def test_one_workspace_is_counted_once_at_a_time() -> None:
    control, now = Listed(), [0.0]
    counting = Counting(control, lambda: now[0])
    for _ in range(3):
        counting.look("ws-1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        now[0] += COUNT_EVERY_S + 1
    assert control.asked == 1
    control.may_answer.set()
    await counting._tasks.settled()
    now[0] += 100 * COUNT_EVERY_S
    counting.look("ws-1")
    await counting._tasks.settled()
    assert control.asked == 2 and counting.room.of("ws-1") == (1, 7)
    await counting.close()


async def test_what_is_on_its_way_stays_counted_by_a_count() -> None:
    control = Listed()
    control.may_answer.set()
    counting = Counting(control)
    counting.room.hold("ws-1", 100)
    await counting.count("ws-1")
    assert counting.room.of("ws-1") == (1, 107)
    counting.room.release("ws-1", 100)
    assert counting.room.of("ws-1") == (1, 7)


def test_nobody_has_less_than_nothing() -> None:
    room = Room({"ws-2": (-1, -5)}, Path("/"))
    room.add("ws-1", -2, -100)
    room.add("ws-1", 1, 10)
    room.add("ws-2", 1, 10)
    assert room.all() == {"ws-1": (1, 10), "ws-2": (1, 10)}


@pytest.mark.parametrize("is_readable", [True, False])
async def test_what_came_in_parts_counts_as_long_as_it_is_there(
    is_readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(key: str) -> str:
        raise BackendUnavailable("no")

    async with serving(PartsThatDiffer()) as storage:
        store = S3Objects(Endpoint(storage.url, "bucket", "id", "secret"))
        await store.control.start()
        store.room.add("ws", 1, 50)
        if not is_readable:
            monkeypatch.setattr(store, "_digest", unreadable)
        with pytest.raises(Corrupted if is_readable else BackendUnavailable):
            await store.complete("ws/a", "u1", [(1, ETAG)])
        assert store.room.of("ws") == ((1, 50) if is_readable else (2, 55))
        await store.close()


async def test_who_keeps_too_much_gets_no_address_for_a_part() -> None:
    async with serving(FakeS3()) as storage:
        store = S3Objects(Endpoint(storage.url, "bucket", "id", "secret"))
        await store.control.start()
        store.room.share_of = lambda owner: Share(2, 100)
        store.room.add("ws-1", 2, 50)
        own = LocalUrls("bucket", "a secret", "http://hub")
        with pytest.raises(QuotaExceeded):
            urls = S3Urls(store.endpoint, own, store.counting, is_proxied=False)
            await urls.part("ws-1/a", "u1", 1, expires_in=60)
        await store.close()
