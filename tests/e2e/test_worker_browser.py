"""Apps in a real Chromium, which the browser worker drives against a real server."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess
from hypha.workers.browser.chromium import NAMES, has_playwright
from hypha.workers.browser.worker import BrowserWorker
from tests.kit.clients import Connect
from tests.kit.people import Person

pytestmark = pytest.mark.skipif(
    not has_playwright() or not any(map(shutil.which, NAMES)),
    reason="Chromium or playwright is not installed",
)

Start = Callable[..., Awaitable[dict[str, Any]]]
ADDS = """
api.export({ add: (a, b) => a + b, facts: () => [env.get("HYPHA_APP_ID"), env.get("HYPHA_CLIENT_ID")] });
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worker() -> AsyncIterator[BrowserWorker]:
    made = BrowserWorker({"HYPHA_MAX_BROWSER_SESSIONS": "3", "HYPHA_BROWSER_PRIVATE_HOSTS": "localhost"})
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def start(
    worker: BrowserWorker, server: ServerProcess, connect: Connect, alice: Person
) -> AsyncIterator[Start]:
    """Installs an app as the server does, and starts it; returns its config."""
    client = await connect(alice)
    manager = await client.get_service("public/artifact-manager")
    started: list[str] = []

    async def run(
        script: str, type: str = "window", client_id: str = "app-1", app_id: str = "", **more: Any
    ) -> dict[str, Any]:
        manifest = {"name": "Page", "type": type, **more.pop("manifest", {})}
        entry = manifest.setdefault("entry_point", "main.js")
        files = [{"name": entry, "content": script, "format": "text"}] if script else []
        manifest, files = await worker.compile(manifest, files)
        made = await manager.create(
            type="application",
            alias=app_id or f"page-{client_id}",
            manifest=manifest,
            stage=True,
            overwrite=True,
        )
        for file in files:
            await manager.write_file(made["id"], file["name"], file["content"])
        await manager.commit(made["id"])
        alias = made["id"].split("/")[1]
        config = {
            "id": f"{alice.workspace}/{client_id}",
            "app_id": alias,
            "workspace": alice.workspace,
            "client_id": client_id,
            "server_url": server.url,
            "app_files_base_url": f"{server.url}/{alice.workspace}/artifacts/{alias}/files",
            "token": await client.generate_token({"expires_in": 600}),
            "entry_point": manifest["entry_point"],
            "artifact_id": made["id"],
            "timeout": 20,
            "manifest": manifest,
            **more,
        }
        started.append(config["id"])
        await worker.start(config)
        return config

    yield run
    for session_id in started:
        await worker.stop(session_id)


async def logged(worker: BrowserWorker, session_id: str, text: str) -> str:
    async with asyncio.timeout(5):
        while True:
            page = await worker.get_logs(session_id)
            found = "\n".join(item["content"] for item in page["items"])
            if text in found:
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("type", ["window", "iframe", "web-worker", "hypha"])
async def test_a_script_offers_its_service(start: Start, connect: Connect, alice: Person, type: str) -> None:
    await start(ADDS, type)
    client = await connect(alice)
    service = await client.get_service("app-1:default")
    assert await service.add(1, 2) == 3
    assert await service.facts() == ["page-app-1", "app-1"]


async def test_a_class_with_setup_is_exported_and_api_is_the_connection(
    start: Start, connect: Connect, alice: Person
) -> None:
    await start(
        """
        class App {
          async setup() { this.workspace = api.config.workspace; this.offset = 40; }
          where() { return this.workspace; }
          plus(n) { return this.offset + n; }
        }
        api.export(new App());
        """
    )
    client = await connect(alice)
    service = await client.get_service("app-1:default")
    assert (await service.where(), await service.plus(2)) == (alice.workspace, 42)
    assert service["name"] == "Page"


@pytest.mark.parametrize("type", ["window", "web-worker"])
async def test_a_script_that_fails_fails_the_start_with_its_words(start: Start, type: str) -> None:
    with pytest.raises(Exception, match="no such luck"):
        await start("console.log('before'); throw new Error('no such luck');", type)


