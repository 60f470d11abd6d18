"""Routes that describe services: `/{ws}/openapi.json` and `/{ws}/services/{id}/openapi.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hypha.errors import WorkspaceNotFound
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.calls import MANAGER_NAMES, FunctionCalls
from hypha.gateways.http.openapi import DescribedService, service_document, workspace_document
from hypha.gateways.http.parameters import split_query
from hypha.gateways.http.results import response_made_in_thread

DESCRIPTION_FILE = "openapi.json"
MANAGER_ADDRESS = "ws"


class Descriptions:
    """Makes OpenAPI documents of what the caller may see."""

    def __init__(self, services: GatewayContext, calls: FunctionCalls) -> None:
        self._services = services
        self._calls = calls

    async def service(self, request: Request) -> Response:
        """The description of one service, under the address by which it was asked for."""
        workspace, address = request.path_params["workspace"], request.path_params["service"]
        services = self._services
        context = await services.credentials.context(request.scope, workspace)
        if address in MANAGER_NAMES:
            described = self._manager(workspace)
        else:
            pairs = split_query(request.scope["query_string"])
            record = await self._calls.find(workspace, address, context, pairs)
            info = record.to_info(context)
            functions = services.calling.describe(info, record)
            described = partial(DescribedService.of, workspace, address, info, functions)
        return await self._document(request, lambda: service_document(services, described()))

    async def workspace(self, request: Request) -> Response:
        """The description of all services of a workspace that the caller may list."""
        services, workspace = self._services, request.path_params["workspace"]
        context = await services.credentials.context(request.scope, workspace)
        if services.workspaces.get(workspace) is None and await services.workspaces.load(workspace) is None:
            raise WorkspaceNotFound(f"Workspace not found: {workspace}")
        found = await services.ask_manager("list_services", [{"workspace": workspace}], {}, context)
        described: list[Callable[[], DescribedService]] = [self._manager(workspace)]
        described += self._listed(workspace, found)
        return await self._document(request, lambda: workspace_document(services, workspace, described))

    @staticmethod
    async def _document(request: Request, make: Callable[[], dict[str, Any]]) -> Response:
        """Schemas of strangers take their time: the document is made in a thread, in the asker's share."""

        def pieces() -> list[bytes]:
            return [orjson.dumps(make(), option=orjson.OPT_NON_STR_KEYS)]

        response = await response_made_in_thread(request.scope, pieces, "application/json")
        response.headers["cache-control"] = "no-cache"
        return response

    def _manager(self, workspace: str) -> Callable[[], DescribedService]:
        manager = self._services.manager
        info = manager.to_info()
        functions = self._services.calling.describe(info, manager)
        return partial(DescribedService.of, workspace, MANAGER_ADDRESS, info, functions)

    def _listed(self, workspace: str, infos: list[dict[str, Any]]) -> list[Callable[[], DescribedService]]:
        """Services under their names, or as `client:name` where several share a name."""
        infos = [info for info in infos if info.get("type") != "built-in"]
        ids = [info["id"].removeprefix(f"{workspace}/").partition("@")[0] for info in infos]
        holders = Counter(id.rpartition(":")[2] for id in ids)
        described: list[Callable[[], DescribedService]] = []
        for id, info in zip(ids, infos, strict=True):
            name = id.rpartition(":")[2]
            is_plain = holders[name] == 1 and name not in MANAGER_NAMES
            address = name if is_plain else id
            functions = self._services.calling.describe(info)
            described.append(partial(DescribedService.of, workspace, address, info, functions))
        return described
