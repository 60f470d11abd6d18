"""One way to call a service: find it, call a function, follow a stream, ask what it is.

Whether a function runs in this process or at a client is decided here, by `ServiceRecord.service`, and
nowhere else. A caller is told by its `Context`, which the server made. `find` checks that it may use the
service; a built-in function checks besides what it declares. The callee's library does so for a client's.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context
from hypha.errors import CallFailed, CallTimedOut, FunctionNotFound, NotDelivered, ServiceNotFound
from hypha.hub.callbacks import Function, Session
from hypha.hub.calls import GET_SERVICE
from hypha.registry import balance
from hypha.registry.balance import DEFAULT_SELECT_TIMEOUT_S, Selection
from hypha.registry.described import (
    DescribedFunction,
    functions_of,
    functions_of_builtin,
    is_index,
    schema_of,
)
from hypha.registry.index import Registry
from hypha.registry.records import ServiceRecord
from hypha.registry.sources import ServiceSource
from hypha.wire.bounded import MAX_PASSED_VALUES, MAX_VALUES
from hypha.wire.readable import check_entries
from hypha.wire.values import is_tagged, maps_in

EVENT = "event"
"""The first parameter of built-in functions that answer web requests."""


@dataclass(frozen=True, slots=True)
class Lent:
    """Among the arguments of a call: the function of this name that the callee may call back."""

    name: str


class Peer(balance.Peer, Protocol):
    """Calls clients on behalf of callers (`hypha.hub.calls.Calls`)."""

    def session(self, target: str, functions: Mapping[str, Function], context: Context) -> Session:
        """Functions that the client `target` may call back during one call on behalf of `context`."""

    def iterate(
        self, value: Mapping[str, Any], *, timeout_s: float = 30.0, context: Context | None = None
    ) -> AsyncIterator[Any]:
        """Pull the items of a generator result; closes it on early exit."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a function takes of one caller.

    `max_bytes` is None where the function itself sets no bound. Arguments that are passed on leave this
    process: they may be packed already (`PackedList`), and the callee learns of the caller only who it is.
    """

    max_values: int
    max_bytes: int | None = None
    is_passed_on: bool = False


_NO_FUNCTIONS: Mapping[str, Function] = MappingProxyType({})
_THERE = Intake(MAX_PASSED_VALUES, is_passed_on=True)
_HERE = Intake(MAX_VALUES)


def _with(argument: Any, functions: Mapping[str, Any]) -> Any:
    if isinstance(argument, Lent):
        return functions[argument.name]
    if not isinstance(argument, dict) or not functions.keys() & argument.keys():
        return argument
    return {**argument, **{name: value for name, value in functions.items() if name in argument}}


class Calling:
    """Calls services, wherever their functions run.

    Args:
        peer: calls clients in the name of a caller.
        server: the same in the server's own name; asks clients for services whose users were checked.
    """

    def __init__(
        self, registry: Registry, selection: Selection, peer: Peer, server: Peer, server_url: str
    ) -> None:
        self._registry = registry
        self._selection = selection
        self._peer = peer
        self._server = server
        self._server_url = server_url

    def find(
        self,
        query: ServiceQuery,
        context: Context,
        mode: str | None = None,
        select_timeout_s: float = DEFAULT_SELECT_TIMEOUT_S,
    ) -> Awaitable[ServiceRecord]:
        """The one service that a query means to the caller, who may use it; see `Selection.choose`."""
        return self._selection.choose(query, context, mode, select_timeout_s)

    def add_source(self, source: ServiceSource) -> None:
        """Look for services there too, after all others."""
        self._selection.sources.add(source)

    def pick(self, records: Sequence[ServiceRecord], mode: str, context: Context) -> Awaitable[ServiceRecord]:
        """One of several services, which the caller may use, by a mode; see `Selection.pick`."""
        return self._selection.pick(list(records), mode, context)

    def intake(self, record: ServiceRecord, function: str, context: Context) -> Intake:
        """How much the caller may send to a function, and whether that is passed on."""
        service = record.service
        if service is None:
            return _THERE
        if not context.user.is_anonymous or function not in service.functions:
            return _HERE
        return Intake(MAX_VALUES, service.functions[function].takes_bytes)

    def call(
        self,
        record: ServiceRecord,
        function: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        context: Context,
        timeout_s: float,
    ) -> Awaitable[Any]:
        """Call a function, by its dotted path, of a service that `find` gave to the caller.

        Args:
            timeout_s: of silence of a client; its heartbeats extend it. Functions of the server are not
                bounded by it: each has bounds of its own.

        Raises:
            FunctionNotFound: the server has no such function.
            NotAuthenticated, PermissionDenied: the caller lacks what the function declares.
            InvalidArguments: the arguments do not fit.
            CallFailed, NotDelivered, OutcomeUnknown, CallTimedOut, ForeignFunction: see `Calls.call`.
        """
        if record.service is not None:
            return record.service.invoke(function, args, kwargs, context)
        method = f"services.{record.name}.{function}"
        return self._peer.call(record.address, method, args, kwargs, timeout_s=timeout_s, context=context)

    async def call_as_server(
        self,
        record: ServiceRecord,
        function: str,
        args: Sequence[Any],
        context: Context,
        timeout_s: float,
        callbacks: Mapping[str, Function] = _NO_FUNCTIONS,
    ) -> Any:
        """Call a client's function from the manager's address, in the name of somebody who is let do that.

        Clients take such calls of protected services from wherever the caller is: who uses this has checked
        that the caller may. Arguments go by position, for what some libraries make of keywords.

        Args:
            timeout_s: for all of it, signs of life or not.
            callbacks: functions that the callee may call during the call; they take the place of `Lent` among
                the arguments, and in a map there of what has the same key.

        Raises:
            CallTimedOut, CallFailed, NotDelivered, OutcomeUnknown, ForeignFunction: see `Calls.call`.
            InvalidRequest: the callee's library may not be able to read the arguments.
        """
        if record.service is not None:
            return await record.service.invoke(function, args, {}, context)
        for item in maps_in(list(args)):  # who lets the server call has given some of them
            check_entries(item.items())
        method, server = f"services.{record.name}.{function}", self._server
        try:
            async with asyncio.timeout(timeout_s):
                with server.session(record.address, callbacks, context) as session:
                    lent = session.values()
                    given = [_with(arg, lent) for arg in args]
                    call = server.call(record.address, method, given, timeout_s=timeout_s, context=context)
                    return await call
        except TimeoutError as error:
            if isinstance(error, CallTimedOut):
                raise
            raise CallTimedOut(f"No answer from {record.id} within {timeout_s:g} s.") from None

    async def call_with(
        self,
        record: ServiceRecord,
        function: str,
        argument: Mapping[str, Any],
        callbacks: Mapping[str, Function],
        context: Context,
        timeout_s: float,
    ) -> Any:
        """Call with one map, which holds also functions that the callee may call back during the call."""
        if record.service is not None:
            return await record.service.invoke(function, [{**argument, **callbacks}], {}, context)
        with self._peer.session(record.address, callbacks, context) as session:
            given = [{**argument, **session.values()}]
            return await self.call(record, function, given, {}, context, timeout_s)

    def items(
        self, record: ServiceRecord, result: Any, context: Context, timeout_s: float
    ) -> AsyncIterator[Any] | None:
        """The stream that a result of `call`, or a part of it, is; None for other values.

        What looks like a client's generator in a result of the server itself is data that somebody left.
        """
        if record.service is not None:
            return result if inspect.isasyncgen(result) else None
        if not is_tagged(result, "generator"):
            return None
        return self._peer.iterate(result, timeout_s=timeout_s, context=context)

    async def look_up(
        self, record: ServiceRecord, path: Sequence[str], context: Context, timeout_s: float
    ) -> Any:
        """What a service has at a path where it registered no function, asked of the provider by the caller.

        Raises:
            FunctionNotFound: nothing. Further as `call`.
        """
        missing = f"{'.'.join(path)} not found."
        if record.service is not None:
            raise FunctionNotFound(missing)
        value = await self._ask(record, context, timeout_s)
        for word in path:
            if isinstance(value, dict) and word in value and not word.startswith("_r"):
                value = value[word]
            elif isinstance(value, list) and is_index(word, value):
                value = value[int(word)]
            else:
                raise FunctionNotFound(missing)
        return value

    async def pages(self, record: ServiceRecord, context: Context, timeout_s: float) -> Mapping[str, Any]:
        """Schema of the functions that may answer web requests; where none was registered, as provided.

        Of the server's own those that take an event first, so that no request is taken for other arguments.
        """
        service = record.service
        if service is not None:
            return {
                name: schema
                for name, schema in record.service_schema.items()
                if next(iter(service.functions[name].signature.parameters), None) == EVENT
            }
        if record.service_schema:
            return record.service_schema
        value = await self._ask(record, context, timeout_s)
        return schema_of(value) if isinstance(value, dict) else {}

    def _ask(self, record: ServiceRecord, context: Context, timeout_s: float) -> Awaitable[Any]:
        """The service as its provider hands it to this caller."""
        address, name = record.address, [record.name]
        return self._peer.call(address, GET_SERVICE, name, timeout_s=timeout_s, context=context)

    async def fetch(self, record: ServiceRecord, timeout_s: float) -> Mapping[str, Any]:
        """The service map as its provider encodes it, for a caller to whom `find` gave the record.

        It is asked for as the server itself: providers hand protected services only to their own workspace.

        Raises:
            CallTimedOut: no answer in time, heartbeats or not.
            ServiceNotFound: the provider is gone, or offers it no more. CallFailed: it failed.
        """
        if record.service is not None:
            return record.service.encoded(record.address, self._server_url)
        address = record.address
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._server.call(address, GET_SERVICE, [record.name], timeout_s=timeout_s)
        except (CallTimedOut, TimeoutError):
            raise CallTimedOut(
                f"{address} did not hand over its service {record.name} within {timeout_s:g} s; "
                "it may be busy or gone."
            ) from None
        except NotDelivered:  # it has left, or is away: what it offered cannot be had
            raise ServiceNotFound(
                f"Service not found: {record.id}@{record.app_id}. {address} is not connected."
            ) from None
        except CallFailed as error:
            if "Service not found" in error.message:
                raise ServiceNotFound(f"Service not found: {record.id}@{record.app_id}") from None
            raise
        if not isinstance(answer, Mapping):
            raise CallFailed(f"{address} gave something that is no service for {record.name}.")
        return answer

    def describe(
        self, info: Mapping[str, Any], record: ServiceRecord | None = None
    ) -> Callable[[], tuple[DescribedFunction, ...]]:
        """What is known of the functions of a service whose info the caller got; made when that is called.

        Schemas of strangers take their time: the work may be done in any thread.

        Args:
            record: whose info it is, where that is at hand.
        """
        if record is None:
            workspace, _, local = str(info.get("id")).partition("/")
            client_id, _, name = local.rpartition(":")
            record = self._registry.get(workspace, client_id, name)
        if record is not None and record.service is not None:
            return partial(functions_of_builtin, record.service)
        return partial(functions_of, info)
