"""Health, readiness, liveness and metrics: asked often, by anybody, so answered early and cheaply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from starlette.types import Send

from hypha.errors import HyphaError
from hypha.gateways.context import GatewayContext
from hypha.web.errors import error_answer

Probe = Callable[[MutableMapping[str, Any], Send], Awaitable[None]]
_NO_STORE = (b"cache-control", b"no-store")


class Probes:
    """The answers at `/health…` and `/metrics`, by path."""

    def __init__(self, services: GatewayContext) -> None:
        self._services = services
        self.by_path: dict[str, Probe] = {
            "/health": self._health,
            "/health/readiness": self._readiness,
            "/health/liveness": self._liveness,
            "/metrics": self._metrics,
        }

    async def _health(self, scope: MutableMapping[str, Any], send: Send) -> None:
        health = self._services.health
        body: dict[str, Any] = {"status": health.status()}
        status = 503 if body["status"] == "CRITICAL" else 200
        try:
            if (await self._services.credentials.user(scope)).is_admin:
                body = health.report()
        except HyphaError as error:
            answer = error_answer(error, scope)
            await _send(send, answer.status, answer.body, b"application/json")
            return
        await _send(send, status, orjson.dumps(body), b"application/json")

    async def _readiness(self, scope: MutableMapping[str, Any], send: Send) -> None:
        is_ok, body = self._services.health.readiness()
        await _send(send, 200 if is_ok else 503, orjson.dumps(body), b"application/json")

    async def _liveness(self, scope: MutableMapping[str, Any], send: Send) -> None:
        is_ok, body = self._services.health.liveness()
        await _send(send, 200 if is_ok else 503, orjson.dumps(body), b"application/json")

    async def _metrics(self, scope: MutableMapping[str, Any], send: Send) -> None:
        metrics = self._services.metrics
        await _send(send, 200, await metrics.text(), metrics.content_type.encode())


async def _send(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), _NO_STORE]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
