"""Workers that lie, are silent or die at the wrong moment, and installs that are too much."""

from __future__ import annotations

import asyncio
import base64
import io
import zipfile
from typing import Any

import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.apps_lab import controller, own_worker
from tests.kit.clients import Connect, StartServer, shared_server
from tests.kit.people import Person, make_person

FLAGS = ["--enable-server-apps"]
ENV = {"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
OWN = {"name": "Own", "type": "own", "version": "0.1.0"}
apps_server = shared_server(flags=FLAGS, env=ENV)


async def lab(connect: Connect, server: ServerProcess, **functions: Any) -> tuple[Any, Any, Person]:
    """A worker that has such functions once an app is installed, `own`; and the app's controller."""
    ann = make_person(server, "ann")
    client = await connect(ann, url=server.url, method_timeout=60)
    honest = {"start": lambda *given: None, "stop": lambda *given: None, "get_logs": lambda *given: []}
    now: dict[str, Any] = dict(honest)

    def named(name: str) -> Any:
        return lambda *given, context=None: now[name](*given)

    await own_worker(client, [], **{name: named(name) for name in honest})
    apps = await controller(connect, server, ann)
    await apps.install(manifest=OWN, app_id="own", wait_for_service=False)
    now.update(functions)
    return apps, client, ann


async def test_ids_that_a_worker_makes_up_mean_nothing(connect: Connect, apps_server: ServerProcess) -> None:
    stopped: list[Any] = []
    apps, _, ann = await lab(
        connect,
        apps_server,
        start=lambda *given: {"session_id": "ws-user-root/_rapp_other", "id": 7},
        stop=lambda session_id: stopped.append(session_id),
    )
    session = await apps.start("own")
    assert session["id"].startswith(f"{ann.workspace}/_rapp_")
    assert [each["id"] for each in await apps.list_running()] == [session["id"]]
    await apps.stop(session["id"])
    assert stopped == [session["id"]]
    with pytest.raises(Exception, match="Permission denied"):
        await apps.stop("ws-user-root/_rapp_other")


@pytest.mark.parametrize(
    "shape", ["pages", "lists", "one text", pytest.param("far too much", marks=pytest.mark.slow)]
)
async def test_endless_logs_are_cut_or_refused_and_the_server_serves_on(
    connect: Connect, apps_server: ServerProcess, shape: str
) -> None:
    line = "x" * 1000

    def log(*given: Any) -> Any:
        if shape == "pages":
            return {"items": [{"type": "log", "content": line}] * 20_000, "total": 10**12}
        if shape == "lists":
            return {"log": [line] * 20_000}
        return "x" * (20_000_000 if shape == "one text" else 150_000_000)

    apps, client, _ = await lab(connect, apps_server, get_logs=log)
    session = await apps.start("own", additional_kwargs={})
    try:
        page = await apps.get_logs(session["id"])
    except Exception as error:
        assert shape == "far too much" and "Traceback" not in str(error)
    else:
        assert sum(len(item["content"]) for item in page["items"]) <= 2 * 1024 * 1024
        assert len(page["items"]) <= 10_000
    assert await client.echo(1) == 1
    await apps.stop_all()


@pytest.mark.slow
async def test_a_worker_that_never_answers_holds_nobody_up_for_long(
    connect: Connect, apps_server: ServerProcess
) -> None:
    async def never(*given: Any) -> None:
        await asyncio.Event().wait()

    apps, _, _ = await lab(connect, apps_server, start=never, get_logs=never, stop=never)
    with pytest.raises(Exception, match=r"startup timed out|No answer from"):
        await apps.start("own", timeout=1, wait_for_service="default")
    assert await apps.list_running() == []


async def test_what_a_worker_says_after_its_answer_is_not_heard(
    connect: Connect, apps_server: ServerProcess
) -> None:
    kept: list[Any] = []

    def start(config: Any) -> None:
        kept.append(config["progress_callback"])

    apps, _, _ = await lab(connect, apps_server, start=start)
    told: list[Any] = []
    session = await apps.start("own", wait_for_service=False, progress_callback=told.append)
    before = len(told)
    with pytest.raises(Exception):  # noqa: B017 (the library's own words)
        await kept[0]({"type": "info", "message": "I am still here"})
    assert len(told) == before
    assert (await apps.get_session_info(session["id"]))["status"] == "running"
    await apps.stop_all()


async def test_a_session_ends_though_its_worker_dies_while_it_stops(
    connect: Connect, apps_server: ServerProcess
) -> None:
    asked = asyncio.Event()

    async def stop(session_id: str) -> None:
        asked.set()
        await asyncio.Event().wait()

    apps, client, _ = await lab(connect, apps_server, stop=stop)
    session = await apps.start("own")
    stopping = asyncio.ensure_future(apps.stop(session["id"]))
    await asyncio.wait_for(asked.wait(), 30)
    assert await apps.list_running() == [], "it is shown no more"
    await client.disconnect()
    assert await asyncio.wait_for(stopping, 60) is None


@pytest.mark.slow
async def test_a_server_that_is_killed_while_an_app_starts_leaves_no_ghost(
    connect: Connect, start_server: StartServer
) -> None:
    server = await start_server(flags=FLAGS, env=ENV)
    begun, stopped = asyncio.Event(), []

    async def start(config: Any) -> None:
        begun.set()
        tokens.append(config)
        await asyncio.Event().wait()

    tokens: list[Any] = []
    apps, _, ann = await lab(connect, server, start=start, stop=lambda session_id: stopped.append(session_id))
    starting = asyncio.ensure_future(apps.start("own"))
    await asyncio.wait_for(begun.wait(), 30)
    await asyncio.to_thread(server.restart, kill=True)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await eventually(lambda: tokens[0]["id"] in stopped, within_s=60)
    apps = await controller(connect, server, ann)
    assert await apps.list_running() == []
    with pytest.raises(Exception, match="revoked"):
        await connect(url=server.url, token=tokens[0]["token"], client_id=tokens[0]["client_id"])


async def test_a_manifest_of_ten_megabytes_is_refused_and_leaves_nothing(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps, client, _ = await lab(connect, apps_server)
    with pytest.raises(Exception, match=r"bytes|values|large"):
        await apps.install(manifest={**OWN, "description": "x" * 10_000_000}, app_id="huge", stage=True)
    with pytest.raises(Exception, match=r"bytes|values|large|deep"):
        await apps.install(manifest={**OWN, "tags": ["x"] * 1_000_000}, app_id="many", stage=True)
    assert [each["id"] for each in await apps.list_apps()] == ["own"]
    assert await client.echo(1) == 1


async def test_a_zip_bomb_is_a_file_as_any_other(connect: Connect, apps_server: ServerProcess) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("zeros", bytes(64 * 1024 * 1024))
    content = packed.getvalue()
    assert len(content) < 1024 * 1024
    apps, _, _ = await lab(connect, apps_server)
    files = [{"path": "bomb.zip", "content": base64.b64encode(content).decode(), "format": "base64"}]
    await apps.install(manifest=OWN, files=files, app_id="bomb", stage=True)
    (listed,) = [each for each in await apps.list_files("bomb") if each["name"] == "bomb.zip"]
    assert listed["size"] == len(content)


async def test_an_install_of_two_gigabytes_is_refused_before_it_is_read(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps, client, ann = await lab(connect, apps_server)
    reader, writer = await asyncio.open_connection("127.0.0.1", apps_server.port)
    head = (
        "POST /public/services/server-apps/install HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {ann.token}\r\nContent-Length: {2 * 1024**3}\r\n\r\n"
    )
    writer.write(head.encode() + b'{"app_id": "huge", "source": "' + b"x" * 65536)
    answer = await asyncio.wait_for(reader.readline(), 30)
    assert answer.startswith(b"HTTP/1.1 413 ")
    writer.close()
    with pytest.raises(Exception, match=r"bytes|characters|large"):
        await apps.install(source="x" * 20_000_000, manifest=OWN, app_id="huge", stage=True)
    assert [each["id"] for each in await apps.list_apps()] == ["own"]
    assert await client.echo(1) == 1
