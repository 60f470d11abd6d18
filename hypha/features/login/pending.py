"""Pending logins: a program waits under a key until a page hands over a person's token.

They live in the store, so every replica knows them; a report wakes those who wait in the same
process at once, the others look each second. The key itself is stored nowhere: what is reported
is sealed with it, so a copy of the database opens no door.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hypha.errors import CallFailed, InvalidLoginKey, InvalidRequest, LimitReached
from hypha.features.login.records import LoginRecord, PendingLogins
from hypha.ids import random_id
from hypha.limits.turns import party_of_present_work

INVALID_KEY = "Invalid key, key does not exist"
LOOK_INTERVAL_S = 1.0
MAX_PENDING = 10_000
MAX_WAITING = 2_000
MAX_WAITING_PER_KEY = 4
MAX_WAITING_PER_PARTY = 500
LOOKS_PER_S = 100
"""Of all who wait, in the database: a report in this process wakes them at once."""
_MAX_KEY_CHARS = 100
_NONCE_BYTES = 12


class PendingKeys:
    """Keys under which programs wait.

    Args:
        life_s: how long a key is good for.
        clock: Unix time in seconds.
    """

    def __init__(
        self, logins: PendingLogins, life_s: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._logins = logins
        self._life_s = life_s
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._parties: Counter[str] = Counter()
        """How many of each party wait."""

    async def new(self, workspace: str | None = None, token_life_s: float | None = None) -> str:
        """Make a key.

        Raises:
            LimitReached: too many are pending.
        """
        key, now = random_id(), self._clock()
        record = LoginRecord(key_hash(key), now + self._life_s, workspace, token_life_s)
        if not await self._logins.add(record, now, MAX_PENDING):
            raise LimitReached("Too many logins are pending, please try again later.", retry_after_s=10.0)
        return key

    async def get(self, key: object) -> LoginRecord:
        """What is pending under a key.

        Raises:
            InvalidLoginKey: nothing is.
        """
        record = await self._logins.get(key_hash(key), self._clock())
        if record is None:
            raise InvalidLoginKey(INVALID_KEY)
        return record

    async def answer(self, key: str, answer: dict[str, Any]) -> None:
        """Hand over what the program waits for.

        Raises:
            InvalidLoginKey: nothing is pending under the key.
            InvalidRequest: it was reported before.
        """
        name = key_hash(key)
        if not await self._logins.answer(name, _seal(key, answer), self._clock()):
            await self.get(key)
            raise InvalidRequest("Invalid key, it was reported already")
        for event in self._waiting.get(name, ()):
            event.set()

    async def take(self, key: str, timeout_s: float) -> dict[str, Any] | None:
        """Wait for the answer; one taker gets it. None if there is none and `timeout_s` is 0 or less.

        Raises:
            InvalidLoginKey: nothing is pending under the key.
            CallFailed: nobody reported in time.
        """
        record = await self.get(key)
        deadline = asyncio.get_running_loop().time() + timeout_s
        with self._waits(record.key_hash) as event:
            while record.answer is None:
                left_s = deadline - asyncio.get_running_loop().time()
                if timeout_s <= 0:
                    return None
                if left_s <= 0:
                    raise CallFailed(f"Login timeout, waited for {timeout_s:g} seconds")
                event.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, self._pause_s())):
                        await event.wait()
                record = await self._again(key, record, timeout_s)
        sealed = await self._logins.take(record.key_hash, self._clock())
        if sealed is None:
            raise InvalidLoginKey(INVALID_KEY)
        return _unseal(key, sealed)

    async def _again(self, key: str, record: LoginRecord, timeout_s: float) -> LoginRecord:
        try:
            return await self.get(key)
        except InvalidLoginKey:
            if record.expires_at <= self._clock():
                raise CallFailed(
                    f"Login timeout, waited for {min(timeout_s, self._life_s):g} seconds"
                ) from None
            raise

    def _pause_s(self) -> float:
        return max(LOOK_INTERVAL_S, len(self._waiting) / LOOKS_PER_S)

    @contextlib.contextmanager
    def _waits(self, name: str) -> Iterator[asyncio.Event]:
        events, party = self._waiting.setdefault(name, set()), party_of_present_work()
        is_full = len(events) >= MAX_WAITING_PER_KEY or len(self._waiting) > MAX_WAITING
        if is_full or self._parties[party] >= MAX_WAITING_PER_PARTY:
            self._forget(name)
            raise LimitReached("Too many programs wait for this login.", retry_after_s=LOOK_INTERVAL_S)
        event = asyncio.Event()
        events.add(event)
        self._parties[party] += 1
        try:
            yield event
        finally:
            self._parties[party] -= 1
            if not self._parties[party]:
                del self._parties[party]
            events.discard(event)
            self._forget(name)

    def _forget(self, name: str) -> None:
        if not self._waiting.get(name, True):
            del self._waiting[name]


def key_hash(key: object) -> str:
    """The name of a key in the store.

    Raises:
        InvalidLoginKey: it is no key.
    """
    if not isinstance(key, str) or not 0 < len(key) <= _MAX_KEY_CHARS:
        raise InvalidLoginKey(INVALID_KEY)
    return hashlib.sha256(b"name:" + key.encode("utf-8", "replace")).hexdigest()


def _cipher(key: str) -> AESGCM:
    return AESGCM(hashlib.sha256(b"seal:" + key.encode("utf-8", "replace")).digest())


def _seal(key: str, answer: dict[str, Any]) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, json.dumps(answer).encode(), None)


def _unseal(key: str, sealed: bytes) -> dict[str, Any]:
    try:
        plain = _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    except InvalidTag:
        raise InvalidLoginKey(INVALID_KEY) from None
    answer: dict[str, Any] = json.loads(plain)
    return answer
