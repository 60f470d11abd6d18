"""The functions of the service `queue`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgpack

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest
from hypha.features.queues.delivery import MAX_PEEK_BYTES, Delivery
from hypha.values import is_number
from hypha.wire.decodable import check_handed_on, made_decodable, may_be_odd

MAX_TIMEOUT_S = 3600.0
MIN_LEASE_S = 0.05
MAX_LEASE_S = 7 * 86400.0
MAX_PEEK = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

QueueName = Annotated[str, {"pattern": f"^{_NAME.pattern}$", "examples": ["jobs"]}]
Receipt = Annotated[str, {"minLength": 1, "maxLength": 64}]
Timeout = Annotated[float | None, {"minimum": 0, "maximum": MAX_TIMEOUT_S}]
Lease = Annotated[float, {"minimum": 0, "maximum": MAX_LEASE_S}]
OptionalLease = Annotated[float | None, {"minimum": MIN_LEASE_S, "maximum": MAX_LEASE_S}]
Count = Annotated[int, {"minimum": 1, "maximum": MAX_PEEK}]


class QueueService:
    """Work queues of the caller's workspace: first in, first out, kept on disk.

    A pushed task is on disk when `push` answers. `pop` hands a task out for good; with `lease` it
    comes back to the queue unless it is acknowledged in time, so that a consumer that dies loses
    nothing.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @permission(Level.READ_WRITE)
    async def push(self, queue_name: QueueName, task: Any, *, context: Context) -> None:
        """Append a task to a queue; when this returns the task survives a crash of the server.

        Args:
            queue_name: Letters, digits, `_`, `.` and `-`, up to 128 of them, e.g. `jobs`.
            task: Any value that can be sent, up to 4 MiB.
        """
        await self._delivery.push(context, _name(queue_name), _packed(task))

    @permission(Level.READ_WRITE)
    async def pop(
        self, queue_name: QueueName, timeout: Timeout = 30, lease: OptionalLease = None, *, context: Context
    ) -> Any:
        """Take the oldest task; wait for one if there is none. Gives null when none came in time.

        Args:
            queue_name: The queue.
            timeout: Longest wait in seconds, fractions allowed; 0 asks and returns at once.
            lease: Seconds after which the task comes back unless `ack` was called. With a lease the
                result is `{"task", "receipt", "attempt"}`; without one it is the task itself.
        """
        name = _name(queue_name)
        timeout_s = 30.0 if timeout is None else _seconds(timeout, "timeout", 0.0, MAX_TIMEOUT_S)
        lease_s = None if lease is None else _seconds(lease, "lease", MIN_LEASE_S, MAX_LEASE_S)
        found = await self._delivery.pop(context, name, timeout_s, lease_s)
        if found is None:
            return None
        taken, receipt = found
        task = _unpacked(taken.data)
        return task if lease is None else {"task": task, "receipt": receipt, "attempt": taken.attempt}

    @permission(Level.READ_WRITE)
    async def ack(self, queue_name: QueueName, receipt: Receipt, *, context: Context) -> None:
        """Tell that a leased task is done, so that it does not come back.

        Args:
            queue_name: The queue.
            receipt: What `pop` gave with the task.
        """
        await self._delivery.finish(context, _name(queue_name), _receipt(receipt))

    @permission(Level.READ_WRITE)
    async def extend(
        self, queue_name: QueueName, receipt: Receipt, lease: Lease, *, context: Context
    ) -> float:
        """Keep a leased task longer; gives the new end of the lease in Unix seconds.

        Args:
            queue_name: The queue.
            receipt: What `pop` gave with the task.
            lease: Seconds from now; 0 gives the task back to the queue at once.
        """
        name, lease_s = _name(queue_name), _seconds(lease, "lease", 0.0, MAX_LEASE_S)
        return await self._delivery.extend(context, name, _receipt(receipt), lease_s)

    @permission(Level.READ)
    async def get_length(self, queue_name: QueueName, *, context: Context) -> int:
        """Number of tasks that wait in a queue; those on lease don't count.

        Args:
            queue_name: The queue.
        """
        return await self._delivery.length(context, _name(queue_name))

    @permission(Level.READ, gives_bytes=MAX_PEEK_BYTES)
    async def peek(self, queue_name: QueueName, n: Count = 1, *, context: Context) -> list[Any]:
        """Look at the next tasks without taking them, the next to be popped first.

        Gives at most 16 MiB of tasks, so fewer than `n` where they are large; always one if there is one.

        Args:
            queue_name: The queue.
            n: How many at most, 1 to 1000.
        """
        count = int(n) if is_number(n) and n % 1 == 0 else 0  # JSON knows no difference between 1 and 1.0
        if not 1 <= count <= MAX_PEEK:
            raise InvalidRequest(f"n must be a whole number from 1 to {MAX_PEEK}.")
        return [_unpacked(data) for data in await self._delivery.peek(context, _name(queue_name), count)]


def _name(value: Any) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    shown = str(value)[:140]
    raise InvalidRequest(
        f"Invalid queue name: {shown!r}. A name begins with a letter or digit and has up to 128 letters, "
        "digits, '_', '.' or '-'."
    )


def _receipt(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= 64:
        return value
    raise InvalidRequest("A receipt is the text that `pop` gave with the task.")


def _seconds(value: Any, what: str, least: float, most: float) -> float:
    if is_number(value) and least <= value <= most:
        return float(value)
    raise InvalidRequest(f"{what} is a number of seconds from {least:g} to {most:g}.")


def _packed(task: Any) -> bytes:
    try:
        data: bytes = msgpack.packb(task)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest("The task holds a value that cannot be stored.") from None
    check_handed_on(task, "task")
    return data


def _unpacked(data: bytes) -> Any:
    task = msgpack.unpackb(data, strict_map_key=False)
    return made_decodable(task, is_handed_on=True) if may_be_odd(data) else task
