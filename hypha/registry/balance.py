"""Choosing one service among several of the same name (docs/spec/manager.md#modes)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hypha.addresses import ServiceQuery
from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import AmbiguousService, HyphaError, InvalidRequest, PermissionDenied, ServiceNotFound
from hypha.registry.records import ServiceRecord
from hypha.registry.roster import Present, Roster
from hypha.registry.sources import Sources
from hypha.values import is_number
from hypha.wire.values import is_hidden

logger = logging.getLogger(__name__)

MODES = "'random', 'first', 'last', 'exact', 'min_load', 'native:random' or 'select:criteria:function'"
_PLAIN_MODES = frozenset({"random", "first", "last", "exact", "min_load", "native:random"})
DEFAULT_SELECT_TIMEOUT_S = 2.0
MAX_SELECT_TIMEOUT_S = 30.0
MAX_ASKED = 64  # candidates asked by one `select:`; of more, a random sample
MAX_ASKED_AT_ONCE = 16
MAX_EXAMPLES = 5


class Peer(Protocol):
    """Calls clients from inside the server (`hypha.hub.calls.Calls`)."""

    async def call(
        self,
        target: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        context: Context | None = None,
    ) -> Any:
        """Call one method of a client and await its answer."""


class Selection:
    """Resolves a query to one record: visible to the caller, live before held, by the mode asked for.

    A caller who may see none of the matches is told so; of services that it may not see, nothing
    else is revealed.
    """

    def __init__(self, sources: Sources, roster: Roster, peer: Peer) -> None:
        self.sources = sources
        self.roster = roster
        self._peer = peer

    async def choose(
        self,
        query: ServiceQuery,
        context: Context,
        mode: str | None = None,
        select_timeout_s: float = DEFAULT_SELECT_TIMEOUT_S,
    ) -> ServiceRecord:
        """One record for a query.

        The default mode is that of the application asked for, or `random` in `public`, elsewhere `exact`.

        Raises:
            ServiceNotFound: nothing matches.
            PermissionDenied: what matches is protected from the caller.
            AmbiguousService: several match and the mode is `exact`.
            InvalidRequest: the mode is unknown.
        """
        for source in self.sources:
            found = await source.candidates(query)
            if found:
                break
        else:
            raise ServiceNotFound(f"Service not found: {query}")
        usable = [record for record in found if record.is_usable_by(context)]
        if not usable:
            raise PermissionDenied(f"Permission denied for non-public service in workspace {query.workspace}")
        if len(usable) > 1:
            usable = await self._live_first(self._staying(usable))
        record = usable[0]
        if len(usable) > 1:
            if mode is not None and not isinstance(mode, str):
                raise InvalidRequest(f"Invalid mode: {mode!r}. Mode must be {MODES}.")
            mode = mode or await self._default_mode(query)
            if mode == "exact":
                raise AmbiguousService(_ambiguous_text(query, usable, context))
            record = await self.pick(usable, mode, context, select_timeout_s)
        return record if record.is_running else await source.running(record, context)

    async def _default_mode(self, query: ServiceQuery) -> str:
        application = await self.sources.applications.find(query.workspace, query.app_id)
        if application is None or not application.mode:
            return "random" if query.workspace == "public" else "exact"
        if application.mode not in _PLAIN_MODES and not _is_select(application.mode):
            raise InvalidRequest(
                f"Invalid mode: {application.mode[:100]}, the service_selection_mode of the application "
                f"{query.app_id}. Mode must be {MODES}."
            )
        return application.mode

    def _staying(self, records: list[ServiceRecord]) -> list[ServiceRecord]:
        """Without those of programs that are about to stop, unless there are no others."""
        is_retired = self.sources.applications.is_retired
        staying = [record for record in records if not is_retired(record.workspace, record.client_id)]
        return staying or records

    async def _live_first(self, records: list[ServiceRecord]) -> list[ServiceRecord]:
        """Without those of clients between two connections, unless there are no others."""
        clients = await self._clients_of(records)
        live = [
            record
            for record, client in zip(records, clients, strict=True)
            if client is None or client.is_live
        ]
        return live or records

    async def _clients_of(self, records: Sequence[ServiceRecord]) -> Sequence[Present | None]:
        return await self.roster.find([(record.workspace, record.client_id) for record in records])

    async def pick(
        self,
        records: list[ServiceRecord],
        mode: str,
        context: Context,
        select_timeout_s: float = DEFAULT_SELECT_TIMEOUT_S,
    ) -> ServiceRecord:
        """One of several by a mode other than `exact`, functions that it names asked in the caller's name.

        Raises:
            InvalidRequest: the mode is unknown.
        """
        if mode in ("random", "native:random"):  # every client here is connected to this replica
            return random.choice(records)
        if mode == "first":
            return records[0]
        if mode == "last":
            return records[-1]
        if mode == "min_load":
            return await self._least_loaded(records)
        if _is_select(mode):
            criteria, function = _parse_select(mode)
            return await self._select(records, criteria, function, context, select_timeout_s)
        raise InvalidRequest(f"Invalid mode: {mode[:100]}. Mode must be {MODES}.")

    async def _least_loaded(self, records: list[ServiceRecord]) -> ServiceRecord:
        clients = await self._clients_of(records)
        loads = [0.0 if client is None else client.load_per_min for client in clients]
        least = min(loads)
        return random.choice([record for load, record in zip(loads, records, strict=True) if load == least])

    async def _select(
        self,
        records: list[ServiceRecord],
        criteria: str,
        function: str,
        context: Context,
        timeout_s: float,
    ) -> ServiceRecord:
        """Ask a function of every candidate at the same time; when none answers, any of them will do."""
        asked = [record for record in records if _may_have(record, function)]
        if len(asked) > MAX_ASKED:
            asked = sorted(random.sample(asked, MAX_ASKED), key=lambda record: record.order)
        gate = asyncio.Semaphore(MAX_ASKED_AT_ONCE)
        timeout_s = min(max(timeout_s, 0.0), MAX_SELECT_TIMEOUT_S)

        async def ask(record: ServiceRecord) -> Any:
            async with gate:
                method = f"services.{record.name}.{function}"
                target = f"{record.workspace}/{record.client_id}"
                # on behalf of the caller: selection must not lend it the server's rights
                call = self._peer.call(target, method, timeout_s=timeout_s, context=context)
                return await asyncio.wait_for(call, timeout_s)

        tasks = {asyncio.ensure_future(ask(record)): record for record in asked}
        try:
            if criteria == "first_success":
                chosen = await _first_success(tasks)
            else:
                chosen = await _extreme(tasks, criteria)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return chosen or random.choice(records)


def _is_select(mode: str) -> bool:
    return mode == "select" or mode.startswith("select:")


def _parse_select(mode: str) -> tuple[str, str]:
    parts = mode.split(":")
    if len(parts) != 3 or not parts[2]:
        raise InvalidRequest(f"Invalid select mode format: {mode[:200]}. Expected 'select:criteria:function'")
    if is_hidden(parts[2]):
        raise InvalidRequest(f"No function has a path with a name that begins with '__': {parts[2][:100]}")
    if parts[1] not in ("min", "max", "first_success"):
        raise InvalidRequest(f"Unknown selection criteria: {parts[1][:100]}")
    return parts[1], parts[2]


def _may_have(record: ServiceRecord, function: str) -> bool:
    """False when the schema of the service says that it lacks the function."""
    return not record.service_schema or function.partition(".")[0] in record.service_schema


async def _first_success(tasks: Mapping[asyncio.Task[Any], ServiceRecord]) -> ServiceRecord | None:
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        won = [tasks[task] for task in done if _answer(task) is not None]
        if won:
            return min(won, key=lambda record: record.order)
    return None


async def _extreme(tasks: Mapping[asyncio.Task[Any], ServiceRecord], criteria: str) -> ServiceRecord | None:
    """The candidate with the smallest or largest number; what is no number is skipped."""
    if tasks:
        await asyncio.wait(tasks)
    values = [(answer[0], record) for task, record in tasks.items() if (answer := _answer(task))]
    numbers = [(value, record) for value, record in values if is_number(value)]
    if not numbers:
        return None
    pick = min if criteria == "min" else max
    return pick(numbers, key=lambda pair: pair[0])[1]


def _answer(task: asyncio.Task[Any]) -> tuple[Any] | None:
    """The answer in a tuple, or None if the call failed."""
    error = task.exception()
    if error is None:
        return (task.result(),)
    if not isinstance(error, HyphaError | TimeoutError):
        logger.error("asking a candidate failed", exc_info=error)
    return None


def _ambiguous_text(query: ServiceQuery, records: list[ServiceRecord], context: Context) -> str:
    is_member = context.level(query.workspace) >= Level.READ
    shown = [record.id for record in records if is_member or record.is_listed_for(context)]
    asked = str(query).removesuffix("@*")
    return (
        f"Multiple services found for {asked}, e.g. {shown[:MAX_EXAMPLES]}. You can either specify the mode "
        f"as {MODES}, or name the client in the id: 'client_id:{query.name}'."
    )
