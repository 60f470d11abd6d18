"""The head of an answer and its body leave together; nothing is left behind, and nothing overtakes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from hypha.transports.one_write import OneWrite

LARGE = b"x" * 100_000


class Written(asyncio.Transport):
    """Notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.calls.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


@pytest.fixture
def written() -> Written:
    return Written()


async def one_write(written: Written) -> OneWrite:
    return OneWrite(written, asyncio.get_running_loop())


async def turn() -> None:
    """Let what was scheduled by now run."""
    await asyncio.sleep(0)


@pytest.mark.parametrize("body", [b"body", b"", memoryview(b"body"), LARGE])
async def test_a_head_and_its_body_are_one_write(written: Written, body: bytes) -> None:
    answers = await one_write(written)
    answers.write(b"head ")
    answers.write(body)
    assert written.calls == [b"head " + bytes(body)]
    await turn()
    assert len(written.calls) == 1


async def test_a_head_without_a_body_leaves_when_the_turn_ends(written: Written) -> None:
    answers = await one_write(written)
    answers.write(b"head")
    assert written.calls == []
    await turn()
    assert written.calls == [b"head"]


async def test_what_comes_later_keeps_its_order(written: Written) -> None:
    answers = await one_write(written)
    parts = [b"head", b"one", b"two", LARGE, b"three", LARGE, LARGE, b"four"]
    for part in parts:
        answers.write(part)
        if part == b"two":
            await turn()
    await turn()
    assert b"".join(written.calls) == b"".join(parts)


async def test_a_large_write_is_not_kept(written: Written) -> None:
    answers = await one_write(written)
    answers.write(LARGE)
    assert written.calls == [LARGE]


async def test_closing_writes_what_was_kept_first(written: Written) -> None:
    answers = await one_write(written)
    answers.write(b"head")
    answers.close()
    assert written.calls == [b"head"] and answers.is_closing()
    await turn()
    assert len(written.calls) == 1


async def test_a_client_that_left_meanwhile_is_no_fault(written: Written) -> None:
    answers = await one_write(written)
    answers.write(b"head")
    written.close()
    await turn()
    assert written.calls == []
