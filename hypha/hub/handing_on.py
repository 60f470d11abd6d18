"""Messages in chunks for a guest: put together by the server, where they are bounded, then handed on whole.

The client library of a guest keeps without a bound what it is sent, and it runs in the server's process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hypha.errors import ForeignFunction
from hypha.ids import random_id
from hypha.wire.chunks import CHUNK_BYTES
from hypha.wire.frames import pack
from hypha.wire.values import MESSAGE_CACHE

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.ports import PeerPorts

PER_TURN = 4
"""Chunks that are handed on in one turn of the event loop."""


async def hand_on(
    ports: PeerPorts, sender: Client, guest: Client, address: str, chunks: Sequence[bytes]
) -> None:
    """Give a guest a whole message as its sender would, through the guest's message cache.

    Raises:
        ForeignFunction: the border between sender and guest does not let it pass.
    """
    key = random_id()
    for number, (function, args) in enumerate(_calls(key, chunks)):
        if number % PER_TURN == PER_TURN - 1:
            await asyncio.sleep(0)
        if sender.ended or guest.ended:
            return
        if not _pass(ports, sender, guest, address, function, args):
            raise ForeignFunction(
                "This message may not pass: it names functions of somebody else, or cannot be read."
            )


def _calls(key: str, chunks: Sequence[bytes]) -> Iterator[tuple[str, list[Any]]]:
    yield "create", [key]
    pieces = (chunk[at : at + CHUNK_BYTES] for chunk in chunks for at in range(0, len(chunk), CHUNK_BYTES))
    for index, piece in enumerate(pieces):
        yield "set", [key, index, piece]
    yield "process", [key]


def _pass(
    ports: PeerPorts, sender: Client, guest: Client, address: str, function: str, args: list[Any]
) -> bool:
    """Pass on one call of the cache, whose answer nobody wants; False if it was refused."""
    session = random_id()
    main = {
        "type": "method",
        "from": sender.address,
        "to": address,
        "method": f"{MESSAGE_CACHE}{function}",
        "session": session,
    }
    head = pack(main)
    ports.forward(sender, guest, main, head + pack({"args": args}), len(head))
    return guest.pending.pop((sender, session), None) is not None
