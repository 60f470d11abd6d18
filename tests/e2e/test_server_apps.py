"""The service `server-apps` with real workers and programs: install, start, logs, stop, and who may what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.apps_lab import SCRIPT, SERVING, controller, own_worker
from tests.e2e.guide_worker import running_javascript_worker
from tests.kit.clients import Connect, StartServer, shared_server
from tests.kit.people import Person, make_person

GUIDE = Path(__file__).parent / "guide"
KEYS = {
    "id", "app_id", "workspace", "client_id", "app_type", "entry_point", "name", "description", "version",
    "source_hash", "worker_id", "daemon", "worker_managed", "services", "config", "session_id", "status",
    "created_at",
}  # fmt: skip

apps_server = shared_server(
    flags=[
        "--enable-server-apps",
        "--startup-functions=hypha.workers.python_eval:hypha_startup",
        f"--startup-functions={GUIDE / 'custom_worker.py'}:hypha_startup",
    ]
)


@pytest.mark.spec("apps-12.1.1", "apps-12.1.2", "apps-12.1.3")
async def test_a_script_is_installed_started_read_and_stopped(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    told: list[Any] = []
    installed = await apps.install(
        source="import sys\nprint('one')\nprint('two', file=sys.stderr)",
        manifest={**SCRIPT, "entry_point": "main.py"},
        app_id="script",
        wait_for_service=False,
        progress_callback=told.append,
    )
    assert (installed["id"], installed["name"]) == ("script", "Script")
    texts = [message["message"] for message in told]
    assert {message["type"] for message in told} == {"info", "success"}
    steps = ("Parsing", "Compiling", "Creating", "Uploading", "Committing", "Initializing", "Starting",
             "Detached", "started", "Updating", "installed")  # fmt: skip
    places = [next(n for n, text in enumerate(texts) if step in text) for step in steps]
    assert places == sorted(places)
    assert [each["id"] for each in await apps.list_apps()] == ["script"]
    session = await apps.start("script")
    assert session.keys() - KEYS == {"logs"} and session["status"] == "running"
    page = await apps.get_logs(session["id"])
    assert [item["type"] for item in page["items"]] == ["stdout", "stderr", "info"]
    page = await apps.get_logs(session["id"], type="stdout", offset=0, limit=1)
    assert page["items"] == [{"type": "stdout", "content": "one\n"}]
    assert (page["total"], page["offset"], page["limit"]) == (1, 0, 1)
    assert await apps.stop(session["id"]) is None
    with pytest.raises(Exception, match="Server app instance not found"):
        await apps.stop(session["id"])
    assert await apps.stop(session["id"], raise_exception=False) is None
    assert await apps.list_running() == []


@pytest.mark.spec("apps-12.1.4", "apps-12.1.13", "apps-12.1.17")
async def test_an_app_serves_until_it_is_stopped(connect: Connect, apps_server: ServerProcess) -> None:
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url)
    apps = await controller(connect, apps_server, ann)
    manifest = await apps.install(source=SERVING, manifest=SCRIPT, app_id="serving")
    assert [each["id"] for each in manifest["services"]] == [f"{ann.workspace}/*:default"]
    sessions = await asyncio.gather(*(apps.start("serving") for _ in range(3)))
    session = sessions[0]
    assert {each["id"] for each in sessions} == {session["id"]}
    assert session["service_id"] == f"{session['id']}:default@serving"
    assert session["client_id"].startswith("_rapp_") and session["client_id"].endswith("__rlb")
    assert session.keys() == KEYS | {"service_id"}
    assert await apps.get_session_info(session["id"]) == session
    assert await apps.list_running() == [session]
    service = await client.get_service(f"{session['client_id']}:default")
    assert await service.double(21) == 42
    await apps.stop(session["id"])
    assert await apps.list_running() == []
    clients = await client.list_clients()
    assert session["client_id"] not in {each["id"].rpartition("/")[2] for each in clients}
    again = await apps.start("serving")
    assert again["id"] != session["id"]
    assert await apps.uninstall("serving") is None
    assert await apps.list_apps() == []

    async def is_gone() -> bool:
        return await apps.list_running() == []

    await eventually(is_gone)
    with pytest.raises(Exception, match="not found"):
        await apps.uninstall("serving")


@pytest.mark.spec("apps-12.3.1", "apps-12.3.4", "apps-12.3.9")
async def test_the_guides_worker_runs_apps_of_its_type(connect: Connect, apps_server: ServerProcess) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    (worker,) = await apps.list_workers("custom-task")
    assert worker["supported_types"] == ["custom-task", "background-job"] and worker["disabled"] is False
    manifest = {"name": "Task", "type": "custom-task", "version": "0.1.0"}
    await apps.install(manifest=manifest, app_id="my-task", wait_for_service=False)
    session = await apps.start("my-task")
    page = await apps.get_logs(session["id"])
    assert page["items"] == [{"type": "log", "content": "Started task for my-task"}]
    assert (page["total"], page["offset"], page["limit"]) == (1, 0, None)
    await apps.stop(session["id"])


@pytest.mark.spec("apps-12.1.9", "apps-12.1.10")
async def test_a_program_that_fails_says_why_and_leaves_nothing(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    source = "print('so far so good')\nraise ValueError('no luck')"
    with pytest.raises(Exception, match="Failed to install app 'bad'") as caught:
        await apps.install(source=source, manifest=SCRIPT, app_id="bad", timeout=30)
    assert "no luck" in str(caught.value) and "so far so good" in str(caught.value)
    assert "error: The script ended with exit code 1" in str(caught.value)
    assert "hypha/workers" not in str(caught.value)  # nor any other file of the worker
    assert apps_server.data_dir is None or str(apps_server.data_dir) not in str(caught.value)
    assert await apps.list_apps() == [] and await apps.list_running() == []
    with pytest.raises(Exception, match="not found"):
        await apps.start("bad")


@pytest.mark.spec("apps-12.1.5")
async def test_an_app_is_replaced_only_by_one_that_starts(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    script = {"manifest": SCRIPT, "app_id": "twice", "wait_for_service": False}
    await apps.install(source="print(1)", **script)
    with pytest.raises(Exception, match="FileExistsError"):
        await apps.install(source="print(2)", **script)
    with pytest.raises(Exception, match="Failed to install"):
        await apps.install(source="raise SystemExit(3)", overwrite=True, **script)
    session = await apps.start("twice")
    assert (await apps.get_logs(session["id"], "stdout"))["items"][0]["content"] == "1\n"
    await apps.stop(session["id"])
    await apps.install(source="print(3)", overwrite=True, **script)
    session = await apps.start("twice")
    assert (await apps.get_logs(session["id"], "stdout"))["items"][0]["content"] == "3\n"
    await apps.stop(session["id"])


@pytest.mark.spec("apps-12.1.6")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"source": "x", "manifest": {**SCRIPT, "type": "no"}}, "No server app worker found for app type"),
        ({"source": "x", "manifest": SCRIPT, "app_id": "a b"}, "An app_id has"),
        ({"source": "x", "manifest": {**SCRIPT, "services": []}}, "services"),
        ({"source": "x", "manifest": {**SCRIPT, "service_ids": []}}, "service_ids"),
        ({"source": "x", "manifest": SCRIPT, "config": SCRIPT}, "config"),
        ({"manifest": {**SCRIPT, "type": "hypha"}}, "source"),
        ({"source": "x", "manifest": {**SCRIPT, "type": "application"}}, "type"),
        ({"source": "x", "manifest": {**SCRIPT, "daemon": True}, "stop_after_inactive": 5}, "Daemon apps"),
        ({"source": "x", "manifest": SCRIPT, "files": [{"content": "y"}]}, "name or a path"),
        ({"source": "x", "manifest": SCRIPT, "timeout": -1}, "timeout"),
        ({"source": "x", "manifest": SCRIPT, "worker_selection_mode": "best"}, "worker_selection_mode"),
        ({"source": "x", "manifest": SCRIPT, "worker_id": "nobody"}, "Invalid worker id"),
        ({"source": "x", "manifest": SCRIPT, "worker_id": "other/c:s"}, "not found"),
    ],
)  # fmt: skip
async def test_what_cannot_be_an_app_is_refused(
    connect: Connect, apps_server: ServerProcess, given: dict[str, Any], text: str
) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    with pytest.raises(Exception, match=text):
        await apps.install(**given)


@pytest.mark.spec("apps-12.1.16")
async def test_rights_decide_who_does_what(connect: Connect, apps_server: ServerProcess) -> None:
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    apps, others = await controller(connect, apps_server, ann), await controller(connect, apps_server, eve)
    reader = ann.with_token(ann.token_for("r"))
    readers = await controller(connect, apps_server, reader)
    await apps.install(source="print(1)", manifest=SCRIPT, app_id="mine", wait_for_service=False)
    with pytest.raises(Exception, match="Permission"):
        await readers.install(source="print(1)", manifest=SCRIPT, app_id="other", wait_for_service=False)
    with pytest.raises(Exception, match="Permission"):
        await readers.uninstall("mine")
    session = await readers.start("mine")
    for call in (others.stop, others.get_logs, others.get_session_info):
        for session_id in (session["id"], f"{ann.workspace}/nobody"):
            with pytest.raises(Exception, match="Permission denied for workspace"):
                await call(session_id)
    with pytest.raises(Exception, match="Permission denied"):
        await others.install(source="x", manifest=SCRIPT, workspace=ann.workspace)
    assert await others.list_running() == [] and await others.list_apps() == []
    await readers.stop(session["id"])
    stranger = await connect(url=apps_server.url)
    with pytest.raises(Exception, match="Anonymous users cannot install apps"):
        await (await stranger.get_service("public/server-apps")).install(source="x", manifest=SCRIPT)


@pytest.mark.spec("apps-12.3.4", "apps-12.3.9")
async def test_a_worker_learns_who_started_the_app_and_nobody_sets_what_the_server_sets(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url)
    started: list[Any] = []
    await own_worker(client, started)
    apps = await controller(connect, apps_server, ann)
    manifest = {"name": "Own", "type": "own", "version": "0.1.0"}
    await apps.install(manifest=manifest, app_id="own", wait_for_service=False)
    forged = dict.fromkeys(
        ("id", "workspace", "client_id", "app_id", "token", "server_url", "public_base_url", "app_type",
         "artifact_id", "app_files_base_url", "manifest", "entry_point", "timeout", "disable_ssl"),
        "forged",
    )  # fmt: skip
    session = await apps.start("own", additional_kwargs={**forged, "foo": 1, "metadata": {"k": 2}})
    config, context = started[-1]
    assert (config["foo"], config["metadata"]) == (1, {"k": 2})
    assert "forged" not in [config[key] for key in forged]
    assert config["id"] == session["id"] and config["artifact_id"] == f"{ann.workspace}/own"
    assert (context["user"]["id"], context["ws"]) == (ann.id, ann.workspace)
    assert (await apps.get_logs(session["id"], limit=1))["items"] == [{"type": "log", "content": "a"}]
    with pytest.raises(Exception, match="functions"):
        await apps.start("own", additional_kwargs={"call": lambda: None})
    await apps.stop(session["id"])


@pytest.mark.spec("apps-12.1.21")
async def test_sessions_end_with_their_worker(connect: Connect, apps_server: ServerProcess) -> None:
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url)
    started: list[Any] = []
    await own_worker(client, started)
    apps = await controller(connect, apps_server, ann)
    await apps.install(manifest={"name": "Own", "type": "own"}, app_id="own", wait_for_service=False)
    session = await apps.start("own")
    token = started[-1][0]["token"]
    program = await connect(
        url=apps_server.url, token=token, client_id=session["client_id"], workspace=ann.workspace
    )
    assert await program.echo(1) == 1
    await client.disconnect()

    async def is_gone() -> bool:
        return await apps.list_running() == []

    await eventually(is_gone)
    with pytest.raises(Exception, match="revoked"):
        await connect(url=apps_server.url, token=token, client_id=session["client_id"])


async def test_a_session_s_token_is_good_for_its_files_before_its_program_connects_and_for_no_longer(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url)
    seen: list[int] = []
    tokens: list[str] = []

    async def read(token: str, address: str) -> int:
        async with httpx.AsyncClient() as http:
            answer = await http.get(address, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code

    async def start(config: Any, context: Any = None) -> None:
        tokens.append(config["token"])
        seen.append(await read(config["token"], f"{config['app_files_base_url']}/a.txt"))
        seen.append(await read(config["token"], f"{config['app_files_base_url']}/"))
        other = await client.generate_token({"client_id": "somebody-else"})
        seen.append(await read(other, f"{config['app_files_base_url']}/a.txt"))

    await own_worker(client, [], start=start)
    apps = await controller(connect, apps_server, ann)
    files = [{"path": "a.txt", "content": "hello"}]
    await apps.install(
        manifest={"name": "Own", "type": "own"}, files=files, app_id="own", wait_for_service=False
    )
    session = await apps.start("own")
    assert seen == [200, 200, 403] * 2
    address = f"{apps_server.url}/{ann.workspace}/artifacts/own/files/a.txt"
    assert await read(tokens[-1], address) == 403
    await apps.stop(session["id"])
    assert await read(tokens[-1], address) == 401


@pytest.mark.spec("apps-12.3.8")
async def test_a_worker_says_by_which_address_its_programs_reach_the_server(
    connect: Connect, start_server: StartServer
) -> None:
    server = await start_server(
        flags=["--enable-server-apps", "--public-base-url=https://apps.example"],
        env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"},
    )
    ann = make_person(server, "ann")
    client = await connect(ann, url=server.url)
    apps = await controller(connect, server, ann)
    for local, expected in (
        (True, server.url), (False, "https://apps.example"), ("http://inside:7", "http://inside:7"),
    ):  # fmt: skip
        started: list[Any] = []
        await own_worker(client, started, use_local_url=local)
        await apps.install(
            manifest={"name": "Own", "type": "own"}, app_id="own", wait_for_service=False, overwrite=True
        )
        config, _ = started[-1]
        assert config["server_url"] == expected
        assert config["app_files_base_url"] == f"{expected}/{ann.workspace}/artifacts/own/files"
        assert config["public_base_url"] == "https://apps.example"
        await client.unregister_service("runner")


async def test_without_the_option_there_is_no_such_service(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    client = await connect(alice)
    with pytest.raises(Exception, match="not found"):
        await client.get_service("public/server-apps")


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_a_server_with_apps_has_a_worker_for_pages_unless_it_is_not_wanted(
    connect: Connect, start_server: StartServer, is_wanted: bool
) -> None:
    without = {"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
    server = await start_server(flags=["--enable-server-apps"], env={} if is_wanted else without)
    apps = await controller(connect, server, make_person(server, "ann"))
    assert len(await apps.list_workers("window")) == int(is_wanted)
    assert await apps.list_workers("python-eval") == []


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="


@pytest.mark.spec("apps-12.1.7", "apps-12.1.8")
async def test_files_are_kept_as_given_and_changed_as_drafts(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    apps = await controller(connect, apps_server, ann)
    files = [
        {"path": "a.txt", "content": "hé"},
        {"name": "b.json", "content": {"k": [1, 2]}, "format": "json"},
        {"path": "c/d.png", "content": PNG, "format": "base64"},
        {"path": "e.png", "content": f"data:image/png;base64,{PNG}", "format": "base64"},
    ]
    await apps.install(
        source="print(open)", manifest=SCRIPT, app_id="kept", files=files, wait_for_service=False
    )
    assert {each["name"] for each in await apps.list_files("kept")} == {
        "a.txt", "b.json", "c", "e.png", "source",
    }  # fmt: skip
    assert await apps.read_file("kept", "a.txt") == "hé"
    assert await apps.read_file("kept", "b.json", format="json") == {"k": [1, 2]}
    for path in ("c/d.png", "e.png"):
        assert await apps.read_file("kept", path, format="binary") == PNG
    with pytest.raises(Exception, match="Failed to get file content for kept/none"):
        await apps.read_file("kept", "none")
    with pytest.raises(Exception, match="staging"):
        await apps.edit_file("kept", "a.txt", "new")
    with pytest.raises(Exception, match="staging"):
        await apps.remove_file("kept", "a.txt")
    await apps.edit_app("kept", manifest={"description": "Changed"})
    await apps.edit_file("kept", "a.txt", "new")
    await apps.edit_file("kept", "source", "raise SystemExit(7)")
    await apps.remove_file("kept", "e.png")
    assert await apps.read_file("kept", "a.txt", stage=True) == "new"
    assert await apps.read_file("kept", "a.txt") == "hé"
    assert (await apps.get_app_info("kept"))["manifest"].get("description") is None
    with pytest.raises(Exception, match="Failed to install app 'kept'"):
        await apps.commit_app("kept")
    assert await apps.read_file("kept", "a.txt", stage=True) == "new"
    await apps.edit_file("kept", "source", "print(2)")
    manifest = await apps.commit_app("kept", timeout=50, version="second")
    assert (manifest["description"], manifest["startup_config"]["timeout"]) == ("Changed", 50)
    assert manifest["startup_config"]["wait_for_service"] is False
    assert await apps.read_file("kept", "a.txt") == "new"
    assert "e.png" not in {each["name"] for each in await apps.list_files("kept")}
    assert (await apps.commit_app("kept"))["id"] == "kept"


@pytest.mark.spec("apps-12.1.15")
async def test_a_disabled_app_is_stopped_and_not_started(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    await apps.install(source=SERVING, manifest=SCRIPT, app_id="serving")
    await apps.start("serving")
    await apps.edit_app("serving", disabled=True)
    assert await apps.list_running() == []
    await apps.commit_app("serving")
    with pytest.raises(Exception, match="App serving is disabled"):
        await apps.start("serving")
    await apps.edit_app("serving", disabled=False)
    await apps.commit_app("serving")
    assert (await apps.start("serving"))["status"] == "running"


@pytest.mark.spec("apps-12.2.6", "apps-12.1.19")
async def test_manifests_are_looked_at_and_hashes_checked(
    connect: Connect, apps_server: ServerProcess
) -> None:
    apps = await controller(connect, apps_server, make_person(apps_server, "ann"))
    found = await apps.validate_app_manifest({"name": "A", "type": "custom-task", "version": "1"})
    assert (found["valid"], found["errors"], found["warnings"]) == (True, [], [])
    assert (await apps.validate_app_manifest("nothing"))["valid"] is False
    with pytest.raises(Exception, match="source_hash"):
        await apps.install(source="print(1)", manifest={**SCRIPT, "source_hash": "QmWrong"})
    with pytest.raises(Exception, match="Only secured https urls"):
        await apps.install(source="http://example.org/app", manifest=SCRIPT)
    for host in ("localhost", "127.0.0.1", "[::1]", "169.254.169.254", "no-such-host.invalid"):
        with pytest.raises(Exception, match="The internet has no host"):
            await apps.install(source=f"https://{host}/app.imjoy.html", manifest=SCRIPT)
    with pytest.raises(Exception, match="services"):
        await apps.install(source="print(1)", manifest=SCRIPT, app_id="s", stage=True)
        await apps.edit_app("s", manifest={"services": [{"id": "x"}]})
    for refused in ({"enabled": "yes"}, {"max_instances": 1000}, {"enabled": True, "instances": 3}):
        with pytest.raises(Exception, match="autoscaling"):
            await apps.edit_app("s", autoscaling_config=refused)
    with pytest.raises(Exception, match="give one of them"):
        await apps.edit_app("s", autoscaling_config={}, autoscaling_manifest={})


async def test_a_page_is_compiled_and_served_while_it_is_tried(
    connect: Connect, apps_server: ServerProcess
) -> None:
    """A worker that compiles, fetches its page while the app is a draft, and offers it under the app's id."""
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url)
    pages: list[str] = []

    def compile_app(manifest: Any, files: Any, config: Any = None, context: Any = None) -> Any:
        page = {"name": "index.html", "content": f"<b>{files[0]['content']}</b>"}
        return [{**manifest, "entry_point": "index.html", "services": ["forged"]}, [*files, page]]

    async def start(config: Any, context: Any = None) -> None:
        headers = {"Authorization": f"Bearer {config['token']}"}
        async with httpx.AsyncClient() as http:
            url = f"{config['app_files_base_url']}/{config['entry_point']}"
            pages.append((await http.get(url, headers=headers)).text)
        program = await connect(
            url=apps_server.url, token=config["token"], client_id=config["client_id"],
            workspace=config["workspace"], app_id=config["app_id"],
        )  # fmt: skip
        await program.register_service({"id": "default", "one": lambda: 1})

    await own_worker(client, [], start=start, compile=compile_app)
    apps = await controller(connect, apps_server, ann)
    manifest = {"name": "Own", "type": "own", "version": "0.1.0"}
    made = await apps.install(source="hello", manifest=manifest, app_id="page")
    assert pages == ["<b>hello</b>"]
    assert [each["id"] for each in made["services"]] == [f"{ann.workspace}/*:default"]
    assert (await apps.start("page"))["service_id"].endswith(":default@page")
    assert await (await client.get_service("default@page")).one() == 1


