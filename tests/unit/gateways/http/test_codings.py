"""gzip bodies: one or several members, bounded, and nothing behind them."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypha.errors import FrameTooLarge, InvalidRequest, UnsupportedContent
from hypha.gateways.http.codings import MAX_MEMBERS, accepts_gzip, codings_of, gunzip, zip_pieces

EMPTY = gzip.compress(b"", mtime=0)


@given(st.lists(st.binary(max_size=300_000), min_size=1, max_size=5))
def test_members_one_behind_the_other_are_one_body(parts: list[bytes]) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert gunzip(packed, 10_000_000) == b"".join(parts)


@given(st.binary(max_size=2000), st.integers(0, 9), st.integers(1, 3000))
def test_what_comes_out_may_have_exactly_the_limit(data: bytes, level: int, repeated: int) -> None:
    plain = data * repeated
    packed = gzip.compress(plain, level)
    assert gunzip(packed, len(plain)) == plain
    if plain:
        with pytest.raises(FrameTooLarge):
            gunzip(packed, len(plain) - 1)


def test_an_empty_first_member_does_not_drop_what_follows() -> None:
    assert gunzip(EMPTY + gzip.compress(b"[1]"), 100) == b"[1]"
    assert gunzip(EMPTY, 100) == b""
    assert gunzip(gzip.compress(b"[1]") + EMPTY, 3) == b"[1]"


@pytest.mark.parametrize("garbage", [b"x", b"\0", b"\x1f", b"\x1f\x8b", b"[1]" * 50_000, EMPTY[:-1]])
def test_what_stands_behind_the_data_is_refused(garbage: bytes) -> None:
    with pytest.raises(InvalidRequest):
        gunzip(gzip.compress(b"[1]") + garbage, 1000)


@given(st.binary(min_size=1, max_size=500), st.data())
def test_data_that_is_cut_off_is_refused(plain: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(plain)
    cut = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(InvalidRequest):
        gunzip(packed[:cut], 1000)


def test_damaged_data_and_other_formats_are_refused() -> None:
    packed = gzip.compress(b"[1, 2, 3]")
    for damaged in (
        packed[:-6] + b"abcdef",
        packed[:12] + b"\xff" + packed[13:],
        zlib.compress(b"[1]"),
        b"[1]",
    ):
        with pytest.raises(InvalidRequest):
            gunzip(damaged, 1000)


def test_a_bomb_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(FrameTooLarge):
        gunzip(bomb, 1000)
    made = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, window: int) -> None:
            self._real = real(window)

        def decompress(self, data: bytes, size: int) -> bytes:
            part = self._real.decompress(data, size)
            made.append(len(part))
            return part

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    with pytest.raises(FrameTooLarge):
        gunzip(bomb, 1_000_000)
    assert sum(made) <= 1_000_001


def test_very_many_members_are_refused() -> None:
    assert gunzip(EMPTY * MAX_MEMBERS, 10) == b""
    with pytest.raises(InvalidRequest):
        gunzip(EMPTY * (MAX_MEMBERS + 1), 10)


@pytest.mark.parametrize(
    ("header", "times"),
    [
        (None, 0),
        (b"", 0),
        (b"identity", 0),
        (b"gzip", 1),
        (b"x-gzip", 1),
        (b" GZIP ", 1),
        (b"gzip, identity", 1),
        (b"identity,gzip,", 1),
        (b"gzip, gzip", 2),
    ],
)
def test_a_list_of_codings_is_undone_in_full(header: bytes | None, times: int) -> None:
    assert codings_of(header) == times


@pytest.mark.parametrize(
    "header", [b"deflate", b"br", b"zstd", b"gzip, br", b"gzip,gzip,gzip", b"*", b"identity," * 99]
)
def test_other_codings_are_refused_with_those_that_are_taken(header: bytes) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        codings_of(header)
    assert (caught.value.status, caught.value.accept_encoding) == (415, "gzip")


@pytest.mark.parametrize(
    ("header", "accepts"),
    [
        (b"gzip", True),
        (b"br, GZIP;q=0.5", True),
        (b"x-gzip", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000", False),
        (b"identity, br", False),
        (None, False),
    ],
)
def test_answers_are_packed_for_those_who_take_it(header: bytes | None, accepts: bool) -> None:
    assert accepts_gzip(header) is accepts


def test_a_body_packed_in_pieces_is_one_gzip_file() -> None:
    pieces = [b"a" * 1_000_000, b"", b"b", bytes(range(256)) * 5000]
    assert gzip.decompress(b"".join(zip_pieces(pieces))) == b"".join(pieces)
