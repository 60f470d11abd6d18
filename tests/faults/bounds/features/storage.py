"""Attacks on what bounds files."""

from __future__ import annotations

import pytest

from hypha.errors import QuotaExceeded, StorageFull
from hypha.features.storage.expiries import MAX_TTL_S, Expiries
from hypha.features.storage.files import MAX_URL_LIFE_S, WorkspaceFiles, checked_life
from hypha.features.storage.records import ExpiryRecords, UploadRecords
from hypha.features.storage.service import MAX_PATHS
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import LocalUrls
from hypha.objects.room import Share
from hypha.objects.urls import MAX_BASE_CHARS
from hypha.web.file_routes import MAX_PARTS_BYTES
from tests.faults.bounds.kit import Kit
from tests.unit.workspaces.tenancy_kit import acting, person

ALICE = person("alice")


async def files(kit: Kit) -> None:
    objects = LocalObjects(kit.folder, "hypha-workspaces")
    kit.stack.push_async_callback(objects.close)
    objects.room.share_of = lambda owner: Share(3, 1000)
    with pytest.raises(QuotaExceeded):
        for number in range(4):
            await objects.put(f"ws-1/{number}", b"")
    with pytest.raises(QuotaExceeded):
        await objects.put("ws-2/large", b"x" * 1001)
    assert objects.room.all() == {"ws-1": (3, 0)}


async def free_disk(kit: Kit) -> None:
    objects = LocalObjects(kit.folder, "hypha-workspaces")
    kit.stack.push_async_callback(objects.close)
    objects.room.disk.least_free_bytes = 10**18
    with pytest.raises(StorageFull):
        await objects.put("ws-1/a", b"x")
    objects.room.disk.least_free_bytes = 0
    await objects.put("ws-1/a", b"x")


async def uploads_in_parts(kit: Kit) -> None:
    kit.lower("hypha.features.storage.files.MAX_UPLOADS", 3)
    tenants, store = await kit.tenants(), await kit.store()
    objects = LocalObjects(kit.folder, "hypha-workspaces")
    kit.stack.push_async_callback(objects.close)
    urls, expiries = LocalUrls("hypha-workspaces", "x", ""), Expiries(objects, ExpiryRecords(store))
    files = WorkspaceFiles(objects, urls, UploadRecords(store), expiries, tenants.workspaces)
    with pytest.raises(QuotaExceeded):
        for number in range(4):
            await files.begin(acting(ALICE), f"f{number}", 1, checked_life(60))
    assert len(await objects.uploads_before(float("inf"))) == 3


async def files_of_a_call(kit: Kit) -> None:
    person = kit.person()
    http = await kit.http(person)
    for arguments in (
        [["a"] * (MAX_PATHS + 1)],
        ["a", None, False, MAX_URL_LIFE_S + 1],
        ["a", None, False, 60, MAX_TTL_S * 2],
        ["a", None, "http://" + "x" * MAX_BASE_CHARS],
    ):
        answer = await http.post("/public/services/s3-storage/put_file", json=arguments)
        assert answer.status_code == 400, answer.text
    body = b" " * (MAX_PARTS_BYTES + 1)
    answer = await http.post(f"/{person.workspace}/complete-multipart-upload", content=body)
    assert answer.status_code == 413
    assert (await http.post("/public/services/s3-storage/put_file", json=["a"])).status_code == 200