@pytest.mark.spec("apps-12.3.5", "apps-12.3.6")
async def test_workers_are_chosen_as_asked_and_never_while_they_are_disabled(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    ids = []
    for load in (3, 1, 2):
        client = await connect(ann, url=apps_server.url)
        info = await own_worker(client, [], get_load=lambda context=None, load=load: load)
        ids.append(info["id"])
    apps = await controller(connect, apps_server, ann)
    manifest = {"name": "Own", "type": "own", "version": "0.1.0", "singleton": False}
    await apps.install(manifest=manifest, app_id="own", wait_for_service=False)

    async def chosen(mode: str | None = None, **given: Any) -> str:
        session = await apps.start("own", worker_selection_mode=mode, **given)
        await apps.stop(session["id"])
        return str(session["worker_id"])

    assert await chosen() in ids
    assert [await chosen("first"), await chosen("last")] == [ids[0], ids[2]]
    assert [await chosen("select:min:get_load"), await chosen("select:max:get_load")] == [ids[1], ids[0]]
    assert await chosen("min_load") in ids
    assert await chosen(worker_id=ids[2].partition("/")[2]) == ids[2]
    with pytest.raises(Exception, match="3 workers fit"):
        await chosen("exact")
    session = await apps.start("own", worker_id=ids[1])
    others = await controller(connect, apps_server, eve)
    with pytest.raises(Exception, match="Permission denied"):
        await others.edit_worker(ids[1], disabled=True)
    await apps.edit_worker(ids[1], disabled=True)
    assert session["id"] not in [each["id"] for each in await apps.list_running()]
    assert {each["id"]: each["disabled"] for each in await apps.list_workers("own")} == dict(
        zip(ids, (False, True, False), strict=True)
    )
    assert await chosen("select:min:get_load") == ids[2]
    with pytest.raises(Exception, match="is disabled"):
        await chosen(worker_id=ids[1])
    await apps.edit_worker(ids[1], disabled=False)
    assert await chosen("select:min:get_load") == ids[1]
    assert await others.list_workers("own") == []


@pytest.mark.spec("apps-12.1.20")
async def test_a_person_uses_a_session_through_the_controller(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    client = await connect(ann, url=apps_server.url)

    async def execute(session_id: str, script: str, config: Any, told: Any, context: Any = None) -> Any:
        await told({"type": "info", "message": f"running {script}"})
        await told({"type": "stream", "name": "stdout", "text": "3\n", "data": [1, {"k": None}]})
        for unfit in ({"type": "call", "me": lambda: None}, {"text": "x" * 300_000}):
            await told(unfit)
        await told("plain")
        return [script, config, context["user"]["id"]]

    def picture(session_id: str, format: str, context: Any = None) -> bytes:
        return format.encode()

    await own_worker(client, [], execute=execute, take_screenshot=picture)
    apps = await controller(connect, apps_server, ann)
    manifest = {"name": "Own", "type": "own", "version": "0.1.0"}
    await apps.install(manifest=manifest, app_id="own", wait_for_service=False)
    session = await apps.start("own")
    told: list[Any] = []
    asked = session["id"], "1+2", {"timeout": 5}, told.append
    assert await apps.execute(*asked) == ["1+2", {"timeout": 5}, ann.id]
    assert told == [
        {"type": "info", "message": "running 1+2"},
        {"type": "stream", "name": "stdout", "text": "3\n", "data": [1, {"k": None}]},
        "plain",
    ]
    assert await apps.take_screenshot(session["id"]) == b"png"
    assert await apps.take_screenshot(session["id"], format="jpeg") == b"jpeg"
    with pytest.raises(Exception, match="png"):
        await apps.take_screenshot(session["id"], format="gif")
    others = await controller(connect, apps_server, eve)
    readers = await controller(connect, apps_server, ann.with_token(ann.token_for("r")))
    for who, call in (
        (others, "execute"), (readers, "execute"), (others, "take_screenshot"), (readers, "stop_all")
    ):  # fmt: skip
        with pytest.raises(Exception, match="Permission denied"):
            await who[call](*({"execute": (session["id"], "1"), "stop_all": ()}.get(call, (session["id"],))))
    await apps.install(source="print(1)", manifest=SCRIPT, app_id="script", wait_for_service=False)
    script = await apps.start("script")
    with pytest.raises(Exception, match=r"has no take_screenshot"):
        await apps.take_screenshot(script["id"])
    assert await others.stop_all() == 0
    assert await apps.stop_all() == 2
    assert await apps.list_running() == []


@pytest.mark.spec("apps-12.1.18")
async def test_an_app_is_launched_once_and_published_without_secrets(
    connect: Connect, apps_server: ServerProcess
) -> None:
    ann = make_person(apps_server, "ann")
    client = await connect(ann, url=apps_server.url)
    apps = await controller(connect, apps_server, ann)
    given = {"source": SERVING, "manifest": {**SCRIPT, "config": {"secrets": {"key": "s3cret"}, "kept": 1}}}
    first = await apps.launch(**given)
    assert (await apps.launch(**given))["id"] == first["id"]
    (app,) = await apps.list_apps()
    assert app["id"] == first["app_id"]
    artifacts = await client.get_service("public/artifact-manager")
    await artifacts.create("shop", type="collection", manifest={"name": "Shop"})
    copy = await apps.publish(app["id"], "shop", new_app_id="sold")
    assert copy["id"] == f"{ann.workspace}/sold" and copy["manifest"]["config"] == {"kept": 1}
    assert not {"startup_context", "services"} & copy["manifest"].keys()
    with_all = await apps.publish(app["id"], "shop", new_app_id="all", remove_secrets=False)
    assert with_all["manifest"]["config"]["secrets"] == {"key": "s3cret"}
    assert (await artifacts.read_file("sold", "source"))["content"] == SERVING
    with pytest.raises(Exception, match="FileExistsError"):
        await apps.publish(app["id"], "shop", new_app_id="sold")
    # the copy was tried by nobody: nobody's name stands for it
    with pytest.raises(Exception, match="not found"):
        await client.get_service("default@sold")
    await apps.stop_all()


@pytest.mark.node
@pytest.mark.spec("apps-12.3.2", "apps-12.3.3")
async def test_the_guides_javascript_worker_runs_apps_of_its_type(
    connect: Connect, apps_server: ServerProcess, tmp_path: Path
) -> None:
    ann = make_person(apps_server, "ann")
    async with running_javascript_worker(apps_server, ann, tmp_path) as worker_id:
        apps = await controller(connect, apps_server, ann)
        assert [each["id"] for each in await apps.list_workers("js-worker")] == [worker_id]
        manifest = {"name": "Task", "type": "js-worker", "version": "0.1.0"}
        await apps.install(manifest=manifest, app_id="js", wait_for_service=False)
        session = await apps.start("js")
        text = f"Session {session['id']} started"
        assert (await apps.get_logs(session["id"]))["items"] == [{"type": "log", "content": text}]
        assert (await apps.get_logs(session["id"], "error"))["items"] == []
        await apps.stop(session["id"])
        with pytest.raises(Exception, match="not found"):
            await apps.get_logs(session["id"])


async def test_an_app_of_another_workspace_is_copied(connect: Connect, apps_server: ServerProcess) -> None:
    ann, eve = make_person(apps_server, "ann"), make_person(apps_server, "eve")
    apps, others = await controller(connect, apps_server, ann), await controller(connect, apps_server, eve)
    await apps.install(source=SERVING, manifest=SCRIPT, app_id="shared")
    source = f"{ann.workspace}/shared"
    with pytest.raises(Exception, match="permission"):
        await others.install(artifact_id=source, app_id="copy")
    artifacts = await (await connect(ann, url=apps_server.url)).get_service("public/artifact-manager")
    await artifacts.edit(source, config={"permissions": {"*": "r"}})
    made = await others.install(artifact_id=source, app_id="copy")
    assert (made["id"], made["name"], made["workspace"]) == ("copy", "Script", eve.workspace)
    assert [each["id"] for each in made["manifest"]["services"]] == [f"{eve.workspace}/*:default"]
    assert (await others.start("copy"))["workspace"] == eve.workspace
    await artifacts.create("no-app", manifest={"name": "Data"}, config={"permissions": {"*": "r"}})
    with pytest.raises(Exception, match="is no app"):
        await others.install(artifact_id=f"{ann.workspace}/no-app")
    await others.stop_all()
