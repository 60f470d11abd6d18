"""Promise: a browser page is a client like any other when its links break."""

from __future__ import annotations

import asyncio

import pytest

from hypha.testing import FaultProxy, ServerProcess
from hypha.testing.oplog import OperationLog
from hypha.testing.proxy import FaultScript
from tests.e2e.chromium import Page
from tests.kit.clients import NewWorker
from tests.kit.people import Person

LOAD = """
  const client = await import(args.source);
  const { connectToServer } = client.hyphaWebsocketClient || client;
  const config = {server_url: args.url, token: args.token, client_id: "page", method_timeout: 10};
  const server = await connectToServer(config);
  const lab = await server.getService("callee:lab");
  const records = [];
  const end = performance.now() + args.seconds * 1000;
  const loop = async (name) => {
    for (let number = 0; performance.now() < end; number++) {
      const record = {call: `${name}-${number}`, sent_at: Date.now() / 1000, answer: null, error: null};
      const start = performance.now();
      try {
        record.answer = await lab.run(record.call, Math.random() * 50);
      } catch (error) {
        record.error = `${error.name}: ${error.message}`;
      }
      record.elapsed_s = (performance.now() - start) / 1000;
      records.push(record);
      if (record.error) await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
  await Promise.all(Array.from({length: 8}, (_, index) => loop(`page-${index}`)));
  return records;
"""


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.spec("faults-F4")
async def test_calls_of_a_page_are_answered_while_its_links_break(
    server: ServerProcess, python_worker: NewWorker, alice: Person
) -> None:
    callee = await python_worker()
    log = OperationLog()
    async with FaultProxy(server.url) as up, FaultProxy(server.url) as down, Page() as page:
        await callee.connect(down.url, token=alice.token, client_id="callee")
        await callee.serve("lab")
        await page.open(f"{server.url}/health/readiness")
        script = FaultScript({"page": up, "callee": down}, seed=11, gap_s=3.0)
        source = f"{server.url}/assets/hypha-rpc-websocket.mjs"
        arguments = {"source": source, "url": up.url, "token": alice.token, "seconds": 60}
        arguments["timeout_s"] = 120
        records, _ = await asyncio.gather(page.run(LOAD, **arguments), script.run(60))
    log.add_calls(records)
    log.add_runs(await callee.runs())
    report = log.check(deadline_s=20)
    print(f"{len(script.history)} faults\n{report.table()}")
    assert script.history and report.problems == [], report.table()
    assert report.answered_share >= 0.99, report.table()
