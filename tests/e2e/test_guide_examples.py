"""The development guide's examples, letter by letter, as programs of their own, in a page and by curl.

Only host names, tokens and the slips of docs/guide-notes.md are replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import hypha_rpc.sync
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.e2e.chromium import Page
from tests.kit.clients import JS_FOLDER, Connect, StartServer, require_node
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.timeout(90)

GUIDE = Path(__file__).parent / "guide"
FIRST_STARTUP = "./example-startup-function.py:hypha_startup"
SECOND_STARTUP = "./example-startup-function2.py:hypha_startup"
PUBLIC = {"visibility": "public"}
PRELOAD = """
globalThis.WebSocket = require("ws").WebSocket;
globalThis.hyphaWebsocketClient = require("hypha-rpc").hyphaWebsocketClient;
"""


def example(name: str, *replacements: tuple[str, str]) -> str:
    """The text of an example; each thing to be replaced must be in it."""
    text = (GUIDE / name).read_text()
    for old, new in replacements:
        assert old in text, f"{old!r} is not in {name}"
        text = text.replace(old, new)
    return text


class Program:
    """A running example and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.printed += line.decode()

    async def says(self, *texts: str) -> None:
        """Wait until it has printed all of these."""
        await eventually(
            lambda: all(text in self.printed for text in texts) or self._check_alive(texts), within_s=30
        )

    def _check_alive(self, texts: tuple[str, ...]) -> bool:
        assert self.process.returncode in (None, 0), f"it ended without saying {texts}: {self.printed}"
        return False

    async def ends(self) -> str:
        """Wait for its good end; what it printed."""
        async with asyncio.timeout(30):
            code = await self.process.wait()
            await self._reading
        assert code == 0, self.printed
        return self.printed

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


Run = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="session")
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """Start an example: `await run("name.py", text)`."""
    programs: list[Program] = []
    (tmp_path / "preload.cjs").write_text(PRELOAD)
    (tmp_path / "node_modules").symlink_to(JS_FOLDER / "node_modules")

    async def start(name: str, text: str) -> Program:
        file = tmp_path / name
        file.write_text(text)
        lines = {".py": [sys.executable, "-u"], ".js": ["node", "-r", "./preload.cjs"], ".sh": ["sh"]}
        process = await asyncio.create_subprocess_exec(
            *lines[file.suffix],
            str(file),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if file.suffix != ".sh" else asyncio.subprocess.DEVNULL,
        )
        programs.append(Program(process))
        return programs[-1]

    yield start
    for program in programs:
        await program.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(server: ServerProcess) -> AsyncIterator[Page]:
    """A page that has loaded the client that the server serves, as the guide's script tag would."""
    async with Page() as page:
        await page.open(f"{server.url}/health/readiness")
        await page.run(
            """
            await new Promise((resolve, reject) => {
              const tag = document.createElement("script");
              [tag.src, tag.onload, tag.onerror] = ["/assets/hypha-rpc-websocket.js", resolve, reject];
              document.head.append(tag);
            });
            window.printed = [];
            console.log = (...words) => printed.push(words.map((word) =>
              typeof word === "object" ? JSON.stringify(word) : String(word)).join(" "));
            """
        )
        yield page


async def run_in_page(page: Page, text: str, *awaited: str) -> str:
    """Run an example in the page until it has printed all of these."""
    await page.run("printed.length = 0;")
    await page.run(f"(async () => {{ {text} \n}})().catch((error) => console.log(`${{error}}`));")

    async def printed() -> str:
        text = str(await page.run('return printed.join("\\n");'))
        return text if all(word in text for word in awaited) else ""

    return str(await eventually(printed, within_s=20))


async def curl(text: str) -> Any:
    """Run a line of curl; its answer read as JSON."""
    process = await asyncio.create_subprocess_exec(*shlex.split(text), "-s", stdout=asyncio.subprocess.PIPE)
    return json.loads((await process.communicate())[0])


async def serve_hello(connect: Connect, person: Person) -> Any:
    client = await connect(person, client_id="CLIENTID")
    await client.register_service(
        {"id": "hello-world", "config": PUBLIC, "hello": lambda name: f"Hello {name}"}
    )
    return client


# -- users ---------------------------------------------------------------------------------------


async def test_the_user_context_guards_a_service(
    start_server: StartServer, tmp_path: Path, connect: Connect
) -> None:
    file = tmp_path / "guarded.py"
    file.write_text('authorized_users = ["anna@example.org"]\n' + example("user_context.py"))
    own = await start_server(flags=["--startup-functions", f"{file}:start_service"])
    anna = make_person(own, "anna", email="anna@example.org")
    service = await (await connect(anna, url=own.url)).get_service("public/test-service")
    assert await service.test(1) is None
    assert "Test: 1" in own.log
    for other in (make_person(own, "otto", email="otto@example.org"), None):
        stranger = await (await connect(other, url=own.url)).get_service("public/test-service")
        with pytest.raises(Exception, match="is not authorized to access this service"):
            await stranger.test(1)


