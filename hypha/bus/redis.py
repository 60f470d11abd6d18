"""The bus over Redis: each replica has a stream there, and what one turn sends to it is one entry.

A replica says how much it has read, so that its senders know how much waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
from redis.asyncio.connection import ConnectionPool

from hypha.bus.base import HIGH_BYTES, LOW_BYTES, Bus, Receiver, Target
from hypha.errors import BackendUnavailable
from hypha.ids import random_id
from hypha.redis.link import RedisLink, Script, Word

logger = logging.getLogger(__name__)

WAIT_MS = 1000
"""How long one question for what has come waits for something."""
STAY_MS = 10_000
"""A replica that does not ask for so long cannot be reached."""
READ_AT_ONCE = 100
ACKNOWLEDGED_BYTES = LOW_BYTES // 2
"""A sender is told when so much more of its has been read."""
_RETRY_S = 0.1
_FRAME, _TOLD, _REFUSED, _READ, _EVENT, _LOST = range(6)
_Parcel = tuple[Any, ...]


@dataclass(slots=True, eq=False)
class _Way:
    """What goes to one replica."""

    parcels: list[_Parcel] = field(default_factory=list)
    """What goes when this turn is over."""
    unread_bytes: int = 0
    """What was sent and is not known to have been read."""
    is_full: bool = False


class RedisBus(Bus):
    """One replica on the streams of a Redis."""

    def __init__(self, pool: ConnectionPool, replica: str, receiver: Receiver) -> None:
        super().__init__(replica, receiver)
        self._script = Script(Path(__file__).with_name("bus.lua").read_text())
        self.link = RedisLink(pool, "Bus", [self._script], on_lost=self._lost)
        """What is sent goes through it, in this order."""
        self._ears = RedisLink(pool, "Bus, coming in", [self._script], timeout_s=1.0 + WAIT_MS / 1000)
        self._session = ""
        self.heard = b"0"
        """The place in its stream up to which all was received."""
        self._hearing: asyncio.Task[None] | None = None
        self._ways: dict[str, _Way] = {}
        """To all replicas to which something was sent."""
        self._workspaces: set[str] = set()
        """To which it listens."""
        self._read_bytes: dict[str, int] = {}
        """What was read of each sender, and is not acknowledged."""
        self._is_flushing = False
        self._renewing = asyncio.Lock()

    # -- coming and going

    async def open(self) -> None:
        """See `Bus`."""
        for link in (self.link, self._ears):
            await link.open()
        await self._begin()
        self._hearing = asyncio.create_task(self._hear())

    async def renew(self) -> None:
        """See `Bus`."""
        async with self._renewing:
            stays = self.link.run(self._script, "stay", self.replica, self._session, STAY_MS, self.heard)
            if not await stays:
                await self._begin()
                self._tell_all((_LOST,))

    async def _begin(self) -> None:
        """Have a stream, and listen again where it listened."""
        self._session, self.heard = random_id(), b"0"
        begins_at = await self.link.run(self._script, "open", self.replica, self._session, STAY_MS)
        if self.heard == b"0":  # else something was received already
            self.heard = begins_at
        for workspace in self._workspaces:
            self.link.run(self._script, "listen", self.replica, workspace)

    async def close(self) -> None:
        """See `Bus`."""
        task, self._hearing = self._hearing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._flush()
        try:
            await self.link.run(self._script, "close", self.replica, self._session, *self._workspaces)
        except BackendUnavailable:
            pass  # it ends by itself
        await self.link.close()
        await self._ears.close()

    def forget(self, replica: str) -> None:
        """See `Bus`."""
        way = self._ways.pop(replica, None) or _Way()
        self._read_bytes.pop(replica, None)
        self.link.run(self._script, "forget", self.replica, replica)
        asyncio.get_running_loop().call_soon(self._end, replica, way)

    def _end(self, replica: str, way: _Way) -> None:
        self._give_back(replica, way.parcels)
        self.receiver.broken(replica)
        if way.is_full:
            self.receiver.drained(replica)

    # -- sending

    def send(self, target: Target, frame: bytes, label: bytes = b"") -> None:
        """See `Bus`."""
        place = target.workspace, target.client_id, target.generation
        self._put(target.replica, (_FRAME, *place, label, frame), len(frame))

    def publish(self, workspace: str, kind: str, frame: bytes) -> None:
        """See `Bus`."""
        parcels = msgpack.packb([(_EVENT, workspace, kind, frame)])
        self.link.run(self._script, "publish", self.replica, workspace, parcels)

    async def listen(self, workspace: str) -> None:
        """See `Bus`."""
        self._workspaces.add(workspace)
        await self.link.run(self._script, "listen", self.replica, workspace)

    def unlisten(self, workspace: str) -> None:
        """See `Bus`."""
        self._workspaces.discard(workspace)
        self.link.run(self._script, "unlisten", self.replica, workspace)

    def tell(self, replica: str | None, kind: str, body: bytes) -> None:
        """See `Bus`."""
        if replica is not None:
            self._put(replica, (_TOLD, kind, body), len(body))
            return
        self._tell_all((_TOLD, kind, body))

    def _tell_all(self, parcel: _Parcel) -> None:
        self._flush()  # in the order of their sending
        self.link.run(self._script, "tell", self.replica, msgpack.packb([parcel]))

    @property
    def is_hearing(self) -> bool:
        """True as long as something may come."""
        return self._hearing is not None and not self._hearing.done()

    async def flush(self) -> None:
        """Wait until Redis has what was sent so far, or cannot be reached."""
        self._flush()
        try:
            await self.link.ask("PING")
        except BackendUnavailable:
            pass

    def _put(self, replica: str, parcel: _Parcel, size_bytes: int = 0) -> None:
        way = self._ways.get(replica)
        if way is None:
            way = self._ways[replica] = _Way()
        way.parcels.append(parcel)
        way.unread_bytes += size_bytes
        if way.unread_bytes > HIGH_BYTES and not way.is_full:
            way.is_full = True
            self.receiver.full(replica)
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what this turn has put together."""
        self._is_flushing = False
        for replica, way in list(self._ways.items()):
            if not way.parcels:
                continue
            parcels, way.parcels = way.parcels, []
            if not self.link.is_up:
                self._come_back(replica, way, parcels)
                continue
            words: Sequence[Word] = (
                _stream(replica),
                "NOMKSTREAM",
                "*",
                self.replica,
                msgpack.packb(parcels),
            )
            added = self.link.ask("XADD", *words)
            added.add_done_callback(partial(self._added, replica, way, parcels))

    def _added(
        self, replica: str, way: _Way, parcels: list[_Parcel], added: asyncio.Future[bytes | None]
    ) -> None:
        """What is not known to be in a stream was told by `_lost`; without a stream nobody has seen it."""
        if not added.cancelled() and added.exception() is None and added.result() is None:
            self._come_back(replica, way, parcels)

    def _come_back(self, replica: str, way: _Way, parcels: list[_Parcel]) -> None:
        self._give_back(replica, parcels)
        self._note_read(replica, way, sum(map(_size, parcels)))

    def _give_back(self, replica: str, parcels: list[_Parcel]) -> None:
        for parcel in parcels:
            if parcel[0] == _FRAME:
                _, workspace, client_id, generation, label, _ = parcel
                self.receiver.refused(Target(replica, workspace, client_id, generation), label)

    def _note_read(self, replica: str, way: _Way, size_bytes: int) -> None:
        """So much less waits for a replica."""
        way.unread_bytes = max(way.unread_bytes - size_bytes, 0)
        if way.is_full and way.unread_bytes < LOW_BYTES:
            way.is_full = False
            self.receiver.drained(replica)

    def _lost(self) -> None:
        """Redis is not reached: what was sent last may be there or not, and what it held may be gone."""
        for replica, way in list(self._ways.items()):
            self.receiver.broken(replica)
            self._note_read(replica, way, way.unread_bytes - sum(map(_size, way.parcels)))

    # -- receiving

    @property
    def stream(self) -> str:
        """Where comes what it is to receive."""
        return _stream(self.replica)

    async def _hear(self) -> None:
        """Receive what comes, until the bus is closed or another one has its id."""
        while True:
            try:
                is_own = await self._hear_some()
            except BackendUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            if not is_own:
                return

    async def _hear_some(self) -> bool:
        """False if the stream is another one's."""
        stay = self._ears.run(self._script, "stay", self.replica, self._session, STAY_MS, self.heard)
        found = await self._ears.ask(
            "XREAD", "COUNT", READ_AT_ONCE, "BLOCK", WAIT_MS, "STREAMS", _stream(self.replica), self.heard
        )
        for place, (sender, packed) in found[0][1] if found else ():
            self.heard = place
            if sender == b"s":  # where a stream begins
                if packed.decode() != self._session:
                    return False
                continue
            for parcel in msgpack.unpackb(packed):
                self._receive(sender.decode(), parcel)
        if not await stay:
            await self.renew()
        return True

    def _receive(self, sender: str, parcel: list[Any]) -> None:
        kind, *parts = parcel
        try:
            if kind == _FRAME:
                self._receive_frame(sender, *parts)
            elif kind == _EVENT:
                self.receiver.event(*parts)
            elif kind == _TOLD:
                self.receiver.told(sender, *parts)
            elif kind == _REFUSED:
                workspace, client_id, generation, label = parts
                self.receiver.refused(Target(sender, workspace, client_id, generation), label)
            elif kind == _LOST:
                self.receiver.broken(sender)
            elif way := self._ways.get(sender):
                self._note_read(sender, way, parts[0])
        except Exception:
            logger.exception("Fault in receiving from another replica")
        self._acknowledge(sender, _size(parcel))

    def _receive_frame(
        self, sender: str, workspace: str, client_id: str, generation: int, label: bytes, frame: bytes
    ) -> None:
        if not self.receiver.frame(sender, Target(self.replica, workspace, client_id, generation), frame):
            self._put(sender, (_REFUSED, workspace, client_id, generation, label))

    def _acknowledge(self, sender: str, size_bytes: int) -> None:
        """Tell a sender, now and then, how much of its has been read."""
        if not size_bytes:
            return
        read = self._read_bytes.get(sender, 0) + size_bytes
        if read >= ACKNOWLEDGED_BYTES:
            self._put(sender, (_READ, read))
            read = 0
        self._read_bytes[sender] = read


def _stream(replica: str) -> str:
    return f"hypha:b:{{{replica}}}"


def _size(parcel: Sequence[Any]) -> int:
    """What a parcel counts for in what waits."""
    return len(parcel[-1]) if parcel[0] in (_FRAME, _TOLD) else 0
