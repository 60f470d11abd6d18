"""OpenAPI documents of one service and of one workspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from hypha.gateways.context import GatewayContext
from hypha.gateways.http.openapi.operations import mode_parameter, path_item, path_of
from hypha.gateways.http.openapi.schemas import SchemaPool
from hypha.gateways.http.openapi.services import DescribedService

MAX_FUNCTIONS = 2000
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
_ERRORS = {
    "400": (
        "Wrong arguments, a body that cannot be read, or a value that the function refuses",
        "invalid_arguments",
    ),
    "401": ("The credential is not valid", "not_authenticated"),
    "403": ("No right to it", "permission_denied"),
    "404": ("No such workspace, service or function, or the function found nothing", "not_found"),
    "405": ("Not GET or POST", "method_not_allowed"),
    "409": ("It is there already, or was changed meanwhile", "conflict"),
    "413": ("The body is too large", "frame_too_large"),
    "415": ("The body is neither JSON nor msgpack", "unsupported_type"),
    "429": ("Too many requests", "rate_limited"),
    "500": ("The function failed", "call_failed"),
    "503": ("The provider is not connected; it never saw the call", "not_delivered"),
    "504": ("No answer in time; the call may have run", "outcome_unknown"),
}
_HOW_TO_CALL = (
    "Every function takes its arguments from the query (GET) or from a JSON or msgpack body (POST): an "
    "object gives them by name, an array by position. The answer has the type of the body. Send a token as "
    "`Authorization: Bearer …`; public services need none."
)


def error_schema() -> dict[str, Any]:
    """The body of every error."""
    return {
        "type": "object",
        "required": ["success", "detail", "code", "request_id"],
        "properties": {
            "success": {"const": False},
            "detail": {"type": "string", "description": "One sentence: what happened and what to do"},
            "code": {"type": "string", "description": "Stable name of the kind of error"},
            "request_id": {"type": "string", "description": "Tell it to the operator"},
            "hint": {"type": "string", "description": "What to try next"},
        },
    }


def components() -> dict[str, Any]:
    """What all documents share: how to sign in, errors, the choice among providers."""
    return {
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A token from `generate_token` or the login page",
            }
        },
        "parameters": {"mode": mode_parameter()},
        "responses": {f"E{code}": _error_response(code) for code in _ERRORS},
        "schemas": {"Error": error_schema()},
    }


def _error_response(code: str) -> dict[str, Any]:
    text, name = _ERRORS[code]
    example = {"success": False, "detail": f"{text}.", "code": name, "request_id": "mR4vTq8WcYdZk2Xn"}
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": example}
    response: dict[str, Any] = {"description": text, "content": {"application/json": content}}
    if code == "429":
        wait = {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}
        response["headers"] = {"Retry-After": wait}
    return response


def _document(services: GatewayContext, title: str, parts: Sequence[str]) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": services.version or "0",
            "description": "\n\n".join(part for part in parts if part),
        },
        "servers": [{"url": services.public_base_url or services.base_path or "/"}],
        "security": [{}, {"token": []}],
        "tags": [],
        "paths": {},
        "components": components(),
    }


def _add(document: dict[str, Any], service: DescribedService, pool: SchemaPool, room: int) -> None:
    tag = {"name": service.address, "description": service.description or service.title}
    if tag["name"] not in {known["name"] for known in document["tags"][-1:]}:
        document["tags"].append(tag)
    for function in service.functions[:room]:
        document["paths"][path_of(service, function.path)] = path_item(service, function, pool)


def service_document(services: GatewayContext, service: DescribedService) -> dict[str, Any]:
    """OpenAPI 3.1 of one service, as plain data."""
    is_link = service.docs.startswith(("https://", "http://"))
    texts = (service.description, "" if is_link else service.docs, _HOW_TO_CALL)
    document = _document(services, service.title, texts)
    if is_link:
        document["externalDocs"] = {"url": service.docs.split()[0]}
    pool = SchemaPool()
    pool.components = document["components"]["schemas"]
    _add(document, service, pool, MAX_FUNCTIONS)
    return document


def workspace_document(
    services: GatewayContext, workspace: str, described: Sequence[Callable[[], DescribedService]]
) -> dict[str, Any]:
    """OpenAPI 3.1 of all given services of a workspace, as far as they are not too many or too large.

    It may take seconds: make it in a thread.
    """
    document = _document(services, f"Workspace {workspace}", (_HOW_TO_CALL,))
    pool = SchemaPool()
    pool.components = document["components"]["schemas"]
    left_out, size = 0, 0
    for describe in described:
        service, known = describe(), len(document["paths"])
        room = MAX_FUNCTIONS - known if size < MAX_DOCUMENT_BYTES else 0
        left_out += max(0, len(service.functions) - room)
        if room > 0:
            _add(document, service, pool, room)
            added = list(document["paths"].values())[known:]
            size += len(orjson.dumps(added, option=orjson.OPT_NON_STR_KEYS))
    if left_out:
        text = f"{left_out} more functions are described at their services only: `…/openapi.json` of each."
        document["info"]["description"] += f"\n\n{text}"
    return document
