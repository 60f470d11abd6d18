"""Promise: with the listening socket held by a parent, a crash is a short pause (issue of resuming, 6)."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil
import pytest

from tests.conftest import Connect, StartServer, make_person


def children_of(pid: int) -> list[int]:
    return [int(child.pid) for child in psutil.Process(pid).children()]


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
    (first,) = children_of(own.pid)
    if how == "kill":
        os.kill(first, signal.SIGKILL)
    else:
        os.kill(own.pid, signal.SIGHUP)
    async with asyncio.timeout(40):
        while first in children_of(own.pid) or not children_of(own.pid):
            await asyncio.sleep(0.05)
        began = time.monotonic()
        while True:
            try:
                service = await caller.get_service("provider:svc")
                break
            except Exception:
                await asyncio.sleep(0.1)
    assert await service.hello() == "hello"
    print(f"back {time.monotonic() - began:.2f} s after the new server's start")
