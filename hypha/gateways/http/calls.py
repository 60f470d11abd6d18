"""Calling one function of a service by HTTP: the gateway's hot path (docs/http.md#arguments)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import replace
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
from hypha.gateways.http.accept import wants_msgpack
from hypha.gateways.http.arguments import request_arguments
from hypha.gateways.http.errors import call_error_answer
from hypha.gateways.http.json_form import JsonForm
from hypha.gateways.http.parameters import (
    MODE_KEY,
    split_query,
)
from hypha.gateways.http.results import ItemStream, send_items, send_value
from hypha.gateways.http.services import HttpServices
from hypha.registry.described import function_at
from hypha.registry.records import ServiceRecord
from hypha.web.bodies import ClientLeft
from hypha.web.errors import ErrorAnswer, error_answer
from hypha.wire.values import is_tagged

PROBES = "probes"
DEVICE_COOKIE = b"hypha_device_"
MANAGER_NAMES = frozenset({"ws", "~"})
_ALLOWED = "GET, POST"


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
                if workspace != context.workspace:
                    await self._check_is_there(workspace)
                if self._services.workspaces.get(context.workspace) is None:
                    await self._services.workspaces.open(context.workspace, context.user)
                pairs = split_query(scope["query_string"])
                record = self._services.manager
            else:
                pairs = split_query(scope["query_string"])
                record = await self.find(workspace, service, context, pairs)
            await self._call(scope, receive, send, record, function, pairs, context)
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

    async def _call(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        record: ServiceRecord,
        function: str,
        pairs: list[tuple[str, str]],
        context: Context,
    ) -> None:
        services, calling = self._services, self._services.calling
        timeout_s = services.call_timeout_s
        path = function.split(".")
        schema = function_at(record.service_schema, path)
        form = JsonForm.asked_for(pairs)
        if schema is None:
            value = await calling.look_up(record, path, context, timeout_s)
            if not is_tagged(value, "method"):
                await send_value(send, value, as_msgpack=wants_msgpack(scope), scope=scope, form=form)
                return
        intake = calling.intake(record, function, context)
        if not intake.is_passed_on:
            context = self._located(context, scope)
        args, kwargs = await request_arguments(
            scope, receive, pairs, _function_part(schema), services.max_body_bytes, intake
        )
        try:
            result = await calling.call(record, function, args, kwargs, context, timeout_s)
        except CallFailed as error:
            if record.type == PROBES:  # what a probe raises is a failed probe (docs/http.md#errors)
                raise ProbeFailed(error.message, trace=error.trace) from None
            raise
        items = calling.items(record, result, context, timeout_s)
        if items is not None:
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

    async def find(
        self, workspace: str, service: str, context: Context, pairs: list[tuple[str, str]]
    ) -> ServiceRecord:
        """The service that an address names, as far as the caller may use it."""
        services = self._services
        query = ServiceQuery.parse(service, workspace)
        mode = next((text for name, text in pairs if name == MODE_KEY), None)
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


def _not_allowed(scope: MutableMapping[str, Any]) -> ErrorAnswer:
    return error_answer(HTTPException(405, headers={"Allow": _ALLOWED}), scope)


async def _send_answer(send: Send, answer: ErrorAnswer) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
    headers += answer.headers
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
