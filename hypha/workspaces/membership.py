"""What follows when clients come and go: counts, services, events, stored subscriptions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from hypha.errors import LimitReached
from hypha.limits import BoundedMap
from hypha.workspaces.standing import OWN_SUBSCRIPTIONS, Standing

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.background import Background
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry
    from hypha.registry.records import ServiceRecord
    from hypha.store.subscriptions import Subscriptions
    from hypha.workspaces.lifecycle import Workspaces

logger = logging.getLogger(__name__)

MAX_LEFT_NAMES = 20_000
STRANGERS_LEFT_NAMES = 5_000
"""So many subscriptions of ended clients are kept for those that come back with their token, and of
anonymous users, who displace nobody else's."""
MAX_NAME_CHARS = 256


class _Left(NamedTuple):
    whose: tuple[str, str]
    names: tuple[str, ...]


class LeftNames:
    """What ended clients listened to, by their address; the oldest give way."""

    def __init__(self, limit: int) -> None:
        self._left: BoundedMap[str, _Left] = BoundedMap(limit, lambda left: len(left.names))

    def put(self, address: str, whose: tuple[str, str], names: tuple[str, ...]) -> None:
        """Keep the names of a client of this user and incarnation, in place of what was kept before."""
        if names:
            self._left.put(address, _Left(whose, names))
        else:
            self._left.pop(address)

    def take(self, address: str, whose: tuple[str, str]) -> tuple[str, ...]:
        """What was kept under an address, which is forgotten; nothing if it was somebody else's."""
        left = self._left.pop(address)
        return left.names if left is not None and left.whose == whose else ()


