"""Calling one function of a service by HTTP: the gateway's hot path (docs/http.md#arguments)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.types import Receive, Send

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context, User
from hypha.builtins.service import BuiltinService
from hypha.errors import (
    CallFailed,
    FunctionNotFound,
    HyphaError,
    PermissionDenied,
    ProbeFailed,
    ServiceNotFound,
    WorkspaceNotFound,
)
from hypha.gateways.http.accept import wants_msgpack
from hypha.gateways.http.arguments import request_arguments
from hypha.gateways.http.bodies import Allowance
from hypha.gateways.http.errors import call_error_answer
from hypha.gateways.http.json_form import JsonForm
from hypha.gateways.http.parameters import (
    MODE_KEY,
    split_query,
)
from hypha.gateways.http.results import ItemStream, is_generator, send_items, send_value
from hypha.gateways.http.services import FoundService, HttpServices
from hypha.web.bodies import ClientLeft
from hypha.web.errors import ErrorAnswer, error_answer
from hypha.wire.bounded import MAX_VALUES

PROBES = "probes"
DEVICE_COOKIE = b"hypha_device_"
MANAGER_NAMES = frozenset({"ws", "~"})
_ALLOWED = "GET, POST"


def schema_at(schema: Any, path: list[str]) -> Any:
    """What a service schema says at a dotted path; None where it says nothing."""
    for word in path:
        if isinstance(schema, dict):
            schema = schema.get(word)
        elif isinstance(schema, list) and _is_index(word, schema):
            schema = schema[int(word)]
        else:
            return None
    return schema


def _is_index(word: str, items: list[Any]) -> bool:
    """True for the plain number of an item; some digits are no decimal ones, and some numbers endless."""
    return word.isascii() and word.isdigit() and len(word) < 10 and int(word) < len(items)


def is_function(schema: Any) -> bool:
    """True for the schema of a function (and not of a nested group of functions)."""
    return isinstance(schema, dict) and schema.get("type") == "function"


class FunctionCalls:
    """Handles `/{workspace}/services/{service}/{function}`, GET and POST."""

    def __init__(self, services: HttpServices) -> None:
        self._services = services

    async def handle(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, address: tuple[str, str, str]
    ) -> None:
        """Answer one request for a function at (workspace, service, function)."""
        if scope["method"] not in ("GET", "POST"):
            await _send_answer(send, _not_allowed(scope))
            return
        try:
            workspace, service, function = address
            context = await self._services.credentials.context(scope, workspace)
            if service in MANAGER_NAMES:
                manager = self._services.manager
                if workspace != context.workspace:
                    await self._check_is_there(workspace)
                if self._services.workspaces.get(context.workspace) is None:
                    await self._services.workspaces.open(context.workspace, context.user)
                await self._call_local(scope, receive, send, (manager, function), context)
            else:
                await self._call_service(scope, receive, send, (workspace, service, function), context)
        except ClientLeft:
            return
        except HyphaError as error:
            if isinstance(error, PermissionDenied) and address[1] not in MANAGER_NAMES:
                self._note_refused(scope, address, error)
            expose = self._services.expose_errors
            await _send_answer(send, call_error_answer(error, scope, expose=expose))

    def _note_refused(
        self, scope: MutableMapping[str, Any], address: tuple[str, str, str], error: HyphaError
    ) -> None:
        """Note a caller without the right to a service; the manager notes those it refuses itself."""
        services, found = self._services, scope.get("hypha.user")
        user = found if isinstance(found, User) else None
        if services.audit is not None:
            workspace, service, function = address
            services.audit.note(
                "access_refused",
                user.id if user is not None else "",
                workspace,
                address=services.proxies.client_address(scope, scope["hypha.headers"]),
                detail={"function": f"{service}.{function}"[:200], "reason": error.message},
                is_stranger=user is None or user.is_anonymous,
            )

    async def _call_service(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        address: tuple[str, str, str],
        context: Context,
    ) -> None:
        services = self._services
        workspace, service, function = address
        pairs = split_query(scope["query_string"])
        record = await self.find(workspace, service, context, pairs)
        local = services.find_local(record.workspace, record.client_id, record.name)
        if local is not None:
            await self._call_local(scope, receive, send, (local, function), self._located(context, scope))
            return
        path = function.split(".")
        schema = schema_at(record.service_schema, path) if record.service_schema else _UNKNOWN
        target = f"{record.workspace}/{record.client_id}"
        form = JsonForm.asked_for(pairs)
        if not is_function(schema):
            value = await self._look_up(target, record.name, path, context)
            if not _is_method(value):
                await send_value(send, value, as_msgpack=wants_msgpack(scope), scope=scope, form=form)
                return
        args, kwargs = await request_arguments(
            scope, receive, pairs, _function_part(schema), Allowance(services.max_body_bytes), passed_on=True
        )
        result = await self._ask(record, function, args, kwargs, context)
        if is_generator(result):
            items = services.peer.iterate(result, timeout_s=services.call_timeout_s, context=context)
            async with services.lasting.watching(context):
                await self._stream(scope, receive, send, cast(ItemStream, items), form)
            return
        await send_value(send, result, as_msgpack=wants_msgpack(scope), scope=scope, form=form)

    async def _stream(
        self, scope: Mapping[str, Any], receive: Receive, send: Send, items: ItemStream, form: JsonForm
    ) -> None:
        as_msgpack, expose = wants_msgpack(scope, stream=True), self._services.expose_errors
        await send_items(scope, send, receive, items, as_msgpack=as_msgpack, expose=expose, form=form)

    def _located(self, context: Context, scope: Mapping[str, Any]) -> Context:
        """The context with what only the request knows: address, HTTP method, cookies of known devices."""
        headers = scope["hypha.headers"]
        address = self._services.proxies.client_address(scope, headers)
        details = {"address": address, "http_method": scope["method"]}
        cookies = headers.get(b"cookie", b"")
        if DEVICE_COOKIE in cookies:
            details["cookies"] = cookies.decode("latin-1")
        return replace(context, details=details)

    async def _ask(
        self, record: FoundService, function: str, args: list[Any], kwargs: dict[str, Any], context: Context
    ) -> Any:
        """Call the provider; what a probe raises is a failed probe (docs/http.md#errors)."""
        services = self._services
        try:
            return await services.peer.call(
                f"{record.workspace}/{record.client_id}",
                f"services.{record.name}.{function}",
                args,
                kwargs,
                timeout_s=services.call_timeout_s,
                context=context,
            )
        except CallFailed as error:
            if record.type == PROBES:
                raise ProbeFailed(error.message, trace=error.trace) from None
            raise

    async def _call_local(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        what: tuple[BuiltinService, str],
        context: Context,
    ) -> None:
        """Call a function of the server itself: no frame is made."""
        service, function = what
        known = service.functions.get(function)
        if known is None:
            raise FunctionNotFound(f"{function} not found.")
        pairs = split_query(scope["query_string"])
        form = JsonForm.asked_for(pairs)
        allowance = Allowance(self._services.max_body_bytes, MAX_VALUES)
        if context.user.is_anonymous:
            allowance = allowance.at_most(known.takes_bytes)
        args, kwargs = await request_arguments(
            scope, receive, pairs, known.schema, allowance, passed_on=False
        )
        result = await service.invoke(function, args, kwargs, context)
        await send_value(send, result, as_msgpack=wants_msgpack(scope), scope=scope, form=form)

    async def find(
        self, workspace: str, service: str, context: Context, pairs: list[tuple[str, str]]
    ) -> FoundService:
        """The service that an address names, as far as the caller may use it."""
        services = self._services
        query = ServiceQuery.parse(service, workspace)
        mode = next((text for name, text in pairs if name == MODE_KEY), None)
        try:
            return await services.selection.choose(query, context, mode, services.select_timeout_s)
        except ServiceNotFound:
            await self._check_is_there(workspace)
            raise

    async def _check_is_there(self, workspace: str) -> None:
        """Raise WorkspaceNotFound if there is no workspace of that id."""
        workspaces = self._services.workspaces
        if workspaces.get(workspace) is None and await workspaces.load(workspace) is None:
            raise WorkspaceNotFound(f"Workspace '{workspace[:200]}' not found") from None

    async def _look_up(self, target: str, name: str, path: list[str], context: Context) -> Any:
        """Ask the provider itself for what its schema does not show."""
        value = await self._services.peer.call(
            target,
            "services.built-in.get_service",
            [name],
            timeout_s=self._services.call_timeout_s,
            context=context,
        )
        for word in path:
            if isinstance(value, dict) and word in value and not word.startswith("_r"):
                value = value[word]
            elif isinstance(value, list) and _is_index(word, value):
                value = value[int(word)]
            else:
                raise FunctionNotFound(f"{'.'.join(path)} not found.")
        return value


_UNKNOWN: Mapping[str, Any] = {"type": "function"}


def _function_part(schema: Any) -> Mapping[str, Any] | None:
    part = schema.get("function") if isinstance(schema, dict) else None
    return part if isinstance(part, dict) else None


def _is_method(value: Any) -> bool:
    return isinstance(value, dict) and value.get("_rtype") == "method"


def _not_allowed(scope: MutableMapping[str, Any]) -> ErrorAnswer:
    return error_answer(HTTPException(405, headers={"Allow": _ALLOWED}), scope)


async def _send_answer(send: Send, answer: ErrorAnswer) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
    headers += answer.headers
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
