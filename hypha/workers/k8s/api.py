"""The few requests to an API server that pods need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from hypha.workers.base import WorkerError, WorkerNotAvailableError
from hypha.workers.containers.outputs import Piece, Pieces
from hypha.workers.k8s.cluster import Cluster

_ANSWER_S, _CONNECT_S = 30.0, 10.0
_TOLD_CHARS = 500
_PROTOCOL = Subprotocol("v4.channel.k8s.io")
_STREAMS = {1: "stdout", 2: "stderr"}
_OUTCOME = 3
"""The channel that tells how a program has ended."""


class ClusterRefused(WorkerError):
    """The API server answered with an error; `http_status` is its number."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"The cluster says: {message}")
        self.http_status = status


class K8sApi:
    """Requests about pods of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self.namespace = namespace
        self._http = httpx.AsyncClient(
            base_url=cluster.url,
            verify=cluster.tls or True,
            trust_env=False,
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
        )
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def pods(self, selector: str) -> list[dict[str, Any]]:
        """The pods with these labels."""
        found = await self._call("GET", "", query={"labelSelector": selector})
        return list(found.get("items") or [])

    async def create(self, pod: Mapping[str, Any]) -> None:
        """Make a pod."""
        await self._call("POST", "", pod)

    async def pod(self, name: str) -> dict[str, Any]:
        """A pod as it is."""
        return await self._call("GET", f"/{name}")

    async def delete(self, name: str) -> None:
        """Delete a pod; it has a moment to end."""
        await self._call("DELETE", f"/{name}", query={"gracePeriodSeconds": "2"})

    async def _call(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        async with self._answer(method, path, body, query) as answer:
            found: dict[str, Any] = json.loads(await answer.aread())
            return found

    async def log(self, name: str, query: Mapping[str, str]) -> Pieces:
        """What the main container of a pod has written; both streams in one."""
        async with self._answer("GET", f"/{name}/log", None, query) as answer:
            async for chunk in answer.aiter_bytes():
                yield Piece("stdout", chunk)

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: object, query: Mapping[str, str] | None
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(
                method, self._pods + path, json=body, params=query, headers=self._cluster.headers()
            ) as answer:
                if answer.status_code >= 400:
                    raise ClusterRefused(answer.status_code, _message(await answer.aread()))
                yield answer
        except (httpx.HTTPError, OSError) as error:
            raise WorkerNotAvailableError(f"The cluster does not answer ({type(error).__name__}).") from None

    async def execute(self, name: str, container: str, command: list[str], outcome: list[int]) -> Pieces:
        """Run a program in a container; its code is put to `outcome` when it has ended."""
        words = [("command", word) for word in command]
        query = urlencode([*words, ("container", container), ("stdout", "true"), ("stderr", "true")])
        url = f"{self._cluster.url}{self._pods}/{name}/exec?{query}".replace("http", "ws", 1)
        tls = self._cluster.tls if url.startswith("wss") else None
        try:
            async with connect(
                url, subprotocols=[_PROTOCOL], additional_headers=self._cluster.headers(), ssl=tls, proxy=None
            ) as socket:
                async for frame in socket:
                    data = frame if isinstance(frame, bytes) else frame.encode()
                    if data[:1] == bytes((_OUTCOME,)):
                        outcome.append(_code_of(data[1:]))
                    elif len(data) > 1 and data[0] in _STREAMS:
                        yield Piece(_STREAMS[data[0]], data[1:])
        except InvalidStatus as error:
            raise ClusterRefused(error.response.status_code, _message(error.response.body or b"")) from None
        except (InvalidHandshake, WebSocketException, OSError) as error:
            raise WorkerNotAvailableError(f"The cluster does not answer ({type(error).__name__}).") from None


def _message(content: bytes | bytearray) -> str:
    try:
        told = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        told = content.decode("utf-8", "replace")
    return str(told)[:_TOLD_CHARS]


def _code_of(outcome: bytes) -> int:
    """The code in the status with which the API server ends an execution.

    Raises:
        ClusterRefused: the program did not run.
    """
    told = json.loads(outcome)
    if told.get("status") == "Success":
        return 0
    for cause in (told.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ClusterRefused(500, str(told.get("message"))[:_TOLD_CHARS])
