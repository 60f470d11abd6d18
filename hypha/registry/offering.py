"""Offering built-in services: on the wire at a peer of the server, in the registry like all others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hypha.errors import InvalidArguments
from hypha.hub.service_peer import ServicePeer
from hypha.registry.records import ServiceRecord
from hypha.wire.values import is_tagged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypha.auth.users import Context
    from hypha.builtins.service import BuiltinService, RefusalNote
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry


class Offering:
    """The server's own peers, one per workspace in which it offers something.

    `on_refused` is told when a function refuses its caller.
    """

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        server_id: str,
        base_url: str,
        on_refused: RefusalNote | None = None,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._server_id = server_id
        self._base_url = base_url
        self._peers: dict[str, ServicePeer] = {}
        self._on_refused = on_refused
        self._peer("public")

    def _peer(self, workspace: str) -> ServicePeer:
        peer = self._peers.get(workspace)
        if peer is None:
            address, is_usable = f"{workspace}/{self._server_id}", partial(self._is_usable, workspace)
            peer = ServicePeer(self._hub.peer_ports, address, self._base_url, is_usable)
            self._peers[workspace] = peer
            self._hub.peers.add(peer)
        return peer

    def _is_usable(self, workspace: str, name: str, context: Context) -> bool:
        record = self._registry.get(workspace, self._server_id, name)
        return record is None or record.is_usable_by(context)

    def offer(
        self, service: BuiltinService, *, workspace: str = "public", visibility: str = "public"
    ) -> None:
        """Make a service callable under `<workspace>/<server_id>:<id>`, over RPC and HTTP."""
        service = replace(service, on_refused=self._on_refused)
        self._peer(workspace).services.add(service)
        self._registry.add(record_of(service, workspace, self._server_id, visibility))

    async def call_back(
        self, function: object, args: Sequence[Any], context: Context, timeout_s: float, workspace: str
    ) -> None:
        """Call a function that a caller gave to a service of the server, on behalf of that caller.

        It is called from where the service is: clients take calls of such a function from nobody else.

        Raises:
            InvalidArguments: it is no function of the caller's own, who is no client perhaps.
            CallFailed, NotDelivered, OutcomeUnknown, CallTimedOut: see `Calls.call`.
        """
        if not is_function_of(function, context):
            raise InvalidArguments("A callback is a function of the client that gives it.")
        method = str(function["_rmethod"])  # type: ignore[index]
        calls = self._peer(workspace).calls
        await calls.call(context.address, method, args, timeout_s=timeout_s, context=context)

    def services(self) -> list[BuiltinService]:
        """All services of the server's own."""
        return [service for peer in self._peers.values() for service in peer.services.all()]

    async def close(self) -> None:
        """Cancel running calls."""
        for peer in self._peers.values():
            await peer.close()


def is_function_of(value: object, context: Context) -> bool:
    """Whether a value that came with a call is a function of the client that called."""
    if context.connection_type == "http" or not isinstance(value, dict) or not is_tagged(value, "method"):
        return False
    return value.get("_rtarget") == context.address and isinstance(value.get("_rmethod"), str)


def record_of(
    service: BuiltinService, workspace: str, client_id: str, visibility: str = "public"
) -> ServiceRecord:
    """The record of a built-in service."""
    return ServiceRecord(
        workspace,
        client_id,
        service.id,
        type=service.type,
        title=service.name,
        description=service.description,
        docs=service.docs,
        config={
            **service.config,
            "visibility": visibility,
            "require_context": True,
            "workspace": workspace,
            "created_by": {"id": "root"},
        },
        service_schema={
            name: {"type": "function", "function": dict(function.schema)}
            for name, function in service.functions.items()
        },
        visibility=visibility,
        user_id="root",
        is_inner=True,
        is_entrance=service.is_entrance,
        service=service,
    )
