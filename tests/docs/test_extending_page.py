"""The examples of docs/extending.md are short, and do what the page says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine, inspect

from hypha.assembly import manager
from hypha.assembly.features import listed_features
from hypha.assembly.server import Server
from hypha.assembly.web import listed_doors
from hypha.settings import Settings
from hypha.store.base import Base
from hypha.wire.frames import encode, payload
from hypha.workspaces import service
from hypha.workspaces.service import WorkspaceManager

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
EXAMPLE = re.compile(r"<!-- example: (\S+)\.py -->\n```python\n(.*?)```", re.S)
EXAMPLES = dict(EXAMPLE.findall(PAGE.read_text()))
MOST_LINES = 60
IMPORTS = re.compile(r"^(?:from \S+ )?import (?:\([^)]*\)|.*)\n", re.M)
ROOT_TOKEN = "a-root-token-of-enough-letters-for-tests"
SETTINGS = Settings(data_dir=":memory:", root_token=ROOT_TOKEN, server_id="here")

Load = Callable[[str], Any]


@pytest.mark.parametrize(
    "name", ["notes", "r9999_notes", "functions_counts", "json_rpc/gateway", "text_websocket"]
)
def test_an_example_is_short(name: str) -> None:
    lines = [line for line in IMPORTS.sub("", EXAMPLES[name]).splitlines() if line.strip()]
    assert 5 < len(lines) < MOST_LINES


# each test imports its example anew; the class of another one may not be collected yet
pytestmark = pytest.mark.filterwarnings("ignore:This declarative base already contains")


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import an example as a module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded: list[str] = []

    def import_example(name: str) -> Any:
        module = f"example_{name.replace('/', '_')}"
        (tmp_path / f"{module}.py").write_text(EXAMPLES[name])
        loaded.append(module)
        return importlib.import_module(module)

    yield import_example
    for module in loaded:
        del sys.modules[module]


@contextlib.asynccontextmanager
async def serving(server: Server, token: str = ROOT_TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    """A client of root's of a server that runs."""
    await server.start()
    headers = {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        yield client
    await server.stop()


@pytest.fixture
async def notes(load: Load) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server with the feature."""
    module = load("notes")
    settings = replace(SETTINGS, of_features=(module.NoteOptions(max_note_chars=20),))
    async with serving(Server(settings, [*listed_features(), module.NotesFeature])) as client:
        yield client
    Base.metadata.remove(Base.metadata.tables["notes"])


async def test_the_feature_has_a_table_functions_a_route_and_an_option(notes: httpx.AsyncClient) -> None:
    functions = "/public/services/notes"
    for text in ("first", "second"):
        assert (await notes.post(f"{functions}/add", json={"text": text})).status_code == 200
    too_long = await notes.post(f"{functions}/add", json={"text": "x" * 21})
    assert too_long.status_code == 400 and "20 characters" in too_long.text
    assert (await notes.get(f"{functions}/all")).json() == ["first", "second"]
    assert (await notes.get("/notes/public")).text == "first\nsecond"
    stranger = await notes.get("/notes/public", headers={"authorization": ""})
    assert stranger.text == ""


def shape(connection: Connection) -> Any:
    """The columns and keys of the table of notes."""
    found = inspect(connection)
    columns = [
        (column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns("notes")
    ]
    return sorted(columns), found.get_pk_constraint("notes"), found.get_foreign_keys("notes")


def test_the_migration_makes_what_the_feature_declares(load: Load) -> None:
    declared, migration = load("notes").Note.__table__, load("r9999_notes")
    try:
        with create_engine("sqlite://").begin() as connection:
            Base.metadata.tables["workspaces"].create(connection)
            declared.create(connection)
            made = shape(connection)
            declared.drop(connection)
            with Operations.context(MigrationContext.configure(connection)):
                migration.upgrade()
                assert shape(connection) == made
                migration.downgrade()
            assert not inspect(connection).has_table("notes")
    finally:
        Base.metadata.remove(declared)


async def test_the_function_counts_for_those_who_may_know(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = load("functions_counts").CountFunctions
    monkeypatch.setattr(service, "FUNCTIONS", (*service.FUNCTIONS, "count_clients"))
    monkeypatch.setattr(manager, "WorkspaceManager", type("With", (WorkspaceManager, counts), {}))
    server = Server(SETTINGS)
    async with serving(server) as http:
        async with server.get_workspace_interface(workspace="ws-user-root"):
            asked = {"workspace": "ws-user-root"}
            path = "/public/services/~/count_clients"
            assert (await http.get(path, params=asked)).json() == 1
            stranger = await http.get(path, params=asked, headers={"authorization": ""})
        assert stranger.status_code == 403
        described = (await http.get("/public/services/~/openapi.json")).json()
        assert "Count the clients" in json.dumps(described)


async def test_the_gateway_calls_services_as_who_asks(load: Load) -> None:
    doors = listed_doors()
    with_example = replace(doors, gateways=[*doors.gateways, load("json_rpc/gateway").JsonRpc])
    server = Server(SETTINGS, doors=with_example)
    async with serving(server) as http, server.get_workspace_interface(workspace="ws-user-root") as api:
        await api.register_service({"id": "desk", "double": lambda number: 2 * number})
        address = "/ws-user-root/json-rpc/desk"
        call = {"jsonrpc": "2.0", "id": 7, "method": "double", "params": [4]}
        assert (await http.post(address, json=call)).json() == {"jsonrpc": "2.0", "id": 7, "result": 8}
        wrong = await http.post(address, json={**call, "method": "no_such"})
        assert wrong.json()["error"]["data"]["code"] == "call_failed"
        stranger = await http.post(address, json=call, headers={"authorization": ""})
        assert stranger.status_code == 403 and stranger.json()["success"] is False
        assert (await http.post(address, content=b"[")).status_code == 400
        lead_away = {**call, "params": [{"_rtype": "method", "_rtarget": "public/x", "_rmethod": "y"}]}
        assert (await http.post(address, json=lead_away)).status_code == 400
        assert (await http.post(address, content=b" " * 100_000)).status_code == 413


class Socket:
    """The other end of a WebSocket of an ASGI server."""

    def __init__(self, *texts: str) -> None:
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.closed: asyncio.Queue[int] = asyncio.Queue()
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sent.put_nowait({"type": "websocket.connect"})
        for text in texts:
            self.send(text)

    def send(self, text: str) -> None:
        self._sent.put_nowait({"type": "websocket.receive", "text": text})

    async def serve(self, server: Server, path: str) -> None:
        """Run until the server is done with it."""
        scope = {
            "type": "websocket", "scheme": "ws", "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": b"", "headers": [(b"host", b"here")], "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await server.app(scope, self._sent.get, self._take)

    async def _take(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.closed.put_nowait(message["code"])
        elif "text" in message:
            self.received.put_nowait(message["text"])

    def leave(self) -> None:
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1000})


async def test_the_transport_carries_frames_in_text(load: Load) -> None:
    doors = listed_doors()
    with_example = replace(doors, transports=[*doors.transports, load("text_websocket").TextWebSocket])
    server = Server(SETTINGS, doors=with_example)
    async with serving(server):
        socket = Socket(json.dumps({"client_id": "one", "workspace": "public", "token": ROOT_TOKEN}))
        running = asyncio.ensure_future(socket.serve(server, "/ws-text"))
        info = json.loads(await socket.received.get())
        assert info["type"] == "connection_info" and info["client_id"] == "one"
        call = {
            "type": "method", "from": "public/one", "to": "*/" + info["manager_id"], "session": "s",
            "method": "services.default.echo",
        }  # fmt: skip
        socket.send(
            base64.b64encode(payload(encode(call, {"args": ["hello"], "promise": "*", "t": 5}))).decode()
        )
        while True:
            main, extra = msgpack.Unpacker(io.BytesIO(base64.b64decode(await socket.received.get())))
            if main.get("method") == "s.resolve":
                break
        assert extra["args"] == ["hello"]
        socket.send('{"type": "ping"}')
        assert json.loads(await socket.received.get()) == {"type": "pong"}
        socket.send("no base64!")
        assert await socket.closed.get() == 1007
        socket.leave()
        await running
