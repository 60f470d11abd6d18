"""The register of tokens: what was begun to be written is written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from hypha.auth.issued import IssuedTokens
from hypha.auth.users import root_user
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
