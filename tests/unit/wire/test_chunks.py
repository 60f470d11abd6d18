"""Assembling messages that travel in chunks."""

from __future__ import annotations

import gc

import pytest

from hypha.errors import InvalidRequest, LimitReached
from hypha.limits import Party
from hypha.wire import chunks
from hypha.wire.chunks import CHUNK_BYTES, CHUNK_OVERHEAD_BYTES, MessageCaches
from hypha.wire.pieces import Pieces

ANNA, STRANGER = Party("anna", is_stranger=False), Party("address 192.0.2.1", is_stranger=True)


def test_a_split_message_is_assembled_in_any_order() -> None:
    message = bytes(range(256)) * 4000
    parts = list(Pieces([message]).chunks(CHUNK_BYTES))
    cache = MessageCaches().cache(ANNA)
    cache.create("k", 0.0)
    for index in reversed(range(len(parts))):
        cache.add("k", index, parts[index])
        cache.add("k", index, parts[index])
    assert max(map(len, parts)) == CHUNK_BYTES
    assert b"".join(cache.take("k").chunks) == message
    assert len(cache) == 0


def test_a_key_in_use_is_refused_unless_overwritten() -> None:
    cache = MessageCaches().cache(ANNA)
    cache.create("k", 0.0)
    with pytest.raises(InvalidRequest):
        cache.create("k", 0.0)
    cache.create("k", 0.0, overwrite=True)


def test_an_incomplete_or_unknown_message_is_refused() -> None:
    cache = MessageCaches().cache(ANNA)
    cache.create("k", 0.0)
    cache.add("k", 1, b"x")
    with pytest.raises(InvalidRequest):
        cache.take("k")
    with pytest.raises(InvalidRequest):
        cache.add("k", 0, b"x")


@pytest.mark.spec("wire-16.13")
def test_bytes_count_and_age_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_MESSAGE_BYTES", 100)
    cache = MessageCaches().cache(ANNA)
    cache.create("big", 0.0)
    with pytest.raises(LimitReached):
        cache.add("big", 0, b"x" * 101)
    for number in range(chunks.MAX_MESSAGES):
        cache.create(str(number), 0.0)
    with pytest.raises(LimitReached):
        cache.create("one more", 1.0)
    cache.create("later", chunks.MAX_AGE_S + 1)
    assert len(cache) == 1


@pytest.mark.spec("wire-16.13")
def test_all_clients_together_are_bounded_and_anonymous_ones_leave_room_for_the_others() -> None:
    caches = MessageCaches()
    caches.account.all.limit, caches.account.strangers.limit = 1000, 600
    first, second = caches.cache(STRANGER), caches.cache(STRANGER)
    for cache in (first, second):
        cache.create("k", 0.0)
    first.add("k", 0, b"x" * 400)
    with pytest.raises(LimitReached):
        second.add("k", 0, b"x" * 100)
    known = caches.cache(Party("known", is_stranger=False))
    known.create("k", 0.0)
    known.add("k", 0, b"x" * 300)
    with pytest.raises(LimitReached):
        known.add("k", 1, b"x" * 300)
    assert caches.account.all.used == caches.account.strangers.used == 400 + CHUNK_OVERHEAD_BYTES


def test_who_has_most_gives_way_where_all_together_have_too_much() -> None:
    caches = MessageCaches()
    caches.account.all.limit = 11_000
    greedy = [caches.cache(Party("greedy", is_stranger=False)) for _ in range(2)]
    for number, cache in enumerate(greedy):
        for key in ("a", "b"):
            cache.create(key, float(number))
            cache.add(key, 0, b"x" * 2300)
    other = caches.cache(Party("other", is_stranger=False))
    other.create("k", 9.0)
    other.add("k", 0, b"x" * 3000)
    assert [len(cache) for cache in (*greedy, other)] == [1, 2, 1], "the oldest one went"
    with pytest.raises(LimitReached):
        greedy[1].add("a", 1, b"x" * 3000)
    assert len(other) == 1


def test_the_clients_of_a_party_have_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_CACHE_BYTES", 1000)
    caches = MessageCaches()
    first, second = (caches.cache(Party("anna", is_stranger=False)) for _ in range(2))
    for cache in (first, second):
        cache.create("k", 0.0)
    first.add("k", 0, b"x" * 600)
    with pytest.raises(LimitReached):
        second.add("k", 0, b"x" * 600)


def test_what_is_worked_on_counts_for_its_party_though_its_cache_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "MAX_CACHE_BYTES", 1000)
    caches, taken = MessageCaches(), []

    def send(size: int) -> None:
        cache = caches.cache(Party("anna", is_stranger=False))
        cache.create("k", 0.0)
        cache.add("k", 0, b"x" * size)
        taken.append(cache.take("k"))

    send(600)
    gc.collect()
    with pytest.raises(LimitReached):
        send(600)
    taken.pop().release()
    send(600)


def test_tiny_chunks_count_for_what_they_cost() -> None:
    caches = MessageCaches()
    caches.account.all.limit = 10 * CHUNK_OVERHEAD_BYTES
    cache = caches.cache(ANNA)
    cache.create("k", 0.0)
    with pytest.raises(LimitReached):
        for number in range(10):
            cache.add("k", number, b"x")


@pytest.mark.parametrize("how", ["take", "remove", "clear", "expire", "overwrite", "refuse"])
def test_what_is_no_longer_kept_gives_its_room_back(how: str) -> None:
    caches = MessageCaches()
    cache = caches.cache(STRANGER)
    cache.create("k", 0.0)
    cache.add("k", 0, b"x" * 100)
    cache.add("k", 0, b"x" * 50)
    assert caches.account.all.used == 50 + CHUNK_OVERHEAD_BYTES
    if how == "take":
        taken = cache.take("k")
        assert caches.account.all.used == 50 + CHUNK_OVERHEAD_BYTES, "it counts as long as it is worked on"
        taken.release()
        taken.release()
    elif how == "remove":
        cache.remove("k")
    elif how == "clear":
        cache.clear()
    elif how == "expire":
        cache.expire(chunks.MAX_AGE_S + 1)
    elif how == "overwrite":
        cache.create("k", 0.0, overwrite=True)
    else:
        caches.account.all.limit = 200
        with pytest.raises(LimitReached):
            cache.add("k", 1, b"x" * 100)
    assert caches.account.all.used == caches.account.strangers.used == 0


@pytest.mark.parametrize(("index", "data"), [(-1, b"x"), (10**9, b"x"), (0, "text"), ("0", b"x")])
def test_wrong_chunks_are_refused(index: object, data: object) -> None:
    cache = MessageCaches().cache(ANNA)
    cache.create("k", 0.0)
    with pytest.raises(InvalidRequest):
        cache.add("k", index, data)  # type: ignore[arg-type]
