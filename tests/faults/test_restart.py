"""Promise: a restart of the server is a pause for its clients (DESIGN 2 and 5, faults F1)."""

from __future__ import annotations

import pytest

from hypha.testing.chaos import Plan, run_experiment
from tests.conftest import JS_FOLDER, StartServer, require_node


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


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("faults-F1")
async def test_cuts_and_restarts_together_with_all_clients(start_server: StartServer) -> None:
    require_node()
    own = await start_server()
    plan = Plan(
        seed=5, seconds=120, pairs=(("python", "python"), ("python", "node"), ("node", "python")),
        kinds=("cut", "reset", "stall", "delay"), restarts=("stop", "kill", "kill", "stop"),
    )  # fmt: skip
    result = await run_experiment(plan, own, JS_FOLDER)
    print(result.table())
    assert result.report.problems == [], result.table()
