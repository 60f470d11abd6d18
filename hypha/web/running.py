"""Requests that are being answered: nobody can have so many that others find no room."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from hypha.errors import LimitReached
from hypha.limits import Party, Places

if TYPE_CHECKING:
    from hypha.settings import Settings


class Running:
    """Places of the requests and the applications' WebSockets that run; strangers have their own.

    Args:
        limit: of signed-in users, and once more of strangers. per_user, per_address: of one of them.
    """

    def __init__(self, limit: int, per_user: int, per_address: int) -> None:
        self.users: Places[object] = Places(limit, per_user, lambda _: None, time.monotonic)
        self.strangers: Places[object] = Places(limit, per_address, lambda _: None, time.monotonic)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            settings.max_running_requests,
            settings.max_running_requests_per_user,
            settings.max_running_requests_per_address,
        )

    def enter(self, request: object, party: Party) -> None:
        """A request begins.

        Raises:
            LimitReached: too many of its party run, or too many in all.
        """
        places = self.strangers if party.is_stranger else self.users
        if not places.enter(request, party.name):
            whose = "from your address without signing in" if party.is_stranger else "of your user"
            if places.count(party.name) < places.per_party:
                whose = "of this server"
            raise LimitReached(
                f"Too many requests {whose} are running: wait for some of them to end.", retry_after_s=1.0
            )

    def leave(self, request: object) -> None:
        """A request is over."""
        if not self.users.leave(request):
            self.strangers.leave(request)
