"""The same program as `tests/js/provider.js`, in Python: a provider in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from hypha_rpc import connect_to_server


async def main() -> None:
    """Serve until standard input ends."""
    server = await connect_to_server(json.loads(sys.argv[1]))
    news: list[Any] = []
    server.on("news", news.append)
    await server.subscribe(["news", "constructor"])

    def check() -> str:
        server.rpc.get_client_info()
        return "fine"

    async def ask(service: str, name: str, value: Any) -> Any:
        found = await server.get_service(service)
        return await found[name](value)

    functions = {
        "echo": lambda value: value,
        "take": lambda value: type(value).__name__,
        "news": lambda: len(news),
        "check": check,
        "ask": ask,
    }
    await server.register_service({"id": "svc", "config": {"visibility": "public"}, **functions})
    pages = {"index": lambda event: {"status": 200, "body": " ".join(event["headers"])}}
    await server.register_service(
        {"id": "pages", "type": "functions", "config": {"visibility": "public"}, **pages}
    )
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
