"""Measure apps: lazy starts of scripts and pages, CPU of the server per start and stop, many sessions.

Usage: app_figures.py [workload ...] [--rounds N] [--sessions N]

Workloads: script, page, cycle, many; all if none is named. Each starts a server of its own.
`page` needs Chromium. In `cycle` and `many` the worker is this process, so that its own work is left out.
Prints medians with the load of the machine: read nothing into figures of a busy one.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
from hypha_rpc import connect_to_server

OF_OTHERS = 10
"""Sessions of the workspace whose list is asked for; the rest lie in others."""
SCRIPT = """
import asyncio, os
from hypha_rpc import connect_to_server

async def main():
    names = ("server_url", "workspace", "client_id", "token")
    server = await connect_to_server({name: os.environ["HYPHA_" + name.upper()] for name in names})
    await server.register_service({"id": "default", "double": lambda number: 2 * number})
    await server.serve()

asyncio.run(main())
"""
PAGE = """
<config lang="json">{"name": "Page", "type": "window", "version": "0.1.0"}</config>
<script lang="javascript">api.export({ async setup() {}, double(number) { return 2 * number } })</script>
"""


class Server:
    """A server process with apps on a port of its own, and what it has used."""

    def __init__(self, *flags):
        self.token = secrets.token_hex(24)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "hypha.server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--data-dir", ":memory:", "--root-token", self.token, "--enable-server-apps", *flags]
        limits = {"HYPHA_HTTP_RATE_LIMIT": "0", "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT": "0"}
        for name in ("SESSIONS", "SESSIONS_PER_WORKSPACE", "SESSIONS_PER_USER"):
            limits[f"HYPHA_MAX_APP_{name}"] = "0"
        self.process = subprocess.Popen(
            command, env={**os.environ, **limits}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def cpu_s(self):
        """Seconds of CPU so far, of the process itself and of the system for it."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def connect(self, **more):
        """A client with all rights; waits until the server answers."""
        deadline = time.monotonic() + 60
        while True:
            try:
                given = {"server_url": self.url, "token": self.token, "method_timeout": 120, **more}
                return await connect_to_server(given)
            except Exception:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(*flags):
    """A server, a client of it and its app controller."""
    server = Server(*flags)
    try:
        client = await server.connect()
        yield server, client, await client.get_service("public/server-apps")
    finally:
        server.process.terminate()
        server.process.wait(30)


async def own_worker(server, client):
    """A worker here whose programs do nothing but be there."""
    await client.register_service(
        {
            "id": "worker", "type": "server-app-worker", "supported_types": ["own"],
            "config": {"visibility": "protected"}, "start": lambda config: None,
            "stop": lambda session_id: None, "get_logs": lambda *given: [],
        }
    )  # fmt: skip


async def lazy(source, manifest, worker, rounds):
    """Seconds from a request to its answer, where the app has to be started for it."""
    async with running(*worker) as (server, client, apps), httpx.AsyncClient(timeout=120) as http:
        await apps.install(source=source, manifest=manifest, app_id="app")
        workspace = client.config.workspace
        address = f"{server.url}/{workspace}/services/default@app/double?number=4"
        taken = []
        for _ in range(rounds + 1):  # the first warms up
            await apps.stop_all()
            begun = time.perf_counter()
            answer = await http.get(address, headers={"Authorization": f"Bearer {server.token}"})
            taken.append(time.perf_counter() - begun)
            assert answer.json() == 8, answer.text
        await apps.stop_all()
        return statistics.median(taken[1:])


async def cycle(rounds):
    """CPU of the server for a start and a stop (s)."""
    async with running() as (server, client, apps):
        await own_worker(server, client)
        manifest = {"name": "Own", "type": "own", "version": "0.1.0"}
        await apps.install(manifest=manifest, app_id="own", wait_for_service=False)
        count = rounds * 20
        before = server.cpu_s()
        for _ in range(count):
            await apps.stop((await apps.start("own"))["id"])
        return (server.cpu_s() - before) / count


async def many(sessions, rounds):
    """With many sessions: a `list_running` of 10 of them, and CPU in a second without calls (s)."""
    async with running() as (server, client, _):
        empty = await idle_cpu(server)
        await client.create_workspace({"id": "ws-few", "name": "ws-few", "persistent": True})
        token = await client.generate_token({"workspace": "ws-few"})
        few = await server.connect(token=token, workspace="ws-few")
        manifest = {"name": "Own", "type": "own", "version": "0.1.0", "daemon": False}
        for place, count in ((client, sessions - OF_OTHERS), (few, OF_OTHERS)):
            await own_worker(server, place)
            controller = await place.get_service("public/server-apps")
            for number in range(count):  # one app each: an app that runs is not started again
                app_id = f"own-{number}"
                await controller.install(manifest=manifest, app_id=app_id, wait_for_service=False)
                await controller.start(app_id)
        taken = []
        controller = await few.get_service("public/server-apps")
        for _ in range(rounds * 20):
            begun = time.perf_counter()
            assert len(await controller.list_running()) == OF_OTHERS
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken), await idle_cpu(server) - empty


async def idle_cpu(server, seconds=10):
    """CPU of the server in a second in which nobody asks anything (s)."""
    before = server.cpu_s()
    await asyncio.sleep(seconds)
    return (server.cpu_s() - before) / seconds


async def main():
    """Measure what is named, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="workload", help="script, page, cycle, many")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sessions", type=int, default=1000)
    given = parser.parse_args()
    wanted, rounds = given.workloads or ["script", "page", "cycle", "many"], given.rounds
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    kind = {"name": "Script", "type": "python-eval", "version": "0.1.0"}
    if "script" in wanted:
        worker = ("--startup-functions=hypha.workers.python_eval:hypha_startup",)
        print(f"script: lazy start, request to answer  {await lazy(SCRIPT, kind, worker, rounds):.3f} s")
    if "page" in wanted:
        print(f"page: lazy start, request to answer    {await lazy(PAGE, None, (), rounds):.3f} s")
    if "cycle" in wanted:
        print(f"cycle: CPU per start and stop          {await cycle(rounds) * 1000:.1f} ms")
    if "many" in wanted:
        listing, idle = await many(given.sessions, rounds)
        print(f"many: list_running of {OF_OTHERS}               {listing * 1000:.2f} ms")
        print(f"many: looks of a second, CPU           {idle * 1000:.2f} ms")


if __name__ == "__main__":
    asyncio.run(main())
