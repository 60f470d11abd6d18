"""Large messages in pieces: what is packed and opened is what plain msgpack would have made."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgpack
import pytest

from hypha.errors import MalformedFrame
from hypha.wire.frames import LIFTED_BYTES, MAX_WALKED_VALUES
from hypha.wire.pieces import Pieces, open_message, pack_pieces

MAIN = {"type": "method", "from": "w/c", "to": "*/m", "method": "services.a.b", "session": "s"}
LARGE = random.Random(1).randbytes(LIFTED_BYTES + 7)


def cut(data: bytes, chance: random.Random, most: int) -> list[bytes]:
    """The data in pieces of random sizes, some of them empty."""
    places = sorted(chance.randint(0, len(data)) for _ in range(most))
    return [data[begin:end] for begin, end in pairwise([0, *places, len(data)])]


def message(body: dict[str, Any]) -> bytes:
    return msgpack.packb(MAIN) + msgpack.packb(body)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_read_like_the_bytes_that_they_make_up(seed: int) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(chance.randint(1, 300))
    pieces = Pieces(cut(data, chance, 10))
    assert len(pieces) == len(data)
    for _ in range(50):
        begin, end = sorted(chance.randint(0, len(data)) for _ in range(2))
        assert pieces[begin:end] == data[begin:end]
        at = chance.randrange(len(data))
        assert pieces[at] == data[at]
    assert list(pieces.chunks(7)) == [data[at : at + 7] for at in range(0, len(data), 7)]


@pytest.mark.parametrize(
    "args",
    [
        [],
        [1, "two", None, 3.5],
        [LARGE],
        [LARGE, {"_rtype": "ndarray", "_rvalue": LARGE[:-1], "_rshape": [3]}, [LARGE[1:], b"small"]],
        [{"t": msgpack.Timestamp(5, 0), "x": msgpack.ExtType(127, b"mine, not a lifted value")}, LARGE],
        [LARGE.hex()],
        [list(range(MAX_WALKED_VALUES + 5)), LARGE],
    ],
    ids=["nothing", "small", "one", "several", "extensions", "text", "very many values"],
)
@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_message_is_opened_and_packed_as_plain_msgpack_would(args: list[Any], count: int) -> None:
    body = {"args": args, "promise": "*", "t": 15.0}
    pieces = pack_pieces(body)
    assert b"".join(pieces) == msgpack.packb(body)
    data = message(body)
    assert open_message(cut(data, random.Random(count), count)) == (MAIN, body)


def test_large_bytes_are_not_copied_when_they_are_packed() -> None:
    pieces = pack_pieces({"args": [1, LARGE, {"x": [LARGE]}]})
    assert sum(piece is LARGE for piece in pieces) == 2


def test_a_message_without_a_body_has_an_empty_one() -> None:
    assert open_message([msgpack.packb(MAIN)]) == (MAIN, {})


@pytest.mark.spec("wire-16.2", "wire-16.4")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93\x01\x02\x03",
        message({"args": [LARGE]})[:-1],
        message({"args": [LARGE]}) + b"\xc0",
        message({"args": [LARGE], "from": "root/x"}),
        message({"args": [[1] * MAX_WALKED_VALUES], "from": "root/x"}),
        message({"args": [LARGE], "ctx": {"user": {"id": "root"}}}),
        msgpack.packb(MAIN) + b"\x82\xa4args\x90\xa4args\x91\xc6" + len(LARGE).to_bytes(4) + LARGE,
        msgpack.packb(MAIN) + b"\x82\xa4args" + msgpack.packb([1] * MAX_WALKED_VALUES) + b"\xa4args\x90",
        msgpack.packb(MAIN) + b"\x81\xa4args\x91\xc6\xff\xff\xff\xff" + LARGE,
    ],
    ids=[
        "nothing",
        "no map",
        "cut off",
        "too long",
        "from",
        "from, dense",
        "ctx",
        "key twice",
        "key twice, dense",
        "longer than there is",
    ],
)
def test_a_message_that_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        open_message([data[: len(data) // 2], data[len(data) // 2 :]])
