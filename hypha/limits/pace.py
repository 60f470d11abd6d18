"""How much work begins in one turn of the event loop; what is more begins in later turns, party by party.

A thousand short pieces of work that are all ready at once make one long turn, in which nobody else is served.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

BEGINNING_S = 0.02
"""Work begins for so long in one turn."""
_AT_ONCE = 16
_FADING = 0.9


class Pace:
    """Asked before each piece of work: `if not pace.may_begin(): await pace.wait(party)`.

    Args:
        clock: seconds.
    """

    __slots__ = ("_began", "_clock", "_cost_s", "_count", "_is_turning", "_waiting")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._is_turning = False
        """Something has begun in this turn, and `_turn` comes in the next one."""
        self._began = 0.0
        """When the first did."""
        self._count = 0
        """How many have."""
        self._cost_s = 0.0
        """What one takes (s), by the most expensive of the last turns."""
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def may_begin(self) -> bool:
        """Whether work may begin at once; it counts as begun then."""
        now = self._clock()
        if not self._is_turning:
            self._is_turning, self._began, self._count = True, now, 0
            asyncio.get_running_loop().call_soon(self._turn)
        if self._waiting or now - self._began > BEGINNING_S:
            return False
        self._count += 1
        return True

    async def wait(self, party: str) -> None:
        """Wait for a turn in which work of this party may begin; one party is served in its order."""
        begins = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(begins)
        await begins

    def _turn(self) -> None:
        """Let some begin who wait, as many as there is time for by what the last ones took."""
        if self._count:
            cost_s = (self._clock() - self._began) / self._count
            self._cost_s = max(cost_s, _FADING * self._cost_s)
        self._is_turning = bool(self._waiting)
        if not self._is_turning:
            return
        most = max(1, min(_AT_ONCE, int(BEGINNING_S / max(self._cost_s, 1e-6))))
        self._began, self._count = self._clock(), self._release(most)
        asyncio.get_running_loop().call_soon(self._turn)  # behind what was woken, so that it is measured

    def _release(self, most: int) -> int:
        """Wake up to so many, one of each party in turn."""
        count = 0
        while count < most and self._waiting:
            party, queue = self._waiting.popitem(last=False)
            begins = queue.popleft()
            if queue:
                self._waiting[party] = queue
            if not begins.done():
                begins.set_result(None)
                count += 1
        return count
