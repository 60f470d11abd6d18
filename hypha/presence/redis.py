"""The presence of replicas that share a Redis; each step is a script there (`presence.lua`)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
from redis.asyncio.connection import ConnectionPool

from hypha.errors import BackendUnavailable, LeaseLost
from hypha.presence.base import LEASE_S, MAX_FOUND, Hear, Presence
from hypha.presence.entries import (
    NO_LIMITS,
    Change,
    ClientChanged,
    ClientEntered,
    ClientEntry,
    ClientLeft,
    Entered,
    Full,
    Limits,
    Offered,
    ReplicaEnded,
    ReplicaEntry,
    Rival,
    Room,
    ServiceEntry,
    ServiceOffered,
    ServiceWithdrawn,
    Superseded,
    Taken,
    Wanted,
)
from hypha.redis.link import RedisLink, Script, Word

logger = logging.getLogger(__name__)

WAIT_MS = 1000
"""How long one question for changes waits for some."""
READ_AT_ONCE = 500
_RETRY_S = 0.1
_PUBLIC, _SINGLETON, _BUILT_IN = 1, 2, 4


class RedisPresence(Presence):
    """One replica.

    Args:
        lease_s: how long a lease lasts that is not renewed.
    """

    def __init__(
        self, pool: ConnectionPool, replica: str, facts: bytes = b"", lease_s: float = LEASE_S
    ) -> None:
        super().__init__(replica, facts)
        self._lease_ms = int(lease_s * 1000)
        self._script = Script(Path(__file__).with_name("presence.lua").read_text())
        self.link = RedisLink(pool, "Presence", [self._script], on_back=self._post_again)
        """What is asked and posted goes through it, in this order."""
        self._ears = RedisLink(pool, "Changes", timeout_s=1.0 + WAIT_MS / 1000)
        self._lease = b""
        """Number of the lease; empty without one."""
        self.heard = b"0"
        """The place in its stream up to which changes have been heard."""
        self._hearers: list[Hear] = []
        self._hearing: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._posted: dict[int, tuple[Word, ...]] = {}
        """What was posted and is not known to be done, in order."""

    # -- the lease

    async def open(self) -> None:
        """See `Presence`."""
        await self._deafen()
        if not self.link.is_opened:
            await self.link.open()
        await self._ears.open()
        self._posted.clear()
        self._lease = await self.link.run(self._script, "open", self.replica, "", self._lease_ms, self.facts)
        self.heard = b"0"
        self._hearing = asyncio.create_task(self._hear())

    async def renew(self) -> None:
        """See `Presence`."""
        await self._do("renew", self._lease_ms)

    async def close(self) -> None:
        """See `Presence`."""
        await self._deafen()
        try:
            await self._do("close")
        except BackendUnavailable:
            pass  # others will end the lease
        self._lease = b""
        await self.link.close()

    async def replicas(self) -> list[ReplicaEntry]:
        """See `Presence`."""
        found = await self.link.run(self._script, "replicas")
        pairs = zip(found[::2], found[1::2], strict=True)
        return sorted(
            (ReplicaEntry(_text(name), facts) for name, facts in pairs), key=lambda one: one.replica
        )

    # -- clients

    async def enter(
        self, client: ClientEntry, over: int | None = None, *, keeps_services: bool = False
    ) -> Entered | Taken:
        """See `Presence`."""
        place = client.workspace, client.client_id, client.user_id, int(client.is_live), client.facts
        what, found = await self._do("enter", *place, over or "", int(keeps_services))
        known = _client(msgpack.unpackb(found, raw=True))
        return Entered(known) if what == b"entered" else Taken(known)

    def leave(self, workspace: str, client_id: str, generation: int) -> None:
        """See `Presence`."""
        self._post("leave", workspace, client_id, generation)

    def change(self, workspace: str, client_id: str, generation: int, *, is_live: bool) -> None:
        """See `Presence`."""
        self._post("change", workspace, client_id, generation, int(is_live))

    async def client(self, workspace: str, client_id: str) -> ClientEntry | None:
        """See `Presence`."""
        found = await self.link.ask("HGET", _clients_key(workspace), client_id)
        return _kept(workspace, client_id, found) if found is not None else None

    async def clients(self, workspace: str, limit: int = MAX_FOUND) -> list[ClientEntry]:
        """See `Presence`."""
        found = await self.link.ask("HGETALL", _clients_key(workspace))
        by_id = {_text(client_id): packed for client_id, packed in zip(found[::2], found[1::2], strict=True)}
        return [_kept(workspace, client_id, by_id[client_id]) for client_id in sorted(by_id)[:limit]]

    # -- services

    async def offer(
        self, service: ServiceEntry, limits: Limits = NO_LIMITS
    ) -> Offered | Rival | Full | Superseded:
        """See `Presence`."""
        flags = (
            _PUBLIC * service.is_public + _SINGLETON * service.is_singleton + _BUILT_IN * service.is_built_in
        )
        rooms = (limits.client, limits.workspace)
        what, *found = await self._do(
            "offer", *service.key, service.generation, service.type, service.app_id, flags, service.record,
            *(number for room in rooms for number in (room.count, room.size_bytes)),
        )  # fmt: skip
        if what == b"superseded":
            return Superseded()
        if what == b"full":
            return Full(bool(found[0]), Room(found[1], found[2]))
        first, *rest = (_service(msgpack.unpackb(packed, raw=True)) if packed else None for packed in found)
        assert first is not None
        if what == b"rival":
            return Rival(first)
        return Offered(first, rest[0], tuple(one for one in rest[1:] if one is not None))

    async def withdraw(
        self, workspace: str, client_id: str, name: str, generation: int
    ) -> ServiceEntry | None:
        """See `Presence`."""
        what, *found = await self._do("withdraw", workspace, client_id, name, generation)
        return _service(msgpack.unpackb(found[0], raw=True)) if what == b"withdrawn" else None

    async def services(self, wanted: Wanted, limit: int = MAX_FOUND) -> list[ServiceEntry]:
        """See `Presence`."""
        parts = wanted.workspace, wanted.client_id, wanted.name, wanted.type, wanted.app_id
        words = ["" if part is None else f"={part}" for part in parts]
        packed = await self.link.run(self._script, "services", *words, limit)
        found = [_service(msgpack.unpackb(one, raw=True)) for one in packed]
        return sorted(found, key=lambda one: (one.workspace, one.order))[:limit]

    # -- changes

    async def watch(self, workspace: str) -> None:
        """See `Presence`."""
        await self._do("watch", workspace)

    def unwatch(self, workspace: str) -> None:
        """See `Presence`."""
        self._post("unwatch", workspace)

    def follow(self, hear: Hear) -> None:
        """See `Presence`."""
        self._hearers.append(hear)

    @property
    def is_hearing(self) -> bool:
        """True as long as something may come."""
        return self._hearing is not None and not self._hearing.done()

    async def flush(self) -> None:
        """See `Presence`."""
        try:
            await self.link.ask("PING")
        except BackendUnavailable:
            pass

    @property
    def stream(self) -> str:
        """Where the changes come that are to be heard."""
        return f"hypha:r:{{{self.replica}}}:told:{self._lease.decode()}"

    async def _deafen(self) -> None:
        task, self._hearing = self._hearing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._ears.close()

    async def _hear(self) -> None:
        """Tell those who follow of all changes, until the lease is given up."""
        stream = self.stream
        while True:
            self._ears.ask("XTRIM", stream, "MINID", "~", self.heard)
            try:
                found = await self._ears.ask(
                    "XREAD", "COUNT", READ_AT_ONCE, "BLOCK", WAIT_MS, "STREAMS", stream, self.heard
                )
            except BackendUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            for place, (_, packed) in found[0][1] if found else ():
                self._pass_on(_change(msgpack.unpackb(packed, raw=True)))
                self.heard = place

    def _pass_on(self, change: Change) -> None:
        for hear in self._hearers:
            try:
                hear(change)
            except Exception:
                logger.exception("Fault in what follows the changes of others")

    # -- asking and posting

    async def _do(self, what: str, *words: Word) -> Any:
        """Change something, now.

        Raises:
            LeaseLost: the lease of this replica has ended.
        """
        answer = [b"lost"]
        if self._lease:
            answer = await self.link.run(self._script, what, self.replica, self._lease, *words)
        if answer[0] == b"lost":
            raise LeaseLost(f"The lease of the replica {self.replica} has ended")
        return answer

    def _post(self, *wish: Word) -> None:
        number = next(self._numbers)
        self._posted[number] = wish
        self._send(number, wish)

    def _send(self, number: int, wish: tuple[Word, ...]) -> None:
        what, *words = wish
        done = self.link.run(self._script, what, self.replica, self._lease, *words)
        done.add_done_callback(partial(self._sent, number))

    def _sent(self, number: int, done: asyncio.Future[Any]) -> None:
        """What Redis did not answer is posted again when it is back: doing it twice is harmless."""
        if not done.cancelled() and not isinstance(done.exception(), BackendUnavailable):
            self._posted.pop(number, None)

    def _post_again(self) -> None:
        """Redis is back: ask anew, before anything else, for what it did not answer."""
        for number, wish in self._posted.items():
            self._send(number, wish)


def _clients_key(workspace: str) -> str:
    return f"hypha:w:{{{workspace}}}:clients"


def _text(word: bytes) -> str:
    return word.decode()


def _kept(workspace: str, client_id: str, packed: bytes) -> ClientEntry:
    return _client([workspace.encode(), client_id.encode(), *msgpack.unpackb(packed, raw=True)])


def _client(parts: list[Any]) -> ClientEntry:
    workspace, client_id, user_id, is_live, facts, replica, generation = parts
    return ClientEntry(
        _text(workspace),
        _text(client_id),
        _text(user_id),
        bool(is_live),
        facts,
        _text(replica),
        int(generation),
    )


def _service(parts: list[Any]) -> ServiceEntry:
    workspace, client_id, name, kind, app_id, flags, record, order, is_live, replica, generation = parts
    return ServiceEntry(
        _text(workspace), _text(client_id), _text(name), int(generation), _text(kind), _text(app_id),
        bool(flags & _PUBLIC), bool(flags & _SINGLETON), bool(flags & _BUILT_IN),
        record, int(order), bool(is_live), _text(replica),
    )  # fmt: skip


def _replaced(parts: Any) -> ServiceEntry | None:
    return _service(parts) if parts else None


_CHANGES: dict[bytes, Callable[..., Change]] = {
    b"e": lambda client, before: ClientEntered(_client(client), int(before) if before else None),
    b"c": lambda client: ClientChanged(_client(client)),
    b"l": lambda client, is_lost: ClientLeft(_client(client), bool(is_lost)),
    b"+": lambda service, before: ServiceOffered(_service(service), _replaced(before)),
    b"-": lambda service, is_lost: ServiceWithdrawn(_service(service), bool(is_lost)),
    b"r": lambda parts: ReplicaEnded(_text(parts[0])),
}


def _change(parts: list[Any]) -> Change:
    kind, *rest = parts
    return _CHANGES[kind](*rest)