@pytest.mark.spec("apps-12.4.1")
async def test_pictures_values_and_console_of_a_page(worker: BrowserWorker, start: Start) -> None:
    config = await start("console.log('hello', 1); console.error('bad'); document.body.textContent = 'seen';")
    assert (await worker.take_screenshot(config["id"]))[:8] == b"\x89PNG\r\n\x1a\n"
    assert (await worker.take_screenshot(config["id"], "jpeg"))[:2] == b"\xff\xd8"
    with pytest.raises(ValueError, match="png or jpeg"):
        await worker.take_screenshot(config["id"], "gif")
    assert await worker.execute(config["id"], "1+2") == 3
    assert await worker.execute(config["id"], "document.body.textContent") == "seen"
    with pytest.raises(Exception, match="ReferenceError"):
        await worker.execute(config["id"], "nothing.here")
    await logged(worker, config["id"], "[log] hello 1")
    assert (await worker.get_logs(config["id"], "error"))["items"] == [{"type": "error", "content": "bad"}]


@pytest.mark.spec("apps-12.4.1")
async def test_cookies_and_storages_are_there_on_the_first_line(worker: BrowserWorker, start: Start) -> None:
    page = "<!doctype html><script>console.log(document.cookie, localStorage.a, sessionStorage.b)</script>"
    config = await start(
        page,
        manifest={
            "entry_point": "index.html",
            "cookies": {"c": "1"},
            "local_storage": {"a": "2"},
            "session_storage": {"b": {"d": 3}},
        },
    )
    await logged(worker, config["id"], '[log] c=1 2 {"d": 3}')


async def test_the_token_stands_in_no_query_and_in_no_log(worker: BrowserWorker, start: Start) -> None:
    config = await start("console.log(location.search); fetch('missing.txt');")
    text = await logged(worker, config["id"], "client_id=app-1")
    assert config["token"] not in text and "token" not in text


async def test_a_page_reads_the_files_of_its_app(worker: BrowserWorker, start: Start) -> None:
    config = await start(
        "const answer = await fetch('source'); console.log('got', (await answer.text()).length);"
    )
    await logged(worker, config["id"], "[log] got ")


@pytest.mark.spec("apps-12.4.1")
async def test_one_session_too_many_is_refused_by_the_name_of_the_limit(
    worker: BrowserWorker, start: Start
) -> None:
    for number in range(3):
        await start("1", client_id=f"app-{number}")
    with pytest.raises(Exception, match="HYPHA_MAX_BROWSER_SESSIONS=3"):
        await start("1", client_id="app-3")


async def test_many_at_once_get_no_more_room_and_those_that_failed_leave_it(
    worker: BrowserWorker, start: Start
) -> None:
    for number in range(3):
        with pytest.raises(Exception, match="no such luck"):
            await start("throw new Error('no such luck');", client_id=f"app-{number}")
    names = [f"app-{number}" for number in range(3, 8)]
    ends = await asyncio.gather(*(start("1", client_id=name) for name in names), return_exceptions=True)
    refused = [str(end) for end in ends if isinstance(end, Exception)]
    assert len(refused) == 2 and all("HYPHA_MAX_BROWSER_SESSIONS=3" in text for text in refused)


async def test_a_startup_script_runs_and_its_failure_is_a_warning(
    worker: BrowserWorker, start: Start
) -> None:
    config = await start(
        "globalThis.runs = (globalThis.runs || 0) + 1;", manifest={"startup_script": "main.js"}
    )
    assert await worker.execute(config["id"], "runs") == 2
    told: list[Any] = []
    config = await start(
        "1", client_id="app-2", manifest={"startup_script": "none.js"}, progress_callback=told.append
    )
    assert [each["type"] for each in told][-1] == "warning"
    assert "none.js" in (await worker.get_logs(config["id"], "error"))["items"][0]["content"]


async def test_another_workspace_uses_no_session(worker: BrowserWorker, start: Start) -> None:
    config = await start("1")
    stranger = {"ws": "ws-other", "from": "ws-other/c1"}
    for call in (
        worker.take_screenshot(config["id"], context=stranger),
        worker.execute(config["id"], "1", context=stranger),
        worker.get_logs(config["id"], context=stranger),
        worker.stop(config["id"], context=stranger),
        worker.clear_app_cache(config["workspace"], config["app_id"], context=stranger),
        worker.get_app_cache_stats(config["workspace"], config["app_id"], context=stranger),
    ):
        with pytest.raises(Exception, match="own workspace"):
            await call


