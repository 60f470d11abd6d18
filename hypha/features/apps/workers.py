"""Who runs apps: services of the type `server-app-worker`, what they say of themselves, and calls of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypha.errors import CallFailed, HyphaError, InvalidRequest
from hypha.limits import BoundedMap
from hypha.registry.index import ServiceFilter
from hypha.wire.tracebacks import raised_in
from hypha.wire.values import is_function, is_tagged, maps_in

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.features.ports import ServicesPort
    from hypha.hub.callbacks import Function
    from hypha.hub.hub import Hub
    from hypha.registry.index import Registry
    from hypha.registry.records import ServiceRecord

TYPE = "server-app-worker"
SHARED = "public"
"""The workspace whose workers all may use."""
DESCRIBE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 30.0
LOGS_TIMEOUT_S = 10.0
START_MARGIN_S = 5.0
MAX_ASKED = 100
_PLAIN = frozenset({"WorkerError", "Exception", "Error"})
"""Types of errors that say nothing more than their message."""
MAX_TYPES = 100
MAX_TYPE_CHARS = 128
MAX_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker, as it says of itself."""

    record: ServiceRecord
    supported_types: tuple[str, ...]
    use_local_url: bool | str
    functions: frozenset[str]
    is_disabled: bool = False

    @property
    def id(self) -> str:
        """`workspace/client:name`."""
        return self.record.id

    def shown(self) -> dict[str, Any]:
        """The worker as callers see it."""
        record = self.record
        return {
            "id": record.id,
            "name": record.title or record.name,
            "description": record.description,
            "supported_types": list(self.supported_types),
            "disabled": self.is_disabled,
        }


class Workers:
    """Finds workers, and calls them in the name of somebody from the server's own address."""

    def __init__(self, registry: Registry, hub: Hub, services: ServicesPort) -> None:
        self._registry = registry
        self._hub = hub
        self._services = services
        self._known: BoundedMap[tuple[str, str, str], Worker] = BoundedMap(MAX_KNOWN)
        """What workers said, by the key of their record; good as long as the record is the same."""
        self._disabled: set[str] = set()
        """The ids of those that are not to be chosen."""

    def disable(self, *worker_ids: str) -> None:
        """Don't choose these any more."""
        self._disabled.update(worker_ids)

    def enable(self, worker_id: str) -> None:
        """Choose this one again."""
        self._disabled.discard(worker_id)

    async def of(self, workspace: str) -> list[Worker]:
        """The workers of a workspace, then those that all may use; whoever does not answer is left out."""
        records = self.records(workspace)[:MAX_ASKED]
        if workspace != SHARED:
            records += self.records(SHARED, workspace)[:MAX_ASKED]
        found = await asyncio.gather(*map(self._ask, records))
        return [
            replace(worker, is_disabled=worker.id in self._disabled) for worker in found if worker is not None
        ]

    def records(self, workspace: str, user_of: str | None = None) -> list[ServiceRecord]:
        """The worker services of a workspace whose clients are connected now.

        Args:
            user_of: another workspace that wants to use them: not those that name others.
        """
        found = self._registry.find(ServiceFilter(workspace, type=TYPE))
        return [record for record in found if self._is_live(record) and _lets(record, user_of)]

    def connected(self, worker_id: str) -> ServiceRecord | None:
        """The service of a worker, by its full id, while its client is connected."""
        workspace, _, local = worker_id.partition("/")
        client_id, _, name = local.partition(":")
        record = self._registry.get(workspace, client_id, name)
        return record if record is not None and self._is_live(record) else None

    def _is_live(self, record: ServiceRecord) -> bool:
        client = self._hub.client(record.workspace, record.client_id)
        return client is None or client.is_live

    async def get(self, worker_id: str, workspace: str) -> Worker:
        """The worker of an id, which may leave its workspace out.

        Raises:
            InvalidRequest: there is none that the workspace may use.
        """
        full = full_id(worker_id, workspace)
        place = full.partition("/")[0]
        usable = self.records(place, workspace) if place in (workspace, SHARED) else []
        record = next((record for record in usable if record.id == full), None)
        worker = None if record is None else await self._ask(record)
        if worker is None:
            raise InvalidRequest(f"Worker {full[:600]} not found, or it does not answer: see list_workers.")
        if worker.id in self._disabled:
            raise InvalidRequest(f"Worker {worker.id} is disabled: see edit_worker.")
        return worker

    async def has(self, record: ServiceRecord, function: str) -> bool:
        """Whether a worker offers a function."""
        worker = await self._ask(record)
        return worker is not None and function in worker.functions

    async def _ask(self, record: ServiceRecord) -> Worker | None:
        known = self._known.get(record.key)
        if known is not None and known.record is record:
            return known
        try:
            service = await self._services.describe(record, DESCRIBE_TIMEOUT_S)
        except HyphaError:
            return None
        types = service.get("supported_types")
        if not isinstance(types, list) or len(types) > MAX_TYPES:
            return None
        local = service.get("use_local_url")
        worker = Worker(
            record,
            tuple(each for each in types if isinstance(each, str) and len(each) <= MAX_TYPE_CHARS),
            local if isinstance(local, str) else local is True,
            frozenset(name for name, value in service.items() if is_tagged(value, "method")),
        )
        self._known.put(record.key, worker)
        return worker

    async def call(
        self,
        record: ServiceRecord,
        function: str,
        args: list[Any],
        context: Context,
        timeout_s: float,
        callbacks: Mapping[str, Function] | None = None,
    ) -> Any:
        """Call a worker; its answer holds plain values alone.

        Raises:
            CallFailed: the worker refused, or answered with functions, which would be called with the rights
                of whoever gets them. NotDelivered, OutcomeUnknown, CallTimedOut.
        """
        try:
            answer = await self._services.call_as_server(
                record, function, args, context=context, timeout_s=timeout_s, callbacks=callbacks or {}
            )
        except CallFailed as error:  # the library of a worker in Python sends its traceback as the text
            raise CallFailed(" ".join(filter(None, _said(*raised_in(error)))), trace=error.trace) from None
        if any(is_function(each) for each in maps_in(answer)):
            raise CallFailed(f"The worker {record.id} answered {function} with functions instead of values.")
        return answer


def _said(kind: str, message: str) -> tuple[str, str]:
    """The two parts of a text about a worker's error."""
    return (f"{kind}:" if kind not in ("", *_PLAIN) else ""), message or "it failed"


def full_id(worker_id: str, workspace: str) -> str:
    """The id of a worker with its workspace.

    Raises:
        InvalidRequest: it is none.
    """
    full = worker_id if "/" in worker_id else f"{workspace}/{worker_id}"
    if full.count("/") != 1 or full.count(":") != 1:
        raise InvalidRequest(
            f"Invalid worker id {worker_id[:200]!r}: it is workspace/client:service, or client:service."
        )
    return full


def _lets(record: ServiceRecord, workspace: str | None) -> bool:
    named = record.config.get("authorized_workspaces")
    return workspace in (None, record.workspace) or named is None or workspace in record.authorized_workspaces
