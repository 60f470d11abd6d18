"""Objects over HTTP: of a large one nothing is read for a client that has hung up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Message

from hypha.objects.local import LocalObjects
from hypha.objects.store import Reading
from hypha.web import content
from hypha.web.bodies import ClientLeft
from hypha.web.content import send_object

SCOPE = {"type": "http", "method": "GET", "headers": [], "path": "/"}


class Endless(LocalObjects):
    """A store whose objects are read on and on."""

    closed = 0

    async def open(self, key: str, start: int = 0, stop: int | None = None) -> Reading:
        reading = await super().open(key, start, stop)
        close = reading.close

        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0)

        async def count() -> None:
            self.closed += 1
            await close()

        reading.chunks = chunks  # type: ignore[method-assign]
        reading.close = count  # type: ignore[method-assign]
        return reading


async def test_a_large_object_is_read_until_its_reader_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "WATCHED_BYTES", 3)
    store = await Endless.open_at(tmp_path, "bucket")
    await store.put("large", b"1234")
    sent, has_left = list[Message](), asyncio.Event()

    async def receive() -> Message:
        await has_left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 5:
            has_left.set()

    with pytest.raises(ClientLeft):
        await asyncio.wait_for(send_object(store, "large", dict(SCOPE), send, receive=receive), 20)
    assert (sent[0]["status"], store.closed) == (200, 1)
    await store.close()