async def test_login_to_a_workspace_with_a_callback(
    server: ServerProcess, connect: Connect, alice: Person, run: Run
) -> None:
    owner = await connect(alice)
    workspace = f"my-workspace-{alice.id}"
    await owner.create_workspace({"name": workspace})
    replaced = ("my-workspace", workspace)
    lines = [
        "import asyncio",
        "from hypha_rpc import connect_to_server, login",
        f"SERVER_URL = {server.url!r}",
        example("login_callback.py").replace("def callback", "def login_callback"),
        "async def main():",
        textwrap.indent(example("login.py", replaced), "    "),
        textwrap.indent(
            example("login_connect.py", replaced, ('"https://ai.imjoy.io"', "SERVER_URL")), "    "
        ).replace("pass", 'print("in", server.config.workspace)'),
        "asyncio.run(main())",
    ]
    program = await run("login.py", "\n".join(lines))
    await program.says("Go to login url: ")
    key = program.printed.split("?key=")[1].split("&")[0]
    async with httpx.AsyncClient() as http:
        body = {"key": key, "token": alice.token, "workspace": workspace}
        await http.post(f"{server.url}/public/services/hypha-login/report", json=body)
    assert f"in {workspace}" in await program.ends()


async def test_login_by_curl(server: ServerProcess, alice: Person) -> None:
    host = ("https://ai.imjoy.io", server.url)
    started = await curl(example("login_start.sh", host))
    assert started["login_url"] == f"{server.url}/public/apps/hypha-login/?key={started['key']}"
    assert started["report_url"] == f"{server.url}/public/services/hypha-login/report"
    check = example("login_check.sh", host, ("mihDumpHGYxkPdSEKB7GgM", started["key"]))
    waiting = asyncio.create_task(curl(check))
    async with httpx.AsyncClient() as http:
        await http.post(started["report_url"], json={"key": started["key"], "token": alice.token})
    assert await waiting == alice.token
    started = await curl(example("login_start.sh", host))
    late = example("login_check.sh", host, ("mihDumpHGYxkPdSEKB7GgM", started["key"]), ("10", "1"))
    assert "imeout" in (await curl(late))["detail"]


async def test_a_service_by_curl_with_a_token(server: ServerProcess, connect: Connect, alice: Person) -> None:
    await serve_hello(connect, alice)
    line = example(
        "hello.sh",
        ("https://ai.imjoy.io/public", f"{server.url}/{alice.workspace}"),
        ("Authorization :", "Authorization:"),
        ("<token>", alice.token),
    )
    assert await curl(line) == "Hello John"


# -- shortcuts -----------------------------------------------------------------------------------


def remote(server: ServerProcess, person: Person) -> tuple[str, str]:
    return "http://localhost:9527/ws-user-xxx", f"{server.url}/{person.workspace}"


async def test_the_python_shortcut(server: ServerProcess, connect: Connect, alice: Person, run: Run) -> None:
    await serve_hello(connect, alice)
    text = example("remote_service.py", remote(server, alice))
    wrapped = f"import asyncio\nasync def main():\n{textwrap.indent(text, '    ')}\nasyncio.run(main())"
    program = await run("remote.py", wrapped)
    await program.says("Hello World")

    def without_async() -> Any:
        service = hypha_rpc.sync.get_remote_service(f"{server.url}/{alice.workspace}/services/hello-world")
        return service.hello("World")

    assert await asyncio.to_thread(without_async) == "Hello World"


@pytest.mark.node
@pytest.mark.browser
async def test_the_javascript_shortcut(
    server: ServerProcess, connect: Connect, alice: Person, run: Run, page: Page
) -> None:
    await serve_hello(connect, alice)
    slip = ('hello-world"\n);', f'hello-world", {{server_url: "{server.url}"}}\n);')
    text = example("remote_service.js", remote(server, alice), slip)
    assert "Hello World" in await run_in_page(page, text, "Hello")
    require_node()
    program = await run("remote.js", f"(async () => {{ {text} }})();")
    await program.says("Hello World")


# -- environment variables and probes ------------------------------------------------------------

VARIABLES = ("https://ai.imjoy.io", "your-token-here")


async def test_environment_variables_in_python(server: ServerProcess, alice: Person, run: Run) -> None:
    text = example("environment.py", *zip(VARIABLES, (server.url, alice.token), strict=True))
    printed = await (await run("environment.py", text)).ends()
    assert "Database URL: postgres://localhost:5432/mydb\n" in printed
    assert "All variables: {'DATABASE_URL': 'postgres://localhost:5432/mydb'}\n" in printed

    def without_async() -> Any:
        with hypha_rpc.sync.connect_to_server({"server_url": server.url, "token": alice.token}) as client:
            client.set_env("API_KEY", "your-secret-key")
            client.set_env("API_KEY", None)
            return client.get_env("DATABASE_URL"), client.get_env()

    url = "postgres://localhost:5432/mydb"
    assert await asyncio.to_thread(without_async) == (url, {"DATABASE_URL": url})


