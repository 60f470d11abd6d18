"""Handlers in the form of `functions` services: a request as a map, an answer as a map."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hypha.auth.users import User
from hypha.web.bodies import read_whole
from hypha.web.function_pages import JSON_TYPE, PageAnswer
from hypha.web.headers import by_name
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
    """The answer of such a handler; text, bytes or nothing by themselves are a body."""
    if isinstance(result, Response):
        return result
    is_body = result is None or isinstance(result, str | bytes)
    answer = PageAnswer.of({"body": result} if is_body else result)
    data, kind = answer.content or (json.dumps(answer.body).encode(), JSON_TYPE)
    response = Response(data, answer.status)
    fields = [pair for pair in answer.fields if pair[0] != b"content-length"]
    response.raw_headers += answer.with_type(fields, kind)
    return response
