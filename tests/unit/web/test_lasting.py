"""Answers that last end when their caller has lost the right to them."""

from __future__ import annotations

import asyncio

import pytest

from hypha.auth.users import Context, User
from hypha.errors import BackendUnavailable, PermissionDenied
from hypha.web.lasting import LastingAnswers

ANN, BEN = (Context(User(name), f"ws-user-{name}") for name in ("ann", "ben"))


async def refuse_ann(context: Context) -> None:
    if context is ANN:
        raise PermissionDenied("removed")


async def last(lasting: LastingAnswers, context: Context, began: asyncio.Event) -> None:
    async with lasting.watching(context):
        began.set()
        await asyncio.Event().wait()


async def test_only_the_answers_of_who_lost_the_right_end() -> None:
    lasting = LastingAnswers(refuse_ann)
    begun = [asyncio.Event(), asyncio.Event()]
    anns, bens = (asyncio.create_task(last(lasting, c, b)) for c, b in zip((ANN, BEN), begun, strict=True))
    for each in begun:
        await each.wait()
    assert len(lasting) == 2
    await lasting.look()
    with pytest.raises(PermissionDenied, match="removed"):
        await anns
    assert len(lasting) == 1 and not bens.done()
    bens.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bens
    assert len(lasting) == 0


async def test_a_fault_of_the_database_ends_nothing() -> None:
    async def ill(context: Context) -> None:
        raise BackendUnavailable("ill")

    lasting, began = LastingAnswers(ill), asyncio.Event()
    task = asyncio.create_task(last(lasting, ANN, began))
    await began.wait()
    await lasting.look()
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


async def test_what_has_ended_is_not_cancelled() -> None:
    lasting = LastingAnswers(refuse_ann)
    async with lasting.watching(ANN):
        pass
    await lasting.look()
    await asyncio.sleep(0)
