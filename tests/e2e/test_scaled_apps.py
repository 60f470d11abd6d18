"""Apps that are scaled: instances come and go, and no call fails because of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hypha.testing import ServerProcess, eventually
from tests.e2e.apps_lab import controller, own_worker
from tests.kit.clients import Connect, StartServer, shared_server
from tests.kit.people import Person, make_person

scaling_server = shared_server(
    flags=["--enable-server-apps"], env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
)
OWN = {"name": "Own", "type": "own", "version": "0.1.0"}
QUICK = {"enabled": True, "max_instances": 3, "scale_up_cooldown": 1, "scale_down_cooldown": 1}
BY_FUNCTION = {**QUICK, "metric_type": "custom", "custom_metric_function": "get_load"}


class Lab:
    """A worker in somebody's workspace whose programs are clients of this process."""

    def __init__(self, connect: Connect, server: ServerProcess, person: Person) -> None:
        self._connect, self._server, self._person = connect, server, person
        self.load = 0.0
        self.programs: dict[str, Any] = {}
        self.calls: Counter[str] = Counter()
        self.let = asyncio.Event()

    async def begin(self) -> Any:
        """Register the worker; the controller."""
        self.client = await self._connect(self._person, url=self._server.url)
        await own_worker(self.client, [], start=self._start, stop=self._stop)
        return await controller(self._connect, self._server, self._person)

    async def _start(self, config: Any, context: Any = None) -> None:
        client_id = config["client_id"]
        program = await self._connect(
            url=self._server.url, token=config["token"], client_id=client_id, workspace=config["workspace"]
        )
        self.programs[config["id"]] = program

        async def who(wait: bool = False) -> str:
            self.calls[client_id] += 1
            if wait:
                await self.let.wait()
            return client_id

        await program.register_service({"id": "default", "who": who, "get_load": lambda: self.load})

    async def _stop(self, session_id: str, context: Any = None) -> None:
        program = self.programs.pop(session_id, None)
        if program is not None:
            await program.disconnect()


@pytest.fixture
async def lab(connect: Connect, scaling_server: ServerProcess) -> Lab:
    return Lab(connect, scaling_server, make_person(scaling_server, "scaling"))


