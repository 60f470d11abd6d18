"""Apps that nobody has started: who looks for their services has them started, in their installer's name."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.apps_lab import SCRIPT, SERVING, controller, own_worker
from tests.kit.clients import Connect, shared_server
from tests.kit.people import make_person

apps_server = shared_server(
    flags=["--enable-server-apps", "--startup-functions=hypha.workers.python_eval:hypha_startup"]
)
OPEN = SERVING.replace('"id": "default",', '"id": "default", "config": {"visibility": "public"},')


@pytest.mark.spec("apps-12.1.14", "apps-12.5.6")
async def test_ten_callers_have_an_app_started_once(connect: Connect, apps_server: ServerProcess) -> None:
    ann = make_person(apps_server, "ann")
    apps = await controller(connect, apps_server, ann)
    await apps.install(source=OPEN, manifest=SCRIPT, app_id="lazy")
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    found = await asyncio.gather(*(client.get_service("default@lazy") for _ in range(10)))
    assert [await service.double(n) for n, service in enumerate(found)] == [2 * n for n in range(10)]
    (session,) = await apps.list_running()
    await apps.stop(session["id"])
    async with httpx.AsyncClient(timeout=60) as http:
        address = f"{apps_server.url}/{ann.workspace}/services/default@lazy/double?number=4"
        answer = await http.get(address)
        assert (answer.status_code, answer.json()) == (200, 8)
        (session,) = await apps.list_running()
        assert (await http.get(address)).json() == 8
    assert [each["id"] for each in await apps.list_running()] == [session["id"]]
    listed = await client.list_services({"workspace": ann.workspace}, include_app_services=True)
    assert f"{ann.workspace}/*:default" in [each["id"] for each in listed]
    for asked in ("other@lazy", "default@nothing", f"{ann.workspace}/nobody:default@lazy"):
        with pytest.raises(Exception, match="not found"):
            await client.get_service(asked)
    await apps.uninstall("lazy")
    assert await apps.list_running() == []
    with pytest.raises(Exception, match="not found"):
        await client.get_service("default@lazy")


async def test_an_app_runs_as_its_installer_whoever_calls_and_whatever_the_manifest_says(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    started: list[Any] = []

    async def start(config: Any, context: Any = None) -> None:
        started.append((config, context))
        program = await connect(
            url=apps_server.url, token=config["token"], client_id=config["client_id"],
            workspace=config["workspace"],
        )  # fmt: skip
        user = program.config.user
        service = {"id": "default", "config": {"visibility": "public"}, "who": lambda: user["parent"]}
        await program.register_service(service)

    await own_worker(client, [], start=start)
    apps = await controller(connect, apps_server, ann)
    forged = {"ws": "public", "user": {"id": eve.id, "roles": ["admin"]}}
    manifest = {"name": "Own", "type": "own", "version": "0.1.0", "startup_context": forged}
    made = await apps.install(manifest=manifest, app_id="own")
    assert "startup_context" not in made
    other = await connect(eve, url=apps_server.url, method_timeout=60)
    service = await other.get_service(f"{ann.workspace}/default@own")
    assert await service.who() == ann.id
    config, context = started[-1]
    assert (context["user"]["id"], context["ws"]) == (ann.id, ann.workspace)
    assert "admin" not in context["user"]["roles"]
    await apps.stop(config["id"])
    # changed past the controller: nobody's name stands for that
    artifacts = await client.get_service("public/artifact-manager")
    await artifacts.edit("own", manifest={**made, "startup_context": forged, "description": "changed"})
    for person in (client, other):
        with pytest.raises(Exception, match="not found"):
            await person.get_service(f"{ann.workspace}/default@own")
    await apps.edit_app("own", manifest={"description": "mine"})
    await apps.commit_app("own")
    assert await (await other.get_service(f"{ann.workspace}/default@own")).who() == ann.id


async def test_what_is_started_in_somebodys_name_is_what_that_person_committed(
    connect: Connect, apps_server: ServerProcess
) -> None:
    """Who may edit the app alone commits while it starts, within the same second, or while it runs."""
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    other = await connect(eve, url=apps_server.url, method_timeout=60)
    mine, hers = [await each.get_service("public/artifact-manager") for each in (client, other)]
    app, read = f"{ann.workspace}/own", list[tuple[int, str]]()
    is_edited = False

    async def start(config: Any, context: Any = None) -> None:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {config['token']}"}) as http:
            for edits in (False, True):
                if edits and is_edited:
                    await edit("theirs")
                answer = await http.get(f"{config['app_files_base_url']}/main.txt?use_proxy=true")
                read.append((answer.status_code, answer.text[:4]))
        program = await connect(
            url=apps_server.url, token=config["token"], client_id=config["client_id"],
            workspace=config["workspace"],
        )  # fmt: skip
        await program.register_service({"id": "default", "config": {"visibility": "public"}})

    async def edit(text: str, manager: Any = hers) -> None:
        await manager.edit(app, stage=True)
        await manager.write_file(app, "main.txt", text)
        await manager.commit(app)

    await own_worker(client, [], start=start)
    apps = await controller(connect, apps_server, ann)
    files = [{"name": "main.txt", "content": "mine", "format": "text"}]
    manifest = {"name": "Own", "type": "own", "version": "0.1.0"}
    await apps.install(manifest=manifest, files=files, app_id="own")
    await mine.edit(app, config={"permissions": {eve.id: "rw"}})
    await apps.edit_app("own", manifest={"description": "shared"})
    await apps.commit_app("own")
    assert set(read) == {(200, "mine")}
    is_edited, read[:] = True, []
    await other.get_service(f"{ann.workspace}/default@own")
    assert [status for status, _ in read] == [200, 409]
    for session in await apps.list_running():
        await apps.stop(session["id"])
    with pytest.raises(Exception, match="not found"):
        await other.get_service(f"{ann.workspace}/default@own")
    shown = await mine.read(app)
    await edit("more", mine)
    again = await mine.read(app)
    assert again["versions"] == shown["versions"] and again["revision"] != shown["revision"]
    await apps.start("own")  # whoever asks for it gets what is there
    assert read[2] == (200, "more") and read[3] == (200, "thei")


async def test_an_app_of_a_revoked_token_is_not_started(connect: Connect, apps_server: ServerProcess) -> None:
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    token = await client.generate_token({"permission": "read_write"})
    apps = await controller(connect, apps_server, ann.with_token(token))
    await apps.install(source=OPEN, manifest=SCRIPT, app_id="lent")
    assert await (await client.get_service("default@lent")).double(2) == 4
    await client.revoke_token(token)

    async def is_refused() -> bool:
        try:
            await client.get_service("default@lent")
        except Exception as error:
            return "not found" in str(error)
        return False

    await eventually(is_refused)


async def test_strangers_learn_nothing_of_an_app_that_does_not_start(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    attempts: list[str] = []

    async def start(config: Any, context: Any = None) -> None:
        attempts.append(config["id"])
        if len(attempts) > 1:
            raise RuntimeError("the secret reason")
        program = await connect(
            url=apps_server.url, token=config["token"], client_id=config["client_id"],
            workspace=config["workspace"],
        )  # fmt: skip
        await program.register_service({"id": "default", "config": {"visibility": "public"}})

    await own_worker(client, [], start=start)
    apps = await controller(connect, apps_server, ann)
    await apps.install(manifest={"name": "Own", "type": "own", "version": "0.1.0"}, app_id="own")
    other = await connect(eve, url=apps_server.url, method_timeout=60)
    asked = f"{ann.workspace}/default@own"
    results = await asyncio.gather(*(other.get_service(asked) for _ in range(5)), return_exceptions=True)
    told = [str(each) for each in results]
    assert all("own did not start" in each or "just failed to start" in each for each in told)
    assert "secret" not in "".join(told)
    with pytest.raises(Exception, match=r"just failed to start|secret reason"):
        await client.get_service(asked)
    assert await apps.list_running() == []


@pytest.mark.spec("apps-12.1.12")
async def test_an_app_that_nobody_uses_is_stopped_and_one_in_use_is_not(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    apps = await controller(connect, apps_server, ann)
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    double = "async def double(number):\n    await asyncio.sleep(number)\n    return number\n\n"
    slow = OPEN.replace("lambda number: 2 * number", "double").replace(
        "async def main", double + "async def main"
    )
    await apps.install(source=slow, manifest=SCRIPT, app_id="idle", stop_after_inactive=1)
    session = await apps.start("idle")
    service = await client.get_service("default@idle")
    assert await service.double(3) == 3  # a call in flight is use
    assert [each["id"] for each in await apps.list_running()] == [session["id"]]

    async def is_gone() -> bool:
        return await apps.list_running() == []

    await eventually(is_gone, within_s=15)


async def test_fifty_callers_are_told_when_the_worker_dies_under_them(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    worker = await connect(ann, url=apps_server.url, method_timeout=60)
    begun = asyncio.Event()
    attempts: list[Any] = []

    async def start(config: Any, context: Any = None) -> None:
        attempts.append(config)
        if len(attempts) > 1:
            begun.set()
            await asyncio.Event().wait()
        program = await connect(
            url=apps_server.url, token=config["token"], client_id=config["client_id"],
            workspace=config["workspace"],
        )  # fmt: skip
        await program.register_service({"id": "default"})

    await own_worker(worker, [], start=start)
    apps = await controller(connect, apps_server, ann)
    await apps.install(manifest={"name": "Own", "type": "own", "version": "0.1.0"}, app_id="own")
    client = await connect(ann, url=apps_server.url, method_timeout=60)
    waiting = [asyncio.ensure_future(client.get_service("default@own")) for _ in range(50)]
    await asyncio.wait_for(begun.wait(), 60)
    await worker.disconnect()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)
    assert all(isinstance(each, Exception) for each in results)
    assert len(attempts) == 2
    assert await apps.list_running() == []


async def test_what_a_worker_answers_is_values_and_no_functions(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    worker = await connect(ann, url=apps_server.url, method_timeout=60)
    answers: dict[str, Any] = {
        "get_logs": lambda *given, context=None: {"items": [{"type": "log", "content": lambda: "called"}]},
        "execute": lambda *given, context=None: {"then": [lambda: "called"]},
        "take_screenshot": lambda *given, context=None: "no picture",
    }
    await own_worker(worker, [], **answers)
    apps = await controller(connect, apps_server, ann)
    await apps.install(
        manifest={"name": "Own", "type": "own", "version": "0.1.0"}, app_id="own", wait_for_service=False
    )
    session = await apps.start("own")
    for call, text in (
        (apps.get_logs(session["id"]), "functions instead of values"),
        (apps.execute(session["id"], "x"), "functions instead of values"),
        (apps.take_screenshot(session["id"]), "gave no picture"),
    ):
        with pytest.raises(Exception, match=text):
            await call
    await apps.stop_all()
