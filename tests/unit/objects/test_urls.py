"""Signed addresses: what they are good for, and that nobody can change it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from hypha.errors import InvalidKey, InvalidRequest
from hypha.objects.local.urls import LocalUrls, Permit, SignatureRefused
from hypha.objects.urls import MAX_BASE_CHARS, PER_TURN, Reach, checked_base, in_turns, reach_of
from tests.kit.clock import Clock

BUCKET, KEY = "hypha-workspaces", "ws-1/a b/ü~%41?&=.bin"
BASE = "https://hub.example/base/"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.5)


@pytest.fixture
def urls(clock: Clock) -> LocalUrls:
    return LocalUrls(BUCKET, "a secret", BASE, clock)


async def check(urls: LocalUrls, url: str, method: str, *, bucket: str = BUCKET, key: str = KEY) -> Permit:
    return await urls.check(method, bucket, key, urlsplit(url).query)


async def test_an_address_leads_to_the_object(urls: LocalUrls) -> None:
    url = await urls.get(KEY, expires_in=60)
    assert url.startswith(f"https://hub.example/base/s3/{BUCKET}/ws-1/a%20b/%C3%BC~%2541%3F%26%3D.bin?")
    assert (await urls.get(KEY, expires_in=60, reach=Reach("http://here:1"))).startswith("http://here:1/s3/")


async def test_what_it_was_signed_for_comes_back(urls: LocalUrls) -> None:
    assert await check(urls, await urls.get(KEY, expires_in=60, filename="ä b.txt"), "HEAD") == Permit(
        KEY, filename="ä b.txt"
    )
    put = await urls.put(KEY, expires_in=60, max_bytes=10**15, sha256="AB", ttl=2.5)
    assert await check(urls, put, "PUT") == Permit(KEY, max_bytes=10**15, sha256="ab", ttl=2.5)
    part = await urls.part(KEY, "u1", 10_000, expires_in=60, max_bytes=0)
    assert await check(urls, part, "PUT") == Permit(KEY, upload="u1", number=10_000, max_bytes=0)


async def test_it_is_good_for_its_method_alone(urls: LocalUrls) -> None:
    get, put = await urls.get(KEY, expires_in=60), await urls.put(KEY, expires_in=60)
    for url, method in ((get, "PUT"), (put, "GET"), (put, "HEAD"), (get, "DELETE"), (put, "POST")):
        with pytest.raises(SignatureRefused):
            await check(urls, url, method)


async def test_it_is_good_for_its_object_alone(urls: LocalUrls) -> None:
    url = await urls.get(KEY, expires_in=60)
    for other in ({"key": KEY + "x"}, {"key": "/" + KEY}, {"bucket": "another"}, {"key": "ws-1/a b"}):
        with pytest.raises(SignatureRefused):
            await check(urls, url, "GET", **other)


async def test_it_ends(urls: LocalUrls, clock: Clock) -> None:
    url = await urls.get(KEY, expires_in=60)
    clock.now += 59.9
    await check(urls, url, "GET")
    clock.now += 1.1
    with pytest.raises(SignatureRefused, match="expired"):
        await check(urls, url, "GET")


async def test_every_changed_character_is_noticed(urls: LocalUrls) -> None:
    url = await urls.put(KEY, expires_in=60, max_bytes=1000, ttl=5)
    query = urlsplit(url).query
    for at, character in enumerate(query):
        changed = query[:at] + ("0" if character != "0" else "1") + query[at + 1 :]
        with pytest.raises(SignatureRefused):
            await urls.check("PUT", BUCKET, KEY, changed)


async def test_nothing_can_be_added_or_left_out(urls: LocalUrls) -> None:
    query = urlsplit(await urls.put(KEY, expires_in=60, max_bytes=1000)).query
    fields = query.split("&")
    for changed in (
        "",
        query + "&X-Hypha-Ttl=1",
        query + "&X-Hypha-Max-Bytes=9999",
        query + "&" + fields[-1],
        query + "&partNumber=1",
        *("&".join(fields[:n] + fields[n + 1 :]) for n in range(len(fields))),
        "&".join(["a=b"] * 1000),
        "&".join([*fields[:-1], "X-Hypha-Signature=%ff\xff"]),
    ):
        with pytest.raises(SignatureRefused):
            await urls.check("PUT", BUCKET, KEY, changed)


async def test_another_server_signs_otherwise_and_the_same_one_alike(urls: LocalUrls, clock: Clock) -> None:
    url = await urls.get(KEY, expires_in=60)
    await check(LocalUrls(BUCKET, "a secret", "http://elsewhere", clock), url, "GET")
    with pytest.raises(SignatureRefused):
        await check(LocalUrls(BUCKET, "another secret", BASE, clock), url, "GET")


async def test_climbing_keys_and_odd_parts_get_no_address(urls: LocalUrls) -> None:
    for key in ("../x", "/x", "a//b", ""):
        with pytest.raises(InvalidKey):
            await urls.get(key, expires_in=60)
        with pytest.raises(InvalidKey):
            await urls.put(key, expires_in=60)
        with pytest.raises(InvalidKey):
            await urls.part(key, "u", 1, expires_in=60)
    for number in (0, 10_001):
        with pytest.raises(InvalidRequest):
            await urls.part(KEY, "u", number, expires_in=60)


async def test_others_have_their_turns_while_many_addresses_are_made() -> None:
    made = 0
    seen: list[int] = []

    async def make(number: int) -> str:
        nonlocal made
        made += 1
        return str(number)

    async def other() -> None:
        while made < 5 * PER_TURN:
            seen.append(made)
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    assert await in_turns(range(5 * PER_TURN), make) == [str(number) for number in range(5 * PER_TURN)]
    await others
    assert seen == [PER_TURN * turn for turn in range(1, 5)]


def test_the_base_of_addresses_is_an_address() -> None:
    assert checked_base("http://hub:9527/below/") == "http://hub:9527/below"
    for wrong in (
        "", "hub:9527", "ftp://hub", "http://", "http://hub?a=b", "http://hub\nx", "http://[hub", 5, True,
        "http://" + "x" * MAX_BASE_CHARS,
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            checked_base(wrong)


def test_arguments_say_how_a_caller_comes_to_the_bytes() -> None:
    assert reach_of(None, False) == reach_of(None, None) == reach_of(None, "") == Reach()
    assert reach_of(True, True) == Reach(is_local=True, proxied=True)
    assert reach_of(False, "http://here/") == Reach("http://here", proxied=False)
    with pytest.raises(InvalidRequest):
        reach_of(None, "here")


async def test_within_the_servers_network_an_address_begins_otherwise(clock: Clock) -> None:
    urls = LocalUrls(BUCKET, "a secret", BASE, clock, local_base="http://127.0.0.1:9527")
    url = await urls.get(KEY, expires_in=60, reach=Reach(is_local=True))
    assert url.startswith("http://127.0.0.1:9527/s3/") and (await check(urls, url, "GET")).key == KEY
