"""Passwords: accepted, hashed and compared, off the event loop."""

from __future__ import annotations

import unicodedata
from functools import partial

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from hypha.errors import InvalidArguments
from hypha.limits.crew import Crew
from hypha.limits.turns import Turns

MIN_CHARS = 8
MAX_BYTES = 1024
MOST_WAITING = 2_000
MOST_PER_PLACE = 64
_SIDE_BY_SIDE = 2


class Passwords:
    """argon2id in threads of its own, two at a time: a storm of sign-ins takes neither all memory nor
    the loop, nor the threads of others.

    One hash takes 32 MiB and some 40 ms. The parameters stand in each hash, so that they can be
    raised later. `place` is where the caller is: each has one turn at a time, and those with `first`
    go before the others.
    """

    def __init__(self, *, time_cost: int = 2, memory_kib: int = 32 * 1024, lanes: int = 1) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes)
        self._crew = Crew(_SIDE_BY_SIDE, "passwords", _turns())
        self._nobody: str | None = None
        """What a password is compared with where there is none."""

    async def hash(self, password: str, place: str = "") -> str:
        """A salted hash to keep.

        Raises:
            RateLimited: too many wait for their turn.
        """
        return await self._crew.work(partial(self._hasher.hash, password), place)

    async def matches(self, kept: str | None, password: str, place: str = "", *, first: bool = False) -> bool:
        """Whether this is the password of a kept hash; without one it takes just as long to say no.

        Raises:
            RateLimited: too many wait for their turn.
        """
        return await self._crew.work(partial(self._matches, kept, password), place, first=first)

    def close(self) -> None:
        """Let the threads go."""
        self._crew.end()

    def _matches(self, kept: str | None, password: str) -> bool:
        if self._nobody is None:  # for whoever comes first, so that the time tells nothing
            self._nobody = self._hasher.hash("nobody's password")
        return self._verify(kept or self._nobody, password) and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False


def _turns() -> Turns:
    """One of each place at a time, two in all, and the places in turn."""
    told = "Too many people sign in right now. Please try again."
    return Turns(_SIDE_BY_SIDE, per_party=1, most=MOST_WAITING, most_per_party=MOST_PER_PLACE, told=told)


def check_password(password: object) -> str:
    """Return a given password in the form that is hashed, else raise InvalidArguments.

    The same letters typed on different systems give the same password (NFC). The limit is checked
    before anything else is done with it.
    """
    if not isinstance(password, str):
        raise InvalidArguments("The password must be text")
    if len(password) > MAX_BYTES or len(password.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidArguments(f"Password must be at most {MAX_BYTES} bytes")
    normal = unicodedata.normalize("NFC", password)
    try:
        normal.encode()
    except UnicodeEncodeError:
        raise InvalidArguments("The password contains characters that do not exist") from None
    return normal


def check_new_password(password: object) -> str:
    """The same for a password to be set, which must not be too short."""
    normal = check_password(password)
    if len(normal) < MIN_CHARS:
        raise InvalidArguments(f"Password must be at least {MIN_CHARS} characters")
    return normal
