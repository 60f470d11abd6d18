"""Bodies of requests whose parts come when a test says so."""

from __future__ import annotations

import asyncio
from typing import Any

from hypha.limits import Party
from hypha.web.uploads import Upload, Uploads, keep


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def person(name: str) -> Party:
    return Party(name, is_stranger=False)


class Sender:
    """A client's end: parts are sent when the test says so; of a signed-in person if it has a name only."""

    def __init__(self, uploads: Uploads, party: str | Party) -> None:
        self.parts: asyncio.Queue[Any] = asyncio.Queue()
        self.upload = Upload(uploads, self.parts.get, person(party) if isinstance(party, str) else party)

    async def sends(self, size: int) -> None:
        """A part that is kept."""
        self.parts.put_nowait(part(bytes(size)))
        message = await self.upload()
        keep(self.upload, len(message["body"]))
