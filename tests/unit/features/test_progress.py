"""Progress is told now and then, in order, and a caller that does not listen holds up nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from hypha.auth.users import Context, User
from hypha.errors import CallFailed, InvalidArguments
from hypha.features import progress
from hypha.features.ports import ServicesPort
from hypha.features.progress import Progress, Reports
from hypha.registry.offering import is_function_of


class Listener:
    """Takes reports; each waits until the test lets it go."""

    def __init__(self, *, is_slow: bool = False, fails: bool = False) -> None:
        self.heard: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.free = asyncio.Event()
        self._fails = fails
        if not is_slow:
            self.free.set()

    async def tell(self, report: Any) -> None:
        self.heard.append(report)
        if self._fails:
            raise CallFailed("no")
        await self.free.wait()

    def start(self, work: Coroutine[Any, Any, None], what: str) -> bool:
        self.tasks.append(asyncio.create_task(work))
        return True

    def progress(self) -> Progress:
        return Progress(self.tell, self.start, "commit")


async def test_the_first_step_and_the_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    async with listener.progress() as told:
        told.expect(1000)
        for _ in range(1000):
            told.add(1, 3)
            await asyncio.sleep(0)
        monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
        told.add(0)
        await asyncio.sleep(0)
    first, later, last = listener.heard
    assert (first["type"], first["done"], first["total"], first["operation"]) == ("info", 1, 1000, "commit")
    assert (later["type"], later["done"], later["done_bytes"]) == ("info", 1000, 3000)
    assert (last["type"], last["message"]) == ("success", "commit: 1000 of 1000 files")


async def test_who_is_slow_gets_one_report_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    listener = Listener(is_slow=True)
    async with listener.progress() as told:
        for _ in range(100):
            told.add()
            await asyncio.sleep(0)
    assert [report["done"] for report in listener.heard] == [1, 100]
    listener.free.set()
    await asyncio.gather(*listener.tasks)


async def test_who_fails_is_told_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    listener = Listener(fails=True)
    async with listener.progress() as told:
        for _ in range(10):
            told.add()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert len(listener.heard) == 1


async def test_an_error_is_no_success() -> None:
    listener = Listener()
    with pytest.raises(CallFailed):
        async with listener.progress():
            raise CallFailed("no")
    assert listener.heard == []


async def test_a_callback_is_a_function_of_who_calls() -> None:
    caller = Context(User("alice"), "lab", "mine")
    own = {"_rtype": "method", "_rtarget": "lab/mine", "_rmethod": "session.progress"}
    assert is_function_of(own, caller)
    others = {**own, "_rtarget": "lab/other"}
    by_http = Context(User("alice"), "lab", "mine", connection_type="http")
    services: Any = ServicesPort
    reports = Reports(services, services)
    for wrong, context in (
        (others, caller), (own, by_http), ("print", caller), ({**own, "_rtype": "x"}, caller), (5, caller),
        ({**own, "_rmethod": 5}, caller),
    ):  # fmt: skip
        with pytest.raises(InvalidArguments, match="function of the client that calls"):
            reports.of(wrong, context, "commit")
    reports.of(None, by_http, "commit").add()
