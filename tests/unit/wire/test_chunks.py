"""Assembling messages that travel in chunks."""

from __future__ import annotations

import pytest

from hypha.errors import InvalidRequest, LimitReached
from hypha.wire import chunks
from hypha.wire.chunks import CHUNK_BYTES, MessageCache, split


def test_a_split_message_is_assembled_in_any_order() -> None:
    message = bytes(range(256)) * 4000
    parts = list(split(message))
    cache = MessageCache()
    cache.create("k", 0.0)
    for index in reversed(range(len(parts))):
        cache.add("k", index, parts[index])
        cache.add("k", index, parts[index])
    assert max(map(len, parts)) == CHUNK_BYTES
    assert cache.take("k") == message
    assert len(cache) == 0


def test_a_key_in_use_is_refused_unless_overwritten() -> None:
    cache = MessageCache()
    cache.create("k", 0.0)
    with pytest.raises(InvalidRequest):
        cache.create("k", 0.0)
    cache.create("k", 0.0, overwrite=True)


def test_an_incomplete_or_unknown_message_is_refused() -> None:
    cache = MessageCache()
    cache.create("k", 0.0)
    cache.add("k", 1, b"x")
    with pytest.raises(InvalidRequest):
        cache.take("k")
    with pytest.raises(InvalidRequest):
        cache.add("k", 0, b"x")


@pytest.mark.spec("wire-16.13")
def test_bytes_count_and_age_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_MESSAGE_BYTES", 100)
    cache = MessageCache()
    cache.create("big", 0.0)
    with pytest.raises(LimitReached):
        cache.add("big", 0, b"x" * 101)
    for number in range(chunks.MAX_MESSAGES):
        cache.create(str(number), 0.0)
    with pytest.raises(LimitReached):
        cache.create("one more", 1.0)
    cache.create("later", chunks.MAX_AGE_S + 1)
    assert len(cache) == 1


@pytest.mark.parametrize(("index", "data"), [(-1, b"x"), (10**9, b"x"), (0, "text"), ("0", b"x")])
def test_wrong_chunks_are_refused(index: object, data: object) -> None:
    cache = MessageCache()
    cache.create("k", 0.0)
    with pytest.raises(InvalidRequest):
        cache.add("k", index, data)  # type: ignore[arg-type]
