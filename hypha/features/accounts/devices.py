"""Devices and places from which somebody signed in before: guesses of others never shut them out."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypha.ids import random_id
from hypha.web.client_address import throttled

if TYPE_CHECKING:
    from hypha.features.accounts.records import Accounts

LIFE_S = 180 * 86400.0
COOKIE_PREFIX = "hypha_device_"
_COOKIE = re.compile(r"([A-Za-z0-9]{16})\.([0-9]{1,12})\.([0-9a-f]{40})")


class Devices:
    """Knows devices by a cookie, and places by their network address.

    A cookie is good for one account and opens nothing: it only gives its device attempts of its
    own. It is a signed sentence, so that nothing of it is kept here.
    """

    def __init__(self, records: Accounts, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._secret = secret.encode()
        self._clock = clock

    def cookie(self, folded: str) -> tuple[str, str]:
        """Name and value of the cookie for a device on which somebody has just signed in."""
        words = f"{random_id(16)}.{int(self._clock() + LIFE_S)}"
        return cookie_name(folded), f"{words}.{self._sign('device', folded, words)}"

    def device(self, folded: str, cookie: str) -> str | None:
        """The id of a device by its cookie for this account; None if that is none of ours, or over."""
        parts = _COOKIE.fullmatch(cookie) if len(cookie) < 80 else None
        if parts is None or int(parts[2]) <= self._clock():
            return None
        expected = self._sign("device", folded, f"{parts[1]}.{parts[2]}")
        return parts[1] if hmac.compare_digest(expected, parts[3]) else None

    def mark(self, folded: str, address: str) -> str:
        """What is kept of an account's place; empty where the address is not known."""
        return self._sign("place", folded, throttled(address)) if address else ""

    async def is_known(self, folded: str, address: str) -> bool:
        """Whether somebody signed in with the account from this address, or network, before."""
        return await self._records.knows(self.mark(folded, address), self._clock() - LIFE_S)

    def _sign(self, *words: str) -> str:
        message = "\0".join(words).encode("utf-8", "replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()[:40]


def cookie_name(folded: str) -> str:
    """The name of the cookie for an account, so that several can use one browser."""
    return COOKIE_PREFIX + hashlib.sha256(folded.encode("utf-8", "replace")).hexdigest()[:12]


def cookie_in(cookies: str, folded: str) -> str:
    """The value of an account's cookie in a request's `Cookie` header; empty if there is none."""
    name = cookie_name(folded)
    for part in cookies.split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value
    return ""
