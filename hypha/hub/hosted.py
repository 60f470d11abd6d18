"""The built-in services that a peer of the server offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hypha.builtins.permission import STRANGER_BYTES
from hypha.errors import PermissionDenied, ServiceNotFound
from hypha.wire.frames import pack
from hypha.wire.values import BUILT_IN, SERVICES

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.builtins.service import BuiltinService

IsUsable = Callable[[str, "Context"], bool]
"""Whether a caller may have the description of a service, given by its id."""


class HostedServices:
    """Services by id, with their descriptions as they go on the wire.

    Args:
        address, server_url: the peer's, and the server's public base URL; both go into every function value.
        is_usable: None for services that everybody may know.
    """

    def __init__(self, address: str, server_url: str, is_usable: IsUsable | None = None) -> None:
        self.server_url = server_url
        self._address = address
        self._is_usable = is_usable
        self._services: dict[str, BuiltinService] = {}
        self._described: dict[str, bytes] = {}
        """The answer to `get_service` for each of them, packed once."""

    def __contains__(self, service_id: object) -> bool:
        return service_id in self._services

    def all(self) -> list[BuiltinService]:
        """All of them."""
        return list(self._services.values())

    def add(self, service: BuiltinService) -> None:
        """Offer a service, in the place of the one that has its id."""
        self._services[service.id] = service
        self._described[service.id] = pack({"args": [service.encoded(self._address, self.server_url)]})

    def get(self, service_id: str) -> BuiltinService:
        """One of them.

        Raises:
            ServiceNotFound: there is none of this id.
        """
        service = self._services.get(service_id)
        if service is None:
            raise ServiceNotFound(f"Service not found: {service_id[:200]}")
        return service

    def described(self, service_id: str, context: Context) -> bytes:
        """The packed answer to a caller who asks what a service is, by its id or a longer name of it.

        Raises:
            ServiceNotFound: there is none. PermissionDenied: it is not for this caller.
        """
        name = service_id.rpartition(":")[2]
        body = self._described.get(name)
        if body is None:
            raise ServiceNotFound(f"Service not found: {service_id[:200]}")
        if self._is_usable is not None and not self._is_usable(name, context):
            raise PermissionDenied(f"Permission denied for getting protected service: {name}")
        return body

    def answer_bytes(self, service_id: str, name: str) -> int:
        """For how large an answer of a function room is needed before it runs; 0 for most."""
        service = self._services.get(service_id)
        function = service.functions.get(name) if service is not None else None
        return 0 if function is None else function.gives_bytes

    def stranger_bytes(self, method: str) -> int | None:
        """How large a call of a method may be from somebody without a credential.

        None for what is bounded elsewhere: chunks, answers to calls of the server, and functions that say so.
        """
        if not method.startswith(SERVICES) or method.startswith(BUILT_IN):
            return None
        service_id, _, name = method[len(SERVICES) :].partition(".")
        service = self._services.get(service_id)
        function = service.functions.get(name) if service is not None else None
        return STRANGER_BYTES if function is None else function.takes_bytes
