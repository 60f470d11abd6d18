"""Handlers in the form of `functions` services: a request as a map, an answer as a map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hypha.auth.users import User
from hypha.errors import CallFailed
from hypha.web.bodies import read_whole
from hypha.web.headers import by_name, fields_of
from hypha.web.signing_in import LOGIN_SERVICE

MAX_BODY_BYTES = 1024 * 1024


async def event_of(request: Request, user: User) -> dict[str, Any]:
    """The request as a handler of a provider sees it (docs/applications.md#functions-services)."""
    body = b""
    if request.method not in ("GET", "HEAD"):
        text = f"The body is larger than {MAX_BODY_BYTES} bytes."
        body = await read_whole(request.receive, MAX_BODY_BYTES, text)
    scope = request.scope
    return {
        "type": "http",
        "method": request.method,
        "scheme": scope.get("scheme", "http"),
        "http_version": scope.get("http_version", "1.1"),
        "path": f"/{request.path_params.get('path', '')}",
        "raw_path": str(request.url.path),
        "query_string": scope.get("query_string", b"").decode("latin-1"),
        "headers": {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in by_name(scope["headers"]).items()
        },
        "body": body or None,
        "workspace": "public",
        "service_id": LOGIN_SERVICE,
        "user": user.to_wire(),
    }


def response_of(result: Any) -> Response:
    """The answer of such a handler; text is a page, other plain data is JSON."""
    if isinstance(result, Response):
        return result
    if not isinstance(result, Mapping) or not {"status", "headers", "body"} & set(result):
        result = {"body": result}
    status = result.get("status", 200)
    body = result.get("body")
    try:
        headers = [pair for pair in fields_of(result.get("headers")) if pair[0] != b"content-length"]
    except ValueError:
        raise CallFailed("ValueError: The function answered with malformed headers.") from None
    named = {name for name, _ in headers}
    if body is None or isinstance(body, bytes | str):
        content: bytes | str = b"" if body is None else body
        kind = "text/html; charset=utf-8" if isinstance(body, str) else None
    else:
        content, kind = json.dumps(body), "application/json"
    if kind is not None and b"content-type" not in named:
        headers.append((b"content-type", kind.encode()))
    answer = Response(content, int(status))
    answer.raw_headers += headers
    return answer