def has(apps: Any, count: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many instances run, and none starts or stops."""

    async def look() -> bool:
        return [each["status"] for each in await apps.list_running()] == ["running"] * count

    return look


@pytest.mark.spec("apps-12.1.13")
async def test_each_start_gives_one_instance_more_and_all_are_found_by_name(lab: Lab) -> None:
    apps = await lab.begin()
    await apps.install(
        manifest={**OWN, "autoscaling": {**QUICK, "scale_down_cooldown": 600}}, app_id="scaled"
    )
    sessions = [await apps.start("scaled") for _ in range(3)]
    assert len({session["id"] for session in sessions}) == 3
    with pytest.raises(Exception, match="max_instances 3"):
        await apps.start("scaled")
    seen = set()
    for _ in range(100):
        seen.add(await (await lab.client.get_service("default@scaled")).who())
    assert seen == {session["client_id"] for session in sessions}
    await lab.programs.pop(sessions[0]["id"]).disconnect()

    async def is_replaced() -> bool:
        running = {each["id"] for each in await apps.list_running() if each["status"] == "running"}
        return len(running) == 3 and sessions[0]["id"] not in running

    await eventually(is_replaced, within_s=60)
    state = (await apps.get_app_info("scaled"))["scaling_state"]
    assert (state["wanted"], state["failures"]) == (3, 1)
    assert await apps.stop_all() == 3
    assert "scaling_state" not in await apps.get_app_info("scaled")
    assert await apps.list_running() == []


async def test_callers_that_come_at_the_same_time_start_one_instance(lab: Lab) -> None:
    apps = await lab.begin()
    await apps.install(manifest={**OWN, "autoscaling": QUICK}, app_id="scaled")
    services = await asyncio.gather(*(lab.client.get_service("default@scaled") for _ in range(10)))
    assert len({await service.who() for service in services}) == 1
    await apps.edit_app("scaled", autoscaling_config={})
    await apps.commit_app("scaled")
    assert "scaling_state" not in await apps.get_app_info("scaled")
    (session,) = await apps.list_running()
    assert (await apps.start("scaled"))["id"] == session["id"], "as any other app"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.spec("apps-12.8.5")
async def test_an_instance_that_is_taken_away_ends_what_it_has_begun_and_callers_find_another(
    lab: Lab,
) -> None:
    apps = await lab.begin()
    await apps.install(manifest={**OWN, "autoscaling": {**BY_FUNCTION, "min_instances": 1}}, app_id="scaled")
    lab.load = 2.0
    first = await apps.start("scaled")
    await eventually(has(apps, 3), within_s=120)
    ids = [each["id"] for each in await apps.list_running()]

    async def found() -> str:
        return str(await (await lab.client.get_service("default@scaled")).who())

    async def is_refused(service: Any) -> bool:
        try:
            await service.who()
        except Exception as error:
            return "NotDelivered: Peer" in str(error) and "look the service up again" in str(error)
        return False  # a second is left to those who have just looked it up

    held = []  # one caller for each, which holds its service
    while len({service for service, _ in held}) < 3:
        service = await lab.client.get_service("default@scaled")
        held.append((await service.who(), service))
    begun = [asyncio.ensure_future(service.who(True)) for _, service in held]
    lab.load = 0.0

    async def is_one_left() -> bool:
        running = await apps.list_running()
        return [each["status"] for each in running].count("running") == 1

    await eventually(is_one_left, within_s=120)
    states = Counter(each["status"] for each in await apps.list_running())
    (stays,) = [each for each in await apps.list_running() if each["status"] == "running"]
    assert states == {"running": 1, "stopping": 2} and stays["id"] == first["id"] == ids[0]

    assert {await found() for _ in range(20)} == {stays["client_id"]}
    for client_id, service in held:
        if client_id != stays["client_id"]:
            await eventually(lambda service=service: is_refused(service), within_s=30)
    lab.let.set()
    assert await asyncio.gather(*begun) == [client_id for client_id, _ in held]
    await eventually(has(apps, 1), within_s=60)
    assert await found() == stays["client_id"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.spec("apps-12.8.5")
async def test_under_load_there_are_three_instances_and_one_again_without_and_no_call_fails(
    lab: Lab, scaling_server: ServerProcess
) -> None:
    apps = await lab.begin()
    rule = {**QUICK, "target_requests_per_instance": 10}
    await apps.install(manifest={**OWN, "autoscaling": rule}, app_id="scaled")
    held = await lab.client.get_service("default@scaled")
    token = await lab.client.generate_token()
    url = f"{scaling_server.url}/{lab.client.config.workspace}/services/default@scaled/who"
    most, done = 0, 0
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:

        async def call_all() -> None:
            nonlocal done
            answer, _, _ = await asyncio.gather(
                http.get(url), held.who(), (await lab.client.get_service("default@scaled")).who()
            )
            assert answer.status_code == 200, answer.text
            done += 3

        async def look() -> int:
            nonlocal most
            found = [each["status"] for each in await apps.list_running()]
            most = max(most, sum(each != "stopping" for each in found))
            return found.count("running") if set(found) == {"running"} else 0

        async def is_three() -> bool:
            await call_all()
            return await look() == 3

        async def is_one() -> bool:  # few calls go on, so that some come while instances go
            if done % 10 == 0:
                await call_all()
            return await look() == 1

        await eventually(is_three, within_s=120)
        for _ in range(30):
            await call_all()
        done = 1
        await eventually(is_one, within_s=300)
        await call_all()
    assert most == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kill", [True, False])
async def test_as_many_instances_run_after_a_restart(
    start_server: StartServer, connect: Connect, kill: bool
) -> None:
    server = await start_server(
        flags=["--enable-server-apps"], env={"HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"}
    )
    ann = make_person(server, "ann")
    lab = Lab(connect, server, ann)
    apps = await lab.begin()
    await apps.install(
        manifest={**OWN, "autoscaling": {**QUICK, "scale_down_cooldown": 600}}, app_id="scaled"
    )
    before = {(await apps.start("scaled"))["id"] for _ in range(2)}

    async def are_two_wanted() -> bool:
        return bool((await apps.get_app_info("scaled"))["scaling_state"]["wanted"] == 2)

    await eventually(are_two_wanted)
    await asyncio.to_thread(server.restart, kill=kill)
    apps = await controller(connect, server, ann)
    await eventually(has(apps, 2), within_s=60)
    assert not before & {each["id"] for each in await apps.list_running()}
