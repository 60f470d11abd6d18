"""Maps whose oldest entries give way."""

from __future__ import annotations

from hypha.limits import BoundedMap


def keys(kept: BoundedMap[str, int]) -> str:
    return "".join(key for key in "abcdefgh" if key in kept)


def filled(letters: str, kept: BoundedMap[str, int]) -> BoundedMap[str, int]:
    for number, letter in enumerate(letters):
        kept.put(letter, number)
    return kept


def test_what_was_put_first_goes_first() -> None:
    kept = filled("abcd", BoundedMap(3))
    assert kept.get("b") == 1, "to look at it changes nothing"
    kept.put("e", 4)
    assert keys(kept) == "cde" and len(kept) == 3 and kept.get("b") is None


def test_what_is_used_or_put_again_is_new() -> None:
    kept = filled("abc", BoundedMap(3))
    assert kept.use("a") == 0 and kept.use("x") is None
    kept.put("b", 10)
    kept.put("d", 3)
    assert keys(kept) == "abd" and kept.get("b") == 10


def test_entries_may_weigh_more_than_one() -> None:
    kept: BoundedMap[str, bytes] = BoundedMap(10, len)
    for key, size in (("a", 4), ("b", 4), ("c", 8)):
        kept.put(key, bytes(size))
    assert "c" in kept and len(kept) == 1 and kept.weight == 8
    kept.put("c", bytes(2))
    assert kept.weight == 2 and kept.pop("c") == bytes(2) and kept.pop("c") is None
    assert kept.weight == 0


def test_what_is_too_heavy_is_not_kept() -> None:
    kept: BoundedMap[str, bytes] = BoundedMap(10, len)
    kept.put("a", bytes(11))
    assert not len(kept) and kept.weight == 0


def test_what_may_not_go_stays_and_there_is_no_room_then() -> None:
    kept = filled("abcdef", BoundedMap(6, may_go=lambda number: number == 5))
    assert not kept.has_room(), "the four oldest may not go"
    assert kept.has_room(), "the next look is at others"
    assert keys(kept) == "abcde"
    kept.put("g", 6)
    kept.put("h", 7)
    assert keys(kept) == "abcdegh", "whoever puts it all the same has more than the limit"
