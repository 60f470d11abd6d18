"""Which other web sites' pages may read our answers (docs/http.md#for-operators)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.types import Message, Send

from hypha.web.scope import NAMED

ALLOWED_METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
ALLOWED_HEADERS = ", ".join(
    (
        "Content-Type",
        "Authorization",
        "Origin",
        "Accept",
        "X-Requested-With",
        "Range",
        "Content-Encoding",
        "Accept-Encoding",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "Inference-Header-Content-Length",
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
        "Content-Digest",
        "X-Amz-Checksum-Sha256",
        "X-Hypha-Stream",
        "X-Request-ID",
        "traceparent",
    )
).encode()
EXPOSED_HEADERS = (
    b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After, "
    b"WWW-Authenticate, X-Hypha-Stream, X-JSON-Values, X-RateLimit-Limit, X-RateLimit-Remaining, "
    b"X-Storage-Limit, X-Storage-Used"
)
PREFLIGHT_AGE_S = b"600"
SANDBOXED = b"null"
_IN_APP = [(b"access-control-expose-headers", b"*"), (b"vary", b"Origin")]
_OF_APP = frozenset(
    {b"access-control-allow-headers", b"access-control-allow-methods", b"access-control-max-age"}
)
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")

Fields = list[tuple[bytes, bytes]]


class CorsPolicy:
    """Origins whose pages may call; `*` stands for all and echoes the one that asks.

    Cookies go across origins only to an origin that is named, here or by the application that answers;
    `*` names none.

    Pages of applications that clients serve have no origin (hypha.gateways.asgi_apps.browsers). They
    may always read what applications answer, `in_app`, and send headers of their own, but no cookies.
    """

    def __init__(self, origins: Iterable[str] = ("*",)) -> None:
        names = {origin.strip().rstrip("/").lower() for origin in origins}
        self._all = "*" in names
        self._origins = frozenset(name.encode() for name in names if name)

    def allows(self, origin: bytes) -> bool:
        """True when pages of this origin may read answers."""
        return self._all or origin.lower() in self._origins

    def names(self, origin: bytes) -> bool:
        """True when the operator has named this origin, whose pages so may use cookies."""
        return origin != SANDBOXED and origin.lower() in self._origins

    def headers(self, origin: bytes, *, in_app: bool = False, is_named: bool = False) -> Fields:
        """What is added to every answer to a request that names an origin.

        `is_named` is true where the application that answers has named the origin.
        """
        if in_app and origin == SANDBOXED:
            return [(b"access-control-allow-origin", origin), *_IN_APP]
        is_named = is_named or self.names(origin)
        if not (is_named or self.allows(origin)):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin),
            *([(b"access-control-allow-credentials", b"true")] if is_named else []),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]

    def preflight(
        self, headers: Mapping[bytes, bytes], *, in_app: bool = False, is_named: bool = False
    ) -> tuple[int, Fields, bytes]:
        """Status, headers and body of the answer to an `OPTIONS` question of a browser."""
        origin = headers[b"origin"]
        is_sandboxed = in_app and origin == SANDBOXED
        if not (is_sandboxed or is_named or self.allows(origin)):
            return 400, [_PLAIN, (b"vary", b"Origin")], b"Disallowed CORS origin"
        asked = headers.get(b"access-control-request-headers", b"") if is_sandboxed else b""
        answer = self.headers(origin, in_app=in_app, is_named=is_named)
        answer += [
            _PLAIN,
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", asked or ALLOWED_HEADERS),
            (b"access-control-max-age", PREFLIGHT_AGE_S),
        ]
        return 200, answer, b"OK"

    def asks_application(self, origin: bytes) -> bool:
        """True if only the application may know whether pages of this origin use its cookies."""
        return origin != SANDBOXED and not self.names(origin)

    def preflighting(self, send: Send, headers: Mapping[bytes, bytes]) -> Send:
        """`send` for an application that is asked a browser's `OPTIONS` question.

        If it names the origin, what it allows is passed on; otherwise its answer is replaced by ours.
        """

        async def send_preflight(message: Message) -> None:
            if message["type"] != "http.response.start":
                return
            is_named = bool(message.get(NAMED))
            status, answer, body = self.preflight(headers, in_app=True, is_named=is_named)
            own = [pair for pair in message.get("headers", ()) if is_named and pair[0] in _OF_APP]
            said = {name for name, _ in own}
            answer = [pair for pair in answer if pair[0] not in said] + own
            answer.append((b"content-length", b"%d" % len(body)))
            await send({"type": "http.response.start", "status": status, "headers": answer})
            await send({"type": "http.response.body", "body": body})

        return send_preflight

    def sending(self, send: Send, origin: bytes, *, in_app: bool = False) -> Send:
        """`send`, with the headers of this policy added to the start of the answer."""

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = self.headers(origin, in_app=in_app, is_named=bool(message.get(NAMED)))
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        return send_with_cors
