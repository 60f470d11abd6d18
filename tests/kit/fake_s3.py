"""A storage that speaks as much of S3 as a test needs, and notes what it was asked."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ETAG = '"0123456789abcdef0123456789abcdef"'


class FakeS3:
    """Answers everything as it is told to; `seen` is what was asked: time, request, body."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, web.Request, bytes]] = []
        self.status = 200
        self.headers = {"ETag": ETAG}
        self.body = b""
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.note(request, await request.read())
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    def note(self, request: web.Request, body: bytes) -> None:
        """Remember a request."""
        self.seen.append((time.monotonic(), request, body))

    @staticmethod
    def deleted(body: bytes) -> web.Response:
        """The answer to DeleteObjects."""
        names = "".join(re.findall(r"<Key>.*?</Key>", body.decode()))
        done = f'<DeleteResult xmlns="{SPACE}"><Deleted>{names}</Deleted></DeleteResult>'
        return web.Response(text=done, content_type="application/xml")


Storage = TypeVar("Storage", bound=FakeS3)


@asynccontextmanager
async def serving(storage: Storage) -> AsyncIterator[Storage]:
    """Serve it while the block runs, at its `url`."""
    application = web.Application(client_max_size=10**7)
    application.router.add_route("*", "/{path:.*}", storage.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    storage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield storage
    finally:
        await runner.cleanup()
