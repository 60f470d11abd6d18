"""Defends: an S3 that fails, dawdles or breaks off leaves files whole or absent, and every call ends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hypha.errors import BackendUnavailable, ObjectNotFound
from tests.kit.faulty import FaultyProxy, behind_faults
from tests.kit.s3 import S3Server, running

pytest.importorskip("obstore")
from hypha.objects.s3.endpoint import RETRIES
from hypha.objects.s3.store import S3Objects

BUCKET = "hypha-test"
LARGE = bytes(range(256)) * 4096 * 10


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running("rclone") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def both(s3: S3Server) -> AsyncIterator[tuple[S3Objects, FaultyProxy]]:
    async with behind_faults(s3, BUCKET) as (store, proxy):
        yield store, proxy
        proxy.rate = 0
        await store.delete_folder("w")


@pytest.fixture
def store(both: tuple[S3Objects, FaultyProxy]) -> S3Objects:
    return both[0]


@pytest.fixture
def proxy(both: tuple[S3Objects, FaultyProxy]) -> FaultyProxy:
    return both[1]


async def content(store: S3Objects, key: str) -> bytes:
    reading = await store.open(key)
    try:
        return await reading.whole()
    finally:
        await reading.close()


async def test_a_storage_that_always_fails_is_asked_a_few_times_and_given_up(
    store: S3Objects, proxy: FaultyProxy
) -> None:
    await store.put("w/a", b"before")
    for fault in ("503", "cut"):
        proxy.rate, proxy.faults = 1, (fault,)
        for call in (
            lambda: store.head("w/a"),
            lambda: store.put("w/b", b"1"),
            lambda: store.list("w/"),
            lambda: store.begin("w/c"),
        ):
            proxy.done.clear()
            with pytest.raises(BackendUnavailable) as refused:
                await asyncio.wait_for(call(), 40)
            assert 1 <= proxy.done[fault] <= 2 * RETRIES  # files are counted, too
            assert "secret inner words" not in str(refused.value) and "127.0.0.1" not in str(refused.value)
    proxy.rate = 0
    assert await content(store, "w/a") == b"before"


async def test_the_log_says_how_a_storage_fails_and_not_what_it_says(
    store: S3Objects, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.rate, proxy.faults = 1, ("503",)
    with pytest.raises(BackendUnavailable):
        await asyncio.wait_for(store.put("w/b", b"1"), 40)
    assert "S3 failed: GenericError, status 503" in caplog.text and "secret inner words" not in caplog.text


async def test_an_answer_that_ends_too_early_is_never_taken_for_the_whole(
    store: S3Objects, proxy: FaultyProxy
) -> None:
    await store.put("w/large", LARGE)
    proxy.rate, proxy.faults = 1, ("half",)
    with pytest.raises(BackendUnavailable):
        await asyncio.wait_for(content(store, "w/large"), 40)
    proxy.rate = 0
    assert hashlib.sha256(await content(store, "w/large")).digest() == hashlib.sha256(LARGE).digest()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_whatever_fails_a_file_is_the_one_before_or_the_new_one(
    store: S3Objects, proxy: FaultyProxy, seed: int
) -> None:
    proxy.rate, proxy.seed = 0.25, seed
    proxy.__post_init__()
    known: dict[str, set[bytes]] = {}
    for number in range(40):
        key = f"w/{number % 5}"
        new = b"%d" % number if number % 4 else LARGE[: 9_000_000 + number]
        try:
            await asyncio.wait_for(store.put(key, new), 60)
            known[key] = {new}
        except BackendUnavailable:
            known.setdefault(key, {b""}).add(new)
    proxy.rate = 0
    for key, possible in known.items():
        try:
            assert await content(store, key) in possible
        except ObjectNotFound:
            assert b"" in possible
    assert sum(proxy.done[fault] for fault in ("500", "503", "half", "cut", "slow")) > 10
