"""`/triton/{path}`: a request to one of the servers, streamed both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hypha.builtins.service import RefusalNote
from hypha.errors import BackendUnavailable, PermissionDenied
from hypha.features.triton.access import TritonAccess, passed_path
from hypha.features.triton.servers import TritonServers
from hypha.web.credentials import Credentials
from hypha.web.headers import Headers, checked
from hypha.web.redaction import Redaction
from hypha.web.scope import TOKEN

PREFIX = b"/triton/"
_PASSED = frozenset(
    {b"accept", b"accept-encoding", b"content-encoding", b"content-length", b"content-type",
     b"endpoint-load-metrics-format", b"inference-header-content-length", b"traceparent", b"tracestate",
     b"triton-request-id", b"x-request-id"}
)  # fmt: skip
_RETURNED = frozenset(
    {b"content-encoding", b"content-length", b"content-type", b"endpoint-load-metrics",
     b"inference-header-content-length", b"retry-after"}
)  # fmt: skip
_OWN = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
]


class TritonProxy:
    """The route's ASGI endpoint."""

    def __init__(
        self,
        servers: TritonServers,
        access: TritonAccess,
        credentials: Credentials,
        is_token: Callable[[str], bool],
        on_refused: RefusalNote,
    ) -> None:
        self._servers = servers
        self._access = access
        self._credentials = credentials
        self._is_token = is_token
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on. The credential for this server stays here.

        Raises:
            PermissionDenied: the caller may not use the servers.
            NotFound: nothing that is passed on is at this path.
            BackendUnavailable: the server cannot be reached. CallTimedOut: it said nothing for 60 s.
        """
        await self._check_right(scope)
        request = Request(scope, receive)
        url = f"{self._servers.choose()}/{self._target(scope)}"
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        async with self._servers.asking() as client:
            outgoing = client.build_request(
                request.method,
                url,
                headers=_only(scope["headers"], _PASSED),
                content=_body(request) if has_body else None,
            )
            answer = await client.send(outgoing, stream=True)
            try:
                headers = [*_returned(answer.headers.raw), *_OWN]
                status = answer.status_code
                await send({"type": "http.response.start", "status": status, "headers": headers})
                async for part in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await answer.aclose()

    async def _check_right(self, scope: Scope) -> None:
        context = await self._credentials.context(scope, self._access.workspace)
        try:
            await self._access.check(context)
        except PermissionDenied as error:
            self._on_refused(context, "triton", error)
            raise

    def _target(self, scope: Scope) -> str:
        """Path and query on the Triton server."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = passed_path(scope["method"], raw.partition(b"?")[0].partition(PREFIX)[2].decode("latin-1"))
        query = Redaction(scope.get(TOKEN), self._is_token).query(scope["query_string"])
        return f"{path}?{query.decode('latin-1')}" if query else path


def _returned(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    try:
        return checked(_only(pairs, _RETURNED))
    except ValueError:
        raise BackendUnavailable("The Triton server answered with malformed headers.") from None


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for part in request.stream():
        if part:
            yield part


def _only(pairs: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
    return [(name.lower(), value) for name, value in pairs if name.lower() in names]
