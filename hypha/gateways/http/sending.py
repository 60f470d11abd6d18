"""How answers leave: with what the edge knows of the request, and large ones in slices, within a share."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Message, Scope, Send

from hypha.limits import Claim, Party
from hypha.web.arrival import mount_of
from hypha.web.caching import for_one_person
from hypha.web.downloads import PART_BYTES, SLICE_BYTES, WHOLE_BYTES, Download, Downloads, Slice
from hypha.web.scope import PATH, PERSONAL, SENT_AS_IT_IS, UNCOMPRESSED
from hypha.web.uploads import Upload, Uploads
from hypha.web.workbench import Holding

COMPRESSED_BYTES = 256 * 1024
"""A larger answer is compressed by whoever makes it, in its share of the threads, or not at all."""


class StartedSend:
    """`send` that knows whether the answer has begun, after which no error body can be sent.

    It says of answers that depend on who asks that no cache may give them to others.
    """

    __slots__ = (
        "_arguments",
        "_download",
        "_downloads",
        "_scope",
        "_send",
        "extra",
        "has_started",
        "holding",
        "party",
        "upload",
        "uploads",
    )  # fmt: skip

    def __init__(self, scope: Scope, send: Send, downloads: Downloads) -> None:
        self._scope = scope
        self._send = send
        self._downloads = downloads
        self._download: Download | None = None
        self.has_started = False
        self.party: Party | None = None
        """Who pays; None before the request is admitted."""
        self.extra: list[tuple[bytes, bytes]] = []
        self.upload: Upload | None = None
        self.uploads: Uploads | None = None
        """Where bodies count; set with the party."""
        self._arguments: Claim | None = None
        self.holding: Holding | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        """Send one message of the answer."""
        if not self.has_started and message["type"] == "http.response.start":
            if self.extra:
                message["headers"] = [*message.get("headers", ()), *self.extra]
            if UNCOMPRESSED in self._scope and (SENT_AS_IT_IS in self._scope or _is_large(message)):
                self._send = self._scope[UNCOMPRESSED]
            if PERSONAL in self._scope:
                in_app = mount_of(self._scope[PATH] or "") is not None
                message["headers"] = for_one_person(message.get("headers", ()), may_store=in_app)
        elif self._is_counted(message):
            return self._send_large(message)
        self.has_started = True
        return self._send(message)

    async def keep(self, size: int) -> None:
        """Room for an answer of so many bytes, asked for before it begins.

        Raises:
            RateLimited: see `Downloads.take`.
        """
        if size > WHOLE_BYTES and self.party is not None:
            await self._counted(self.party).keep(size)

    def hold(self, size: int) -> None:
        """Count so many bytes of what was in the body until the request is over.

        Raises:
            LimitReached: see `Uploads.hold`.
        """
        if self.uploads is not None and self.party is not None:
            self._arguments = self.uploads.hold(self.party, size)

    def _is_counted(self, message: Message) -> bool:
        """Whether a part of a body counts until it is read."""
        if self._download is not None and self._download.is_under_way:
            return True
        size = len(message.get("body", b""))
        return size > PART_BYTES and (size > WHOLE_BYTES or message.get("more_body", False))

    def _counted(self, party: Party) -> Download:
        if self._download is None:
            self._download = self._downloads.of(party)
        return self._download

    async def _send_large(self, message: Message) -> None:
        """Send a part of a body that is too large to be handed over at once."""
        body: bytes = message.get("body", b"")
        if self.party is None:  # nobody knows yet who asks
            await self._send(message)
            return
        download, more = self._counted(self.party), message.get("more_body", False)
        if not more and len(body) <= SLICE_BYTES and self._is_compressing:
            await download.sending(len(body), lambda: self._send(message))
            return

        async def send_slice(part: Slice) -> None:
            await self._send({"type": message["type"], "body": part, "more_body": True})

        await download.send(body, send_slice)
        if not more:
            await self._send({"type": message["type"], "body": b"", "more_body": False})

    @property
    def _is_compressing(self) -> bool:
        """Whether an answer is compressed as a whole, and sent so that it counts until it has left."""
        return UNCOMPRESSED in self._scope and self._send is not self._scope[UNCOMPRESSED]

    def close(self) -> None:
        """The request is over."""
        for each in (self.upload, self._arguments, self.holding, self._download):
            if each is not None:
                each.close()


async def send_whole(send: Send, message: Message) -> None:
    """Send a message; that of a large body has been sent only when its reader has taken most of it."""
    if message["type"] == "http.response.body" and len(message.get("body", b"")) > WHOLE_BYTES:
        await send({**message, "more_body": True})
        message = {"type": message["type"], "body": b"", "more_body": message.get("more_body", False)}
    await send(message)


def _is_large(message: Message) -> bool:
    """Whether compressing an answer here would make a long turn of the event loop."""
    for name, value in message.get("headers", ()):
        if name == b"content-length":
            return not value.isdigit() or int(value) > COMPRESSED_BYTES
    return False
