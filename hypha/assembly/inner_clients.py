"""Clients of the client library inside this process: for startup functions and the operator's own code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from hypha.assembly.manager import connection_facts
from hypha.auth.current import CURRENT
from hypha.auth.users import User, root_user
from hypha.hub.local_connection import LocalConnection
from hypha.ids import random_id
from hypha.startup import run_startup_functions, server_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hypha.assembly.core import Core
    from hypha.assembly.tenants import Tenants


class Opening:
    """A client that is made when it is awaited, or entered with `async with`, which disconnects it."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._make = make
        self._client: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._make().__await__()

    async def __aenter__(self) -> Any:
        self._client = await self._make()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.disconnect()


class InnerClients:
    """Makes the server object of startup functions, and more like it for them.

    `extras` are what the object has beside the functions of a client; `for_admins` what it has in addition
    for those with the role admin. `inside` are startup functions of workers that features ask for.
    """

    def __init__(
        self,
        core: Core,
        tenants: Tenants,
        extras: Mapping[str, Any],
        for_admins: Mapping[str, Any],
        inside: Sequence[str] = (),
    ) -> None:
        self._core = core
        self._tenants = tenants
        self._extras = extras
        self._for_admins = for_admins
        self._inside = inside
        self._startup_object: Any = None

    async def run_startup_functions(self) -> None:
        """Begin the workers that run inside the server, then run the operator's startup functions.

        Raises:
            ConfigurationError: one cannot be loaded or failed.
        """
        settings = self._core.settings
        uris = tuple(dict.fromkeys((*self._inside, *settings.workers_inside, *settings.startup_functions)))
        if uris:
            CURRENT.set(self._core.tokens)
            # kept: it serves what the functions registered
            self._startup_object = await run_startup_functions(uris, self._root_in_public)

    async def _root_in_public(self) -> Any:
        """The server object of startup functions: root, in `public`, under the server's own id."""
        return await self._client("public", self._core.server_id, root_user("public"))

    async def open(self, workspace: str, user: User | None = None, client_id: str | None = None) -> Any:
        """A client that acts as `user` (root by default) in a workspace.

        Raises:
            WorkspaceNotFound, PermissionDenied: as for a client that connects from outside.
        """
        acting = user or root_user(workspace)
        await self._tenants.workspaces.open(workspace, acting)
        return await self._client(workspace, client_id or random_id(), acting)

    async def _client(self, workspace: str, client_id: str, user: User) -> Any:
        """A client with the keys that startup functions get (docs/running.md#startup-functions)."""
        hub = self._core.hub
        acting = user.within(workspace, client_id, user.level(workspace))
        facts = connection_facts(self._core.settings, hub.manager_id)
        link = LocalConnection.open(hub, workspace, client_id, acting, facts)
        self._tenants.members.joined(link.client, restore=False)
        extras = {
            "get_root_user": root_user,
            **self._extras,
            **(self._for_admins if user.is_admin else {}),
        }
        return await server_object(link, link.connection_info, extras)
