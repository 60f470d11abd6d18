"""Passwords: accepted, hashed and compared, off the event loop."""

from __future__ import annotations

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from hypha.errors import InvalidArguments

MIN_CHARS = 8
MAX_BYTES = 1024
_SIDE_BY_SIDE = 2


class Passwords:
    """argon2id in worker threads, two at a time: a storm of sign-ins takes neither all memory nor the loop.

    One hash takes 32 MiB and some 40 ms. The parameters stand in each hash, so that they can be
    raised later.
    """

    def __init__(self, *, time_cost: int = 2, memory_kib: int = 32 * 1024, lanes: int = 1) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes)
        self._turns = asyncio.Semaphore(_SIDE_BY_SIDE)
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """A salted hash to keep."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether this is the password of a kept hash; without one it takes just as long to say no."""
        if kept is None and not self._nobody:
            self._nobody = await self.hash("nobody's password")
        async with self._turns:
            return await asyncio.to_thread(self._verify, kept or self._nobody, password) and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False


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
