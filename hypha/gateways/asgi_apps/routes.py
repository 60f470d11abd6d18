"""Routes of mounted applications: `/{workspace}/apps/{service}/{path}`, any method, and WebSockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send

from hypha.errors import HyphaError
from hypha.gateways.asgi_apps.answers import send_error, send_text
from hypha.gateways.asgi_apps.browsers import confining
from hypha.gateways.asgi_apps.cookies import AppCookies
from hypha.gateways.asgi_apps.functions import FunctionsApp
from hypha.gateways.asgi_apps.mount import Mount, is_cross_origin, is_own, places_of, visit_of
from hypha.gateways.asgi_apps.proxy import AsgiProxy
from hypha.gateways.http.bodies import ClientLeft
from hypha.gateways.http.calls import FunctionCalls
from hypha.gateways.http.cors import PREFLIGHT
from hypha.gateways.http.parameters import split_query
from hypha.gateways.http.services import HttpServices
from hypha.web.headers import by_name

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ASGI, FUNCTIONS = "asgi", "functions"
_REFUSED = 4403
_MISSING = 4404


class AppRoutes:
    """Serves the applications of clients and of the server itself."""

    def __init__(self, services: HttpServices) -> None:
        self._services = services
        self._calls = FunctionCalls(services)

    def routes(self) -> Sequence[BaseRoute]:
        """The routes, to be tried before those of pages."""
        path = "/{workspace}/apps/{service}"
        return [
            Route(path, self.to_mount, methods=METHODS),
            Route(path + "/{path:path}", _Endpoint(self.serve_http)),
            WebSocketRoute(path + "/{path:path}", _Endpoint(self.serve_websocket)),
        ]

    async def to_mount(self, request: Request) -> Response:
        """Add the slash that relative links of an application need."""
        words = (quote(request.path_params[name]) for name in ("workspace", "service"))
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{self._services.base_path.rstrip('/')}/{'/apps/'.join(words)}/{query}", 307)

    async def serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; refusals are plain text."""
        has_started = False

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            mount = await self._mount(scope, receive, watched)
            kind = _kind(mount)
            if kind == ASGI:
                await AsgiProxy(self._services, mount).run()
            elif kind == FUNCTIONS and PREFLIGHT in scope:  # functions would take it for a call
                await send_text(send, 405, "Not an ASGI application.")
            elif kind == FUNCTIONS:
                await FunctionsApp(self._services, mount).run()
            else:
                await send_text(send, 500, f"Invalid service type: {kind[:80]}")
        except ClientLeft:
            return
        except HyphaError as error:
            if has_started:
                return  # the missing end tells the client that the answer broke off
            await send_error(send, error, scope, expose=self._services.expose_errors)

    async def serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket to an ASGI application; a refused one is closed before it opens."""
        try:
            scope["hypha.headers"] = by_name(scope["headers"])
            mount = await self._mount(scope, receive, send)
            if _kind(mount) == ASGI:
                await AsgiProxy(self._services, mount).run()
                return
            code, reason = _MISSING, "This service takes no WebSocket."
        except HyphaError as error:
            code, reason = (_MISSING if error.status == 404 else _REFUSED), error.message[:100]
        await send({"type": "websocket.close", "code": code, "reason": reason})

    async def _mount(self, scope: Scope, receive: Receive, send: Send) -> Mount:
        words = scope["path_params"]
        workspace, service, path = words["workspace"], words["service"], f"/{words['path']}"
        context = await self._services.credentials.context(scope, workspace)
        pairs = split_query(scope["query_string"])
        record = await self._calls.find(workspace, service, context, pairs)
        root = f"{self._services.base_path.rstrip('/')}/{workspace}/apps/{service}"
        raw_root, raw_path = places_of(scope, root, path)
        folder = (raw_root + raw_path.rpartition(b"/")[0]) or raw_root
        cookies = AppCookies.of(record.user_id, record.workspace, record.name, raw_root, folder)
        own = is_own(context.user, record)
        is_token = self._services.is_token
        visit = visit_of(
            scope,
            cookies,
            is_token,
            is_own_code=own,
            raw_path=raw_path,
            may_use_cookies=scope["type"] == "http" or self._may_use_cookies(scope["hypha.headers"]),
        )
        sandboxed = not (own or record.is_inner or self._services.trust_apps)
        send = confining(send, cookies, sandboxed=sandboxed)
        return Mount(record, context, scope, receive, send, root, path, raw_path, visit)

    def _may_use_cookies(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether who opens a WebSocket may read what the application tells the cookies' owner."""
        return not is_cross_origin(headers) or self._services.cors.names(headers[b"origin"])


class _Endpoint:
    """An ASGI endpoint from a method: the router passes it every HTTP method."""

    def __init__(self, serve: Any) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


def _kind(mount: Mount) -> str:
    return str(mount.record.type).lower()
