"""Where large bodies and results are worked on: beside the event loop, each caller within its share.

Somebody without a credential may send a body that costs a second to open, and may send twenty of them. So a
caller holds so many bytes at a time, has one body worked on at a time, and works for a share of each second;
strangers together have less room and less of the processor than there is, so that the others find some.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from hypha.errors import RateLimited
from hypha.limits import BoundedMap, Bucket, Budget, Party
from hypha.limits.pace import Pace
from hypha.web.scope import HOLDING

MIB = 1024 * 1024
MAX_TRACKED = 10_000
_MICROSECONDS = 1e6

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """What callers may have. A caller that holds nothing gets what it asks for, if the whole has room.

    Args:
        caller_bytes: held by one caller at a time. strangers_bytes, total_bytes: by all of them.
        stranger_rate, user_rate: seconds of work per second of one caller; `burst_s` may come at once.
        waiting: bodies of one caller that wait. wait_s: how long they do.
    """

    caller_bytes: int = 192 * MIB
    strangers_bytes: int = 512 * MIB
    total_bytes: int = 1024 * MIB
    stranger_rate: float = 0.25
    user_rate: float = 1.0
    burst_s: float = 5.0
    waiting: int = 32
    wait_s: float = 20.0

    @classmethod
    def of_bodies(cls, max_bytes: int) -> Self:
        """The usual ones where a body may have so many bytes."""
        return cls(
            max(192 * MIB, 3 * max_bytes), max(512 * MIB, 8 * max_bytes), max(1024 * MIB, 16 * max_bytes)
        )


class _Account:
    """What one caller has at the moment."""

    __slots__ = ("bucket", "held", "turn", "waiting")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.held = 0
        self.waiting = 0
        self.turn = asyncio.Lock()

    @property
    def is_idle(self) -> bool:
        return not self.held and not self.waiting and not self.turn.locked()


@dataclass(eq=False, slots=True)
class _Waiter:
    party: Party
    account: _Account
    size: int
    has_room: asyncio.Future[None]


class Holding:
    """The bytes that one request holds; close it when the request is over."""

    __slots__ = ("_bench", "party", "size")

    def __init__(self, bench: Workbench, party: Party) -> None:
        self._bench = bench
        self.party = party
        self.size = 0

    def close(self) -> None:
        """The request is over."""
        self.shrink(0)

    async def grow(self, size: int) -> None:
        """Hold at least so many bytes; wait for them if others of the caller's bodies have them.

        Raises:
            RateLimited: too many wait, or the wait is over.
        """
        if size > self.size:
            await self._bench.take(self.party, size - self.size)
            self.size = size

    def shrink(self, size: int) -> None:
        """Hold no more than so many bytes."""
        if size < self.size:
            self._bench.give_back(self.party, self.size - size)
            self.size = size

    async def begin(self) -> None:
        """Wait for a turn of the event loop in which some milliseconds of work may begin on the spot."""
        pace = self._bench.pace
        if not pace.may_begin():
            await pace.wait(self.party.name)

    async def work(self, job: Callable[[], Result]) -> Result:
        """Run a job in a thread, when it is the caller's turn.

        Raises:
            RateLimited: the caller has used up its share for longer than a body may wait.
        """
        return await self._bench.work(self.party, job)


def holding_of(scope: Mapping[str, Any]) -> Holding:
    """What a request holds."""
    found: Holding = scope[HOLDING]
    return found


@dataclass(slots=True)
class Workbench:
    """Holds the accounts of callers and the threads: one for strangers, one for signed-in users."""

    limits: WorkLimits = field(default_factory=WorkLimits)
    clock: Callable[[], float] = time.monotonic
    cpu_clock: Callable[[], float] = time.thread_time
    max_tracked: int = MAX_TRACKED
    pace: Pace = field(default_factory=Pace)
    held: Budget = field(init=False)
    strangers_held: Budget = field(init=False)
    _accounts: BoundedMap[Party, _Account] = field(init=False)
    _waiters: list[_Waiter] = field(default_factory=list, init=False)
    _threads: dict[bool, ThreadPoolExecutor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.held = Budget(self.limits.total_bytes)
        self.strangers_held = Budget(self.limits.strangers_bytes, self.held)
        self._accounts = BoundedMap(self.max_tracked, may_go=lambda account: account.is_idle)

    def holding(self, party: Party) -> Holding:
        """Nothing yet, for a request of this caller."""
        return Holding(self, party)

    def close(self) -> None:
        """Take no more jobs; those that wait are dropped."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
        self._threads.clear()

    async def take(self, party: Party, size: int) -> None:
        """Hold so many bytes more; see `Holding.grow`."""
        account = self._account(party)
        if self._has_room(party, account, size):
            self._add(party, account, size)
            return
        if account.waiting >= self.limits.waiting:
            raise self._busy("Too many large bodies of yours wait already.")
        waiter = _Waiter(party, account, size, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        account.waiting += 1
        is_taken = False
        try:
            async with asyncio.timeout(self.limits.wait_s):
                await waiter.has_room
            is_taken = True
        except TimeoutError:
            raise self._busy("There was no room for a body of this size.") from None
        finally:
            account.waiting -= 1
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not is_taken:
                self.give_back(party, size)  # it came while the request was given up

    def give_back(self, party: Party, size: int) -> None:
        """Hold so many bytes less; those who wait come in their order, as far as there is room for them."""
        self._add(party, self._account(party), -size)
        for waiter in list(self._waiters):
            if self._has_room(waiter.party, waiter.account, waiter.size):
                self._waiters.remove(waiter)
                self._add(waiter.party, waiter.account, waiter.size)
                if not waiter.has_room.done():
                    waiter.has_room.set_result(None)

    async def work(self, party: Party, job: Callable[[], Result]) -> Result:
        """Run a job in a thread; see `Holding.work`."""
        account, loop = self._account(party), asyncio.get_running_loop()
        cost_s = 0.0

        def measured() -> Result:
            nonlocal cost_s
            begin = self.cpu_clock()
            try:
                return job()
            finally:
                cost_s = self.cpu_clock() - begin

        def settle() -> None:
            account.bucket.take(self.clock(), cost_s * _MICROSECONDS)
            account.turn.release()

        def ended(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody is left to pay
                loop.call_soon_threadsafe(settle)

        await self._take_turn(account)
        try:
            working = self._thread(party).submit(measured)
        except BaseException:
            account.turn.release()
            raise
        # A caller that gives up pays for what a thread has begun, and has no other turn before that ends.
        working.add_done_callback(ended)
        return await asyncio.wrap_future(working)

    async def _take_turn(self, account: _Account) -> None:
        """Wait until nothing else of the caller is worked on, and what was is paid for."""
        wait_s = account.bucket.wait_s(self.clock())
        if wait_s > self.limits.wait_s or account.waiting >= self.limits.waiting:
            raise self._busy("Your large bodies and results have used up their share of the server.", wait_s)
        account.waiting += 1
        try:
            async with asyncio.timeout(self.limits.wait_s):
                await account.turn.acquire()
                try:
                    await asyncio.sleep(account.bucket.wait_s(self.clock()))
                except BaseException:
                    account.turn.release()
                    raise
        except TimeoutError:
            wait_s = account.bucket.wait_s(self.clock())
            raise self._busy(
                "Your large bodies and results have used up their share of the server.", wait_s
            ) from None
        finally:
            account.waiting -= 1

    def _thread(self, party: Party) -> ThreadPoolExecutor:
        threads = self._threads.get(party.is_stranger)
        if threads is None:
            name = "strangers" if party.is_stranger else "users"
            threads = self._threads[party.is_stranger] = ThreadPoolExecutor(1, f"bodies-of-{name}")
        return threads

    def _has_room(self, party: Party, account: _Account, size: int) -> bool:
        if account.held and account.held + size > self.limits.caller_bytes:
            return False
        return self._whole(party).has(size)

    def _add(self, party: Party, account: _Account, size: int) -> None:
        account.held += size
        self._whole(party).add(size)

    def _whole(self, party: Party) -> Budget:
        return self.strangers_held if party.is_stranger else self.held

    def _account(self, party: Party) -> _Account:
        account = self._accounts.use(party)
        if account is None:
            limits = self.limits
            rate = limits.stranger_rate if party.is_stranger else limits.user_rate
            bucket = Bucket(rate * _MICROSECONDS, limits.burst_s * _MICROSECONDS, self.clock())
            account = _Account(bucket)
            self._accounts.put(party, account)
        return account

    def _busy(self, sentence: str, wait_s: float | None = None) -> RateLimited:
        return RateLimited(f"{sentence} Try again later.", retry_after_s=wait_s or self.limits.wait_s)
