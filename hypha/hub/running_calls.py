"""Calls of functions of the server while they run: each in a task, of each caller a bounded number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hypha.background import Tasks
from hypha.errors import HyphaError, LimitReached, ServerFault
from hypha.hub.shares import Room, Shares
from hypha.ids import random_id
from hypha.wire.chunks import SINGLE_FRAME_BYTES
from hypha.wire.packed import is_large, pack_in_turns
from hypha.wire.pieces import pack_pieces

if TYPE_CHECKING:
    from hypha.clock import Clock, Timer
    from hypha.hub.answers import Answers
    from hypha.hub.large_answers import LargeAnswers
    from hypha.hub.requests import Request

logger = logging.getLogger(__name__)

FIRST_HEARTBEAT_S = 0.1
MAX_RUNNING_PER_CLIENT = 2000
MAX_RUNNING = Room(free=16, party=10_000, strangers=20_000, total=100_000)
"""Calls of one peer's functions that run at once."""


class RunningCalls:
    """The calls of one peer's functions that run now."""

    def __init__(self, clock: Clock, answers: Answers, large: LargeAnswers) -> None:
        self._clock = clock
        self._answers = answers
        self._large = large
        self._tasks = Tasks()
        self._of_client: dict[str, int] = {}
        """How many run for a client, by its address; none is 0."""
        self._together = Shares(MAX_RUNNING)
        """How many run for all of them."""

    def __len__(self) -> int:
        return sum(self._of_client.values())

    @property
    def counted(self) -> int:
        """How many run beyond what each client may have uncounted."""
        return self._together.used

    def start(
        self, request: Request, path: str, work: Callable[[], Awaitable[Any]], gives_bytes: int = 0
    ) -> bool:
        """Run a call and answer it, unless its caller has too many running: then it is refused, and False.

        Args:
            path: what is called, for the log.
            gives_bytes: how large the answer may be; 0 for what is small, or bounded by something else.
        """
        sender = request.sender
        running = self._of_client.get(sender.address, 0) + 1
        if running > MAX_RUNNING_PER_CLIENT or (
            running > MAX_RUNNING.free and not self._together.note(sender, running)
        ):
            text = f"Too many calls are running: {running - 1} of this client, or your user's or address's."
            request.release()
            self._answers.fail(request, LimitReached(text))
            return False
        self._of_client[sender.address] = running
        task = self._tasks.start(self._run(request, path, work, gives_bytes))
        task.add_done_callback(partial(self._is_over, request))
        return True

    async def _run(
        self, request: Request, path: str, work: Callable[[], Awaitable[Any]], gives_bytes: int
    ) -> None:
        place = None
        timer = self._clock.call_later(FIRST_HEARTBEAT_S, self._beat, request, timers := [])
        timers.append(timer)
        try:
            if gives_bytes or self._large.is_full(request.sender):
                place = await self._large.place(request.sender, gives_bytes or 1)
                if request.sender.ended:
                    return
            body = await self._packed(request, await work())
            size = sum(map(len, body))
            if place is not None:
                place.resize(size)
            elif size > SINGLE_FRAME_BYTES:
                place = self._large.unasked(request.sender, size)
            await self._answers.resolve_large(request, body)
        except HyphaError as error:
            self._answers.fail(request, error)
        except Exception:
            fault_id = random_id(8)
            logger.exception("Fault %s in %s", fault_id, path[:200])
            text = f"The server failed; its log has the details under {fault_id}."
            self._answers.fail(request, ServerFault(text))
        finally:
            timers[-1].cancel()
            if place is not None:
                place.close()

    async def _packed(self, request: Request, result: Any) -> list[bytes]:
        """The answer as bytes; one of many values is packed beside the event loop."""
        answer = {"args": [result]}
        if not is_large(answer):
            return pack_pieces(answer)
        return await self._large.made(request.sender, partial(pack_in_turns, answer))

    def _is_over(self, request: Request, _task: asyncio.Task[None]) -> None:
        """One call of a client has ended, or will not begin."""
        request.release()
        sender = request.sender
        left = self._of_client.get(sender.address, 1) - 1
        if left >= MAX_RUNNING.free:
            self._together.note(sender, left)
        if left > 0:
            self._of_client[sender.address] = left
        else:
            self._of_client.pop(sender.address, None)

    def _beat(self, request: Request, timers: list[Timer]) -> None:
        if self._answers.beat(request):
            timers.append(self._clock.call_later(request.interval_s, self._beat, request, timers))
            del timers[:-1]

    async def close(self) -> None:
        """Cancel all."""
        await self._tasks.close()
