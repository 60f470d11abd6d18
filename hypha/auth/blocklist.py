"""Who is kept out: users and addresses, answered from memory, kept in the store over restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Literal, Protocol

from hypha.auth.users import User
from hypha.errors import InvalidRequest, PermissionDenied
from hypha.store.blocklist import BlockRecord
from hypha.values import is_number

Kind = Literal["user", "ip"]
DEFAULT_REASON = "blocked by an administrator"
LONGEST_S = 30 * 86400.0
MAX_BLOCKS = 100_000
MAX_REASON_CHARS = 500


class Blocked(PermissionDenied):
    """The user or the address is kept out."""


class BlockStore(Protocol):
    """What is needed of the store."""

    async def add(self, block: BlockRecord) -> None:
        """Write one block."""

    async def remove(self, kind: str, subject: str) -> None:
        """Delete one block."""

    async def load(self, now: float) -> list[BlockRecord]:
        """All that still hold."""


class Blocklist:
    """Blocked users and addresses.

    A block of a user also holds for the tokens that descend from it. Holders of the role `admin`
    are not kept out by their address, so that nobody locks the last administrator out.
    `on_blocked` is called with each new block, so that open connections end.
    """

    def __init__(self, store: BlockStore | None = None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._blocks: dict[tuple[str, str], BlockRecord] = {}
        self.on_blocked: Callable[[BlockRecord], None] = lambda _: None
        self.tell_blocked: Callable[[BlockRecord], None] = lambda _: None
        """Tells other replicas, where there are some, of a block that is new."""
        self.tell_unblocked: Callable[[str, str], None] = lambda kind, subject: None
        """The same of one that is over."""

    async def load(self) -> None:
        """Read what was blocked before; call once, before the first connection."""
        if self._store is not None:
            for block in await self._store.load(self._clock()):
                self._blocks[block.kind, block.subject] = block

    async def reload(self) -> None:
        """Read again what the store has, and keep out who was blocked or let in meanwhile."""
        if self._store is not None:
            found = await self._store.load(self._clock())
            self._blocks = {(block.kind, block.subject): block for block in found}
            for block in found[:1]:  # each looks at all connections
                self.on_blocked(block)

    def hear(self, block: BlockRecord) -> None:
        """Somebody was blocked at another replica."""
        self._blocks[block.kind, block.subject] = block
        self.on_blocked(block)

    def forget(self, kind: str, subject: str) -> None:
        """Somebody was let in again at another replica."""
        self._blocks.pop((kind, subject), None)

    @property
    def is_active(self) -> bool:
        """False when nobody is blocked, which needs no further look."""
        return bool(self._blocks)

    def check_user(self, user: User) -> None:
        """Raise Blocked if the user, or one from whom it descends, is kept out."""
        if not self._blocks:
            return
        for name in user.ancestors:
            block = self._find("user", name)
            if block is not None:
                raise Blocked(f"User is blocked: {block.reason}")

    def check_address(self, address: str) -> None:
        """Raise Blocked if the address is kept out."""
        if self._blocks and (block := self._find("ip", address)) is not None:
            raise Blocked(f"IP is blocked: {block.reason}")

    def check(self, user: User, address: str) -> None:
        """Raise Blocked if the user, or its address, is kept out."""
        if self._blocks:
            self.check_user(user)
            if not user.is_admin:
                self.check_address(address)

    def _find(self, kind: str, subject: str) -> BlockRecord | None:
        if kind == "ip":
            subject = _canonical(subject) or subject
        block = self._blocks.get((kind, subject))
        if block is not None and block.expires_at <= self._clock():
            del self._blocks[kind, subject]
            return None
        return block

    def all(self, kind: Kind) -> list[BlockRecord]:
        """The blocks of one kind that still hold."""
        now = self._clock()
        return [block for block in self._blocks.values() if block.kind == kind and block.expires_at > now]

    async def block(
        self, kind: Kind, subject: object, duration_s: object, reason: object, by: str
    ) -> BlockRecord:
        """Keep somebody out from now on; open connections end, and it holds over restarts.

        Args:
            duration_s: Seconds; 0 stands for 30 days.

        Raises:
            InvalidRequest: the subject, duration or reason cannot be.
            BackendUnavailable: it could not be written; it holds until the next restart only.
        """
        name = _subject(kind, subject)
        now = self._clock()
        if len(self._blocks) >= MAX_BLOCKS:
            self._drop_ended(now)
        block = BlockRecord(kind, name, _reason(reason), by, now, now + _duration(duration_s))
        self._blocks[kind, name] = block
        self.on_blocked(block)
        self.tell_blocked(block)
        if self._store is not None:
            await self._store.add(block)
        return block

    async def unblock(self, kind: Kind, subject: object) -> bool:
        """Let somebody in again; False if there was no block."""
        name = _subject(kind, subject)
        known = self._find(kind, name) is not None
        if self._store is not None:
            await self._store.remove(kind, name)
        self._blocks.pop((kind, name), None)
        self.tell_unblocked(kind, name)
        return known

    def _drop_ended(self, now: float) -> None:
        ended: Iterable[tuple[str, str]] = [key for key, b in self._blocks.items() if b.expires_at <= now]
        for key in ended:
            del self._blocks[key]
        if len(self._blocks) >= MAX_BLOCKS:
            raise InvalidRequest(f"At most {MAX_BLOCKS} users and addresses can be blocked.")


def _canonical(address: str) -> str | None:
    """One spelling per address; IPv4 inside IPv6 is the IPv4 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def _subject(kind: Kind, subject: object) -> str:
    if not isinstance(subject, str) or not 0 < len(subject) <= 320:
        raise InvalidRequest("Name whom to block: a user id or an IP address.")
    if kind == "ip":
        address = _canonical(subject)
        if address is None:
            raise InvalidRequest(f"Not an IP address: {subject[:100]}")
        return address
    if subject == "root":
        raise InvalidRequest("The user root cannot be blocked.")
    return subject


def _duration(value: object) -> float:
    if not is_number(value) or not 0 <= value <= 100 * LONGEST_S:
        raise InvalidRequest("The duration must be a number of seconds; 0 stands for 30 days.")
    return float(value) or LONGEST_S


def _reason(value: object) -> str:
    if value is None or value == "":
        return DEFAULT_REASON
    if not isinstance(value, str) or len(value) > MAX_REASON_CHARS or not value.isprintable():
        raise InvalidRequest(f"The reason must be at most {MAX_REASON_CHARS} printable characters.")
    return value
