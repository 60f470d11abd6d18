"""Answers that go on only as long as their reader is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Message

from hypha.web.leaving import note_leaving, while_there


async def test_nothing_more_is_made_for_a_reader_who_left() -> None:
    left, closed = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            for number in range(3):
                yield number
            await asyncio.Event().wait()
        finally:
            closed.set()

    seen = []
    async for item in while_there(endless(), left):
        seen.append(item)
        if item == 2:
            asyncio.get_running_loop().call_soon(left.set)
    assert seen == [0, 1, 2] and closed.is_set()

    async def three() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert [item async for item in while_there(three(), asyncio.Event())] == [0, 1, 2]


async def test_a_client_has_left_when_it_hung_up_whatever_it_sent_before() -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"more"}, {"type": "http.disconnect"}]
    left = asyncio.Event()

    async def receive() -> Message:
        assert not left.is_set()
        return messages.pop(0)

    await note_leaving(receive, left)
    assert left.is_set() and not messages
