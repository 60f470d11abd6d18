"""`/s3/…`: objects are read and written with signed addresses, whole, in part and on conditions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import pytest_asyncio

from hypha.errors import UploadNotFound
from hypha.features.storage.expiries import Expiries
from hypha.features.storage.records import ExpiryRecords
from hypha.features.storage.route import SignedRoute
from hypha.objects.local import LocalObjects
from hypha.objects.local.urls import LocalUrls
from hypha.store import Store
from hypha.web.bodies import ClientLeft
from hypha.web.uploads import Uploads
from tests.kit.uploads import person

BUCKET, KEY = "hypha-workspaces", "ws-1/folder/file ü.txt"
CONTENT = b"0123456789"


class Place(SimpleNamespace):
    """A store, addresses to it, and a client for them."""

    store: LocalObjects
    urls: LocalUrls
    route: SignedRoute
    http: httpx.AsyncClient

    async def get(self, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(await self.urls.get(KEY, expires_in=60), headers=named)


@pytest_asyncio.fixture
async def records() -> AsyncIterator[Store]:
    async with Store(":memory:") as opened:
        yield opened


@pytest_asyncio.fixture
async def place(tmp_path: Path, records: Store) -> AsyncIterator[Place]:
    store = LocalObjects(tmp_path, BUCKET)
    urls = LocalUrls(BUCKET, "secret", "http://hub")
    route = SignedRoute(store, urls, Expiries(store, ExpiryRecords(records)))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["hypha.path"] = scope["path"]
        await route(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        yield Place(store=store, urls=urls, route=route, http=http)
    await store.close()


@pytest_asyncio.fixture
async def filled(place: Place) -> Place:
    await place.store.put(KEY, CONTENT, content_type="text/plain")
    return place


def error_code(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/xml"
    return ElementTree.fromstring(answer.content).findtext("Code") or ""


async def test_what_is_put_can_be_got(place: Place) -> None:
    put = await place.http.put(await place.urls.put(KEY, expires_in=60), content=CONTENT)
    got = await place.get()
    assert (put.status_code, got.status_code, got.content) == (200, 200, CONTENT)
    assert put.headers["etag"] == got.headers["etag"] == f'"{(await place.store.head(KEY)).etag}"'
    assert (got.headers["content-type"], got.headers["content-length"]) == ("text/plain", "10")
    assert got.headers["accept-ranges"] == "bytes" and "GMT" in got.headers["last-modified"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("image/png", "image/png"),
        ("", "text/plain"),
        ("application/x-www-form-urlencoded", "text/plain"),
        ("no type", "text/plain"),
        ("a/b\x80", "text/plain"),
    ],
)
async def test_the_type_is_what_was_said_else_by_name(place: Place, sent: str, kept: str) -> None:
    url = await place.urls.put(KEY, expires_in=60)
    await place.http.put(url, content=b"x", headers={"content-type": sent.encode("latin-1")} if sent else {})
    assert (await place.get()).headers["content-type"] == kept


async def test_content_of_people_runs_nothing_on_this_origin(filled: Place) -> None:
    headers = (await filled.get()).headers
    assert headers["content-security-policy"] == "sandbox"
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_name_to_save_under(filled: Place) -> None:
    url = await filled.urls.get(KEY, expires_in=60, filename='ü"\r\n.txt')
    line = (await filled.http.get(url)).headers["content-disposition"]
    assert line == "attachment; filename=\"____.txt\"; filename*=UTF-8''%C3%BC%22%0D%0A.txt"


@pytest.mark.parametrize(
    ("wanted", "status", "content", "told"),
    [
        ("bytes=1-2", 206, b"12", "bytes 1-2/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, CONTENT, "bytes 0-9/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=1-2,4-5", 200, CONTENT, None),
        ("bytes=5-1", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
    ],
)
async def test_ranges(
    filled: Place, wanted: str, status: int, content: bytes | None, told: str | None
) -> None:
    answer = await filled.get(range=wanted)
    assert (answer.status_code, answer.headers.get("content-range")) == (status, told)
    if content is None:
        assert error_code(answer) == "InvalidRange"
    else:
        assert answer.content == content and answer.headers["content-length"] == str(len(content))


async def test_conditions(filled: Place) -> None:
    first = await filled.get()
    tag, date = first.headers["etag"], first.headers["last-modified"]
    past = "Mon, 01 Jan 2001 00:00:00 GMT"
    assert (await filled.get(if_none_match=f'"x", {tag}')).status_code == 304
    assert (await filled.get(if_none_match='"x"')).status_code == 200
    assert (await filled.get(if_modified_since=date)).status_code == 304
    assert (await filled.get(if_modified_since=past)).status_code == 200
    assert (await filled.get(if_none_match='"x"', if_modified_since=date)).status_code == 200
    assert (await filled.get(if_match=tag)).status_code == 200
    assert (await filled.get(if_match='"x"')).status_code == 412
    assert (await filled.get(if_unmodified_since=past)).status_code == 412
    assert (await filled.get(range="bytes=1-1", if_range=tag)).content == b"1"
    assert (await filled.get(range="bytes=1-1", if_range='"x"')).content == CONTENT
    assert (await filled.get(range="bytes=1-1", if_range=date)).content == b"1"
    assert (await filled.get(range="bytes=1-1", if_range=past)).content == CONTENT


async def test_head_tells_all_but_the_bytes(filled: Place) -> None:
    answer = await filled.http.head(await filled.urls.get(KEY, expires_in=60))
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "10", b"")


async def test_parts_become_a_file(place: Place) -> None:
    upload = await place.store.begin(KEY)
    tags = []
    for number, part in enumerate((b"01234", b"56789"), 1):
        url = await place.urls.part(KEY, upload, number, expires_in=60)
        tags.append((number, (await place.http.put(url, content=part)).headers["etag"]))
    await place.store.complete(KEY, upload, tags)
    assert (await place.get()).content == CONTENT
    late = await place.http.put(await place.urls.part(KEY, upload, 1, expires_in=60), content=b"x")
    assert (late.status_code, error_code(late)) == (404, "NoSuchUpload")
    with pytest.raises(UploadNotFound):
        await place.store.abort(KEY, upload)


async def test_refusals_change_nothing(filled: Place) -> None:
    get, put = await filled.urls.get(KEY, expires_in=60), await filled.urls.put(KEY, expires_in=60)
    gone = await filled.urls.put(KEY, expires_in=-1)
    for method, url, code in (
        ("GET", get.partition("?")[0], "AccessDenied"),
        ("PUT", get, "SignatureDoesNotMatch"),
        ("GET", put, "SignatureDoesNotMatch"),
        ("PUT", put.replace("folder", "f0lder"), "SignatureDoesNotMatch"),
        ("PUT", put[:-1] + ("0" if put[-1] != "0" else "1"), "SignatureDoesNotMatch"),
        ("PUT", gone, "AccessDenied"),
        ("DELETE", put, "MethodNotAllowed"),
        ("POST", put, "MethodNotAllowed"),
        ("GET", "http://hub/s3", "AccessDenied"),
        ("GET", "http://hub/s3/", "AccessDenied"),
        ("GET", f"http://hub/s3/{BUCKET}/", "AccessDenied"),
    ):
        answer = await filled.http.request(method, url, content=b"evil" if method == "PUT" else None)
        assert (answer.status_code, error_code(answer)) == (403, code), (method, url)
    assert (await filled.get()).content == CONTENT


async def test_too_many_and_wrong_bytes_are_refused(filled: Place) -> None:
    for url, body, status in (
        (await filled.urls.put(KEY, expires_in=60, max_bytes=3), b"1234", 413),
        (await filled.urls.put(KEY, expires_in=60, sha256="00" * 32), b"1234", 400),
    ):
        assert (await filled.http.put(url, content=body)).status_code == status

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"1234"

    url = await filled.urls.put(KEY, expires_in=60, max_bytes=3)
    assert (await filled.http.put(url, content=unannounced())).status_code == 413
    assert (await filled.get()).content == CONTENT


async def test_a_missing_file_is_told_as_s3_does(place: Place) -> None:
    answer = await place.get()
    assert (answer.status_code, error_code(answer)) == (404, "NoSuchKey")


async def test_a_body_that_breaks_off_leaves_nothing(filled: Place) -> None:
    url = httpx.URL(await filled.urls.put(KEY, expires_in=60))
    messages = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there to be answered")

    scope = {
        "type": "http", "method": "PUT", "path": url.path, "hypha.path": url.path, "headers": [],
        "query_string": url.query,
    }  # fmt: skip
    with pytest.raises(ClientLeft):
        await filled.route(scope, receive, send)
    assert (await filled.get()).content == CONTENT


async def test_a_file_that_is_replaced_while_it_is_sent_stays_one_state(filled: Place) -> None:
    old = b"a" * 3_000_000
    await filled.store.put(KEY, old)
    url = await filled.urls.get(KEY, expires_in=60)

    async def read(headers: dict[str, str]) -> bytes:
        return (await filled.http.get(url, headers=headers)).content

    got = await asyncio.gather(
        *(read({"range": "bytes=0-"}) for _ in range(5)),
        *(filled.store.put(KEY, letter * 2_000_000) for letter in (b"b", b"c")),
    )
    assert all(len(set(content)) == 1 for content in got[:5])


@pytest.mark.parametrize("is_part", [True, False])
async def test_what_a_store_gathers_of_a_body_counts_among_unfinished_bodies(
    place: Place, is_part: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(4_000_000, 4_000_000, 1.0, 60.0)
    upload = await place.store.begin(KEY)
    url = await (
        place.urls.part(KEY, upload, 1, expires_in=60) if is_part else place.urls.put(KEY, expires_in=60)
    )
    asked = httpx.URL(url)
    scope = {
        "type": "http", "method": "PUT", "path": asked.path, "hypha.path": asked.path,
        "query_string": asked.query, "headers": [(b"content-length", b"20000000")],
    }  # fmt: skip
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 10, "more_body": False}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    for name in ("gathered_bytes", "gathered_part_bytes"):
        monkeypatch.setattr(place.store, name, 5_000_000 if (name == "gathered_part_bytes") == is_part else 1)
    await place.route(scope, uploads.of(receive, person("a party")), send)
    assert statuses[0] == 429
    for name in ("gathered_bytes", "gathered_part_bytes"):
        monkeypatch.setattr(place.store, name, 5_000_000 if (name == "gathered_part_bytes") != is_part else 1)
    await place.route(scope, uploads.of(receive, person("a party")), send)
    assert statuses[2] == 200


async def test_the_digest_that_the_sender_of_a_part_says_is_checked(place: Place) -> None:
    upload = await place.store.begin(KEY)
    url = await place.urls.part(KEY, upload, 1, expires_in=60)
    told = {"x-amz-content-sha256": hashlib.sha256(CONTENT).hexdigest()}
    refused = await place.http.put(url, content=b"other", headers=told)
    assert (refused.status_code, error_code(refused)) == (400, "BadDigest")
    assert await place.store.parts(KEY, upload) == []
    assert (await place.http.put(url, content=CONTENT, headers=told)).status_code == 200
