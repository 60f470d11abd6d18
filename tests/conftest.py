"""Shared fixtures: a running server, clean users, real clients that are cleaned up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from hypha.testing import NodeWorker, PythonWorker, RawClient, ServerProcess, Worker, turns
from tests.kit import s3
from tests.kit.clients import (
    JS_FOLDER,
    Connect,
    Connections,
    ConnectRaw,
    NewWorker,
    StartServer,
    require_node,
)
from tests.kit.long_turns import TURNS, long_turns
from tests.kit.people import Person, make_person

SESSION_LOOP_FOLDERS = ("e2e", "faults")

# how long an example takes is up to whoever shares the machine
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_configure(config: pytest.Config) -> None:
    """Let all servers of this session report long turns of their event loops."""
    folder = tempfile.TemporaryDirectory(prefix="hypha-turns-")
    os.environ[turns.VARIABLE] = folder.name
    config.stash[TURNS] = turns.TurnReports(Path(folder.name))
    config.add_cleanup(folder.cleanup)


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

    What `slow_tests.txt` lists is marked as slow. Unit tests come last, for the sake of those who share
    the work: their files are small.
    """
    here = Path(__file__).parent
    slow = tuple((here / "slow_tests.txt").read_text().splitlines())
    items.sort(key=lambda item: item.path.is_relative_to(here / "unit"))
    for item in items:
        if item.nodeid.startswith(slow):
            item.add_marker(pytest.mark.slow)
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in SESSION_LOOP_FOLDERS and asyncio.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if folder == "unit":
            item.add_marker(pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """One server for all tests that don't disturb it; with HYPHA_TEST_S3 its files lie in that S3 server."""
    kind = os.environ.get("HYPHA_TEST_S3", "")
    with s3.running(kind) if kind else contextlib.nullcontext() as storage:
        running = ServerProcess(flags=storage.flags() if storage else ())
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
