"""Answers that go on only as long as their reader is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from hypha.web.bodies import ClientLeft, until_left

_Item = TypeVar("_Item")


async def note_leaving(receive: Receive, left: asyncio.Event) -> None:
    """Set an event as soon as the client of a request has hung up."""
    await until_left(receive)
    left.set()


async def unless_left(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do something for the client of a request, and stop as soon as it has hung up.

    Raises:
        ClientLeft: it has.
    """
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(until_left(receive))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientLeft
        await doing
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.wait((doing, leaving))


async def while_there(items: AsyncIterator[_Item], left: asyncio.Event) -> AsyncGenerator[_Item]:
    """The items until the reader has left; the step in progress is cancelled then."""
    leaving = asyncio.ensure_future(left.wait())
    try:
        while not left.is_set():
            step = asyncio.ensure_future(anext(items))
            try:
                await asyncio.wait((step, leaving), return_when=asyncio.FIRST_COMPLETED)
                if not step.done():
                    return
                item = step.result()
            except StopAsyncIteration:
                return
            finally:
                if not step.done():
                    step.cancel()
                    await asyncio.wait((step,))
            yield item
    finally:
        leaving.cancel()
