"""Promise: a restart of the server is a pause for its clients."""

from __future__ import annotations

import asyncio
import time

import pytest

from hypha.testing import eventually
from hypha.testing.chaos import Plan, run_experiment
from tests.kit.clients import JS_FOLDER, NewWorker, StartServer, require_node
from tests.kit.people import make_person

PAIRS = (("python", "python"), ("python", "node"), ("node", "python"))
FAULTS = ("cut", "reset", "stall", "delay")


@pytest.mark.timeout(120)
@pytest.mark.spec("faults-F1", "wire-43", "core-L10")
@pytest.mark.parametrize("how", ["kill", pytest.param("stop", marks=pytest.mark.slow)])
async def test_load_goes_on_after_a_restart(start_server: StartServer, how: str) -> None:
    own = await start_server()
    plan = Plan(seed=3, seconds=5, gap_s=0, restarts=(how,), method_timeout_s=10)
    result = await run_experiment(plan, own)
    print(result.table())
    assert result.report.problems == [], result.table()
    assert result.report.answered_share > 0.9, result.table()


@pytest.mark.timeout(120)
@pytest.mark.spec("faults-F1", "resume-13")
@pytest.mark.parametrize("how", ["kill", pytest.param("stop", marks=pytest.mark.slow)])
async def test_all_clients_come_through_a_restart_behind_a_held_port(
    start_server: StartServer, how: str
) -> None:
    require_node()
    own = await start_server(flags=["--supervise"])
    plan = Plan(seed=3, seconds=5, pairs=PAIRS, gap_s=0, restarts=(how,), method_timeout_s=10, loops=4)
    result = await run_experiment(plan, own, JS_FOLDER)
    print(result.table())
    assert result.report.problems == [], result.table()
    assert result.report.answered_share > 0.9, result.table()


@pytest.mark.timeout(120)
@pytest.mark.spec("faults-F1", "wire-43")
@pytest.mark.parametrize("language", ["python", "node"])
@pytest.mark.parametrize("away_s", [0.0, pytest.param(4.0, marks=pytest.mark.slow)])
async def test_clients_are_back_soon_after_the_server_is(
    start_server: StartServer, python_worker: NewWorker, node_worker: NewWorker, language: str, away_s: float
) -> None:
    own = await start_server()
    alice = make_person(own, "alice")
    callee = await (python_worker if language == "python" else node_worker)()
    await callee.connect(own.url, token=alice.token, client_id="callee")
    await callee.serve("lab")
    began = time.monotonic()
    own.kill()
    await asyncio.sleep(away_s)
    await asyncio.to_thread(own.start)
    down_s = time.monotonic() - began
    caller = await python_worker()
    await caller.connect(own.url, token=alice.token)

    async def answers() -> bool:
        try:
            return bool(await caller.call("callee:lab", "echo", 7) == 7)
        except Exception:
            return False

    await eventually(answers, within_s=2 * down_s + 2, what=f"the {language} client after {down_s:.1f} s")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("faults-F1")
@pytest.mark.parametrize("held", [True, False], ids=["held port", "port closed"])
async def test_cuts_and_restarts_together_with_all_clients(start_server: StartServer, held: bool) -> None:
    """With the port closed a JavaScript callee may stay away: an answer that it cannot send while the
    server is down clears its library's reconnect timer (docs/promises.md)."""
    require_node()
    own = await start_server(flags=["--supervise"] if held else [])
    restarts = ("stop", "kill", "kill", "stop")
    plan = Plan(seed=5, seconds=120, pairs=PAIRS, kinds=FAULTS, restarts=restarts)
    result = await run_experiment(plan, own, JS_FOLDER)
    print(result.table())
    assert result.report.problems == [], result.table()
    if held:
        assert result.report.answered_share >= 0.99, result.table()
