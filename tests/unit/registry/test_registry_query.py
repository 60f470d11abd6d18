"""`list_services` and `search_services`: who finds what, and how wrong questions are answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import HyphaError, InvalidRequest, PermissionDenied
from hypha.limits.turns import on_behalf_of
from hypha.registry.index import Registry
from hypha.registry.query import MANY, Listing, Membership
from hypha.registry.records import ServiceRecord
from hypha.registry.search import Search, SearchRequest, score
from hypha.registry.shown import shown
from hypha.registry.sources import Sources
from tests.kit.registry import Register, make_context


@pytest.fixture
def listing(registry: Registry, register: Register) -> Listing:
    register("w/a:built-in", config={"visibility": "public"}, type="built-in")
    register(
        "w/a:open",
        config={"visibility": "public"},
        description="Segments cells",
        type="tool",
        docs="About cells, by Ann & Bob",
    )
    register("w/a:inner")
    register("w/b:hidden", config={"visibility": "unlisted"})
    register("w/b:shared", config={"authorized_workspaces": ["elsewhere"]})
    register("x/c:open", config={"visibility": "public"}, app_id="app", docs={"of": ["x"]})
    register("x/c:secret", docs="How to keep one")
    return Listing(Sources(registry))


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [info["id"] for info in found]


@pytest.mark.spec("core-R14")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, ["w/a:built-in", "w/a:open", "w/a:inner", "w/b:shared"]),
        ("w", ["w/a:built-in", "w/a:open", "w/a:inner", "w/b:shared"]),
        ("w/inner", ["w/a:inner"]),
        ("a:inner", ["w/a:inner"]),
        ("w/a:inner", ["w/a:inner"]),
        ("b:*", ["w/b:shared"]),
        ("*/open", ["w/a:open", "x/c:open"]),
        ("*/open@app", ["x/c:open"]),
        ("*", ["w/a:built-in", "w/a:open", "w/a:inner", "w/b:shared", "x/c:open"]),
        ("x", ["x/c:open"]),
        ({}, ["w/a:built-in", "w/a:open", "w/a:inner", "w/b:shared"]),
        ({"type": "tool"}, ["w/a:open"]),
        ({"docs": "About cells, by Ann & Bob"}, ["w/a:open"]),
        ({"docs": "About cells"}, []),
        ({"docs": "About cells, by Ann & Bob", "type": "other"}, []),
        ({"docs": "About cells, by Ann & Bob", "service_id": "open", "client_id": "a"}, ["w/a:open"]),
        ({"docs": {"of": ["x"]}, "workspace": "*"}, ["x/c:open"]),
        ({"docs": "How to keep one", "workspace": "x"}, []),
        ({"docs": "*", "type": "tool"}, ["w/a:open"]),
        ({"visibility": "protected"}, ["w/a:inner", "w/b:shared"]),
        ({"visibility": "unlisted"}, ["w/b:hidden"]),
        ({"service_id": "inner"}, ["w/a:inner"]),
        ({"id": "inner", "client_id": "*", "type": "*", "app_id": "*"}, ["w/a:inner"]),
        ({"workspace": "*", "service_id": "open"}, ["w/a:open", "x/c:open"]),
        ({"workspace": "*", "app_id": "app"}, ["x/c:open"]),
        ({"client_id": "b"}, ["w/b:shared"]),
        ("nowhere", []),
        ("w/h*", []),
    ],
)
async def test_what_a_member_lists(
    listing: Listing, member: Context, query: Any, expected: list[str]
) -> None:
    assert ids(await listing.infos(member, query)) == expected


@pytest.mark.spec("core-R3", "core-11.1.9", "core-11.2.7")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("w", ["w/a:open", "w/b:shared"]),
        ("*", ["w/a:open", "x/c:open"]),
        ({"workspace": "w", "type": "built-in"}, []),
    ],
)
async def test_what_a_stranger_lists(
    listing: Listing, stranger: Context, query: Any, expected: list[str]
) -> None:
    found = await listing.infos(stranger, query)
    assert ids(found) == expected
    assert not any({"created_by", "authorized_workspaces"} & set(info["config"]) for info in found)


async def test_members_may_include_unlisted(listing: Listing, member: Context) -> None:
    assert "w/b:hidden" in ids(await listing.infos(member, None, include_unlisted=True))


async def test_a_reader_of_another_workspace_is_a_member_there(listing: Listing) -> None:
    reader = make_context("elsewhere", w=Level.READ)
    assert "w/b:hidden" in ids(await listing.infos(reader, "w", include_unlisted=True))


@pytest.mark.spec("core-R14", "core-11.1.10")
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"nam": "x"}, "ValueError: Invalid query keys: {'nam'}"),
        ({1: "x"}, "ValueError: Invalid query keys: {'1'}"),
        ({"id": "a", "service_id": "b"}, "AssertionError: Service query must not have both"),
        ({"service_id": "a?"}, "AssertionError: Invalid characters in query part: a?"),
        ({"workspace": "w[a]"}, "AssertionError: Invalid characters in query part: w[a]"),
        ("a b", "AssertionError: Invalid characters in query part: a b"),
        ("a/b/c", "AssertionError: Service query must contain at most one '/'"),
        ({"workspace": "*", "visibility": "protected"},
         "AssertionError: Cannot list protected or unlisted services in all workspaces."),
        ({"workspace": "*", "visibility": "unlisted"},
         "AssertionError: Cannot list protected or unlisted services in all workspaces."),
        ({"visibility": "x"}, "ValueError: Invalid visibility"),
        ({"type": 5}, "ValueError: Service query 'type' must be text."),
        (5, "ValueError: Service query must be text or a map."),
        ({"client_id": "a" * 1000}, "AssertionError: Invalid characters"),
    ],
)  # fmt: skip
async def test_wrong_queries_are_refused(listing: Listing, member: Context, query: Any, text: str) -> None:
    with pytest.raises(HyphaError) as caught:
        await listing.infos(member, query)
    assert caught.value.rpc_text.startswith(text)


@pytest.mark.spec("core-R14")
@pytest.mark.parametrize("query", ["w", "*", {"workspace": "w"}])
async def test_strangers_may_not_include_unlisted(listing: Listing, stranger: Context, query: Any) -> None:
    with pytest.raises(PermissionDenied, match="Cannot include unlisted services from workspace"):
        await listing.infos(stranger, query, include_unlisted=True)


async def found_by(listing: Listing, context: Context, unlisted: bool = False, **request: Any) -> list[str]:
    items, _ = await Search(listing).search(context, SearchRequest.parse(**request), unlisted)
    return ids(items)


async def test_many_services_are_described_beside_the_event_loop(
    register: Register, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MANY + 1):
        register(f"w/a:s{number}")
    threads: list[int] = []

    class SeenMembership(Membership):
        def of(self, workspace: str) -> bool:
            if workspace not in self._known:
                threads.append(threading.get_ident())
            return super().of(workspace)

    made: list[int] = []

    def seen_shown(*args: Any) -> list[dict[str, Any]]:
        made.append(threading.get_ident())
        return shown(*args)

    monkeypatch.setattr("hypha.registry.query.Membership", SeenMembership)
    monkeypatch.setattr("hypha.registry.query.shown", seen_shown)
    listing, context = Listing(Sources(registry)), make_context("w", Level.READ)
    found = await listing.records(context)
    large = await listing.large_page(context, found, 1, 10_000)
    assert large == listing.page(context, found, 1, 10_000) and len(large) == MANY
    loop = threading.get_ident()
    assert set(threads) == {loop}, "what the loop changes is not looked at from elsewhere"
    assert made[0] != loop and made[1] == loop
    assert await listing.large_page(context, found[:3]) == listing.page(context, found[:3])
    assert made[2] == loop


async def test_search_finds_by_words_best_first(
    listing: Listing, register: Register, member: Context
) -> None:
    register("x/d:cells", config={"visibility": "public"})
    assert await found_by(listing, member, query="cells") == ["x/d:cells", "w/a:open"]
    assert await found_by(listing, member, query="Segments tool") == ["w/a:open"]
    assert await found_by(listing, member, query="nothing-like-this") == []


async def test_search_reads_function_names(listing: Listing, register: Register, member: Context) -> None:
    schema = {"rotate": {"type": "function", "function": {"name": "rotate", "description": "Turns an image"}}}
    register("w/a:odd", service_schema=schema)
    assert await found_by(listing, member, query="turns") == ["w/a:odd"]


@pytest.mark.spec("core-R3")
async def test_search_shows_only_what_may_be_listed(
    listing: Listing, member: Context, stranger: Context
) -> None:
    assert await found_by(listing, stranger, limit=100) == ["w/a:open", "x/c:open"]
    assert await found_by(listing, stranger, query="hidden") == []
    assert await found_by(listing, member, query="hidden") == []
    assert await found_by(listing, member, query="hidden", unlisted=True) == ["w/b:hidden"]


async def test_search_filters_orders_and_pages(listing: Listing, member: Context) -> None:
    assert await found_by(listing, member, filters={"type": "tool"}) == ["w/a:open"]
    assert await found_by(listing, member, filters={"workspace": ["x"]}) == ["x/c:open"]
    everything = await found_by(listing, member, order_by="id", limit=100)
    assert everything == sorted(everything)
    assert await found_by(listing, member, order_by="-id", limit=100) == everything[::-1]
    assert await found_by(listing, member, order_by="id", limit=1, offset=1) == everything[1:2]


async def test_search_items_carry_score_and_chosen_fields(listing: Listing, member: Context) -> None:
    items, total = await Search(listing).search(
        member, SearchRequest.parse("open", return_fields=["id", "nonsense"])
    )
    assert total == 2
    assert items[0] == {"id": "w/a:open", "score": 1.0}


@pytest.mark.parametrize(
    "request_",
    [{"query": [0.1, 0.2]}, {"limit": 0}, {"limit": 10**6}, {"limit": True}, {"offset": -1}, {"offset": "x"},
     {"filters": "x"}, {"filters": {"x": 1}}, {"filters": {"type": 1}}, {"order_by": "x"}, {"order_by": 5},
     {"return_fields": "id"}, {"return_fields": [1]}],
)  # fmt: skip
def test_wrong_searches_are_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        SearchRequest.parse(**request_)


class Slices:
    """What `score` looks through between two pauses, in characters times words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[int] = []
        self._ends = True
        monkeypatch.setattr("hypha.registry.search.score", self._score)

    def _score(self, record: ServiceRecord, words: Sequence[str]) -> float:
        if self._ends:
            self.all.append(0)
            asyncio.get_running_loop().call_soon(self._end)
        self._ends = False
        functions = record.service_schema.values()
        texts = sum(len(each["function"]["description"]) for each in functions)
        self.all[-1] += texts * len(words)
        return score(record, words)

    def _end(self) -> None:
        self._ends = True


