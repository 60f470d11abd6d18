"""Revoked tokens, answered from memory; the store keeps them over restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypha.auth.users import User

PURGE_AT = 10_000
"""When so many are known, those that have expired are forgotten; then again when twice as many are left."""


def line_of(fingerprint: str) -> str:
    """What is revoked of a token besides itself when all that was made with it shall end too."""
    return f"{fingerprint}+"


class RevokedTokenStore(Protocol):
    """What is needed of the store."""

    async def add(self, fingerprint: str, expires_at: float) -> None:
        """Write one fingerprint."""

    async def load(self, now: float) -> dict[str, float]:
        """All fingerprints that still matter."""


class Revocations:
    """The fingerprints of tokens that no longer count, until they would have expired anyway.

    Incarnations of removed programs (`User.incarnation`) are kept among them.

    Args:
        store: where they last; None keeps them in memory only.
        on_revoked: called with fingerprints, so that connections made with those tokens are closed.
        clock: Unix time in seconds.
        outlive_s: life of reconnection tokens, which end with the token that they come from, and
            would count again if that one were forgotten sooner.
    """

    def __init__(
        self,
        store: RevokedTokenStore | None = None,
        on_revoked: Callable[[Collection[str]], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        outlive_s: float = 0.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self.outlive_s = outlive_s
        self._known: dict[str, float] = {}
        self._purge_at = PURGE_AT
        self.on_revoked = on_revoked
        self.tell_others: Callable[[Mapping[str, float]], None] | None = None
        """Tells other replicas; None where there are none."""

    async def reload(self) -> None:
        """Read again what the store has, and end the connections of what was revoked meanwhile."""
        before = set(self._known)
        await self.load()
        fresh = self._known.keys() - before
        if fresh:
            self.on_revoked(fresh)

    async def load(self) -> None:
        """Read what was revoked before; call once, before the first token is read."""
        if self._store is not None:
            self._known.update(await self._store.load(self._clock()))

    def is_revoked(self, fingerprint: str) -> bool:
        """Whether a token was revoked; never touches the store."""
        return fingerprint in self._known

    def ends(self, user: User) -> bool:
        """Whether a user's token was revoked, or one from which it comes together with its line."""
        is_revoked = self.is_revoked
        if user.credential is not None and is_revoked(user.credential):
            return True
        return any(is_revoked(line_of(made_with)) for made_with in user.descent.credentials)

    async def revoke(self, fingerprint: str, expires_at: float) -> None:
        """Make a token invalid; it is so for good when this returns.

        Raises:
            BackendUnavailable: it could not be written; it is revoked until the next restart only.
        """
        until = max(expires_at, self._clock() + self.outlive_s)
        self.apply({fingerprint: until})
        if self._store is not None:
            await self._store.add(fingerprint, until)

    def apply(self, revoked: Mapping[str, float]) -> None:
        """Take note of tokens that are revoked in the store already, and end their connections."""
        self.hear(revoked)
        if revoked and self.tell_others is not None:
            self.tell_others(revoked)

    def hear(self, revoked: Mapping[str, float]) -> None:
        """The same of what was revoked at another replica."""
        self._known.update(revoked)
        if revoked:
            self.on_revoked(revoked.keys())
        if len(self._known) > self._purge_at:
            now = self._clock()
            self._known = {known: until for known, until in self._known.items() if until > now}
            self._purge_at = max(PURGE_AT, 2 * len(self._known))
