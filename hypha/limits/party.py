"""Who pays for what is used."""

from __future__ import annotations

from typing import NamedTuple, Self

from hypha.networks import throttled


class Party(NamedTuple):
    """Who pays: a signed-in user, or the address of a stranger."""

    name: str
    is_stranger: bool

    @classmethod
    def of(cls, user_id: str | None, address: str) -> Self:
        """The user if there is one, else the address, IPv6 by its network."""
        return cls(throttled(address), True) if user_id is None else cls(f"user {user_id}", False)
