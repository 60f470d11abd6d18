"""Files of an app, fetched from the server with the token of its session."""

from __future__ import annotations

from urllib.parse import quote

from hypha.workers.base import WorkerConfig, WorkerError

_TIMEOUT_S = 30.0
MOST_SCRIPT_BYTES = 16 * 1_048_576


async def fetch(config: WorkerConfig, path: str, most_bytes: int) -> bytes:
    """The bytes of one file of an app.

    Raises:
        WorkerError: it is not there or too large, or the server does not answer.
    """
    import httpx

    base = config.app_files_base_url or _files_of(config)
    # the server sends it itself: the token would go along to wherever a redirect leads
    url = f"{base.rstrip('/')}/{quote(path)}?use_proxy=true"
    headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
    found = bytearray()
    what = f"The file {path} of the app {config.app_id}"
    try:
        async with (
            httpx.AsyncClient(verify=not config.disable_ssl, timeout=_TIMEOUT_S, trust_env=False) as http,
            http.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                raise WorkerError(f"{what} cannot be read: the server answered {answer.status_code}.")
            async for part in answer.aiter_bytes():
                found += part
                if len(found) > most_bytes:
                    raise WorkerError(f"{what} is larger than {most_bytes} bytes.")
    except httpx.HTTPError as error:
        raise WorkerError(f"{what} cannot be read: {type(error).__name__}.") from error
    return bytes(found)


def _files_of(config: WorkerConfig) -> str:
    return f"{config.server_url.rstrip('/')}/{config.workspace}/artifacts/{config.app_id}/files"
