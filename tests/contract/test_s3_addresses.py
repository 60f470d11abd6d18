"""Signed addresses that S3 servers check themselves: only as they were given, and only for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from tests.kit.s3 import S3Server, running

pytest.importorskip("obstore")
from hypha.errors import ConfigurationError, ObjectNotFound, QuotaExceeded
from hypha.objects.local.urls import LocalUrls
from hypha.objects.room import Share
from hypha.objects.s3.store import S3Objects
from hypha.objects.s3.urls import DIRECT_LIFE_S, S3Urls, shown_place
from hypha.objects.urls import Reach

BUCKET, KEY = "hypha-test", "ws-1/a b/ü~1.bin"


@pytest.fixture(scope="module", params=["rclone", pytest.param("nanio", marks=pytest.mark.slow)])
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    with running(request.param) as server:
        yield server


class Clock:
    def __init__(self) -> None:
        self.now = (
            time.time()
        )  # of the test, not of its collection: addresses are good for a minute from then

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def _generation(key: str) -> str:
    return "own" if key.startswith("ws-1/") else "1.0"


@pytest_asyncio.fixture
async def store(s3: S3Server) -> S3Objects:
    opened = S3Objects(s3.endpoint(BUCKET))
    await opened.start()
    yield opened  # type: ignore[misc]
    await opened.close()


@pytest.fixture
def urls(store: S3Objects, clock: Clock) -> S3Urls:
    own = LocalUrls(BUCKET, "a secret", "http://hub", generation_of=_generation, local_base="http://inside")
    return S3Urls(store.endpoint, own, store.counting, is_proxied=False, clock=clock)


@pytest.mark.spec("artifacts-C3.2", "artifacts-C3.8")
async def test_only_the_address_as_it_was_given_opens(store: S3Objects, urls: S3Urls, clock: Clock) -> None:
    for_put, for_get = [await make(KEY, expires_in=60) for make in (urls.put, urls.get)]
    async with httpx.AsyncClient() as http:
        assert (await http.put(for_put, content=b"x" * 5000)).status_code == 200
        assert (await http.get(for_get)).content == b"x" * 5000
        altered = for_get[:-1] + ("0" if for_get[-1] != "0" else "1")
        longer = for_get.replace("X-Amz-Expires=60", "X-Amz-Expires=600")
        for url in (altered, longer, for_get.replace("1.bin", "2.bin"), for_get.partition("?")[0], for_put):
            assert (await http.get(url)).status_code in (400, 403), url
        assert (await http.put(for_get, content=b"evil")).status_code == 403
        clock.now -= 120
        assert (await http.get(await urls.get(KEY, expires_in=60))).status_code in (400, 403)
    reading = await store.open(KEY)
    assert await reading.whole() == b"x" * 5000


async def test_parts_have_addresses(store: S3Objects, urls: S3Urls) -> None:
    upload = await store.begin("ws-1/parts")
    async with httpx.AsyncClient() as http:
        url = await urls.part("ws-1/parts", upload, 1, expires_in=60)
        etag = (await http.put(url, content=b"one")).headers["etag"]
    assert (await store.complete("ws-1/parts", upload, [(1, etag)])).size == 3


async def test_another_key_is_refused_at_start(s3: S3Server) -> None:
    with pytest.raises(ConfigurationError, match="--secret-access-key"):
        await S3Objects(s3.endpoint(BUCKET, secret="another-one")).start()


async def test_what_the_storage_would_not_check_leads_through_the_server(urls: S3Urls, s3: S3Server) -> None:
    assert (await urls.put(KEY, expires_in=60)).startswith(f"{s3.url}/{BUCKET}/ws-1/")
    for url in (
        await urls.put(KEY, expires_in=60, ttl=5),
        await urls.put(KEY, expires_in=60, sha256="0" * 64),
        await urls.get(KEY, expires_in=60, filename="a.bin"),
        await urls.get(KEY, expires_in=60, reach=Reach(proxied=True)),
        await urls.get("lab/a", expires_in=DIRECT_LIFE_S + 1, reach=Reach(proxied=False)),
    ):
        assert url.startswith(f"http://hub/s3/{BUCKET}/"), url
    inside = await urls.get(KEY, expires_in=60, reach=Reach(is_local=True, proxied=True))
    assert inside.startswith("http://inside/s3/")
    assert (await urls.get(KEY, expires_in=DIRECT_LIFE_S + 1)).startswith(s3.url)
    elsewhere = await urls.get(KEY, expires_in=60, reach=Reach("https://here:1/below"))
    assert elsewhere.startswith(f"https://here:1/below/s3/{BUCKET}/")


@pytest.mark.spec("artifacts-C3.8")
@pytest.mark.parametrize("below", [f"/{BUCKET}/ws-victim", "/another-bucket", "?x=", "/."])
async def test_a_base_of_the_callers_choice_never_reaches_the_keys_signature(
    store: S3Objects, urls: S3Urls, s3: S3Server, below: str
) -> None:
    upload = await store.begin("ws-1/parts")
    for base in (s3.url + below, f"http://another-bucket.127.0.0.1.nip.example:{s3.port}"):
        reach = Reach(base, proxied=False)
        made = [
            await urls.put(KEY, expires_in=60, reach=reach),
            await urls.get(KEY, expires_in=60, reach=reach),
            await urls.part("ws-1/parts", upload, 1, expires_in=60, reach=reach),
        ]
        for url in made:
            assert url.startswith(f"{base}/s3/{BUCKET}/ws-1/") and "X-Amz-" not in url, url
    await store.abort("ws-1/parts", upload)


@pytest.mark.slow
async def test_a_storage_that_copies_by_an_unsigned_header_is_found_out(
    store: S3Objects, urls: S3Urls, s3: S3Server
) -> None:
    await store.put("ws-victim/secret", b"secret")
    copying = {"x-amz-copy-source": f"/{BUCKET}/ws-victim/secret"}
    async with httpx.AsyncClient() as http:
        await http.put(await urls.put("ws-1/stolen", expires_in=60), headers=copying)
    try:
        reading = await store.open("ws-1/stolen")
        is_stolen = await reading.whole() == b"secret"
    except ObjectNotFound:
        is_stolen = False
    assert store.takes_unsigned == is_stolen == (s3.kind == "nanio")


async def test_who_writes_into_such_a_storage_does_it_through_the_server(store: S3Objects) -> None:
    own = LocalUrls(BUCKET, "a secret", "http://hub", generation_of=_generation)
    urls = S3Urls(store.endpoint, own, store.counting, is_proxied=False, is_read_only=True)
    direct = Reach(proxied=False)
    upload = await store.begin(KEY)
    assert (await urls.put(KEY, expires_in=60, reach=direct)).startswith("http://hub/s3/")
    assert (await urls.part(KEY, upload, 1, expires_in=60, reach=direct)).startswith("http://hub/s3/")
    assert (await urls.get(KEY, expires_in=60, reach=direct)).startswith(f"{store.endpoint.url}/")
    await store.abort(KEY, upload)
    assert not (await store.list(".hypha-probe/")).objects


async def test_people_get_the_endpoint_as_they_reach_it(store: S3Objects, urls: S3Urls) -> None:
    public = replace(store.endpoint, public_url="https://files.example.org")
    urls = S3Urls(public, urls._own, store.counting, is_proxied=False)
    assert (await urls.get(KEY, expires_in=60)).startswith("https://files.example.org/")
    local = await urls.get(KEY, expires_in=60, reach=Reach(is_local=True))
    assert local.startswith(store.endpoint.url)
    for base in ("https://files.example.org", store.endpoint.url):
        named = await urls.get(KEY, expires_in=60, reach=Reach(base))
        assert named.startswith(f"{base}/{BUCKET}/") and "X-Amz-Signature" in named
    assert shown_place(public) == f"https://files.example.org/{BUCKET}"
    assert "hypha-test-secret" not in repr(public) and "hypha-test-key" not in repr(public)


async def test_who_keeps_too_much_gets_no_address_to_write(store: S3Objects, urls: S3Urls) -> None:
    for name in ("full/a", "full/b"):
        await store.put(name, b"x" * 10)
    store.room.share_of = lambda owner: Share(2, 10**9) if owner == "full" else None
    await store.counting.count("full")
    assert store.room.of("full") == (2, 20)
    with pytest.raises(QuotaExceeded):
        await urls.put("full/c", expires_in=60)
    with pytest.raises(QuotaExceeded):
        await store.put("full/c", b"1")
    await store.delete("full/a")
    assert (await urls.put("full/c", expires_in=60)).startswith("http")
    await urls.put(KEY, expires_in=60)
