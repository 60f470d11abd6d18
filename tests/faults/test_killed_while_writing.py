"""Promise: acknowledged means on disk. The server is killed at random instants while people sign up,
mint and revoke tokens, set variables and use queues; afterwards nothing that was acknowledged is
missing, and nothing half-written is seen (docs/promises.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess
from tests.kit.clients import StartServer
from tests.kit.people import make_person

PASSWORD = "correct horse battery"
LOGIN = "/public/services/hypha-login"
QUEUE = "/public/services/queue"
NO_LIMITS = {
    "HYPHA_HTTP_RATE_LIMIT": "0",
    "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT": "0",
    "HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS": "0",
}

LEASE_S = 3.0
"""Long enough for a busy machine: the task of a lease that ended is somebody else's, and `ack` says so."""


class Load:
    """Users at work; each remembers what it tried and what the server acknowledged."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.person = make_person(server, "ann")
        self.own = f"/{self.person.workspace}/services/ws"
        self.numbers = itertools.count(1)
        self.http = httpx.AsyncClient(
            base_url=server.url, timeout=15, headers={"authorization": f"Bearer {self.person.token}"}
        )
        self.codes: dict[str, str] = {}
        self.accounts: list[str] = []
        self.tokens: dict[str, str] = {}
        self.revoking: set[str] = set()
        self.revoked: set[str] = set()
        self.env: dict[str, str] = {}
        self.env_tried: dict[str, str] = {}
        self.pushed: dict[str, list[int]] = {}
        self.push_tried: dict[str, list[int]] = {}
        self.stock: list[int] = []
        self.acked: set[int] = set()
        self.taken: set[int] = set()
        self.pops_cut = 0

    async def call(self, path: str, body: Any, token: str | None = None) -> Any:
        """Call a function; a refusal fails the test, a dying server raises httpx.HTTPError."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    # -- work --------------------------------------------------------------------------------------

    async def sign_up(self) -> None:
        email = f"p{next(self.numbers)}@example.org"
        begun = await self.call(f"{LOGIN}/signup", {"name": "P", "email": email, "password": PASSWORD})
        self.codes[email] = begun["dev_code"]
        made = await self.call(f"{LOGIN}/verify_email", {"email": email, "code": begun["dev_code"]})
        assert made["success"], made
        self.accounts.append(email)

    async def mint(self) -> None:
        name = f"token {next(self.numbers)}"
        token = await self.call(f"{self.own}/generate_token", [{"permission": "read", "name": name}])
        self.tokens[token] = name

    async def revoke(self) -> None:
        left = [token for token in self.tokens if token not in self.revoking]
        if not left:
            await self.mint()
            return
        token = random.choice(left)
        self.revoking.add(token)
        await self.call(f"{self.own}/revoke_token", [token])
        self.revoked.add(token)

    async def set_env(self, worker: int) -> None:
        number = next(self.numbers)
        key, value = f"K{worker}_{number % 3}", f"{number}:" + "x" * (number % 5 * 15_000)
        self.env_tried[key] = value
        await self.call(f"{self.own}/set_env", [key, value])
        self.env[key] = value

    async def push(self, worker: int) -> None:
        producer = f"producer {worker}"
        number = next(self.numbers)
        self.push_tried.setdefault(producer, []).append(number)
        await self.call(f"{QUEUE}/push", ["jobs", [producer, number, "y" * (number % 3 * 30_000)]])
        self.pushed.setdefault(producer, []).append(number)

    async def pop(self) -> None:
        self.pops_cut += 1
        task = await self.call(f"{QUEUE}/pop", ["stock", 0])
        self.pops_cut -= 1
        if task is not None:
            assert task not in self.taken, "handed out twice"
            self.taken.add(task)

    async def lease(self) -> None:
        found = await self.call(f"{QUEUE}/pop", ["leased", 0, LEASE_S])
        if found is None:
            await asyncio.sleep(0.01)
            return
        assert found["task"] not in self.acked, "it came back after it was acknowledged"
        await self.call(f"{QUEUE}/ack", ["leased", found["receipt"]])
        self.acked.add(found["task"])

    # -- afterwards --------------------------------------------------------------------------------

    async def fill(self) -> None:
        """Put tasks where the consumers look."""
        new = [next(self.numbers) for _ in range(60)]
        for queue, number in itertools.product(("stock", "leased"), new):
            await self.call(f"{QUEUE}/push", [queue, number])
        self.stock += new

    async def check_accounts(self, since: int) -> None:
        for email in self.accounts[since:]:
            signed = await self.call(f"{LOGIN}/login", {"email": email, "password": PASSWORD})
            assert signed["success"], (email, signed)
        for email in self.codes.keys() - set(self.accounts):
            code = {"email": email, "code": self.codes[email]}
            verified = await self.call(f"{LOGIN}/verify_email", code)
            signed = await self.call(f"{LOGIN}/login", {"email": email, "password": PASSWORD})
            assert signed["success"], (email, verified, "the code was acknowledged")
            self.accounts.append(email)

    async def check_tokens(self) -> None:
        listed = {each["name"] for each in await self.call(f"{self.own}/list_tokens", [None, 0, 1000])}
        for token, name in self.tokens.items():
            answer = await self.http.get(f"{self.own}/echo", headers={"authorization": f"Bearer {token}"})
            is_good = answer.status_code != 401
            assert is_good is (name in listed), (name, answer.text)
            if token in self.revoked:
                assert not is_good, f"{name} was revoked"
            elif token not in self.revoking:
                assert is_good, f"{name} was handed out"

    async def check_env(self) -> None:
        kept = await self.call(f"{self.own}/get_env", {})
        assert kept.keys() <= self.env_tried.keys()
        for key, value in self.env.items():
            assert kept[key] in (value, self.env_tried[key]), key
        for key, value in kept.items():
            assert value in (self.env.get(key), self.env_tried[key]), key
            self.env[key] = value

    async def check_pushed(self) -> None:
        waiting = await self.call(f"{QUEUE}/peek", ["jobs", 1000])
        seen: dict[str, list[int]] = {}
        for producer, number, filling in waiting:
            assert filling == "y" * (number % 3 * 30_000)
            seen.setdefault(producer, []).append(number)
        for producer, tried in self.push_tried.items():
            there = seen.pop(producer, [])
            acknowledged = self.pushed.get(producer, [])
            assert there in (acknowledged, tried), "all that was acknowledged, once, in order"
        assert not seen
        while await self.call(f"{QUEUE}/pop", ["jobs", 0]) is not None:
            pass
        self.push_tried.clear()
        self.pushed.clear()

    async def check_popped(self) -> None:
        left = await self.call(f"{QUEUE}/peek", ["stock", 1000])
        assert left == sorted(set(left)) and not self.taken & set(left)
        lost = len(self.stock) - len(left) - len(self.taken)
        assert 0 <= lost <= self.pops_cut, "a task is lost only with the answer that handed it out"
        back: list[int] = []
        async with asyncio.timeout(10):
            while len(back) < len(self.stock) - len(self.acked):
                found = await self.call(f"{QUEUE}/pop", ["leased", LEASE_S + 1, 30])
                if found is None:
                    break
                assert found["task"] not in self.acked, "an acknowledged task came back"
                back.append(found["task"])
        acked_unheard = len(self.stock) - len(self.acked) - len(back)
        assert len(back) == len(set(back)) and 0 <= acked_unheard <= LEASERS, "a lease is never lost"
        self.acked |= set(self.stock)
        while await self.call(f"{QUEUE}/pop", ["stock", 0]) is not None:
            pass
        self.stock, self.taken, self.pops_cut, self.acked = [], set(), 0, set()


