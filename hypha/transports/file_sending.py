"""Files that go from the disk to the socket of an answer without passing through this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from hypha.transports.answers import PlainCycle
from hypha.web.bodies import ClientLeft

PassOn = Callable[[int, int], Awaitable[tuple[int, bool]]]
"""`Reading.pass_on`: sends to a socket from an offset on; how many bytes went, and whether it is full."""


class Connection(Protocol):
    """What is used of uvicorn's HTTP protocol; it is told when it has to wait for the client."""

    transport: Any
    flow: Any

    def pause_writing(self) -> None:
        """The client reads too slowly."""

    def resume_writing(self) -> None:
        """The client has caught up."""


async def send_file(protocol: Connection, cycle: PlainCycle, pass_on: PassOn, start: int, stop: int) -> None:
    """Send a part of the body of an answer whose head was sent and which has a length.

    A second descriptor of the connection is used, since the loop has the first for itself. While the client
    does not read, the same deadline holds as for other answers.

    Raises:
        ClientLeft.
    """
    loop = asyncio.get_running_loop()
    assert cycle.response_started
    await _all_written(protocol, cycle)
    connection = os.dup(protocol.transport.get_extra_info("socket").fileno())
    try:
        at = start
        while at < stop:
            sent, is_full = await pass_on(connection, at)
            _check_there(protocol, cycle)
            at += sent
            cycle.expected_content_length -= sent
            if is_full:
                protocol.pause_writing()
                loop.add_writer(connection, protocol.resume_writing)
                await protocol.flow.drain()
                loop.remove_writer(connection)
                _check_there(protocol, cycle)
            elif not sent:
                return  # the file has become shorter; the missing end tells the client
    except ConnectionError:
        raise ClientLeft from None
    finally:
        loop.remove_writer(connection)
        protocol.resume_writing()
        os.close(connection)


async def _all_written(protocol: Connection, cycle: PlainCycle) -> None:
    """Wait until everything that was written before has left."""
    transport = protocol.transport
    cycle.transport.flush()  # type: ignore[attr-defined]
    await asyncio.sleep(0)  # the loop writes at the end of a turn
    if transport.get_write_buffer_size():
        transport.set_write_buffer_limits(high=0)
        try:
            while transport.get_write_buffer_size():
                await protocol.flow.drain()
                _check_there(protocol, cycle)
                await asyncio.sleep(0)
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits()
    _check_there(protocol, cycle)


def _check_there(protocol: Connection, cycle: PlainCycle) -> None:
    if cycle.disconnected or protocol.transport.is_closing():
        raise ClientLeft
