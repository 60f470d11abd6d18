"""Shared fixtures: a running server, clean users, real clients that are cleaned up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypha_rpc import connect_to_server

from hypha.testing import NodeWorker, PythonWorker, RawClient, ServerProcess, Worker, mint_token, turns

JS_FOLDER = Path(__file__).parent / "js"
SESSION_LOOP_FOLDERS = ("e2e", "faults")

TURNS = pytest.StashKey[turns.TurnReports]()
KNOWN_LONG_TURNS: dict[str, str] = {
    "webserver.py": "the last garbage collection of start-up",
}
"""Places in which a turn may take over 100 ms, and why."""

Connect = Callable[..., Awaitable[Any]]
ConnectRaw = Callable[..., Awaitable[RawClient]]
StartServer = Callable[..., Awaitable[ServerProcess]]
NewWorker = Callable[..., Awaitable[Worker]]


def pytest_configure(config: pytest.Config) -> None:
    """Let all servers of this session report long turns of their event loops."""
    folder = tempfile.TemporaryDirectory(prefix="hypha-turns-")
    os.environ[turns.VARIABLE] = folder.name
    config.stash[TURNS] = turns.TurnReports(Path(folder.name))
    config.add_cleanup(folder.cleanup)


def long_turns(config: pytest.Config) -> list[turns.LongTurn]:
    """Those that nobody has heard of and that are not known to be that long."""
    found = config.stash[TURNS].new()
    return [turn for turn in found if not any(turn.is_in(place) for place in KNOWN_LONG_TURNS)]


@pytest.fixture(autouse=True)
def no_long_turns(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test in which one turn of a server's event loop computes for over 100 ms fails."""
    yield
    if found := long_turns(request.config):
        pytest.fail("\n".join(map(str, found)), pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last test may be over before its turns are told."""
    if found := long_turns(session.config):
        print("\n".join(map(str, found)))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests with real clients on one event loop, so that fixtures can share connections.

    What `slow_tests.txt` lists is marked as slow.
    """
    here = Path(__file__).parent
    slow = tuple((here / "slow_tests.txt").read_text().splitlines())
    for item in items:
        if item.nodeid.startswith(slow):
            item.add_marker(pytest.mark.slow)
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in SESSION_LOOP_FOLDERS and asyncio.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if folder == "unit":
            item.add_marker(pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"))


@dataclass(frozen=True)
class Person:
    """A registered user of the tests with an own workspace and a token for it."""

    id: str
    secret: str
    token: str

    @property
    def workspace(self) -> str:
        """The person's own workspace."""
        return f"ws-user-{self.id}"

    def token_for(self, level: str, workspace: str | None = None, **fields: Any) -> str:
        """A token of a child user, bound to one workspace with a level (`r`, `rw`, `a`)."""
        workspace = workspace or self.workspace
        fields = {"workspaces": {workspace: level}, "current": workspace, "parent": self.id, **fields}
        return mint_token(
            self.secret, fields.pop("user_id", f"{self.id}-child-{uuid.uuid4().hex[:6]}"), **fields
        )

    def with_token(self, token: str) -> Person:
        """The same person with another credential."""
        return replace(self, token=token)


def make_person(server: ServerProcess, name: str = "user", **fields: Any) -> Person:
    """A new registered user; `fields` go to `mint_token`."""
    assert server.secret
    user_id = f"{name}-{uuid.uuid4().hex[:10]}"
    return Person(user_id, server.secret, mint_token(server.secret, user_id, **fields))


class Connections:
    """Opens real Python clients and closes them all at the end."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._open: list[Any] = []

    async def connect(self, person: Person | None = None, *, url: str | None = None, **config: Any) -> Any:
        """Connect with the client library; `person` None is an anonymous user."""
        config = {"server_url": url or self._server.url, "method_timeout": 15, **config}
        if person is not None:
            config.setdefault("token", person.token)
        client = await connect_to_server(config)
        self._open.append(client)
        return client

    async def close(self) -> None:
        """Disconnect every client."""
        for client in reversed(self._open):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.disconnect(), 5.0)


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """One server for all tests that don't disturb it."""
    running = ServerProcess()
    try:
        yield running.start()
    finally:
        running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def start_server() -> AsyncIterator[StartServer]:
    """Start servers of one's own (arguments of `ServerProcess`); `wait=False` only launches."""
    started: list[ServerProcess] = []

    async def start(*, wait: bool = True, **options: Any) -> ServerProcess:
        own = ServerProcess(**options)
        started.append(own)
        await asyncio.to_thread(own.start if wait else own.launch)
        return own

    yield start
    for own in started:
        await asyncio.to_thread(own.close)


@pytest_asyncio.fixture(loop_scope="session")
async def connect(server: ServerProcess) -> AsyncIterator[Connect]:
    """Connect real Python clients: `await connect(person, client_id=…, url=…)`."""
    connections = Connections(server)
    yield connections.connect
    await connections.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def module_connect(server: ServerProcess) -> AsyncIterator[Connect]:
    """The same for clients that a module's tests share."""
    connections = Connections(server)
    yield connections.connect
    await connections.close()


@pytest_asyncio.fixture(loop_scope="session")
async def connect_raw(server: ServerProcess) -> AsyncIterator[ConnectRaw]:
    """Connect raw sockets: `await connect_raw(token=…, client_id=…)`."""
    opened: list[RawClient] = []

    async def open_raw(person: Person | None = None, *, url: str | None = None, **fields: Any) -> RawClient:
        if person is not None:
            fields.setdefault("token", person.token)
        client = await RawClient.connect(url or server.ws_url, **fields)
        opened.append(client)
        return client

    yield open_raw
    for client in opened:
        await client.close()


@pytest.fixture
def alice(server: ServerProcess) -> Person:
    """A registered user nobody else uses."""
    return make_person(server, "alice")


@pytest.fixture
def bob(server: ServerProcess) -> Person:
    """Another registered user."""
    return make_person(server, "bob")


@pytest.fixture
def root(server: ServerProcess) -> Person:
    """The holder of the root token."""
    assert server.secret and server.root_token
    return Person("root", server.secret, server.root_token)


def require_node() -> None:
    """Skip the test with a clear sentence when Node or its packages are missing."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not (JS_FOLDER / "node_modules" / "hypha-rpc").is_dir():
        pytest.skip("the npm packages are missing: run `npm install` in tests/js")


@pytest_asyncio.fixture(loop_scope="session")
async def node_worker() -> AsyncIterator[NewWorker]:
    """Start Node clients in processes of their own."""
    require_node()
    started: list[Worker] = []

    async def start() -> Worker:
        worker = NodeWorker(JS_FOLDER)
        started.append(worker)
        return await worker.start()

    yield start
    for worker in started:
        await worker.close()


@pytest_asyncio.fixture(loop_scope="session")
async def python_worker() -> AsyncIterator[NewWorker]:
    """Start Python clients in processes of their own."""
    started: list[Worker] = []

    async def start() -> Worker:
        worker = PythonWorker()
        started.append(worker)
        return await worker.start()

    yield start
    for worker in started:
        await worker.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node() -> AsyncIterator[NodeWorker]:
    """A Node process that a module's tests share."""
    require_node()
    async with NodeWorker(JS_FOLDER) as worker:
        assert isinstance(worker, NodeWorker)
        yield worker
