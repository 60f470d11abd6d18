"""Calling one function of a service by HTTP: the gateway's hot path (docs/http.md#arguments)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.types import Receive, Send

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context, User
from hypha.errors import (
    CallFailed,
    HyphaError,
    PermissionDenied,
    ProbeFailed,
    ServiceNotFound,
    WorkspaceNotFound,
)
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.accept import wants_msgpack
from hypha.gateways.http.arguments import request_arguments
from hypha.gateways.http.json_form import PLAIN, JsonForm
from hypha.gateways.http.parameters import (
    MODE_KEY,
    split_query,
)
from hypha.gateways.http.results import ItemStream, send_items, send_value
from hypha.registry.described import function_at
from hypha.registry.records import ServiceRecord
from hypha.web.scope import HEADERS, USER
from hypha.wire.values import is_tagged

PROBES = "probes"
DEVICE_COOKIE = b"hypha_device_"
MANAGER_NAMES = frozenset({"ws", "~"})
QUERIES_KEPT = 1000
MAX_KEPT_CHARS = 300
_ALLOWED = "GET, POST"


@dataclass(slots=True)
class Call:
    """One request for a function of a service, made at the edge: what it names, and how it is answered.

    `pairs` are the names and values of its query, `form` is how values look in its answer.
    """

    scope: MutableMapping[str, Any]
    receive: Receive
    send: Send
    workspace: str
    service: str
    function: str
    pairs: Sequence[tuple[str, str]] = ()
    form: JsonForm = PLAIN

    @property
    def is_for_manager(self) -> bool:
        """Whether it names the workspace manager, which is in every workspace."""
        return self.service in MANAGER_NAMES


class FunctionCalls:
    """Handles `/{workspace}/services/{service}/{function}`, GET and POST."""

    def __init__(self, services: GatewayContext) -> None:
        self._services = services
        self._parsed = lru_cache(QUERIES_KEPT)(ServiceQuery.parse)
        """Addresses that were asked for, short ones, as they are called again and again."""

    async def handle(self, call: Call) -> None:
        """Answer one request; what goes wrong is told by the edge.

        Raises:
            HyphaError, HTTPException: the reason why there is no answer.
        """
        scope, services = call.scope, self._services
        if scope["method"] not in ("GET", "POST"):
            raise HTTPException(405, headers={"Allow": _ALLOWED})
        try:
            context = await services.credentials.context(scope, call.workspace)
            call.pairs = split_query(scope["query_string"])
            if call.is_for_manager:
                if call.workspace != context.workspace:
                    await self._check_is_there(call.workspace)
                if services.workspaces.get(context.workspace) is None:
                    await services.workspaces.open(context.workspace, context.user)
                record = services.manager
            else:
                record = await self.find(call.workspace, call.service, context, call.pairs)
            await self._call(call, record, context)
        except PermissionDenied as error:
            if not call.is_for_manager:  # which notes those it refuses itself
                self._note_refused(call, error)
            raise

    def _note_refused(self, call: Call, error: HyphaError) -> None:
        """Note a caller without the right to a service."""
        services, found = self._services, call.scope.get(USER)
        user = found if isinstance(found, User) else None
        if services.audit is not None:
            services.audit.note(
                "access_refused",
                user.id if user is not None else "",
                call.workspace,
                address=services.proxies.client_address(call.scope, call.scope[HEADERS]),
                detail={"function": f"{call.service}.{call.function}"[:200], "reason": error.message},
                is_stranger=user is None or user.is_anonymous,
            )

    async def _call(self, call: Call, record: ServiceRecord, context: Context) -> None:
        scope, services, calling = call.scope, self._services, self._services.calling
        timeout_s = services.call_timeout_s
        path = call.function.split(".")
        schema = function_at(record.service_schema, path)
        call.form = JsonForm.asked_for(call.pairs) if call.pairs else PLAIN
        if schema is None:
            value = await calling.look_up(record, path, context, timeout_s)
            if not is_tagged(value, "method"):
                await send_value(
                    call.send, value, as_msgpack=wants_msgpack(scope), scope=scope, form=call.form
                )
                return
        intake = calling.intake(record, call.function, context)
        if not intake.is_passed_on:
            context = self._located(context, scope)
        args, kwargs = await request_arguments(
            scope, call.receive, call.pairs, _function_part(schema), services.max_body_bytes, intake
        )
        try:
            result = await calling.call(record, call.function, args, kwargs, context, timeout_s)
        except CallFailed as error:
            if record.type == PROBES:  # what a probe raises is a failed probe (docs/http.md#errors)
                raise ProbeFailed(error.message, trace=error.trace) from None
            raise
        items = calling.items(record, result, context, timeout_s)
        if items is None:
            await send_value(call.send, result, as_msgpack=wants_msgpack(scope), scope=scope, form=call.form)
            return
        as_msgpack, expose = wants_msgpack(scope, stream=True), services.expose_errors
        async with services.lasting.watching(context):
            await send_items(
                scope,
                call.send,
                call.receive,
                cast(ItemStream, items),
                as_msgpack=as_msgpack,
                expose=expose,
                form=call.form,
            )

    def _located(self, context: Context, scope: Mapping[str, Any]) -> Context:
        """The context with what only the request knows: address, HTTP method, cookies of known devices."""
        headers = scope[HEADERS]
        address = self._services.proxies.client_address(scope, headers)
        details = {"address": address, "http_method": scope["method"]}
        cookies = headers.get(b"cookie", b"")
        if DEVICE_COOKIE in cookies:
            details["cookies"] = cookies.decode("latin-1")
        return replace(context, details=details)

    async def find(
        self, workspace: str, service: str, context: Context, pairs: Sequence[tuple[str, str]]
    ) -> ServiceRecord:
        """The service that an address names, as far as the caller may use it."""
        services = self._services
        is_short = len(service) + len(workspace) <= MAX_KEPT_CHARS
        query = (self._parsed if is_short else ServiceQuery.parse)(service, workspace)
        mode = next((text for name, text in pairs if name == MODE_KEY), None) if pairs else None
        try:
            return await services.calling.find(query, context, mode, services.select_timeout_s)
        except ServiceNotFound:
            await self._check_is_there(workspace)
            raise

    async def _check_is_there(self, workspace: str) -> None:
        """Raise WorkspaceNotFound if there is no workspace of that id."""
        workspaces = self._services.workspaces
        if workspaces.get(workspace) is None and await workspaces.load(workspace) is None:
            raise WorkspaceNotFound(f"Workspace '{workspace[:200]}' not found") from None


def _function_part(schema: Any) -> Mapping[str, Any] | None:
    part = schema.get("function") if isinstance(schema, dict) else None
    return part if isinstance(part, dict) else None
