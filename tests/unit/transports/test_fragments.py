"""A message in several frames is the frames' bytes in order, whatever their sizes."""

from __future__ import annotations

import random

import pytest

from hypha.transports.fragments import Fragments


@pytest.mark.parametrize("largest", [1, 100, 65_536, 300_000])
def test_the_whole_is_the_pieces_in_order(largest: int) -> None:
    chance = random.Random(largest)
    pieces = [chance.randbytes(chance.randint(0, largest)) for _ in range(50)]
    fragments = Fragments("binary")
    for piece in pieces:
        fragments.add(piece)
    assert fragments.whole() == b"".join(pieces)
    assert fragments.size == sum(map(len, pieces))
    assert fragments.kind == "binary"


def test_tiny_pieces_share_blocks() -> None:
    fragments = Fragments("binary")
    for _ in range(200_000):
        fragments.add(b"x")
    assert len(fragments.blocks) == 4
    assert fragments.whole() == b"x" * 200_000


def test_a_message_of_nothing_is_empty() -> None:
    fragments = Fragments("text")
    fragments.add(b"")
    assert fragments.whole() == b""
