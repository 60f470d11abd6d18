"""The page of the terminal worker, as an ASGI service: it holds nothing but itself.

Who opens it signs in there, and calls the worker as any client does: the worker decides who may do what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

SERVICE_ID = "hypha-terminal"
_TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript", "css": "text/css"}
_PAGES = ("index.html", "terminal.js", "terminal.css")
# the published JavaScript client evaluates a string when it loads
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self'; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
    "referrer-policy": "same-origin",
}


def page_service(worker_id: str) -> dict[str, Any]:
    """The service to register; `worker_id` is that of the worker, which the page calls."""
    folder = files(__package__).joinpath("pages")
    bodies = {name: folder.joinpath(name).read_bytes() for name in _PAGES}
    bodies["config.json"] = json.dumps({"worker": worker_id}).encode()
    bodies[""] = bodies["index.html"]

    async def serve(args: Mapping[str, Any]) -> None:
        scope, send = args["scope"], args["send"]
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        name = str(scope["path"]).strip("/")
        is_there = name in bodies and scope["method"] in ("GET", "HEAD")
        kind = _TYPES.get((name or "index.html").rpartition(".")[2], "application/json")
        headers = {**_HEADERS, "content-type": kind if is_there else "text/plain"}
        pairs = [[key.encode(), value.encode()] for key, value in headers.items()]
        await send({"type": "http.response.start", "status": 200 if is_there else 404, "headers": pairs})
        await send({"type": "http.response.body", "body": bodies[name] if is_there else b"Not found"})

    return {
        "id": SERVICE_ID,
        "name": "Terminals",
        "description": "The page of the terminal worker",
        "type": "asgi",
        "config": {"visibility": "public"},
        "serve": serve,
    }
