"""Promise: with the listening socket held by a parent, a crash is a short pause (issue of resuming, 6)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from hypha.testing import eventually
from tests.kit.clients import Connect, StartServer
from tests.kit.people import make_person


async def greeting(caller: Any) -> str | None:
    """What the provider says, or None while it is not reached."""
    try:
        return str(await (await caller.get_service("provider:svc")).hello())
    except Exception:
        return None


@pytest.mark.timeout(90)
@pytest.mark.spec("resume-13", "faults-F1")
@pytest.mark.parametrize("how", ["kill", "hangup"])
async def test_clients_wait_in_the_queue_of_the_held_port(
    start_server: StartServer, connect: Connect, how: str
) -> None:
    own = await start_server(flags=["--supervise"])
    alice = make_person(own, "alice")
    provider = await connect(alice, url=own.url, client_id="provider")
    await provider.register_service({"id": "svc", "hello": lambda: "hello"})
    caller = await connect(alice, url=own.url)
    await asyncio.to_thread(own.restart, kill=how == "kill")
    began = time.monotonic()
    assert await eventually(lambda: greeting(caller), within_s=40) == "hello"
    print(f"back {time.monotonic() - began:.2f} s after the new server was ready")
