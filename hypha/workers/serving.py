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

from hypha.errors import PermissionDenied
from hypha.workers.base import BaseWorker, CallContext, SessionStatus, WorkerConfig, WorkerError
from hypha.workers.options import Connection, Options, connection_of

logger = logging.getLogger(__name__)

REMOTE = ("server_url", "workspace", "token")
"""The options without which a worker cannot find its place."""


PUBLIC = "public"
"""The workspace whose workers all may use."""


class ConnectedWorker(BaseWorker):
    """A worker whose service is registered as its connection says, and that has room for so many sessions.

    Where everybody may use it, no person has more than half of the places.
    """

    def __init__(self, connection: Connection, most_sessions: int) -> None:
        super().__init__()
        self._connection = connection
        self._most_sessions = most_sessions
        self._own_workspace = ""
        self._people: dict[str, str] = {}
        """Who has started the sessions that are there, as far as the server said so."""

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

    async def register_worker_service(self, server: Any) -> Any:
        """Register it, and learn in which workspace it is."""
        registered = await super().register_worker_service(server)
        self.belongs_to(str(registered["id"]).partition("/")[0])
        return registered

    def belongs_to(self, workspace: str) -> None:
        """Its service is registered in this workspace."""
        self._own_workspace = workspace

    async def start(
        self, config: WorkerConfig | Mapping[str, Any], context: CallContext | None = None
    ) -> str:
        """Start a session and return its id.

        Raises:
            WorkerError: a person has as many as may be of a worker that is there for all.
            Exception: see `BaseWorker.start`.
        """
        config = config if isinstance(config, WorkerConfig) else WorkerConfig(**config)
        person = self._person(context)
        if person is not None and config.id not in self._sessions:
            self._check_share(person)
            self._people[config.id] = person
        return await super().start(config, context)

    def _person(self, context: CallContext | None) -> str | None:
        """Whose share counts: of who calls a worker that is there for all, as the server names them."""
        user = context.get("user") if context is not None and self._own_workspace == PUBLIC else None
        found = (user.get("parent") or user.get("id")) if isinstance(user, Mapping) else None
        return found if isinstance(found, str) else None

    def _check_share(self, person: str) -> None:
        self._people = {key: who for key, who in self._people.items() if key in self._sessions}
        share = share_of(self._most_sessions)
        if sum(who == person and self._takes_place(key) for key, who in self._people.items()) >= share:
            raise WorkerError(
                f"You have {share} sessions of this worker, and others may need it, too: stop one first."
            )

    def _takes_place(self, session_id: str) -> bool:
        """Whether a session that is there counts among those of which there may be so many."""
        return self._sessions[session_id].status in (SessionStatus.STARTING, SessionStatus.RUNNING)

    def _check_admits(self, workspace: str, taken: int) -> None:
        """Refuse a session beside so many, or of a workspace whose apps do not run here.

        Raises:
            PermissionDenied, WorkerError.
        """
        allowed = self._connection.authorized_workspaces
        if allowed and workspace not in (*allowed, self._own_workspace):
            raise PermissionDenied(f"This worker runs no apps of the workspace {workspace}.")
        if taken >= self._most_sessions:
            raise WorkerError(
                f"This worker has {self._most_sessions} sessions already: stop one, or try later."
            )


def share_of(places: int) -> int:
    """How many places of a worker for all one person may have."""
    return max(1, places // 2)


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
        await worker.close()
        with contextlib.suppress(Exception):
            await server.disconnect()


async def told_to_end() -> None:
    """Wait for SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
