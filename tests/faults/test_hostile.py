"""Promise: what a hostile client does hurts itself; other tenants hardly notice.

Each attack runs in a process of its own, as fast as it can, while a pair in another workspace calls at
a steady pace. On a small machine any busy process makes others wait, whomever it attacks, so the pair's
times are compared with those beside the same attack on a second server that the pair doesn't use.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hypha.testing import CrowdClient, ServerProcess, eventually
from tests.kit.clients import StartServer
from tests.kit.people import make_person

PACE_S = 0.01
ATTACKS = [
    "frames", "chunks", "large", "values", "handshakes",
    "headers", "registrations", "tokens", "addresses", "answers",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]


def hello(*_: object) -> str:
    return "hello"


class Victims:
    """A pair of clients of one workspace that call each other at a steady pace."""

    def __init__(self, own: ServerProcess, caller: CrowdClient, callee: CrowdClient) -> None:
        self.own = own
        self.caller = caller
        self.callee = callee

    @classmethod
    async def join(cls, own: ServerProcess) -> Victims:
        """Connect the pair."""
        token = make_person(own, "victim").token
        caller, callee = [await CrowdClient.connect(own.ws_url, token=token) for _ in range(2)]
        victims = cls(own, caller, callee)
        await callee.offer("svc", {"hello": hello})
        return victims

    async def times_beside(self, attack: str, target: ServerProcess, seconds: float) -> list[float]:
        """How long calls take (s) while somebody attacks a server."""
        attacker = make_person(target, "attacker")
        line = [sys.executable, "-m", "tests.kit.hostile", attack, target.url]
        line += [f"--token={attacker.token}", f"--victim={self.callee.address}", f"--seconds={seconds + 1}"]
        process = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        await asyncio.sleep(1)  # it needs its time to start; then both run at once
        times: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.monotonic()
            assert await self.caller.call(self.callee.address, "services.svc.hello") == "hello"
            times.append(time.monotonic() - start)
            await asyncio.sleep(max(0.0, PACE_S - times[-1]))
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        seen = json.loads(output)
        print(f"{attack}: {seen}")
        assert sum(seen.values()) > 0
        assert not seen.get("admitted")
        return times


def keep_apart(*servers: ServerProcess) -> None:
    """Give the servers one processor and everybody else the others, attackers too.

    Otherwise the kernel wakes an attacker on the processor of the server that it talks to, and what is
    measured is whom the kernel made wait.
    """
    processors = sorted(psutil.Process().cpu_affinity())
    if len(processors) > 1:
        for server in servers:
            psutil.Process(server.pid).cpu_affinity(processors[:1])
        psutil.Process().cpu_affinity(processors[1:])


@pytest.fixture(autouse=True)
def processors() -> Iterator[None]:
    """The processors of this process as they were."""
    before = psutil.Process().cpu_affinity()
    yield
    psutil.Process().cpu_affinity(before)


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.spec("faults-F14", "wire-16.13", "wire-50")
@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_hurts_other_tenants_little_and_leaves_nothing(
    start_server: StartServer, attack: str
) -> None:
    env = {"HYPHA_RESUME_WINDOW": "2", "HYPHA_HOLD_TIME": "1"}
    own, other = await start_server(env=env), await start_server(env=env)
    process = psutil.Process(own.pid)
    keep_apart(own, other)
    victims = await Victims.join(own)
    await victims.times_beside(attack, own, 2)  # warm
    await eventually(lambda: process.num_fds() < 200, within_s=30, what="the first sockets to go")
    handles, rss = process.num_fds(), process.memory_info().rss
    beside_other = await victims.times_beside(attack, other, 6)
    beside_own = await victims.times_beside(attack, own, 6)
    print(
        f"{attack}: p99 {p99(beside_own) * 1e3:.2f} ms, beside an attack on another server "
        f"{p99(beside_other) * 1e3:.2f} ms; medians {statistics.median(beside_own) * 1e3:.2f} "
        f"and {statistics.median(beside_other) * 1e3:.2f} ms"
    )
    assert not victims.callee.is_closed
    await eventually(lambda: process.num_fds() <= handles + 5, within_s=30, what="handles to return")
    peak = process.memory_info().rss - rss
    await eventually(lambda: process.memory_info().rss - rss < 32e6, within_s=60, what="memory to return")
    print(f"{attack}: memory {peak / 1e6:+.1f} MB, later {(process.memory_info().rss - rss) / 1e6:+.1f} MB")
    assert '"level": "error"' not in own.log