@pytest.mark.node
@pytest.mark.browser
async def test_environment_variables_in_javascript(
    server: ServerProcess, alice: Person, bob: Person, run: Run, page: Page
) -> None:
    def text_for(person: Person) -> str:
        return example("environment.js", *zip(VARIABLES, (server.url, person.token), strict=True))

    printed = await run_in_page(page, text_for(bob), "All variables:")
    assert "Database URL: postgres://localhost:5432/mydb" in printed
    assert '"DATABASE_URL":"postgres://localhost:5432/mydb"' in printed
    assert "API_KEY" not in printed
    require_node()
    program = await run("environment.js", text_for(alice))
    await program.says("Database URL: postgres://localhost:5432/mydb", "All variables: {")
    assert "API_KEY" not in program.printed


async def test_probes(server: ServerProcess, run: Run) -> None:
    text = "import asyncio\n" + example("probes.py", ("https://my-hypha-server.org", server.url))
    program = await run("probes.py", text)
    await program.says("Test it with the HTTP proxy: ")
    url = program.printed.split("HTTP proxy: ")[1].split()[0]
    for name in ("readiness", "liveness"):
        check = f"curl -sf {url.replace('readiness', name)} || exit 1"
        assert json.loads(await (await run("check.sh", check)).ends()) == {"status": "ok"}


# -- services of applications, startup functions, workers ----------------------------------------


def of_application(server: ServerProcess, person: Person) -> Callable[[str], str]:
    """The examples on applications, with the address and the token of a person in them."""

    def text_of(name: str) -> str:
        return example(name, ("https://ai.imjoy.io", server.url), ("your-token", person.token))

    return text_of


@pytest.mark.spec("apps-8.1.1", "apps-8.1.2", "apps-8.1.5", "apps-12.8.1")
async def test_an_application_in_python(server: ServerProcess, alice: Person, run: Run) -> None:
    text_of = of_application(server, alice)
    created = await (await run("app_create.py", text_of("app_create.py"))).ends()
    assert f"Application created with ID: {alice.workspace}/my-distributed-app\n" in created
    worker = await run("app_service.py", text_of("app_service.py"))
    await worker.says(":worker-service-instance-1\n", "Associated with app: my-distributed-app\n")
    used = await (await run("app_use.py", text_of("app_use.py"))).ends()
    assert "Result: Task completed: important-computation\n" in used
    assert "Service status: {'status': 'ready', 'load': 0.5}\n" in used
    assert "Processing task: important-computation\n" in worker.printed


@pytest.mark.node
@pytest.mark.browser
@pytest.mark.spec("apps-8.1.1", "apps-8.1.2", "apps-8.1.5", "apps-12.8.1")
async def test_an_application_in_javascript(
    server: ServerProcess, connect: Connect, alice: Person, bob: Person, run: Run, page: Page
) -> None:
    require_node()
    text_of = of_application(server, alice)
    creator = await run("app_create.js", text_of("app_create.js"))
    await creator.says(f"Application created with ID: {alice.workspace}/my-distributed-app")
    for number in range(2):
        worker = await run(f"app_service{number}.js", text_of("app_service.js"))
        await worker.says("worker-service-instance-1", "Associated with app: my-distributed-app")
    user = await run("app_use.js", text_of("app_use.js"))
    await user.says("Result: Task completed: important-computation", "Service status: ")
    consumer = await connect(alice)
    found = [await consumer.get_service("worker-service@my-distributed-app") for _ in range(100)]
    assert len({service.id for service in found}) == 2, "each call may go to either"
    assert {await service.process_task("a") for service in found} == {"Task completed: a"}
    in_page = of_application(server, bob)
    for name, printed in (
        ("app_create.js", "Application created with ID: "),
        ("app_service.js", "Associated with app: my-distributed-app"),
        ("app_use.js", "Service status: "),
    ):
        await run_in_page(page, in_page(name), printed)


async def test_startup_functions_by_relative_path(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = example("example-startup-function.py")
    (tmp_path / "example-startup-function.py").write_text(text)
    (tmp_path / "example-startup-function2.py").write_text(text.replace("test-service", "second-service"))
    own = await start_server(flags=["--startup-functions", FIRST_STARTUP, SECOND_STARTUP])
    async with httpx.AsyncClient(base_url=own.url) as http:
        for name in ("test-service", "second-service"):
            assert (await http.get(f"/public/services/{name}/test?x=5")).status_code == 200


@pytest.mark.node
async def test_a_javascript_worker_registers(server: ServerProcess, run: Run) -> None:
    require_node()
    program = await run(
        "custom-worker.js",
        example(
            "custom-worker.js",
            ("http://localhost:9527", server.url),
            ('name: "JavaScript Custom', 'id: "worker", name: "JavaScript Custom'),
        ),
    )
    await program.says("JavaScript worker registered: ", "JavaScript worker is running...")
