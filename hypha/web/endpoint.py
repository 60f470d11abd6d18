"""An ASGI endpoint made of a coroutine method, for routes that take every method or a WebSocket as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Routers take a plain function or method for one of a request instead, and for GET alone."""

    serve: Callable[[Scope, Receive, Send], Awaitable[None]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        await self.serve(scope, receive, send)
