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


class CorsPolicy:
    """Origins whose pages may call; `*` stands for all and echoes the one that asks.

    Echoing is harmless for cookies: a cookie counts as a credential only for requests of our own
    pages (hypha.web.credentials).
    """

    def __init__(self, origins: Iterable[str] = ("*",)) -> None:
        names = {origin.strip().rstrip("/") for origin in origins}
        self._all = "*" in names
        self._origins = frozenset(name.encode() for name in names if name)

    def allows(self, origin: bytes) -> bool:
        """True when pages of this origin may read answers."""
        return self._all or origin in self._origins

    def headers(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """What is added to every answer to a request that names an origin."""
        if not self.allows(origin):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]

    def preflight(self, headers: Mapping[bytes, bytes]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of the answer to an `OPTIONS` question of a browser."""
        origin = headers[b"origin"]
        plain = (b"content-type", b"text/plain; charset=utf-8")
        if not self.allows(origin):
            return 400, [plain, (b"vary", b"Origin")], b"Disallowed CORS origin"
        answer = self.headers(origin)
        answer += [
            plain,
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", PREFLIGHT_AGE_S),
        ]
        return 200, answer, b"OK"

    def sending(self, send: Send, origin: bytes) -> Send:
        """`send`, with the headers of this policy added to the start of the answer."""
        extra = self.headers(origin)

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        return send_with_cors
