"""The ASGI application: the one place where every HTTP request comes in.

A plain edge instead of a stack of middlewares: path check, probes, limits, CORS, then a literal
dispatch of function calls (the hot path) ahead of the router's regular expressions.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Router
from starlette.types import Lifespan, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from starlette_compress import CompressMiddleware, remove_compress_type

from hypha.auth.blocklist import Blocked
from hypha.errors import HyphaError, InvalidKey, InvalidRequest, NotDelivered, NotFound, RateLimited
from hypha.gateways.context import GatewayContext
from hypha.gateways.http.calls import Call, FunctionCalls
from hypha.gateways.http.descriptions import DESCRIPTION_FILE
from hypha.gateways.http.entrances import is_for_all
from hypha.gateways.http.errors import call_error_answer
from hypha.gateways.http.incoming import answering, check_request, fault_of_handshake, receiving, without_host
from hypha.gateways.http.probes import Probes
from hypha.gateways.http.routes import CoreRoutes
from hypha.gateways.http.sending import StartedSend, send_whole
from hypha.limits import Party
from hypha.limits.turns import on_behalf_of
from hypha.web.arrival import mount_of
from hypha.web.bodies import ClientLeft
from hypha.web.errors import ErrorAnswer, error_answer
from hypha.web.headers import headers_of
from hypha.web.heads import METHODS
from hypha.web.ratelimits import RequestLimits
from hypha.web.scope import (
    ANSWER,
    BODY_IS_HERE,
    HEADERS,
    HOLDING,
    ON_APPS_ORIGIN,
    PATH,
    PREFLIGHT,
    UNCOMPRESSED,
)

logger = logging.getLogger(__name__)

COMPRESS_FROM_BYTES = 500
GZIP_LEVEL = 4
MAX_SHOWN_PATH = 200
APPS = "/apps/"
_READING = {"Allow": "GET, HEAD"}
_CODINGS = re.compile(rb"gzip|zstd|br|\*")


class HttpApplication(Starlette):
    """Answers HTTP from `services`.

    Routes are tried in this order: probes, function calls, `first` (features, transports, files), `apps`,
    the core's own, `last` (pages); on an origin that applications have for themselves `apps` alone. A
    route with a literal first path word keeps that word: function calls are not looked for below it, and
    no workspace may have one of these `words` as its id. WebSocket scopes go to the router. On the paths
    `streams` links of clients run, which have limits and back-pressure of their own, as WebSockets have.
    """

    def __init__(
        self,
        services: GatewayContext,
        *,
        first: Sequence[BaseRoute] = (),
        last: Sequence[BaseRoute] = (),
        apps: Sequence[BaseRoute] = (),
        streams: Iterable[str] = (),
        lifespan: Lifespan[Any] | None = None,
    ) -> None:
        self._services = services
        self._calls = FunctionCalls(services)
        core = CoreRoutes(services, self._calls)
        own = [*core.fixed(), *core.of_workspaces()]
        super().__init__(routes=[*first, *apps, *own, *last], lifespan=lifespan)
        self.router.redirect_slashes = False
        self.router.default = self._unknown
        self._apps = Router(apps, redirect_slashes=False, default=self._unknown)
        self._probes = Probes(services).by_path
        paths = [*map(path_of, self.routes), *self._probes, *services.inactive]
        self.words = literal_words(paths)
        self._streams = frozenset(streams)
        self._base = services.base_path.rstrip("/")
        self._rates = None if services.rates is None or services.rates.limits.is_off else services.rates
        self._limits = None if services.limits is None or services.limits.is_off else services.limits
        remove_compress_type("text/event-stream")
        self._compressing = CompressMiddleware(
            self._serve, minimum_size=COMPRESS_FROM_BYTES, gzip_level=GZIP_LEVEL
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, WebSocket or lifespan."""
        scope["app"] = self
        if scope["type"] == "websocket":
            scope["path"] = without_host(scope["path"])
        if scope["type"] != "lifespan":
            self._services.proxies.enter(scope)
            if self._services.apps_origin is not None:
                self._services.apps_origin.enter(scope)
        if scope["type"] == "http":
            await self._handle(scope, receive, send)
            return
        if scope["type"] == "websocket":
            scope[PATH] = self._enter_base(scope)
            fault = fault_of_handshake(scope)
            if fault is not None:
                await _deny(scope, receive, send, fault)
                return
        await self._router_of(scope)(scope, receive, send)

    def _router_of(self, scope: Scope) -> Router:
        """All routes, but only those of applications on the origin that they have for themselves."""
        return self._apps if ON_APPS_ORIGIN in scope else self.router

    def _enter_base(self, scope: Scope) -> str | None:
        """Path below the base path, or None when the request is outside of it."""
        path: str = scope["path"]
        base = self._base
        if not base:
            return path
        if path != base and not path.startswith(base + "/"):
            return None
        scope["root_path"] = base
        if path == base:
            scope["path"] = base + "/"
        return path[len(base) :] or "/"

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._enter_base(scope)
        in_app = path is not None and APPS in path and path.split("/", 3)[2] == "apps"
        try:
            headers = headers_of(scope)
            check_request(scope, headers, in_app=in_app)
        except (InvalidRequest, HTTPException) as error:
            await _send_error(send, error_answer(error, scope))
            return
        receive, send = answering(headers, receiving(scope, headers, receive), send)
        origin = headers.get(b"origin")
        if origin is not None:
            cors = self._services.cors
            if scope["method"] != "OPTIONS" or b"access-control-request-method" not in headers:
                send = cors.sending(send, origin, in_app=in_app or _is_page(path))
            elif in_app and cors.asks_application(origin):
                scope[PREFLIGHT] = True
                send = cors.preflighting(send, headers)
            else:
                status, answer, body = cors.preflight(headers, in_app=in_app or _is_page(path))
                await _send(send, status, answer, body)
                return
        if await self._has_answered(path, scope, send):
            return
        scope[PATH] = path
        accepted = headers.get(b"accept-encoding")
        if in_app:  # applications compress by themselves, and may stream
            await self._serve(scope, receive, send)
        elif accepted is not None and _CODINGS.search(accepted):
            scope[UNCOMPRESSED] = send
            await self._compressing(scope, receive, partial(send_whole, send))
        else:
            await self._serve(scope, receive, send)

    async def _has_answered(self, path: str | None, scope: Scope, send: Send) -> bool:
        """Answer `OPTIONS *` and the probes, which need nothing else of the server."""
        if scope["path"] == "*":
            await _send(send, 204, [(b"allow", ", ".join(sorted(METHODS)).encode())], b"")
            return True
        probe = None if path is None or ON_APPS_ORIGIN in scope else self._probes.get(path)
        if probe is None:
            return False
        if scope["method"] in ("GET", "HEAD"):
            await probe(scope, send)
        else:
            await _send_error(send, error_answer(HTTPException(405, headers=_READING), scope))
        return True

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = StartedSend(scope, send, self._services.downloads)
        try:
            path: str | None = scope[PATH]
            if path is None or _is_odd(path):
                raise _odd(scope["path"])
            if not self._services.health.is_ready and path not in self._streams:
                raise NotDelivered("The server is stopping. Try again in a few seconds.")
            receive = await self._admit(scope, path, receive, started)
            call = None if ON_APPS_ORIGIN in scope else self._call(path, scope, receive, started)
            with on_behalf_of("" if started.party is None else started.party.name):
                if call is not None:
                    await self._calls.handle(call)
                else:
                    await self._router_of(scope)(scope, receive, started)
        except ClientLeft:
            return
        except Exception as error:
            if isinstance(error, HTTPException) and error.status_code == 404 and error.detail == "Not Found":
                error = self._absence(scope)
            answer = call_error_answer(error, scope, expose=self._services.expose_errors)
            if started.has_started:
                logger.warning("request %s broke off after its answer had begun", scope["path"])
                if isinstance(error, RateLimited):  # the missing end tells the client
                    return
                raise
            await _send_error(started, answer)
        finally:
            self._services.running.leave(started)
            started.close()

    async def _admit(self, scope: Scope, path: str, receive: Receive, started: StartedSend) -> Receive:
        """Check that a request may run: its address, rates, and room for it and its body.

        Returns what gives its body.
        """
        services = self._services
        if services.blocklist.is_active:
            await self._check_blocked(scope)
        if not services.credentials.serves_anonymous and not is_for_all(path, services.mounts):
            await services.credentials.check_insider(scope, as_visitor=mount_of(path) is not None)
        party = await services.party(scope)
        started.party, started.uploads = party, services.uploads
        if path not in self._streams:
            if self._limits is not None:
                self._check_limits(self._limits, party, started)
            if self._rates is not None:
                receive = await self._check_rates(scope, path, receive)
        if path not in self._streams or scope["method"] != "GET":  # which runs as long as its client
            services.running.enter(started, party)
        if BODY_IS_HERE not in scope and _has_body(scope["method"], scope[HEADERS]):
            receive = started.upload = services.uploads.of(receive, party)
        scope[HOLDING] = started.holding = services.workbench.holding(party)
        scope[ANSWER] = started
        return receive

    def _call(self, path: str, scope: Scope, receive: Receive, send: Send) -> Call | None:
        """What `/{ws}/services/{id}/{fn}` asks for; None for other paths."""
        if "/services/" not in path:
            return None
        words = path.split("/")
        if len(words) != 5 or words[2] != "services" or words[1] in self.words:
            return None
        workspace, service, function = words[1], words[3], words[4]
        if function == DESCRIPTION_FILE:
            return None
        if not (workspace and service and function):
            return None
        return Call(scope, receive, send, workspace, service, function)

    async def _check_blocked(self, scope: MutableMapping[str, Any]) -> None:
        """Refuse a blocked address, unless an administrator shows who he is."""
        services = self._services
        address = services.proxies.client_address(scope, scope[HEADERS])
        try:
            services.blocklist.check_address(address)
        except Blocked:
            if not (await services.credentials.user(scope)).is_admin:
                raise

    @staticmethod
    def _check_limits(limits: RequestLimits, party: Party, started: StartedSend) -> None:
        """Count a request; its answer, whatever it will be, tells the caller what is left."""
        buckets = limits.by_address if party.is_stranger else limits.by_user
        if buckets.rate_per_s <= 0:
            return
        wait_s, left = buckets.take_one(party.name)
        started.extra = [
            (b"x-ratelimit-limit", b"%d" % buckets.burst),
            (b"x-ratelimit-remaining", b"%d" % left),
        ]
        if wait_s:
            raise RateLimited("Rate limit exceeded. Please slow down.", retry_after_s=wait_s)

    async def _check_rates(self, scope: MutableMapping[str, Any], path: str, receive: Receive) -> Receive:
        """Count a request against the rates of its user and of the workspace in which it acts.

        Returns `receive`, which counts the bytes of a body that has not told its size.
        """
        word = path.split("/", 2)[1]
        workspace = "" if word in self.words else word
        payer, rates = await self._services.credentials.payer(scope, workspace), self._rates
        if rates is None or payer is None:
            return receive
        length: bytes = scope[HEADERS].get(b"content-length", b"")
        size = int(length) if length.isdigit() else 0
        wait_s = rates.try_take(payer.user.id, payer.workspace, size)
        if wait_s:
            raise RateLimited("Rate limit exceeded. Please slow down.", retry_after_s=wait_s)
        if length:
            return receive

        async def counted() -> Message:
            message = await receive()
            rates.charge(payer.user.id, payer.workspace, len(message.get("body", b"")))
            return message

        return counted

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        """No route matches."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        raise self._absence(scope)

    def _absence(self, scope: Scope) -> NotFound:
        """Nothing is at this path; if a feature that is not there owns it, say so."""
        if ON_APPS_ORIGIN in scope:
            return NotFound("Not found: only applications of clients are served on this host.")
        words = (scope.get(PATH) or "/").split("/")
        inactive = self._services.inactive
        sentence = inactive.get(f"/{words[1]}")
        if sentence is None and len(words) > 2:
            sentence = inactive.get(f"/{{workspace}}/{words[2]}")
        return NotFound(sentence) if sentence else _not_found(scope["path"])


def _is_page(path: str | None) -> bool:
    """Whether the pages of an artifact are there, which read what they are made of without an origin."""
    return path is not None and path.split("/", 3)[2:3] == ["view"]


def _has_body(method: str, headers: Mapping[bytes, bytes]) -> bool:
    return method not in ("GET", "HEAD") or b"content-length" in headers or b"transfer-encoding" in headers


def path_of(route: BaseRoute) -> str:
    """The pattern of a route's path."""
    return str(getattr(route, "path", ""))


