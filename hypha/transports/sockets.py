"""A place for every socket, so that neither the process nor anybody runs out of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypha.limits import Places
from hypha.networks import throttled
from hypha.transports.descriptors import room_for_sockets

if TYPE_CHECKING:
    from hypha.hub.connection import Connection
    from hypha.settings import Settings

PARTY_SHARE = 0.75
"""Of all places, what one address or one signed-in user may have."""
STRANGERS_SHARE = 0.75
"""Of all places, what connected clients of anonymous users may have; the rest is for the others."""
STRANGERS_PARTY_SHARE = 0.25
"""The same of one address."""


class Sockets:
    """All sockets of the server: those without a request give way when places get scarce.

    A socket counts for its address until its user has signed in, then for the user. Connected clients of
    anonymous users are counted once more, because they cannot be made to leave.

    Args:
        limit: sockets in all. per_party: of one address or user; 0: three quarters of all.
        strangers_per_address: connected clients of anonymous users; 0: a quarter of all.
        time: a clock in seconds.
        is_proxy: True for addresses of trusted proxies, whose sockets are other people's.
    """

    def __init__(
        self,
        limit: int,
        time: Callable[[], float],
        *,
        per_party: int = 0,
        strangers_per_address: int = 0,
        is_proxy: Callable[[str], bool] = lambda _: False,
    ) -> None:
        per_party = per_party or int(limit * PARTY_SHARE)
        self.places: Places[Any] = Places(limit, per_party, _evict, time)
        """All sockets, or the links that stand for them, by address or user."""
        in_all, each = (
            int(limit * STRANGERS_SHARE),
            strangers_per_address or int(limit * STRANGERS_PARTY_SHARE),
        )
        self.strangers: Places[Connection] = Places(in_all, each, _evict, time)
        """Links of anonymous users, by address."""
        self._is_proxy = is_proxy

    @classmethod
    def of_settings(
        cls, settings: Settings, descriptors: int, time: Callable[[], float], is_proxy: Callable[[str], bool]
    ) -> Sockets:
        """As the operator has set it, below a limit of open files."""
        room = room_for_sockets(descriptors)
        return cls(
            min(settings.max_sockets or room, room),
            time,
            per_party=settings.max_sockets_per_address,
            strangers_per_address=settings.max_anonymous_clients_per_address,
            is_proxy=is_proxy,
        )

    def opened(self, socket: Any, peer_address: str) -> bool:
        """A socket was accepted; False if there is no place for it. It is idle, and has a method `evict`."""
        party = f"proxy {id(socket)}" if self._is_proxy(peer_address) else throttled(peer_address)
        return self.places.enter(socket, party, idle=True)

    def becomes(self, socket: Any, link: Connection) -> bool:
        """From now on a link stands for the socket, and its address is the client's."""
        if socket not in self.places:
            return True
        self.places.leave(socket)
        return self.places.enter(link, throttled(link.peer_address))

    def admit(self, link: Connection, user_id: str, *, is_anonymous: bool) -> bool:
        """The user of a link is known; False if such users have too many."""
        if is_anonymous:
            return self.strangers.enter(link, throttled(link.peer_address))
        return self.places.move(link, f"user {user_id}")

    def closed(self, socket: Any) -> None:
        """The socket, or its link, is gone."""
        self.places.leave(socket)
        self.strangers.leave(socket)


def _evict(socket: Any) -> None:
    socket.evict()
