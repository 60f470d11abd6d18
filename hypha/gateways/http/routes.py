"""Routes of the core besides function calls (docs/http.md#addresses)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hypha.auth.users import User
from hypha.errors import HyphaError, PermissionDenied, WorkspaceNotFound
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.accept import wants_msgpack
from hypha.gateways.http.calls import MANAGER_NAMES, FunctionCalls
from hypha.gateways.http.descriptions import DESCRIPTION_FILE, Descriptions
from hypha.gateways.http.openapi import server_document
from hypha.gateways.http.parameters import split_query
from hypha.gateways.http.results import value_response
from hypha.web.headers import headers_of
from hypha.web.signing_in import to_login_page

_SHOWN_FACTS = (
    "server_id",
    "hypha_version",
    "public_base_url",
    "local_base_url",
    "auth0_client_id",
    "auth0_domain",
    "auth0_audience",
    "auth0_issuer",
    "login_service_url",
)


class CoreRoutes:
    """Fixed routes and the routes of workspaces and services."""

    def __init__(self, services: GatewayContext, calls: FunctionCalls) -> None:
        self._services = services
        self._calls = calls
        self._description: bytes | None = None

    def fixed(self) -> list[BaseRoute]:
        """Routes with literal paths."""
        return [
            Route("/login", self.login),
            Route("/ws", self.upgrade_required),
            Route("/openapi.json", self.openapi),
            Route("/assets/config.json", self.config),
        ]

    def of_workspaces(self) -> list[BaseRoute]:
        """Routes below a workspace."""
        descriptions = Descriptions(self._services, self._calls)
        return [
            Route(f"/{{workspace}}/{DESCRIPTION_FILE}", descriptions.workspace),
            Route(f"/{{workspace}}/services/{{service}}/{DESCRIPTION_FILE}", descriptions.service),
            Route("/{workspace}/info", self.workspace_info),
            Route("/{workspace}/services", self.to_service_list),
            Route("/{workspace}/services/", self.service_list),
            Route("/{workspace}/services/{service}", self.service_info),
        ]

    async def login(self, request: Request) -> Response:
        """Go to the login page."""
        return to_login_page(request, self._services.base_path)

    async def upgrade_required(self, request: Request) -> Response:
        """Tell that this address speaks WebSocket only."""
        text = "This address takes WebSocket connections; connect with a Hypha client."
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        raise HTTPException(426, text, headers)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI description of all routes."""
        if self._description is None:  # it never changes
            self._description = orjson.dumps(server_document(self._services))
        return Response(self._description, media_type="application/json")

    async def config(self, request: Request) -> Response:
        """What a page needs to know to connect."""
        facts = self._services.manager.config
        body: dict[str, Any] = {name: facts.get(name) for name in _SHOWN_FACTS}
        body["uptime_seconds"] = round(self._services.health.uptime_s, 1)
        user = await self._asking(request)
        body["user"] = None if user.is_anonymous else user.to_wire()
        return _json(body, {"cache-control": "no-store"})

    async def _asking(self, request: Request) -> User:
        """Who is signed in, for any page of this origin; others see their own credential's user."""
        credentials, scope = self._services.credentials, request.scope
        if credentials.origins.is_from_here(scope, headers_of(scope)):
            return await credentials.visitor(scope)
        try:
            return await credentials.user(scope)
        except HyphaError:
            return credentials.anonymous

    async def workspace_info(self, request: Request) -> Response:
        """Information on a workspace, for those who may read it."""
        services, workspace = self._services, request.path_params["workspace"]
        context = await services.credentials.context(request.scope, workspace)
        if await services.workspaces.load(workspace) is None:
            raise WorkspaceNotFound(f"Workspace not found: {workspace}")
        try:
            info = await services.ask_manager("get_workspace_info", [workspace], {}, context)
        except PermissionDenied:
            raise PermissionDenied(f"{context.user.id} has no permission to access {workspace}") from None
        return await self._value(request, info)

    async def to_service_list(self, request: Request) -> Response:
        """Add the slash that relative links of the list need."""
        workspace = quote(request.path_params["workspace"])
        return RedirectResponse(f"{self._services.base_path}/{workspace}/services/", 307)

    async def service_list(self, request: Request) -> Response:
        """The services of a workspace that the caller may see; ids without the workspace.

        `offset` and `limit` in the query choose a part of them.
        """
        services, workspace = self._services, request.path_params["workspace"]
        context = await services.credentials.context(request.scope, workspace)
        if services.workspaces.get(workspace) is None and await services.workspaces.load(workspace) is None:
            raise WorkspaceNotFound(f"Workspace not found: {workspace}")
        pages = {
            name: int(text)
            for name, text in split_query(request.scope["query_string"])
            if name in ("offset", "limit") and text.isascii() and text.isdigit() and len(text) < 10
        }
        found = await services.ask_manager("list_services", [{"workspace": workspace}], pages, context)
        prefix = f"{workspace}/"
        listed = [{**info, "id": info["id"].removeprefix(prefix)} for info in found]
        return await self._value(request, listed)

    async def service_info(self, request: Request) -> Response:
        """Information on one service."""
        services = self._services
        workspace, service = request.path_params["workspace"], request.path_params["service"]
        context = await services.credentials.context(request.scope, workspace)
        if service in MANAGER_NAMES:
            return await self._value(request, self._manager_info())
        pairs = split_query(request.scope["query_string"])
        record = await self._calls.find(workspace, service, context, pairs)
        return await self._value(request, record.to_info(context))

    def _manager_info(self) -> dict[str, Any]:
        info = self._services.manager.info(is_member=False)
        del info["app_id"]
        return {**info, "id": "~"}

    @staticmethod
    async def _value(request: Request, value: Any) -> Response:
        return await value_response(request.scope, value, as_msgpack=wants_msgpack(request.scope))


def _json(value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), 200, headers, media_type="application/json")
