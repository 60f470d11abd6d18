"""`/triton/{path}`: a request to one of the servers, streamed both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hypha.features.triton.servers import TritonServers

PREFIX = b"/triton/"
_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
     b"transfer-encoding", b"upgrade"}
)  # fmt: skip
_NOT_PASSED = _HOP | {b"host", b"authorization", b"cookie"}
_NOT_RETURNED = _HOP | {b"set-cookie", b"access-control-allow-origin", b"access-control-allow-credentials"}

Pairs = Iterable[tuple[bytes, bytes]]


class TritonProxy:
    """The route's ASGI endpoint."""

    def __init__(self, servers: TritonServers) -> None:
        self._servers = servers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on. The credential for this server stays here.

        Raises:
            BackendUnavailable: the server cannot be reached. CallTimedOut: it said nothing for 60 s.
        """
        request = Request(scope, receive)
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw.partition(b"?")[0].partition(PREFIX)[2].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        url = f"{self._servers.choose()}/{path}{'?' + query if query else ''}"
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        async with self._servers.asking() as client:
            outgoing = client.build_request(
                request.method,
                url,
                headers=list(_without(scope["headers"], _NOT_PASSED)),
                content=_body(request) if has_body else None,
            )
            answer = await client.send(outgoing, stream=True)
            try:
                headers = list(_without(answer.headers.raw, _NOT_RETURNED))
                status = answer.status_code
                await send({"type": "http.response.start", "status": status, "headers": headers})
                async for part in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await answer.aclose()


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for part in request.stream():
        if part:
            yield part


def _without(pairs: Pairs, names: frozenset[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.lower(), value) for name, value in pairs if name.lower() not in names)
