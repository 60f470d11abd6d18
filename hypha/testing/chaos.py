"""Break links and restart the server at random under load, then check every call.

`run_experiment` is what the fault tests use. From the command line it makes a long run and prints
what was done and what was seen:

    python -m hypha.testing.chaos --seed 7 --minutes 5 --node-folder tests/js
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypha.testing.clients import NodeWorker, PythonWorker, Worker
from hypha.testing.oplog import OperationLog, Report
from hypha.testing.proxy import FaultProxy, FaultScript
from hypha.testing.server import ServerProcess
from hypha.testing.tokens import mint_token


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to whom.

    `pairs` names caller and callee of each load (`python` or `node`). One random link breaks
    about every `gap_s` seconds (0: none) in one of `kinds` ways (`FaultScript`). `restarts` lists
    how the server is restarted meanwhile (`stop` or `kill`), spread over the time. `transport` is
    the clients' (`websocket` or `http`). Each call has at most `method_timeout_s` after it was
    sent, and as long again to be sent while its client is without a link.
    """

    seed: int
    seconds: float
    pairs: tuple[tuple[str, str], ...] = (("python", "python"),)
    gap_s: float = 3.0
    kinds: tuple[str, ...] = ("cut", "reset")
    restarts: tuple[str, ...] = ()
    transport: str = "websocket"
    loops: int = 8
    max_delay_ms: float = 50.0
    payload_bytes: int = 0
    method_timeout_s: float = 10.0


@dataclass(slots=True)
class Result:
    """What was done (seconds since start, fault, whom) and what was seen."""

    plan: Plan
    report: Report
    history: list[tuple[float, str, str]] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)

    def table(self) -> str:
        """The result as lines of text, for people."""
        faults = Counter((kind, whom) for _, kind, whom in self.history)
        plan = self.plan
        lines = [f"seed {plan.seed}, {plan.seconds:.0f} s, gap {plan.gap_s} s, {plan.transport}"]
        lines += [f"  {kind:8} {whom:24} {count:5} times" for (kind, whom), count in sorted(faults.items())]
        for pair, report in self.reports.items():
            lines += [f"{pair}: {report.table()}"]
        if len(self.reports) > 1:
            lines += [f"together: {self.report.table()}"]
        return "\n".join(lines)


class _Pair:
    """One caller, one callee, and the proxies between them and the server."""

    def __init__(self, name: str, caller: Worker, callee: Worker) -> None:
        self.name = name
        self.caller = caller
        self.callee = callee
        self.log = OperationLog()

    async def connect(self, server: ServerProcess, proxies: dict[str, FaultProxy], plan: Plan) -> None:
        """Connect both over links of their own and let the callee offer its service."""
        user = f"chaos-{secrets.token_hex(4)}"
        token = mint_token(server.secret or "", user)
        config: dict[str, Any] = {"token": token, "method_timeout": plan.method_timeout_s}
        if plan.transport != "websocket":
            config["transport"] = plan.transport
        for role, worker in (("caller", self.caller), ("callee", self.callee)):
            proxy = proxies[f"{self.name} {role}"]
            await worker.connect(proxy.url, client_id=role, **config)
        await self.callee.serve("lab")

    async def load(self, plan: Plan) -> None:
        """Call for the whole time and collect what both ends report."""
        records = await self.caller.load(
            "callee:lab",
            self.name,
            seconds=plan.seconds,
            loops=plan.loops,
            max_delay_ms=plan.max_delay_ms,
            payload_bytes=plan.payload_bytes,
            seed=plan.seed,
            timeout_s=plan.seconds + 6 * plan.method_timeout_s,
        )
        self.log.add_calls(records)
        self.log.add_runs(await self.callee.runs())


async def run_experiment(plan: Plan, server: ServerProcess, node_folder: Path | None = None) -> Result:
    """Run a plan against a running server and check all calls."""
    async with AsyncExitStack() as stack:
        pairs = []
        proxies: dict[str, FaultProxy] = {}
        for number, (caller, callee) in enumerate(plan.pairs):
            name = f"{number}-{caller}-{callee}"
            for role in ("caller", "callee"):
                proxies[f"{name} {role}"] = await stack.enter_async_context(FaultProxy(server.url))
            ends = [await stack.enter_async_context(_worker(kind, node_folder)) for kind in (caller, callee)]
            pairs.append(_Pair(name, ends[0], ends[1]))
        for pair in pairs:
            await pair.connect(server, proxies, plan)
        script = FaultScript(proxies, seed=plan.seed, gap_s=plan.gap_s or 1.0, kinds=plan.kinds)
        async with asyncio.TaskGroup() as tasks:
            for pair in pairs:
                tasks.create_task(pair.load(plan))
            if plan.gap_s:
                tasks.create_task(script.run(plan.seconds))
            if plan.restarts:
                tasks.create_task(_restart(plan, server, script.history))
        return _check(plan, pairs, script.history)


def _worker(kind: str, node_folder: Path | None) -> Worker:
    if kind == "python":
        return PythonWorker()
    assert node_folder is not None, "a Node client needs the folder of worker.js"
    return NodeWorker(node_folder)


def _check(plan: Plan, pairs: Sequence[_Pair], history: list[tuple[float, str, str]]) -> Result:
    result = Result(plan, Report(), sorted(history))
    for pair in pairs:
        report = pair.log.check(deadline_s=2 * plan.method_timeout_s)
        result.reports[pair.name] = report
        result.report.add(report)
    return result


async def _restart(plan: Plan, server: ServerProcess, history: list[tuple[float, str, str]]) -> None:
    start = time.monotonic()
    rng = random.Random(plan.seed)
    pause_s = plan.seconds / (len(plan.restarts) + 1)
    for how in plan.restarts:
        await asyncio.sleep(pause_s * rng.uniform(0.7, 1.0))
        history.append((round(time.monotonic() - start, 2), how, "server"))
        await asyncio.to_thread(server.restart, kill=how == "kill")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hypha.testing.chaos", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="repeat the run of this seed (default: a new one)"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to break things")
    parser.add_argument("--gap", type=float, default=3.0, help="seconds between two faults, on average")
    parser.add_argument("--restarts", type=int, default=2, help="how often the server is restarted or killed")
    parser.add_argument("--transport", choices=("websocket", "http"), default="websocket")
    parser.add_argument(
        "--node-folder", type=Path, default=None, help="folder of worker.js; none: Python clients only"
    )
    return parser.parse_args(arguments)


async def main(arguments: Sequence[str] | None = None) -> int:
    """Make a run and print its table; returns 1 when a promise was broken."""
    options = _parse(arguments)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    rng = random.Random(seed)
    pairs: tuple[tuple[str, str], ...] = (("python", "python"),)
    if options.node_folder is not None:
        pairs += (("python", "node"), ("node", "python"))
    plan = Plan(
        seed=seed,
        seconds=options.minutes * 60,
        pairs=pairs,
        gap_s=options.gap,
        kinds=("cut", "reset", "stall", "delay"),
        restarts=tuple(rng.choice(("stop", "kill")) for _ in range(options.restarts)),
        transport=options.transport,
    )
    print(f"seed {seed}: breaking links for {options.minutes} minutes", flush=True)
    async with ServerProcess() as server:
        result = await run_experiment(plan, server, options.node_folder)
    print(result.table())
    return 1 if result.report.problems else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
