"""The HTTP interface of an engine (Docker 20.10 and later, or Podman), by a socket or over TCP."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from hypha.workers.base import WorkerError, WorkerNotAvailableError
from hypha.workers.containers.outputs import Piece, Pieces

_VERSION = "/v1.41"
_ANSWER_S, _CONNECT_S = 60.0, 10.0
_TOLD_CHARS = 500
_HEAD_BYTES = 8
_STREAMS = {1: "stdout", 2: "stderr"}
_DEFAULT_HOST = "unix:///var/run/docker.sock"


class EngineRefused(WorkerError):
    """The engine answered with an error; `http_status` is its number."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"The container engine says: {message}")
        self.http_status = status


class DockerApi:
    """Requests to an engine.

    Args:
        host: as `DOCKER_HOST` has it: `unix:///path`, `tcp://host:port`, `http://…` or `https://…`.
        variables: of which `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say how TCP is secured.
    """

    def __init__(self, host: str | None, variables: Mapping[str, str]) -> None:
        self._http = _client(host or variables.get("DOCKER_HOST") or _DEFAULT_HOST, variables)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> Any:
        """A request with a short answer; JSON, or None where there is none.

        Raises:
            EngineRefused: it answered with an error. WorkerNotAvailableError: it is not there.
        """
        async with self._answer(method, path, body, query, _ANSWER_S) as answer:
            content = await answer.aread()
        return json.loads(content) if content.strip() else None

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        """A request whose answer tells of progress, in lines of JSON."""
        async with self._answer("POST", path, None, query, None) as answer:
            async for line in answer.aiter_lines():
                if line.strip():
                    yield json.loads(line)

    async def pieces(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> Pieces:
        """A request whose answer is what a program writes."""
        async with self._answer(method, path, body, query, None) as answer:
            async with aclosing(_unframed(answer.aiter_bytes())) as found:  # type: ignore[type-var]
                async for piece in found:
                    yield piece

    async def wait(self, path: str) -> Any:
        """A request that is answered when something has happened."""
        async with self._answer("POST", path, None, None, None) as answer:
            return json.loads(await answer.aread())

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: object, query: Mapping[str, str] | None, timeout_s: float | None
    ) -> AsyncIterator[httpx.Response]:
        times = httpx.Timeout(timeout_s, connect=_CONNECT_S)
        try:
            async with self._http.stream(
                method, _VERSION + path, json=body, params=query, timeout=times
            ) as answer:
                if answer.status_code >= 400:
                    raise EngineRefused(answer.status_code, _message(await answer.aread()))
                yield answer
        except httpx.HTTPError as error:
            raise WorkerNotAvailableError(
                f"The container engine does not answer ({type(error).__name__}): is it running, and may "
                "this user reach it (DOCKER_HOST)?"
            ) from None


def _client(host: str, variables: Mapping[str, str]) -> httpx.AsyncClient:
    parts = urlsplit(host)
    if parts.scheme == "unix":
        transport = httpx.AsyncHTTPTransport(uds=parts.path)
        return httpx.AsyncClient(transport=transport, base_url="http://docker", trust_env=False)
    if parts.scheme not in ("tcp", "http", "https") or not parts.netloc:
        raise WorkerNotAvailableError("DOCKER_HOST is unix:///path or tcp://host:port.")
    is_secure = parts.scheme == "https" or bool(variables.get("DOCKER_TLS_VERIFY"))
    scheme = "https" if is_secure else "http"
    checks = _certificates(variables) if is_secure else True
    return httpx.AsyncClient(base_url=f"{scheme}://{parts.netloc}", verify=checks, trust_env=False)


def _certificates(variables: Mapping[str, str]) -> ssl.SSLContext:
    folder = Path(variables.get("DOCKER_CERT_PATH") or "~/.docker").expanduser()
    try:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:
        raise WorkerNotAvailableError(
            f"The certificates for the engine cannot be read: {error.strerror}."
        ) from None
    return context


def _message(content: bytes) -> str:
    try:
        told = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        told = content.decode("utf-8", "replace")
    return str(told)[:_TOLD_CHARS]


async def _unframed(chunks: AsyncIterator[bytes]) -> Pieces:
    """The pieces in a stream of frames: 8 bytes with the stream and the length, then so many bytes."""
    head, left, stream = b"", 0, "stdout"
    async for chunk in chunks:
        while chunk:
            if left:
                part, chunk = chunk[:left], chunk[left:]
                left -= len(part)
                yield Piece(stream, part)
                continue
            missing = _HEAD_BYTES - len(head)
            head, chunk = head + chunk[:missing], chunk[missing:]
            if len(head) == _HEAD_BYTES:
                stream, left = _STREAMS.get(head[0], "stdout"), int.from_bytes(head[4:], "big")
                head = b""
