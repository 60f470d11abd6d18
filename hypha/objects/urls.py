"""Signed addresses: whoever has one may do one thing with one object, without another credential."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from urllib.parse import urlsplit

from hypha.errors import InvalidRequest

Item = TypeVar("Item")

PER_TURN = 200
"""Addresses that are made in one turn of the event loop."""
MAX_BASE_CHARS = 2000


class SignedUrls(ABC):
    """Makes addresses at which objects of one bucket are read and written by plain HTTP requests.

    What an address is good for is covered by its signature: nobody can change it. Times are seconds from
    now. `base` is the address of the server as the caller reaches it; by default the one that it announces.
    Whether the caller may have such an address is for who asks to check.
    """

    @abstractmethod
    async def get(self, key: str, *, expires_in: float, base: str = "", filename: str = "") -> str:
        """Where an object can be read with GET and HEAD; it need not be there.

        Args:
            filename: under which a browser saves it, instead of showing it.

        Raises:
            InvalidKey.
        """

    @abstractmethod
    async def put(
        self,
        key: str,
        *,
        expires_in: float,
        base: str = "",
        max_bytes: int | None = None,
        sha256: str = "",
        ttl: float | None = None,
    ) -> str:
        """Where an object can be written with PUT.

        Args:
            max_bytes: how many there may be. sha256: the hex digest that they must have.
            ttl: seconds after the upload in which the object ends.

        Raises:
            InvalidKey.
        """

    @abstractmethod
    async def part(
        self, key: str, upload: str, number: int, *, expires_in: float, base: str = "",
        max_bytes: int | None = None,
    ) -> str:  # fmt: skip
        """Where one part of an upload (`ObjectStore.begin`) can be written with PUT, which answers its ETag.

        Raises:
            InvalidKey. InvalidRequest: the number is none of 1 to 10,000.
        """


async def in_turns(items: Iterable[Item], make: Callable[[Item], Awaitable[str]]) -> list[str]:
    """An address for each of many, without holding up the others."""
    made = []
    for number, item in enumerate(items, 1):
        made.append(await make(item))
        if number % PER_TURN == 0:
            await asyncio.sleep(0)
    return made


def checked_base(base: object) -> str:
    """A base address that a caller gave, without `/` at its end.

    Raises:
        InvalidRequest: it is none.
    """
    text = base if isinstance(base, str) and len(base) <= MAX_BASE_CHARS and base.isprintable() else ""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
        raise InvalidRequest("use_local_url is true, false, or an address such as http://hub:9527.")
    return text.rstrip("/")
