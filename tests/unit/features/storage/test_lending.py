"""Keys that S3 lends are lent to those who may keep more."""

from __future__ import annotations

import pytest

from hypha.errors import QuotaExceeded
from hypha.features.storage.remote import StsLender
from hypha.objects.room import Share
from tests.kit.fake_s3 import FakeS3, serving

pytest.importorskip("obstore")
from hypha.objects.s3.endpoint import Endpoint
from hypha.objects.s3.store import S3Objects


async def test_who_keeps_too_much_is_lent_no_key() -> None:
    async with serving(FakeS3()) as storage:
        store = S3Objects(Endpoint(storage.url, "bucket", "id", "secret"))
        await store.control.start()
        store.room.share_of = lambda owner: Share(2, 100)
        store.room.add("ws-1", 2, 50)
        with pytest.raises(QuotaExceeded):
            await StsLender(store, "role", "").lend("ws-1/", "alice")
        assert not any("AssumeRole" in body.decode() for _, _, body in storage.seen)
        await store.close()
