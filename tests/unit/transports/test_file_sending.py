"""Files leave by the system's own way: whole, in their place, and not for those who do not read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hypha.objects.local import LocalObjects
from hypha.testing import eventually
from hypha.web.bodies import ClientLeft
from hypha.web.scope import FILE_SENDER
from tests.kit.deadlines import REQUEST, opened_connections

BEFORE = b"b" * 3_000_000
CONTENT = os.urandom(1 << 20) * 30


class Application:
    """Answers with a head, bytes of its own, a range of a file, and an end."""

    def __init__(self, store: LocalObjects) -> None:
        self.store = store
        self.before = b""
        self.start, self.stop = 0, len(CONTENT)
        self.ends: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        length = len(self.before) + self.stop - self.start
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % length)],
            }
        )
        if self.before:
            await send({"type": "http.response.body", "body": self.before, "more_body": True})
        reading = await self.store.open("file", self.start, self.stop)
        try:
            await scope[FILE_SENDER](reading.pass_on, reading.start, reading.stop)
            await send({"type": "http.response.body", "body": b""})
            self.ends.append("whole")
        except ClientLeft:
            self.ends.append("left")
        finally:
            await reading.close()


@pytest_asyncio.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    store = await LocalObjects.open_at(tmp_path, "hypha-test")
    await store.put("file", CONTENT)
    yield Application(store)
    await store.close()


@pytest.fixture
async def connect(application: Application) -> AsyncIterator[Any]:
    async with opened_connections(application) as (_, made):
        yield made


async def body(reader: asyncio.StreamReader, size: int) -> bytes:
    await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(size)


async def test_a_file_comes_behind_its_head_and_before_the_next_answer(
    application: Application, connect: Any
) -> None:
    reader, writer = await connect()
    writer.write(REQUEST * 2)
    assert await body(reader, len(CONTENT)) == CONTENT
    application.start, application.stop = 5, 70_005
    assert await body(reader, len(CONTENT)) == CONTENT
    writer.write(REQUEST)
    assert await body(reader, 70_000) == CONTENT[5:70_005]


async def test_what_was_written_before_has_left_before(application: Application, connect: Any) -> None:
    application.before = BEFORE
    reader, writer = await connect()
    writer.write(REQUEST)
    assert await body(reader, len(BEFORE) + len(CONTENT)) == BEFORE + CONTENT


async def test_a_file_that_became_shorter_ends_the_connection(application: Application, connect: Any) -> None:
    reader, writer = await connect()
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    os.truncate(application.store.folder / "file", len(CONTENT) // 2)
    assert len(await reader.read(-1)) < len(CONTENT)


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_client_that_leaves_or_stops_reading_leaves_nothing_open(
    application: Application, connect: Any, leaves: bool
) -> None:
    def open_files() -> list[str]:
        paths = (f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd"))
        own = str(application.store.folder)  # of other tests something may still be open
        return [path for path in paths if os.path.exists(path) and own in os.readlink(path)]

    reader, writer = await connect()
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    await eventually(lambda: len(open_files()) == 1)
    if leaves:
        writer.transport.abort()
    await eventually(lambda: application.ends == ["left"], within_s=20, what="the end of the answer")
    assert open_files() == []
    if not leaves:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(len(CONTENT))
