"""Workers as programs of their own: connect to a server, register, serve until told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypha.workers.base import BaseWorker, WorkerError
from hypha.workers.options import Connection, Options, connection_of

logger = logging.getLogger(__name__)

REMOTE = ("server_url", "workspace", "token")
"""The options without which a worker cannot find its place."""


class ConnectedWorker(BaseWorker):
    """A worker whose service is registered as its connection says."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    @property
    def service_id(self) -> str:
        """As given, else the id of the instance."""
        return self._connection.service_id or self.instance_id

    @property
    def visibility(self) -> str:
        """As given."""
        return self._connection.visibility

    @property
    def authorized_workspaces(self) -> Sequence[str]:
        """As given."""
        return self._connection.authorized_workspaces

    @property
    def use_local_url(self) -> bool | str:
        """As given."""
        return self._connection.use_local_url

    @property
    def require_context(self) -> bool:
        """Always: sessions belong to their workspace."""
        return True


MakeWorker = Callable[[Mapping[str, Any], Connection], BaseWorker]


def run_command(
    options: Options, make: MakeWorker, needed: Sequence[str] = REMOTE, words: Sequence[str] | None = None
) -> int:
    """Run a worker as the command line says; the exit code."""
    try:
        values = options.read(sys.argv[1:] if words is None else words, os.environ)
        connection = connection_of(values, needed)
        set_up_logging(connection)
        asyncio.run(serve(make(values, connection), connection))
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"No connection to the server: {error}", file=sys.stderr)
        return 1
    return 0


def set_up_logging(connection: Connection) -> None:
    """Log to standard error."""
    level = logging.DEBUG if connection.verbose else logging.INFO
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True
    )
    if not connection.verbose:
        logging.getLogger("httpx").setLevel(logging.WARNING)


async def connect(connection: Connection) -> Any:
    """A client of the server."""
    from hypha_rpc import connect_to_server

    config: dict[str, Any] = {"server_url": connection.server_url}
    for name in ("workspace", "token", "client_id"):
        if value := getattr(connection, name):
            config[name] = value
    if connection.disable_ssl:
        config["ssl"] = False
    return await connect_to_server(config)


async def serve(worker: BaseWorker, connection: Connection) -> None:
    """Register a worker and serve until SIGINT or SIGTERM; then all sessions are stopped."""
    server = await connect(connection)
    try:
        registered = await worker.register_worker_service(server)
        print(f"Worker registered: {registered['id']}", flush=True)
        await told_to_end()
    finally:
        await worker.shutdown()
        with contextlib.suppress(Exception):
            await server.disconnect()


async def told_to_end() -> None:
    """Wait for SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
