"""Passwords: accepted, hashed and compared, off the event loop."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from hypha.errors import InvalidArguments
from hypha.limits.turns import Turns

_T = TypeVar("_T")

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
        self._turns = turns_at_passwords()
        self._threads = ThreadPoolExecutor(_SIDE_BY_SIDE, "passwords")
        self._nobody: asyncio.Future[str] | None = None

    async def hash(self, password: str, place: str = "") -> str:
        """A salted hash to keep.

        Raises:
            RateLimited: too many wait for their turn.
        """
        async with self._turns.taken(place):
            return await self._run(self._hasher.hash, password)

    async def matches(self, kept: str | None, password: str, place: str = "", *, first: bool = False) -> bool:
        """Whether this is the password of a kept hash; without one it takes just as long to say no.

        Raises:
            RateLimited: too many wait for their turn.
        """
        async with self._turns.taken(place, first=first):
            if self._nobody is None:
                self._nobody = asyncio.ensure_future(self._run(self._hasher.hash, "nobody's password"))
            nobody = await asyncio.shield(self._nobody)
            return await self._run(self._verify, kept or nobody, password) and kept is not None

    async def _run(self, work: Callable[..., _T], *args: str) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False


def turns_at_passwords(most: int = MOST_WAITING, most_per_place: int = MOST_PER_PLACE) -> Turns:
    """One of each place at a time, two in all, and the places in turn."""
    told = "Too many people sign in right now. Please try again."
    return Turns(_SIDE_BY_SIDE, per_party=1, most=most, most_per_party=most_per_place, told=told)


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
