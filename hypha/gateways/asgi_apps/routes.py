"""Routes of mounted applications: `/{workspace}/apps/{service}/{path}`, any method, and WebSockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from hypha.errors import HyphaError, NotFound, PermissionDenied
from hypha.gateways.asgi_apps.answers import send_error, send_text
from hypha.gateways.asgi_apps.browsers import confining
from hypha.gateways.asgi_apps.cookies import AppCookies
from hypha.gateways.asgi_apps.functions import FunctionsApp
from hypha.gateways.asgi_apps.mount import Mount, is_cross_origin, is_own, places_of, visit_of
from hypha.gateways.asgi_apps.outgoing import Outgoing, until_gone
from hypha.gateways.asgi_apps.proxy import AsgiProxy
from hypha.gateways.asgi_apps.question import may_ask, send_question
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.calls import FunctionCalls
from hypha.gateways.http.parameters import split_query
from hypha.registry.records import ServiceRecord
from hypha.web.arrival import Arrival
from hypha.web.bodies import ClientLeft
from hypha.web.endpoint import Endpoint
from hypha.web.headers import headers_of
from hypha.web.scope import HEADERS, ON_APPS_ORIGIN, PREFIX, PREFLIGHT

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ASGI, FUNCTIONS = "asgi", "functions"
_REFUSED = 4403
_MISSING = 4404


class AppRoutes:
    """Serves the applications of clients and of the server itself."""

    def __init__(self, services: GatewayContext) -> None:
        self._services = services
        self._calls = FunctionCalls(services)
        self._base = services.base_path.rstrip("/")

    def routes(self) -> Sequence[BaseRoute]:
        """The routes, to be tried before those of pages."""
        path = "/{workspace}/apps/{service}"
        return [
            Route(path, self.to_mount, methods=METHODS),
            Route(path + "/{path:path}", Endpoint(self.serve_http)),
            WebSocketRoute(path + "/{path:path}", Endpoint(self.serve_websocket)),
        ]

    async def to_mount(self, request: Request) -> Response:
        """Add the slash that relative links of an application need."""
        words = (quote(request.path_params[name]) for name in ("workspace", "service"))
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{self._outer(request.scope)}/{'/apps/'.join(words)}/{query}", 307)

    def _outer(self, scope: Scope) -> str:
        """The path before that of a workspace, as the browser sees it."""
        return str(scope.get(PREFIX, "")) + self._base

    async def serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; refusals are plain text."""
        mount = None
        try:
            mount = await self._mount(scope, receive, send)
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
        except Elsewhere as elsewhere:
            await send_text(send, 307, "The application is there.", [(b"location", elsewhere.location)])
        except HyphaError as error:
            if mount is not None and mount.send.has_started:
                return  # the missing end tells the client that the answer broke off
            is_absent = mount is None and isinstance(error, NotFound | PermissionDenied)
            if is_absent and await self._ask(scope, send):
                return
            await send_error(send, error, scope, expose=self._services.expose_errors)
        finally:
            if mount is not None and mount.send.broke:
                await until_gone(receive)

    async def _ask(self, scope: Scope, send: Send) -> bool:
        """Ask a signed-in person whose session did not count; True if that is the answer."""
        credentials = self._services.credentials
        if credentials.arrival(scope) is not Arrival.OTHER or not may_ask(scope):
            return False
        visitor = await credentials.visitor(scope)
        if visitor is credentials.anonymous:
            return False
        workspace, service = scope["path_params"]["workspace"], scope["path_params"]["service"]
        front = f"{self._outer(scope)}/{quote(workspace)}/apps/{quote(service)}/"
        await send_question(scope, send, visitor, front, (workspace, service))
        return True

    async def serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket to an ASGI application; a refused one is closed before it opens."""
        visit = object()
        try:
            headers_of(scope)
            self._services.running.enter(visit, await self._services.party(scope))
            mount = await self._mount(scope, receive, send)
            if _kind(mount) == ASGI:
                await AsgiProxy(self._services, mount).run()
                return
            code, reason = _MISSING, "This service takes no WebSocket."
        except HyphaError as error:
            code, reason = (_MISSING if error.status == 404 else _REFUSED), error.message[:100]
        finally:
            self._services.running.leave(visit)
        await send({"type": "websocket.close", "code": code, "reason": reason})

    async def _mount(self, scope: Scope, receive: Receive, send: Send) -> Mount:
        words = scope["path_params"]
        workspace, service, path = words["workspace"], words["service"], f"/{words['path']}"
        context = await self._services.credentials.context(scope, workspace)
        pairs = split_query(scope["query_string"])
        record = await self._calls.find(workspace, service, context, pairs)
        self._check_origin(scope, record)
        raw_root, raw_path = places_of(scope, f"{self._base}/{workspace}/apps/{service}", path)
        prefix: str = scope.get(PREFIX, "")
        cookies = self._cookies(record, prefix.encode() + raw_root, raw_path)
        visit = visit_of(
            scope,
            cookies,
            self._services.is_token,
            is_own_code=is_own(context.user, record),
            raw_path=raw_path,
            may_use_cookies=scope["type"] == "http" or self._may_use_cookies(scope[HEADERS]),
        )
        visitor = await self._services.credentials.visitor(scope)  # how a page is shown runs nothing
        is_trusted = record.is_inner or self._services.trust_apps
        is_authors = is_own(visitor, record) and not is_trusted
        sandboxed = not (is_authors or is_trusted)
        outgoing = Outgoing(confining(send, cookies, sandboxed=sandboxed, is_authors=is_authors), scope)
        root = f"{prefix}{self._base}/{workspace}/apps/{service}"
        return Mount(record, context, scope, receive, outgoing, root, path, raw_path, visit)

    def _check_origin(self, scope: Scope, record: ServiceRecord) -> None:
        """Clients' applications have an origin for themselves, where one is set.

        Raises:
            Elsewhere: the application is there. NotFound: it is one of the server's own, which are not.
        """
        apps = self._services.apps_origin
        if apps is None or record.is_inner is not (ON_APPS_ORIGIN in scope):
            return
        if record.is_inner:
            raise NotFound("Not found: only applications of clients are served on this host.")
        raise Elsewhere(apps.address_of(scope))

    def _cookies(self, record: ServiceRecord, root: bytes, raw_path: bytes) -> AppCookies:
        """The cookies of a service mounted at `root`, for a request below it."""
        folder = root + raw_path.rpartition(b"/")[0]
        author = record.user_id if record.limit is None else f"{record.user_id} in {record.limit}"
        return AppCookies.of(author, record.workspace, record.name, root, folder)

    def _may_use_cookies(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether who opens a WebSocket may read what the application tells the cookies' owner."""
        return not is_cross_origin(headers) or self._services.cors.names(headers[b"origin"])


class Elsewhere(HyphaError):
    """An application is served at another address."""

    code, status = "elsewhere", 307

    def __init__(self, address: str) -> None:
        super().__init__(f"This application is served at {address[:200]}")
        self.location = address.encode("latin-1")


def _kind(mount: Mount) -> str:
    return str(mount.record.type).lower()