LEASERS = 2


async def work(again: Callable[[], Awaitable[None]]) -> None:
    """Do one thing after another until the server dies."""
    with contextlib.suppress(httpx.HTTPError):
        while True:
            await again()


async def one_round(load: Load, delay_s: float) -> None:
    """Load, kill at some instant, start, check everything."""
    await load.fill()
    known = len(load.accounts)
    jobs = [load.sign_up] * 3 + [load.mint] * 3 + [load.revoke] * 2 + [load.pop] * 2 + [load.lease] * LEASERS
    jobs += [partial(job, worker) for job in (load.set_env, load.push) for worker in range(3)]
    working = [asyncio.create_task(work(job)) for job in jobs]
    await asyncio.sleep(delay_s)
    load.server.kill()
    await asyncio.gather(*working)
    await asyncio.to_thread(load.server.start)
    await load.check_accounts(known)
    await load.check_tokens()
    await load.check_env()
    await load.check_pushed()
    await load.check_popped()


@pytest.mark.timeout(900)
@pytest.mark.spec("faults-F1")
@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.slow)])
async def test_what_was_acknowledged_is_there_after_a_kill(start_server: StartServer, rounds: int) -> None:
    load = Load(await start_server(env=NO_LIMITS))
    for number in range(rounds):
        await one_round(load, random.Random(number).uniform(0.05, 1.0))
    assert load.accounts and load.tokens and load.revoked and load.env
    await load.http.aclose()
