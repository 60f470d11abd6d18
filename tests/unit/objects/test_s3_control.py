"""Requests to S3: repeated after a pause, never led elsewhere, and bound to what was looked at."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from hypha.errors import BackendUnavailable, Conflict, StorageFull

pytest.importorskip("obstore")
from aiohttp import web

from hypha.objects.s3.control import Control
from hypha.objects.s3.endpoint import RETRIES, Endpoint
from hypha.objects.s3.requests import FIRST_PAUSE_S
from hypha.objects.s3.store import COPIED_AT_ONCE_BYTES, S3Objects
from tests.kit.fake_s3 import ETAG, FakeS3, serving

BEGUN = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"


class ChangingStorage(FakeS3):
    """Has one large object; another one comes in its place after the first part was copied."""

    async def answer(self, request: web.Request) -> web.Response:
        self.note(request, b"")
        if request.method == "HEAD":
            facts = {"ETag": ETAG, "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
            return web.Response(headers={**facts, "Content-Length": str(COPIED_AT_ONCE_BYTES + 1)})
        if request.method == "POST":
            return web.Response(text=BEGUN, content_type="application/xml")
        if request.method == "DELETE":
            return web.Response(status=204)
        if request.headers.get("x-amz-copy-source-if-match") == ETAG and request.query["partNumber"] == "2":
            return web.Response(status=412, text="<Error><Code>PreconditionFailed</Code></Error>")
        done = f"<CopyPartResult><ETag>{ETAG}</ETag></CopyPartResult>"
        return web.Response(text=done, content_type="application/xml")


@pytest_asyncio.fixture
async def storage() -> AsyncIterator[FakeS3]:
    async with serving(FakeS3()) as made:
        yield made


@pytest_asyncio.fixture
async def control(storage: FakeS3) -> AsyncIterator[Control]:
    made = Control(Endpoint(storage.url, "bucket", "id", "secret"))
    await made.start()
    yield made
    await made.close()


async def test_a_redirect_never_leads_bytes_or_lists_elsewhere(storage: FakeS3, control: Control) -> None:
    storage.status, storage.headers = 307, {"Location": f"{storage.url}/elsewhere"}
    with pytest.raises(BackendUnavailable):
        await control.put_part("ws/a", "u1", 1, io.BytesIO(b"secret"), 6)
    with pytest.raises(BackendUnavailable):
        await control.page({})
    assert [request.path for _, request, _ in storage.seen] == ["/bucket/ws/a", "/bucket"]


async def test_what_fails_is_tried_again_after_longer_and_longer_pauses(
    storage: FakeS3, control: Control
) -> None:
    storage.status = 503
    with pytest.raises(BackendUnavailable):
        await control.put_part("ws/a", "u1", 1, io.BytesIO(b"12345"), 5)
    assert [body for _, _, body in storage.seen] == [b"12345"] * RETRIES
    times = [at for at, _, _ in storage.seen]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(pause >= FIRST_PAUSE_S * 2**number for number, pause in enumerate(pauses))


async def test_a_storage_without_room_for_a_part_is_said_to_be_full(
    storage: FakeS3, control: Control
) -> None:
    storage.status = 507
    with pytest.raises(StorageFull):
        await control.put_part("ws/a", "u1", 1, io.BytesIO(b"12345"), 5)
    assert len(storage.seen) == 1


async def test_parts_of_two_objects_are_never_copied_into_one() -> None:
    async with serving(ChangingStorage()) as storage:
        store = S3Objects(Endpoint(storage.url, "bucket", "id", "secret"))
        await store.control.start()
        with pytest.raises(Conflict, match="copy it again"):
            await store.copy("ws/a", "ws/b")
        assert storage.seen[-1][1].method == "DELETE"
        assert store.room.of("ws") == (0, 0)
        await store.close()


class CarelessStorage(FakeS3):
    """Keeps objects; looks at signatures as it is told, and heeds headers that nobody signed."""

    def __init__(self, heeded: str, *, checks_keys: bool) -> None:
        super().__init__()
        self.kept: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.heeded = heeded
        self.checks_keys = checks_keys
        self.asked = set[str]()

    async def answer(self, request: web.Request) -> web.Response:
        body, key = await request.read(), request.path
        if "delete" in request.query:
            return self.deleted(body)
        if request.method == "GET":
            content, more = self.kept[key]
            facts = {"ETag": ETAG, "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT", **more}
            return web.Response(body=content, headers=facts)
        if "X-Amz-Signature" in request.query and self.checks_keys and self._is_first(key):
            return web.Response(status=403)
        given = request.headers.get(self.heeded, "")
        is_copy = bool(given) and self.heeded == "x-amz-copy-source"
        self.kept[key] = self.kept[given] if is_copy else (body, {self.heeded: given} if given else {})
        return web.Response(headers=self.headers)

    def _is_first(self, key: str) -> bool:
        """The first request with an address is that with a wrong key."""
        is_first = key not in self.asked
        self.asked.add(key)
        return is_first


@pytest.mark.parametrize("checks_keys", [True, False])
@pytest.mark.parametrize("heeded", ["x-amz-copy-source", "x-amz-meta-hypha-sha256", "x-amz-none"])
async def test_a_storage_that_heeds_what_nobody_signed_is_known_from_the_start(
    heeded: str, checks_keys: bool
) -> None:
    async with serving(CarelessStorage(heeded, checks_keys=checks_keys)) as storage:
        store = S3Objects(Endpoint(storage.url, "bucket", "id", "secret"))
        await store.start(takes_cors=False)
        # who looks at no signature is open anyway
        assert store.takes_unsigned is (checks_keys and heeded != "x-amz-none")
        await store.close()