def literal_words(paths: Iterable[str]) -> frozenset[str]:
    """First words of these paths, where they are literal; `public` is a workspace."""
    words = {path.strip("/").partition("/")[0] for path in paths}
    return frozenset(word for word in words if word not in ("", "public") and "{" not in word)


def _is_odd(path: str) -> bool:
    """True for paths that climb or hide something; no route of ours has such a name."""
    return "\0" in path or "/../" in path or path.endswith("/..") or "/./" in path


def _odd(path: str) -> HyphaError:
    """What is told of a path that climbs: of a file it is malformed, elsewhere nothing is there."""
    if "/files/" in path:
        return InvalidKey("The path of a file has '..', '.' or a NUL character in it: write it without.")
    return _not_found(path)


def _not_found(path: str) -> NotFound:
    shown = path.lstrip("/")[:MAX_SHOWN_PATH]
    return NotFound(f"File not found: {shown}")


async def _deny(scope: Scope, receive: Receive, send: Send, fault: str) -> None:
    """Refuse a WebSocket before it opens: with 400 where the HTTP server lets us, else it says 403."""
    socket = WebSocket(scope, receive, send)
    if "websocket.http.response" in scope.get("extensions", {}):
        await socket.send_denial_response(PlainTextResponse(fault, 400))
    else:
        await socket.close()


async def _send_error(send: Send, answer: ErrorAnswer) -> None:
    headers = [(b"content-type", b"application/json"), *answer.headers]
    await _send(send, answer.status, headers, answer.body)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
