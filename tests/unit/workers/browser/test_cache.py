"""Answers that are kept for the pages of an app, and for nobody else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hypha.workers.browser.cache import ENTRY_S, RouteCache, routes_of

APP = ("ws-a", "app")


class Answer:
    def __init__(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.status, self.headers, self._body = status, headers, body

    async def body(self) -> bytes:
        return self._body

    async def all_headers(self) -> dict[str, str]:
        return self.headers


class Request:
    def __init__(self, url: str, method: str, answer: Answer) -> None:
        self.url, self.method, self._answer = url, method, answer

    async def response(self) -> Answer:
        return self._answer

    async def sizes(self) -> dict[str, int]:
        return {"responseBodySize": len(await self._answer.body())}


class Route:
    """A request that the browser has held up."""

    def __init__(self, url: str, answer: Answer, method: str = "GET") -> None:
        self.request = Request(url, method, answer)
        self.fetched, self.fulfilled, self.passed = 0, b"", False

    async def fulfill(self, *, status: int, headers: dict[str, str], body: bytes) -> None:
        self.fulfilled = body

    async def fallback(self) -> None:
        self.fetched, self.passed = 1, True


class Context:
    def __init__(self) -> None:
        self.handle: Any = None
        self.hear: dict[str, Any] = {}

    def on(self, event: str, hear: Any) -> None:
        self.hear[event] = hear

    async def route(self, pattern: str, handle: Any) -> None:
        self.handle = handle

    async def ask(self, url: str, answer: Answer | None = None, method: str = "GET") -> Route:
        route = Route(url, answer or Answer(b"body"), method)
        await self.handle(route)
        if route.passed:
            await self.hear["requestfinished"](route.request)
        return route


async def using(cache: RouteCache, key: tuple[str, str] = APP) -> Context:
    context: Any = Context()
    await cache.serve(context, key, ["**"])
    return context  # type: ignore[no-any-return]


async def test_an_address_is_asked_for_once_for_each_app() -> None:
    cache = RouteCache()
    one, other = await using(cache), await using(cache, ("ws-b", "app"))
    assert (await one.ask("https://a/x")).fetched == 1
    again = await one.ask("https://a/x#part")
    assert (again.fetched, again.fulfilled) == (0, b"body")
    assert (await other.ask("https://a/x")).fetched == 1


@pytest.mark.parametrize(
    "answer", [Answer(b"", 404), Answer(b"x", **{"set-cookie": "a=b"}), Answer(b"x" * 40_000_000)]
)
async def test_what_is_no_plain_answer_is_not_kept(answer: Answer) -> None:
    cache = RouteCache()
    context = await using(cache)
    await context.ask("https://a/x", answer)
    assert (await context.ask("https://a/x")).fetched == 1


async def test_only_reading_is_answered_from_what_is_kept() -> None:
    context = await using(RouteCache())
    assert (await context.ask("https://a/x", method="POST")).passed


async def test_entries_end_after_a_day_and_the_oldest_when_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = RouteCache(most_bytes=2 * 1_050)
    context = await using(cache)
    for url in ("https://a/1", "https://a/2", "https://a/3"):
        await context.ask(url, Answer(b"12345"))
    assert cache.find(APP, "https://a/1") is None and cache.find(APP, "https://a/3") is not None
    later = time.time() + ENTRY_S + 1
    monkeypatch.setattr("time.time", lambda: later)
    assert cache.find(APP, "https://a/3") is None
    assert cache.stats(APP)["entry_count"] == 1


async def test_many_empty_answers_are_bounded() -> None:
    cache = RouteCache(most_bytes=20_000)
    context = await using(cache)
    for number in range(100):
        await context.ask(f"https://a/{number}", Answer(b"", **{"x-long": "y" * 100}))
    assert 0 < cache.stats(APP)["entry_count"] < 20


async def test_an_app_that_keeps_nothing_is_forgotten() -> None:
    cache = RouteCache()
    context: Any = await using(cache)
    assert cache.stats(APP)["recording"]
    cache.leave(context)
    assert not cache.stats(APP)["recording"] and not cache._apps
    assert cache.clear(APP) == 0


@pytest.mark.parametrize("asked", ["**", [1], [""], ["a"] * 51])
def test_odd_patterns_are_refused(asked: Any) -> None:
    with pytest.raises(ValueError, match="cache_routes"):
        routes_of({"cache_routes": asked})