class Members:
    """Keeps the layers above the hub in step with its clients (the hub's `Membership`)."""

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        workspaces: Workspaces,
        subscriptions: Subscriptions,
        background: Background,
    ) -> None:
        self.hub = hub
        self.registry = registry
        self.workspaces = workspaces
        self.subscriptions = subscriptions
        self.background = background
        self.standing = Standing(hub, workspaces)
        self._per_user: dict[str, set[Client]] = {}
        self._per_workspace: Counter[str] = Counter()
        self._stored: set[str] = set()
        self._unwanted: set[tuple[str, str]] = set()
        self._is_removing = False
        self._before: dict[tuple[str, str], frozenset[str]] = {}
        self._left = {True: LeftNames(STRANGERS_LEFT_NAMES), False: LeftNames(MAX_LEFT_NAMES)}
        self._hearers: list[Callable[[str, str], None]] = []

    def follow(self, hear: Callable[[str, str], None]) -> None:
        """Call `hear` with workspace and id of each client that ends from now on."""
        self._hearers.append(hear)

    def connections_of(self, user_id: str) -> int:
        """Number of clients of one user, held ones included."""
        return len(self.clients_of(user_id))

    def clients_of(self, user_id: str) -> Collection[Client]:
        """The clients of one user, live and held."""
        return self._per_user.get(user_id, ())

    def clients_in(self, workspace: str) -> int:
        """Number of clients of one workspace, held ones included."""
        return self._per_workspace[workspace]

    def per_user(self) -> dict[str, int]:
        """Number of clients by user id, held ones included."""
        return {user_id: len(clients) for user_id, clients in self._per_user.items()}

    def per_workspace(self) -> dict[str, int]:
        """Number of clients by workspace, held ones included."""
        return dict(self._per_workspace)

    async def load(self) -> None:
        """Take over what clients listened to before their server stopped; call once, at start."""
        self._before = await self.subscriptions.adopt()

    async def forget_absent(self) -> None:
        """Delete what belonged to clients that did not come back; call after the resume window."""
        gone, self._before = list(self._before), {}
        await self.subscriptions.remove(gone)

    def joined(self, client: Client, restore: bool) -> None:
        """Count a new client; with `restore` it comes back after a restart, or after its window.

        Its library renews its services by itself, but not what its user listened to.
        """
        self._per_user.setdefault(client.user.id, set()).add(client)
        self._per_workspace[client.workspace] += 1
        self.workspaces.client_joined(client.workspace)
        self.standing.joined(client)
        names = self._before.pop((client.workspace, client.client_id), None)
        if names:
            self._stored.add(client.address)
            if restore:
                self._restore(client, names)
        user = client.user
        left = self._left[user.is_anonymous].take(client.address, (user.id, user.incarnation))
        if restore and left:
            self.listens(client, left)

    def _restore(self, client: Client, names: Iterable[str]) -> None:
        try:
            self.hub.events.subscribe(client, names)
        except LimitReached as error:
            logger.info("%s comes back without its subscriptions: %s", client.address, error.message)

    async def keep_subscriptions(self, client: Client) -> None:
        """Store what the client subscribed to, so that a restart keeps it; flushed on return."""
        wanted = client.subscriptions - OWN_SUBSCRIPTIONS
        if wanted or client.address in self._stored:
            self._stored.add(client.address)
            self._unwanted.discard((client.workspace, client.client_id))
            await self.subscriptions.put(client.workspace, client.client_id, sorted(wanted))

    def may_call(self, sender: Client, target: Client, method: str) -> bool:
        """Whether a client of another workspace may call `services.<name>…` of a client.

        Names that are not registered are the callee's own: its callbacks, and the endpoint that
        every client hosts. Those its library guards.
        """
        record = self._service_of(target, method)
        return record is None or record.is_built_in or record.is_usable(sender.user, sender.realm)

    def may_follow(self, caller: Context, target: Client, method: str) -> bool:
        """Whether `services.<name>…` is of a registered service that the caller may call itself."""
        record = self._service_of(target, method)
        return record is not None and not record.is_built_in and record.is_usable_by(caller)

    def _service_of(self, target: Client, method: str) -> ServiceRecord | None:
        """The registered service to which `services.<name>…` belongs; names may have dots."""
        path, end = method[len("services.") :], 0
        while 0 <= end <= MAX_NAME_CHARS:
            end = path.find(".", end + 1)
            record = self.registry.get(target.workspace, target.client_id, path if end < 0 else path[:end])
            if record is not None:
                return record
        return None

    def services_end(self, client: Client) -> None:
        """Remove the services of a client whose state ends."""
        self.registry.remove_client(client.workspace, client.client_id)

    def client_ended(self, client: Client) -> None:
        """Tell the workspace of an ended client."""
        self._leave(client)
        self._release(client)
        if client.address in self._stored:
            self._stored.discard(client.address)
            self._unwanted.add((client.workspace, client.client_id))
            if not self._is_removing:
                self._is_removing = self.background.start(self._remove_unwanted(), "forgetting subscriptions")
        self.hub.events.publish(
            client.workspace,
            "client_disconnected",
            {"id": client.client_id, "workspace": client.workspace},
        )
        self._tell_ended(client)
        self.workspaces.client_left(client.workspace)

    def client_moved(self, client: Client) -> None:
        """Release what was kept for a client that goes on at another replica."""
        self._release(client)
        self._stored.discard(client.address)
        self.workspaces.client_left(client.workspace)

    def _release(self, client: Client) -> None:
        self.standing.left(client)
        self._uncount(client)

    def listens(self, client: Client, names: Iterable[str]) -> None:
        """A client has come back that listened to these events: let it go on, and store that."""
        self._restore(client, names)
        work, what = self.keep_subscriptions(client), f"subscriptions of {client.address}"
        is_stranger = client.user.is_anonymous
        self.background.start(work, what, party=client.workspace, is_stranger=is_stranger)

    def _tell_ended(self, client: Client) -> None:
        for hear in self._hearers:
            try:
                hear(client.workspace, client.client_id)
            except Exception:
                logger.exception("Could not clean up after the client %s", client.address)

    async def _remove_unwanted(self) -> None:
        """Delete the rows of clients that have ended; one task for all, however many end at once."""
        try:
            while self._unwanted:
                batch = list(self._unwanted)
                await self.subscriptions.remove(batch)
                self._unwanted.difference_update(batch)
        finally:
            self._is_removing = False

    def _leave(self, client: Client) -> None:
        """Remember what an ended client listened to, for when it comes back."""
        user, names = client.user, tuple(client.subscriptions - OWN_SUBSCRIPTIONS)
        self._left[user.is_anonymous].put(client.address, (user.id, user.incarnation), names)

    def _uncount(self, client: Client) -> None:
        of_user = self._per_user.get(client.user.id)
        if of_user is not None:
            of_user.discard(client)
            if not of_user:
                del self._per_user[client.user.id]
        self._per_workspace[client.workspace] -= 1
        if self._per_workspace[client.workspace] <= 0:
            del self._per_workspace[client.workspace]