async def test_who_may_only_read_runs_nothing_in_a_page(worker: BrowserWorker, start: Start) -> None:
    config = await start(ADDS)
    scope = {"workspaces": {config["workspace"]: "r"}}
    reader = {"from": f"{config['workspace']}/reader", "user": {"scope": scope}}
    for call in (
        worker.execute(config["id"], "1", context=reader),
        worker.clear_app_cache(config["workspace"], config["app_id"], context=reader),
    ):
        with pytest.raises(Exception, match="needs read_write"):
            await call
    assert (await worker.take_screenshot(config["id"], context=reader)).startswith(b"\x89PNG")


@pytest.mark.spec("apps-12.4.2")
async def test_kept_addresses_are_asked_for_once(
    worker: BrowserWorker, start: Start, server: ServerProcess
) -> None:
    script = "await (await fetch(new URL('/assets/config.json', location.href))).text();"
    routes = {"cache_routes": ["**/assets/config.json"]}
    first = await start(script, manifest=routes)
    key = (first["workspace"], first["app_id"])
    async with asyncio.timeout(5):  # it is kept once the browser has told that it came
        while not (stats := await worker.get_app_cache_stats(*key))["entry_count"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (stats["entry_count"], stats["recording"]) == (1, True) and stats["total_size_bytes"] > 0
    await worker.stop(first["id"])
    asked = server.url + "/assets/config.json"
    assert worker._cache.find(key, asked) is not None
    await start(script, client_id="app-2", app_id=first["app_id"], manifest=routes)
    again = await worker.get_app_cache_stats(*key)
    assert (again["entry_count"], again["newest_entry"]) == (1, stats["newest_entry"])
    assert await worker.clear_app_cache(*key) == {"deleted_entries": 1}
    assert (await worker.get_app_cache_stats(*key))["entry_count"] == 0


class Answering:
    """An HTTP server that gives one answer to all, and counts who asked."""

    def __init__(self, answer: str) -> None:
        self._answer, self.asked, self.port = answer, 0, 0

    async def __aenter__(self) -> Answering:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            self.asked += 1
            writer.write(f"HTTP/1.1 {self._answer}\r\nConnection: close\r\n\r\n".encode())
        writer.close()


OPEN = "\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0"


@pytest.mark.parametrize("kept", [[], ["**"]])
async def test_no_redirect_and_no_kept_address_leads_to_a_private_machine(
    worker: BrowserWorker, start: Start, kept: list[str]
) -> None:
    async with Answering(f"200 OK{OPEN}") as secret:
        there = f"http://127.0.0.1:{secret.port}/"
        async with Answering(f"302 Found\r\nLocation: {there}{OPEN}") as redirecting:
            named = f"http://localhost:{redirecting.port}/"
            config = await start(
                ADDS, public_base_url="https://93.184.216.34", manifest={"cache_routes": kept}
            )
            asking = "(url) => fetch(url).then(() => 'read', () => 'refused')"
            for address in (named, there):
                assert await worker.execute(config["id"], f"({asking})('{address}')") == "refused"
            closing = "(url) => new Promise((end) => { new WebSocket(url).onclose = () => end('closed'); })"
            assert await worker.execute(config["id"], f"({closing})('ws{there[4:]}')") == "closed"
            await worker.execute(config["id"], f"void (location.href = '{named}')")
            await until_refused(worker, config["id"], redirecting)
        assert (redirecting.asked, secret.asked) == (2, 0)


async def test_a_page_that_cannot_be_fetched_is_told_at_once_and_without_the_token(
    worker: BrowserWorker, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gone = "http://127.0.0.1:1/files"
    with pytest.raises(Exception, match="cannot be loaded") as found:
        await start("1", client_id="app-2", app_files_base_url=gone)
    gc.collect()
    assert "Bearer" not in caplog.text and "token" not in str(found.value)


async def until_refused(worker: BrowserWorker, session_id: str, server: Answering) -> None:
    """Wait until a page that leaves for a server has come to the end of its way."""
    page = worker._session_data[session_id].page
    async with asyncio.timeout(10):
        while server.asked < 2 or "chrome-error" not in page.url:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_browser_that_dies_ends_its_sessions_and_starts_again(
    worker: BrowserWorker, start: Start
) -> None:
    config = await start("1")
    browser = await worker._chromium.browser()
    session = await browser.new_browser_cdp_session()
    with pytest.raises(Exception):  # noqa: B017 (it dies before it can answer)
        await session.send("Browser.crash")
    await logged(worker, config["id"], "The browser has ended.")
    with pytest.raises(Exception, match="no page any more"):
        await worker.execute(config["id"], "1")
    again = await start("1", client_id="app-2")
    assert await worker.execute(again["id"], "2") == 2
