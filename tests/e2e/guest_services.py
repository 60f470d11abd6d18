"""A startup function with services for anybody, to which and from which large values go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


async def hypha_startup(server: Any) -> None:
    async def asked(ask: Callable[[], Any]) -> int:
        return len(await ask())

    await server.register_service(
        {
            "id": "sizes",
            "config": {"visibility": "public"},
            "size": len,
            "asked": asked,
            "large": lambda size: bytes(size),
        }
    )