def many_functions(count: int, text: str) -> dict[str, Any]:
    one = {"type": "function", "function": {"name": "f", "description": text}}
    return {f"f{number}": one for number in range(count)}


async def test_a_search_pauses_after_what_it_has_looked_through_for_all_words(
    listing: Listing, register: Register, member: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        register(
            f"w/a:s{number}", config={"visibility": "public"}, service_schema=many_functions(9, "a" * 2000)
        )
    slices = Slices(monkeypatch)
    words = " ".join(f"{'a' * 20}{letter}" for letter in "bcdefghijklmnopq")
    assert await Search(listing).search(member, SearchRequest.parse(words)) == ([], 0)
    assert sum(slices.all) >= 40 * 9 * 2000 * 16
    assert max(slices.all) <= 500_000 + 20_000 * 16


async def test_a_long_search_lets_those_of_others_pass(
    listing: Listing, register: Register, member: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypha.registry.search._SLICE_CHARS", 10_000)
    for number in range(50):
        register(
            f"w/a:s{number}", config={"visibility": "public"}, service_schema=many_functions(9, "a" * 2000)
        )
    search, over = Search(listing), []

    async def run(party: str, request: SearchRequest) -> None:
        with on_behalf_of(party):
            await search.search(member, request)
        over.append(party)

    short = SearchRequest.parse("open", filters={"id": "w/a:open"})
    long = [run("greedy", SearchRequest.parse("nothing")) for _ in range(3)]
    await asyncio.gather(*long, run("other", short))
    assert over[0] == "other"


async def test_searches_that_come_at_once_look_through_texts_one_after_another(
    listing: Listing, member: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypha.registry.search._SLICE_CHARS", 0)  # each service is a turn of its own
    running, most, whole = 0, 0, score

    def counted(record: ServiceRecord, words: Sequence[str]) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        asyncio.get_running_loop().call_soon(ended)
        return whole(record, words)

    def ended() -> None:
        nonlocal running
        running -= 1

    monkeypatch.setattr("hypha.registry.search.score", counted)
    search = Search(listing)
    request = SearchRequest.parse("cells")
    found = await asyncio.gather(*(search.search(member, request) for _ in range(20)))
    assert most == 1 and all(items == found[0] for items in found)
