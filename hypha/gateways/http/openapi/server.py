"""The OpenAPI description of the HTTP routes, made from the routes and the manager's schemas."""

from __future__ import annotations

from typing import Any

from hypha.gateways.context import GatewayContext
from hypha.gateways.http.openapi.documents import components
from hypha.gateways.http.openapi.schemas import SchemaPool
from hypha.registry.described import functions_in

_TEXT = {"type": "string"}
_ERROR_BODY = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_ERROR = {"description": "Refused or failed", "content": _ERROR_BODY}
_NAMES = {
    "workspace": "Workspace id, e.g. `public` or `ws-user-anna`",
    "service": "Service name, or `client:name`, optionally with `@app`",
    "function": "Function name; dots reach into nested groups",
    "page": "File name",
}
_CALL_TEXT = (
    "GET takes arguments from the query, POST from a JSON or msgpack body: an object gives keyword "
    "arguments, an array positional ones, a single value the only one. The answer has the type of the "
    "body. Generators answer as a stream: server-sent events ending with `data: [DONE]`, or one msgpack "
    "value after another. `_mode` in the query chooses among several providers. "
    "In JSON arrays are nested lists and bytes base64 text; `_arrays` and `_bytes` (`list` or `base64`) "
    "in the query choose otherwise."
)


def server_document(services: GatewayContext) -> dict[str, Any]:
    """OpenAPI 3.1 of all routes, as plain data."""
    url = services.public_base_url or services.base_path or "/"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hypha",
            "version": services.version or "0",
            "description": "Call services of connected programs, browsers and instruments by HTTP.",
        },
        "servers": [{"url": url}],
        "security": [{}, {"token": []}],
        "paths": {**_server_paths(), **_workspace_paths(), **_manager_paths(services)},
        "components": components(),
    }


def _operation(
    summary: str, tag: str, *, names: tuple[str, ...] = (), kind: str = "application/json", **more: Any
) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT, "description": _NAMES[name]}
        for name in names
    ]
    answers = {"200": {"description": "OK", "content": {kind: {}}}, "default": _ERROR}
    operation: dict[str, Any] = {"summary": summary, "tags": [tag], "responses": answers, **more}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _server_paths() -> dict[str, Any]:
    rows = {
        "/": ("Landing page", "text/html"),
        "/health": ("Health; the full report needs an admin's token", "application/json"),
        "/health/readiness": ("Whether new work may be sent here", "application/json"),
        "/health/liveness": ("Whether the process is alive", "application/json"),
        "/metrics": ("Prometheus metrics", "text/plain"),
        "/openapi.json": ("This description", "application/json"),
        "/api-docs": ("This description, to read", "text/html"),
        "/assets/config.json": ("What a page needs to connect", "application/json"),
        "/assets/hypha-rpc-websocket.js": ("The JavaScript client", "application/javascript"),
        "/assets/hypha-rpc-websocket.mjs": ("The JavaScript client, as a module", "application/javascript"),
        "/login": ("To the login page", "text/html"),
    }
    paths = {path: {"get": _operation(text, "server", kind=kind)} for path, (text, kind) in rows.items()}
    paths["/ws"] = {"get": _operation("WebSocket transport of the clients (426 without upgrade)", "clients")}
    paths["/rpc"] = {
        "get": _operation("Stream of frames to one client", "clients", kind="application/octet-stream"),
        "post": _operation("Frames from one client", "clients"),
    }
    return paths


def _workspace_paths() -> dict[str, Any]:
    one, two = ("workspace",), ("workspace", "service")
    call_names = (*two, "function")
    body: dict[str, Any] = {"content": {"application/json": {"schema": {}}, "application/msgpack": {}}}
    call = "Call a function"
    return {
        "/{workspace}/": {
            "get": _operation("Page of a workspace", "workspaces", names=one, kind="text/html")
        },
        "/{workspace}/info": {"get": _operation("Information on a workspace", "workspaces", names=one)},
        "/{workspace}/services/": {"get": _operation("Services that you may see", "services", names=one)},
        "/{workspace}/openapi.json": {
            "get": _operation("OpenAPI of the services that you may see", "workspaces", names=one)
        },
        "/{workspace}/services/{service}": {"get": _operation("One service", "services", names=two)},
        "/{workspace}/services/{service}/openapi.json": {
            "get": _operation("OpenAPI of one service", "services", names=two)
        },
        "/{workspace}/services/{service}/{function}": {
            "get": _operation(call, "services", names=call_names, description=_CALL_TEXT),
            "post": _operation(call, "services", names=call_names, description=_CALL_TEXT, requestBody=body),
        },
    }


def _manager_paths(services: GatewayContext) -> dict[str, Any]:
    paths, pool = {}, SchemaPool()
    for name, function in functions_in(services.manager.service_schema):
        schema = pool.cleaned(function.get("parameters") or {"type": "object"})
        text = function.get("description") or ""
        operation = _operation(
            text.strip().partition("\n")[0] or name,
            "workspace manager",
            names=("workspace",),
            description=text,
            operationId=f"manager_{name}",
            requestBody={"content": {"application/json": {"schema": schema}}},
        )
        paths[f"/{{workspace}}/services/ws/{name}"] = {"post": operation}
    return paths
