"""Who is here: the clients of this process by address and by workspace, live and held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypha.hub.refusals import absent, retired
from hypha.limits import BoundedMap

if TYPE_CHECKING:
    from hypha.errors import NotDelivered
    from hypha.hub.client import Client

MAX_RETIRED = 10_000
"""Of so many clients that were retired it is known why they are gone."""


class Clients:
    """All clients that have not ended."""

    def __init__(self) -> None:
        self.by_address: dict[str, Client] = {}
        """Those that frames reach under their address; the router looks here."""
        self._mirrors: dict[str, Client] = {}
        """Of these, those of other replicas: all that follows is about the others, if it does not say so."""
        self._mirrors_in: dict[str, dict[str, Client]] = {}
        """The same by workspace, then by address; no dict in it is empty."""
        self._guests: dict[str, Client] = {}
        """Those that share the address of a peer inside the server, which passes on what isn't its own."""
        self._by_workspace: dict[str, set[Client]] = {}
        """All, guests included; no set is empty."""
        self._retired: BoundedMap[str, bool] = BoundedMap(MAX_RETIRED)

    def __len__(self) -> int:
        return len(self.by_address) - len(self._mirrors)

    def get(self, address: str) -> Client | None:
        """The client that frames to this address reach."""
        return self.by_address.get(address)

    def guest(self, address: str) -> Client | None:
        """The client behind the peer of the server that has this address."""
        return self._guests.get(address)

    def find(self, address: str) -> Client | None:
        """The client with this address, guests included."""
        return self.by_address.get(address) or self._guests.get(address)

    def retire(self, client: Client) -> None:
        """It is one of several, and about to stop: its callers are told to look for another, later too."""
        client.retire()
        self._retired.put(client.address, True)

    def absent(self, address: str) -> NotDelivered:
        """For the caller of a client that takes no calls, or is not here."""
        return absent(address) if self._retired.get(address) is None else retired(address)

    def all(self) -> list[Client]:
        """All but guests; a copy."""
        found = list(self.by_address.values())
        return [client for client in found if not client.is_mirror] if self._mirrors else found

    def live(self) -> Iterator[Client]:
        """Of these, those with a link."""
        return (client for client in self.all() if client.connection is not None)

    def of(self, workspace: str) -> list[Client]:
        """All of a workspace, guests included; a copy."""
        return list(self._by_workspace.get(workspace, ()))

    def mirror(self, address: str) -> Client | None:
        """The client of another replica with this address."""
        return self._mirrors.get(address)

    def mirrors(self) -> list[Client]:
        """Those of other replicas that are known here; a copy."""
        return list(self._mirrors.values())

    def everywhere(self, workspace: str) -> list[Client]:
        """All of a workspace, those of other replicas and guests included."""
        return [*self.of(workspace), *self.mirrors_in(workspace)]

    def mirrors_in(self, workspace: str) -> list[Client]:
        """Those of other replicas that are known to be in a workspace; a copy."""
        return list(self._mirrors_in.get(workspace, {}).values())

    def add_mirror(self, client: Client) -> None:
        """A client of another replica is reached by its address from now on."""
        self.by_address[client.address] = self._mirrors[client.address] = client
        self._mirrors_in.setdefault(client.workspace, {})[client.address] = client

    def add(self, client: Client, *, as_guest: bool = False) -> None:
        """It can be found from now on; an older one of its address must be gone."""
        (self._guests if as_guest else self.by_address)[client.address] = client
        self._by_workspace.setdefault(client.workspace, set()).add(client)

    def hide(self, client: Client) -> None:
        """It is no longer found by its address."""
        for known in (self.by_address, self._mirrors, self._guests):
            if known.get(client.address) is client:
                del known[client.address]
        neighbours = self._mirrors_in.get(client.workspace, {})
        if neighbours.get(client.address) is client:
            del neighbours[client.address]
            if not neighbours:
                del self._mirrors_in[client.workspace]

    def forget(self, client: Client) -> None:
        """It is gone."""
        self.hide(client)
        members = self._by_workspace.get(client.workspace)
        if members is not None:
            members.discard(client)
            if not members:
                del self._by_workspace[client.workspace]
