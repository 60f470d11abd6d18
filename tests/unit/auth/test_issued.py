"""The register of tokens: what was begun to be written is written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.issued import IssuedTokens
from hypha.auth.users import User, root_user
from hypha.errors import QuotaExceeded
from hypha.store import Store
from hypha.store.issued_tokens import IssuedTokenRecord


class SlowStore:
    """A store that writes when the test says so."""

    def __init__(self) -> None:
        self.rows: list[IssuedTokenRecord] = []
        self.is_asked = asyncio.Event()
        self.may_write = asyncio.Event()

    async def add(self, tokens: Sequence[IssuedTokenRecord]) -> None:
        self.is_asked.set()
        await self.may_write.wait()
        self.rows += tokens


async def test_closing_waits_for_the_tokens_that_are_being_written() -> None:
    store: Any = SlowStore()
    tokens: Any = SimpleNamespace(revocations=None)
    issued = IssuedTokens(store, tokens)
    recording = asyncio.create_task(issued.record("mark", root_user(), root_user(), None, 60.0))
    await store.is_asked.wait()
    recording.cancel()  # its caller is gone; the token may be in use already
    closing = asyncio.create_task(issued.close())
    done, _ = await asyncio.wait([closing], timeout=0.05)
    assert not done
    store.may_write.set()
    await closing
    assert [row.fingerprint for row in store.rows] == ["mark"]
    await issued.close()


async def test_only_tokens_that_are_valid_count_towards_the_quota() -> None:
    now = [1000.0]
    async with Store(":memory:") as store:
        tokens: Any = SimpleNamespace(revocations=None)
        issued = IssuedTokens(store.issued_tokens, tokens, lambda: now[0], max_per_user=2)
        maker = User("u")
        for mark, kind in (("a", "generated"), ("b", "generated"), ("c", "session"), ("d", "login")):
            await issued.record(mark, User("child"), maker, None, 60.0, kind)  # type: ignore[arg-type]
        with pytest.raises(QuotaExceeded, match="user u has 2"):
            await issued.reserve(maker)
        with pytest.raises(QuotaExceeded, match="user u has 2"):
            await issued.reserve(User("child", parent="u"))
        await issued.reserve(User("child"))
        now[0] += 61.0
        await issued.reserve(maker)
        await issued.reserve(maker)
