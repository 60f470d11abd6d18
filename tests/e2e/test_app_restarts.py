"""Apps over the end of the server: nothing runs on unknown, and daemons come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hypha.testing import FaultProxy, eventually
from tests.e2e.apps_lab import SCRIPT, SERVING, controller, own_worker
from tests.kit.clients import Connect, StartServer
from tests.kit.people import make_person

FLAGS = ["--enable-server-apps", "--startup-functions=hypha.workers.python_eval:hypha_startup"]


@pytest.mark.spec("apps-12.1.11", "faults-F2")
async def test_after_a_kill_daemons_run_again_and_all_else_has_ended(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(flags=FLAGS)
    ann = make_person(own, "ann")
    apps = await controller(connect, own, ann)
    await apps.install(source=SERVING, manifest={**SCRIPT, "daemon": True}, app_id="daemon")
    await apps.start("daemon")
    client = await connect(ann, url=own.url, client_id="outside")
    stopped: list[str] = []
    started: list[Any] = []
    stop = {"stop": lambda session_id, context=None: stopped.append(session_id)}
    await own_worker(client, started, **stop)
    await apps.install(manifest={"name": "Own", "type": "own"}, app_id="own", wait_for_service=False)
    session = await apps.start("own")
    token = started[-1][0]["token"]
    await asyncio.to_thread(own.restart, kill=True)

    async def is_known_to_have_ended() -> bool:
        return session["id"] in stopped  # its worker is back, and was told

    await eventually(is_known_to_have_ended, within_s=60)
    apps = await controller(connect, own, ann)
    with pytest.raises(Exception, match="revoked"):
        await connect(url=own.url, token=token, client_id=session["client_id"])

    async def is_back() -> bool:
        running = await apps.list_running()
        return [each["status"] for each in running if each["app_id"] == "daemon"] == ["running"]

    await eventually(is_back, within_s=60)
    (daemon,) = await apps.list_running()
    service = await client.get_service("default@daemon")
    assert await service.double(4) == 8
    assert (await apps.get_app_info("daemon"))["daemon_state"]["failures"] == 0
    await apps.stop(daemon["id"])
    assert "daemon_state" not in await apps.get_app_info("daemon")
    with pytest.raises(Exception, match="Daemon apps should not have stop_after_inactive"):
        await apps.start("daemon", stop_after_inactive=5)


@pytest.mark.spec("apps-12.1.21", "faults-F1")
async def test_a_daemon_whose_worker_is_away_is_started_elsewhere_and_ends_where_it_was(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(flags=["--enable-server-apps"], env={"HYPHA_HOLD_TIME": "1"})
    ann = make_person(own, "ann")
    apps = await controller(connect, own, ann)
    stopped: list[str] = []
    stop = {"stop": lambda session_id, context=None: stopped.append(session_id)}
    async with FaultProxy(own.url) as proxy:
        away = await connect(ann, url=proxy.url, client_id="away")
        await own_worker(away, [], **stop)
        manifest = {"name": "Own", "type": "own", "daemon": True}
        await apps.install(manifest=manifest, app_id="own", wait_for_service=False)
        session = await apps.start("own")
        other = await connect(ann, url=own.url, client_id="other")
        await own_worker(other, [])
        proxy.accepts = False
        proxy.reset_all()

        async def is_elsewhere() -> bool:
            return [each["worker_id"] for each in await apps.list_running()] == [
                f"{ann.workspace}/other:runner"
            ]

        await eventually(is_elsewhere, within_s=45)
        assert session["id"] not in stopped
        proxy.accepts = True
        await eventually(lambda: session["id"] in stopped, within_s=60)
        assert await is_elsewhere()
        await away.disconnect()


async def test_when_the_server_stops_calls_of_apps_are_answered_and_their_programs_end(
    start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(
        flags=["--enable-server-apps"], env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
    )
    ann = make_person(own, "ann")
    client = await connect(ann, url=own.url, method_timeout=60)
    stopped: list[str] = []
    begun = asyncio.Event()

    async def start(config: Any, context: Any = None) -> None:
        program = await connect(
            url=own.url, token=config["token"], client_id=config["client_id"], workspace=ann.workspace
        )

        async def work() -> str:
            begun.set()
            await asyncio.sleep(1)
            return "done"

        await program.register_service({"id": "default", "work": work})

    stop = {"stop": lambda session_id, context=None: stopped.append(session_id)}
    await own_worker(client, [], start=start, **stop)
    apps = await controller(connect, own, ann)
    await apps.install(manifest={"name": "Own", "type": "own"}, app_id="own")
    session = await apps.start("own")
    service = await client.get_service("default@own")
    working = asyncio.ensure_future(service.work())
    await asyncio.wait_for(begun.wait(), 30)
    stopping = asyncio.create_task(asyncio.to_thread(own.stop))
    assert await asyncio.wait_for(working, 30) == "done"
    await asyncio.wait_for(stopping, 60)
    assert session["id"] in stopped
