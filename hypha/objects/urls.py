"""Signed addresses: whoever has one may do one thing with one object, without another credential."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from hypha.errors import InvalidRequest

Item = TypeVar("Item")

PER_TURN = 200
"""Addresses that are made in one turn of the event loop."""
MAX_BASE_CHARS = 2000
OWN = "own"
"""The generation of keys that nobody else can come to own; see `LocalUrls`."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How somebody comes to the bytes.

    Attributes:
        base: begins the address, as the caller says; empty for the one that is announced. Nothing of it is
            ever signed with a key that opens more than one object.
        is_local: from within the server's own network; counts without a base.
        proxied: through this server, or from the storage behind it itself; None as the operator chose.
    """

    base: str = ""
    is_local: bool = False
    proxied: bool | None = None


AS_ANNOUNCED = Reach()


class SignedUrls(ABC):
    """Makes addresses at which objects of one bucket are read and written by plain HTTP requests.

    What an address is good for is covered by its signature: nobody can change it. Times are seconds from
    now. Whether the caller may have such an address is for who asks to check.
    """

    @abstractmethod
    async def get(
        self, key: str, *, expires_in: float, reach: Reach = AS_ANNOUNCED, filename: str = ""
    ) -> str:
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
        reach: Reach = AS_ANNOUNCED,
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
        self, key: str, upload: str, number: int, *, expires_in: float, reach: Reach = AS_ANNOUNCED,
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


def reach_of(use_proxy: object, use_local_url: object) -> Reach:
    """What a caller said with two arguments of that name.

    Raises:
        InvalidRequest: the second is no address.
    """
    proxied = None if use_proxy is None else bool(use_proxy)
    if not use_local_url or use_local_url is True:
        return Reach(is_local=bool(use_local_url), proxied=proxied)
    return Reach(checked_base(use_local_url), proxied=proxied)


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
