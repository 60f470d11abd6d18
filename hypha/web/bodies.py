"""Reading the body of a request up to a bound: the one reader of all HTTP routes."""

from __future__ import annotations

from starlette.types import Receive

from hypha.errors import FrameTooLarge, HyphaError
from hypha.web.uploads import keep


class ClientLeft(HyphaError):
    """The client closed the connection before its request was complete; there is nobody to tell."""

    code, status = "client_left", 499


async def read_whole(receive: Receive, limit: int, refusal: str | None = None) -> bytes:
    """The whole body as it was sent, at most `limit` bytes.

    Args:
        refusal: what is said of a larger one.

    Raises:
        FrameTooLarge: it is larger.
        InvalidRequest: it came too slowly.
        LimitReached: too many bodies are unfinished.
        ClientLeft: the connection ended before the body did.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit, refusal)
        more = message.get("more_body", False)
        if not parts and not more:
            return part
        keep(receive, len(part))
        parts.append(part)
    return b"".join(parts)


def body_at_hand(receive: Receive, limit: int) -> bytes | None:
    """The whole body of a request that has come to its end; None if it must be awaited.

    Args:
        receive: of the request. Our own HTTP protocol gives a method of an object that has `take_body`.

    Raises:
        FrameTooLarge: it is larger.
    """
    take = getattr(getattr(receive, "__self__", None), "take_body", None)
    body: bytes | None = take() if take is not None else None
    if body is not None and len(body) > limit:
        raise too_large(limit)
    return body


async def until_left(receive: Receive) -> None:
    """Wait until whoever made a request or opened a WebSocket has left; what else comes is dropped."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass


def too_large(limit: int, refusal: str | None = None) -> FrameTooLarge:
    """The error for a body above a limit."""
    return FrameTooLarge(refusal or f"The request body is larger than the limit of {limit} bytes.")
