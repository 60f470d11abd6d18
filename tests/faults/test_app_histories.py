"""Random histories of apps: whatever happens, what is shown as running runs, and nothing else does (F1, F2).

A history is made of a seed: apps are installed anew, started, called and stopped, programs killed, links
cut, the worker replaced and the server restarted or killed. After each step the oracle knows which apps run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hypha.testing import FaultProxy, ServerProcess, eventually
from tests.e2e.apps_lab import controller, own_worker
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

APPS = {"plain": {}, "other": {}, "single": {"singleton": True}, "daemon": {"daemon": True}}
STEPS = {
    "start": 6, "call": 6, "stop": 3, "kill": 4, "install": 1, "cut": 2, "replace": 1, "restart": 1,
}  # fmt: skip
QUICK, MANY = 6, 40
SETTLED_WITHIN_S = 90


class History:
    """One run: the server, the worker with its programs, and which apps the oracle says run."""

    def __init__(self, connect: Connect, server: ServerProcess, proxy: FaultProxy, seed: int) -> None:
        self._connect, self._server, self._proxy = connect, server, proxy
        self._random = random.Random(seed)
        self._person: Person = make_person(server, "ann")
        self._workers = 0
        self.programs: dict[str, Any] = {}
        self.expected: set[str] = set()
        self.kept: set[str] = set()
        """Daemons that are kept running."""
        self.told: list[str] = []

    async def begin(self) -> None:
        """Have all apps installed."""
        await self._enter()
        for app_id in APPS:
            await self.install(app_id)

    async def _enter(self) -> None:
        self.apps = await controller(self._connect, self._server, self._person)
        self.client = await self._connect(self._person, url=self._server.url, method_timeout=60)
        self._workers += 1
        self.worker = await self._connect(
            self._person, url=self._proxy.url, client_id=f"worker-{self._workers}", method_timeout=60
        )
        await own_worker(self.worker, [], start=self._start, stop=self._stop)

    async def _start(self, config: Any, context: Any = None) -> None:
        program = await self._connect(
            url=self._proxy.url, token=config["token"], client_id=config["client_id"],
            workspace=config["workspace"],
        )  # fmt: skip
        self.programs[config["id"]] = program
        answer = {"id": "default", "who": lambda: config["id"]}
        await program.register_service(answer)

    async def _stop(self, session_id: str, context: Any = None) -> None:
        program = self.programs.pop(session_id, None)
        if program is not None:
            await program.disconnect()

    # -- steps

    async def install(self, app_id: str = "") -> None:
        app_id = app_id or self._random.choice(sorted(APPS))
        manifest = {"name": app_id, "type": "own", "version": "0.1.0", **APPS[app_id]}
        await self.apps.install(manifest=manifest, app_id=app_id, overwrite=True)

    async def start(self) -> None:
        app_id = self._random.choice(sorted(APPS))
        if app_id == "daemon" and app_id in self.expected:
            return  # each start is one more
        session = await self.apps.start(app_id)
        assert session["app_id"] == app_id and session["status"] == "running"
        self.expected.add(app_id)
        self.kept |= self.expected & {"daemon"}

    async def call(self) -> None:
        app_id = self._random.choice(["plain", "other", "single"])
        service = await self.client.get_service(f"default@{app_id}")
        assert await service.who() in self.programs
        self.expected.add(app_id)

    async def stop(self) -> None:
        running = await self.apps.list_running()
        if running:
            session = self._random.choice(running)
            await self.apps.stop(session["id"])
            assert session["id"] not in self.programs
            self.expected.discard(session["app_id"])
            self.kept.discard(session["app_id"])

    async def kill(self) -> None:
        running = {each["id"]: each["app_id"] for each in await self.apps.list_running()}
        if running:
            session_id = self._random.choice(sorted(running))
            await self.programs.pop(session_id).disconnect()
            self.expected -= {running[session_id]} - self.kept

    async def cut(self) -> None:
        self._proxy.reset_all()
        for client in [self.worker, *self.programs.values()]:  # until each is back; what a link ate is lost

            async def answers(client: Any = client) -> bool:
                return bool(await asyncio.wait_for(client.echo(1), 3) == 1)

            await eventually(answers, within_s=SETTLED_WITHIN_S)

    async def replace(self) -> None:
        await self.worker.disconnect()
        await self._end_programs()
        self.expected &= self.kept
        await self._enter()

    async def restart(self) -> None:
        await asyncio.to_thread(self._server.restart, kill=self._random.random() < 0.5)
        await self._end_programs()
        self.expected = {"daemon"}  # those that are installed are started with the server
        self.kept = {"daemon"}
        await self.worker.disconnect()
        await self._enter()

    async def _end_programs(self) -> None:
        """As a worker ends its programs when it goes."""
        for session_id in list(self.programs):
            await self._stop(session_id)

    # -- the oracle

    async def run(self, steps: int) -> None:
        """Make so many steps, and look after each."""
        kinds, weights = list(STEPS), list(STEPS.values())
        for kind in self._random.choices(kinds, weights, k=steps):
            self.told.append(kind)
            step: Callable[[], Awaitable[None]] = getattr(self, kind)
            await step()
            await eventually(self._is_as_expected, within_s=SETTLED_WITHIN_S, what=f"{kind}: {self.told}")

    async def _is_as_expected(self) -> bool:
        running = await self.apps.list_running()
        assert {each["status"] for each in running} <= {"running"}
        assert {each["id"] for each in running} == set(self.programs), "ghosts, or programs left over"
        assert sorted(each["app_id"] for each in running) == sorted(self.expected)
        clients = await self.client.list_clients()
        connected = {each["id"] for each in clients if "/_rapp_" in each["id"]}
        assert connected == set(self.programs), "clients of programs that have ended"
        return True


@pytest.mark.timeout(900)
@pytest.mark.spec("faults-F1", "faults-F2")
@pytest.mark.parametrize(
    ("seed", "steps"),
    [(1, QUICK), *(pytest.param(seed, MANY, marks=pytest.mark.slow) for seed in range(2, 8))],
)
async def test_what_is_shown_as_running_runs_and_nothing_else(
    start_server: StartServer, connect: Connect, seed: int, steps: int
) -> None:
    server = await start_server(
        flags=["--enable-server-apps"], env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
    )
    async with FaultProxy(server.url) as proxy:
        history = History(connect, server, proxy, seed)
        await history.begin()
        await history.run(steps)
        await history.apps.stop_all()
        assert not history.programs
