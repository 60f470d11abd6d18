"""Promise: a call runs at most once and always ends, whatever the links do (DESIGN 2, faults F4).

Real clients, one proxy per link, random cuts by a printed seed, every call with an id of its own.
"""

from __future__ import annotations

import pytest

from hypha.testing import ServerProcess
from hypha.testing.chaos import Plan, run_experiment
from tests.conftest import JS_FOLDER, require_node

PAIRS = [("python", "python"), ("python", "node"), ("node", "python")]


async def _run(plan: Plan, server: ServerProcess, share: float) -> None:
    if any("node" in pair for pair in plan.pairs):
        require_node()
    result = await run_experiment(plan, server, JS_FOLDER)
    print(result.table())
    assert result.history, "nothing was broken"
    assert result.report.problems == [], result.table()
    assert result.report.answered_share >= share, result.table()


@pytest.mark.timeout(90)
@pytest.mark.spec("faults-F4", "resume-1", "wire-42")
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_no_call_runs_twice_or_hangs_while_links_are_cut(
    server: ServerProcess, pair: tuple[str, str]
) -> None:
    await _run(Plan(seed=20, seconds=7, pairs=(pair,), gap_s=2, method_timeout_s=6), server, share=0.97)


@pytest.mark.timeout(90)
@pytest.mark.spec("faults-F4")
async def test_large_calls_survive_cut_links(server: ServerProcess) -> None:
    plan = Plan(seed=4, seconds=5, gap_s=1.5, payload_bytes=600_000, loops=2, method_timeout_s=6)
    await _run(plan, server, share=0.8)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("faults-F4", "resume-14")
@pytest.mark.parametrize("pair", [*PAIRS, ("node", "node")], ids="-".join)
@pytest.mark.parametrize(("gap_s", "share"), [(3.0, 0.995), (1.0, 0.99)])
async def test_long_run_over_cut_links(
    server: ServerProcess, pair: tuple[str, str], gap_s: float, share: float
) -> None:
    kinds = ("cut", "reset", "stall", "delay")
    await _run(Plan(seed=1, seconds=120, pairs=(pair,), gap_s=gap_s, kinds=kinds), server, share)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.spec("faults-F4")
async def test_long_run_over_cut_http_streams(server: ServerProcess) -> None:
    await _run(Plan(seed=1, seconds=120, gap_s=3.0, transport="http"), server, share=0.97)
