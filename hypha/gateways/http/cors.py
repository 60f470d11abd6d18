"""Which other web sites' pages may read our answers (core-api 5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.types import Message, Send

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
        "Inference-Header-Content-Length",
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
        "X-Request-ID",
        "traceparent",
    )
).encode()
EXPOSED_HEADERS = (
    b"Content-Disposition, Content-Length, Content-Range, ETag, Retry-After, WWW-Authenticate, "
    b"X-RateLimit-Limit, X-RateLimit-Remaining"
)
PREFLIGHT_AGE_S = b"600"
SANDBOXED = b"null"
_IN_APP = [(b"access-control-expose-headers", b"*"), (b"vary", b"Origin")]


class CorsPolicy:
    """Origins whose pages may call; `*` stands for all and echoes the one that asks.

    Echoing is harmless for cookies: a cookie counts as a credential only for requests of our own
    pages (hypha.web.credentials).

    Pages of applications that clients serve have no origin (hypha.gateways.asgi_apps.browsers). They
    may always read what applications answer, `in_app`, and send headers of their own, but no cookies.
    """

    def __init__(self, origins: Iterable[str] = ("*",)) -> None:
        names = {origin.strip().rstrip("/") for origin in origins}
        self._all = "*" in names
        self._origins = frozenset(name.encode() for name in names if name)

    def allows(self, origin: bytes) -> bool:
        """True when pages of this origin may read answers."""
        return self._all or origin in self._origins

    def headers(self, origin: bytes, *, in_app: bool = False) -> list[tuple[bytes, bytes]]:
        """What is added to every answer to a request that names an origin."""
        if in_app and origin == SANDBOXED:
            return [(b"access-control-allow-origin", origin), *_IN_APP]
        if not self.allows(origin):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]

    def preflight(
        self, headers: Mapping[bytes, bytes], *, in_app: bool = False
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of the answer to an `OPTIONS` question of a browser."""
        origin = headers[b"origin"]
        plain = (b"content-type", b"text/plain; charset=utf-8")
        is_sandboxed = in_app and origin == SANDBOXED
        if not (is_sandboxed or self.allows(origin)):
            return 400, [plain, (b"vary", b"Origin")], b"Disallowed CORS origin"
        asked = headers.get(b"access-control-request-headers", b"") if is_sandboxed else b""
        answer = self.headers(origin, in_app=in_app)
        answer += [
            plain,
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", asked or ALLOWED_HEADERS),
            (b"access-control-max-age", PREFLIGHT_AGE_S),
        ]
        return 200, answer, b"OK"

    def sending(self, send: Send, origin: bytes, *, in_app: bool = False) -> Send:
        """`send`, with the headers of this policy added to the start of the answer."""
        extra = self.headers(origin, in_app=in_app)

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        return send_with_cors
