"""Files of an app, fetched from the server with the token of its session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypha.workers.base import WorkerConfig, WorkerError

_TIMEOUT_S = 30.0
_PIECE_BYTES = 256 * 1024
MOST_SCRIPT_BYTES = 16 * 1_048_576


async def fetch(config: WorkerConfig, path: str, most_bytes: int) -> bytes:
    """The bytes of one file of an app.

    Raises:
        WorkerError: it is not there or too large, or the server does not answer.
    """
    found = bytearray()
    async with _answer(config, path) as answer:
        async for part in answer.aiter_bytes():
            found += part
            if len(found) > most_bytes:
                raise WorkerError(f"{_named(config, path)} is larger than {most_bytes} bytes.")
    return bytes(found)


async def download(config: WorkerConfig, path: str, target: Path, most_bytes: int) -> int:
    """Write one file of an app to a new file; how many bytes it has.

    Raises:
        WorkerError: as `fetch`.
    """
    size = 0
    async with _answer(config, path) as answer:
        with target.open("xb") as file:
            async for part in answer.aiter_bytes(_PIECE_BYTES):
                size += len(part)
                if size > most_bytes:
                    raise WorkerError(f"{_named(config, path)} is larger than {most_bytes} bytes.")
                await asyncio.to_thread(file.write, part)
    return size


async def listed(config: WorkerConfig, folder: str, most: int) -> list[tuple[str, bool]]:
    """Names in a folder of an app, each with whether it is a folder; `most` at most are asked for.

    Raises:
        WorkerError: as `fetch`, or the server answers something else.
    """
    async with _answer(config, folder.rstrip("/") + "/", limit=most) as answer:
        await answer.aread()
        try:
            entries = answer.json()
            return [(str(entry["name"]), entry["type"] == "directory") for entry in entries]
        except (ValueError, KeyError, TypeError):
            raise WorkerError(f"{_named(config, folder)} is no folder.") from None


@asynccontextmanager
async def _answer(config: WorkerConfig, path: str, **query: object) -> AsyncIterator[Any]:
    """What the server answers to a GET of a file."""
    import httpx

    base = config.app_files_base_url or _files_of(config)
    # the server sends it itself: the token would go along to wherever a redirect leads
    more = "".join(f"&{name}={value}" for name, value in query.items())
    url = f"{base.rstrip('/')}/{quote(path)}?use_proxy=true{more}"
    headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
    # reading all authorities takes a while, and some workers live inside the server
    is_checked = not config.disable_ssl and url.startswith("https:")
    tls = await asyncio.to_thread(httpx.create_ssl_context) if is_checked else False
    try:
        async with (
            httpx.AsyncClient(verify=tls, timeout=_TIMEOUT_S, trust_env=False) as http,
            http.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                raise WorkerError(
                    f"{_named(config, path)} cannot be read: the server answered {answer.status_code}."
                )
            yield answer
    except httpx.HTTPError as error:
        raise WorkerError(f"{_named(config, path)} cannot be read: {type(error).__name__}.") from error


def _named(config: WorkerConfig, path: str) -> str:
    return f"The file {path} of the app {config.app_id}"


def _files_of(config: WorkerConfig) -> str:
    return f"{config.server_url.rstrip('/')}/{config.workspace}/artifacts/{config.app_id}/files"
