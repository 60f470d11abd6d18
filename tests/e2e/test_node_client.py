"""The unmodified JavaScript client in Node, with Python peers."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
import pytest_asyncio

from hypha.testing import NodeWorker, ServerProcess, WorkerError, eventually
from tests.e2e.lab import Lab
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.node

MANAGER_METHODS = (
    "echo log logEvent getEventStats getEvents registerService unregisterService listWorkspaces "
    "listServices searchServices listClients registerServiceType getServiceType listServiceTypes "
    "getServiceInfo getService generateToken revokeToken parseToken createWorkspace deleteWorkspace "
    "bookmark unbookmark getWorkspaceInfo getSummary ping cleanup checkStatus setEnv getEnv "
    "subscribe unsubscribe"
).split()

ECHO_SERVICE = """
  state.server = await connect({server_url: args.url, token: args.token, client_id: args.client_id});
  state.received = [];
  await state.server.registerService({
    id: "js-lab",
    config: {visibility: args.visibility || "protected"},
    echo: (value) => value,
    size: (value) => value.length,
    add: (a, b) => a + b,
    fail: (text) => { throw new Error(text); },
    numbers: async function* (n) { for (let i = 0; i < n; i++) yield i; },
    callBack: async (f, values) => {
      const out = [];
      for (const v of values) out.push(await f(v));
      return out;
    },
    describe: (value) => Object.prototype.toString.call(value) + " " + (value?.constructor?.name ?? ""),
    whoami: (context) => ({from: context.from, ws: context.ws, user: context.user.id}),
    make: (size) => new Uint8Array(size).fill(7),
  }, {overwrite: true});
  return state.server.config.workspace;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(server: ServerProcess) -> Person:
    """The user of the module's clients."""
    return make_person(server, "js")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def js_lab(node: NodeWorker, module_connect: Connect, server: ServerProcess, owner: Person) -> Any:
    """A service that JavaScript provides, as a Python client of the same workspace gets it."""
    await node.run(ECHO_SERVICE, url=server.url, token=owner.token, client_id="js-provider")
    caller = await module_connect(owner, client_id="py-caller")
    return await caller.get_service("js-provider:js-lab")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def py_lab(
    node: NodeWorker, js_lab: Any, module_connect: Connect, server: ServerProcess, owner: Person
) -> Lab:
    """A service that Python provides; JavaScript finds it in `state.lab`."""
    clients = [await module_connect(owner, client_id="provider"), await module_connect(owner)]
    lab = Lab(*clients, await module_connect(make_person(server, "stranger")))
    await lab.register()
    await node.run("state.lab = await state.server.getService('provider:lab');")
    return lab


@pytest.mark.spec("wire-2")
async def test_anonymous_javascript_client_gets_all_manager_methods(
    node: NodeWorker, server: ServerProcess
) -> None:
    seen = await node.run(
        """
        const server = await connect({server_url: args.url});
        const missing = args.methods.filter((name) => typeof server[name] !== "function");
        return {missing, config: server.config};
        """,
        url=server.url,
        methods=MANAGER_METHODS,
    )
    assert seen["missing"] == []
    assert seen["config"]["workspace"] == f"ws-user-{seen['config']['user']['id']}"
    assert seen["config"]["user"]["is_anonymous"] is True


@pytest.mark.spec("wire-4")
async def test_refusal_reads_as_connection_aborted(node: NodeWorker, server: ServerProcess) -> None:
    with pytest.raises(WorkerError, match=r"ConnectionAbortedError: .*does not exist or is not accessible"):
        await node.run(
            "await connect({server_url: args.url, workspace: 'no-such-place', token: args.token});",
            url=server.url,
            token=make_person(server).token,
        )


@pytest.mark.spec("wire-15")
async def test_javascript_calls_python_with_positional_and_keyword_arguments(
    node: NodeWorker, py_lab: Lab
) -> None:
    answers = await node.run(
        """
        return [
          await state.lab.add(1, 2),
          await state.lab.add(1),
          await state.lab.add(1, {b: 2, c: 3, _rkwargs: true}),
          await state.lab.add({a: 5, b: 6, _rkwargs: true}),
          await state.lab.nested.deep.add(2, 3),
          await state.lab.tools[0](1, 1),
        ];
        """
    )
    assert answers == [3, 11, 6, 11, 5, 2]


@pytest.mark.spec("wire-15")
async def test_javascript_calls_the_manager_with_positional_and_keyword_arguments(
    node: NodeWorker, py_lab: Lab
) -> None:
    found = await node.run(
        """
        const id = "provider:lab";
        return [
          (await state.server.getService(id, {mode: "random"})).id,
          (await state.server.getServiceInfo({service_id: id, _rkwargs: true})).id,
          (await state.server.listServices(
            {query: {client_id: "provider", service_id: "lab"}, _rkwargs: true}))[0].id,
        ];
        """
    )
    assert found == [f"{py_lab.workspace}/provider:lab"] * 3


@pytest.mark.spec("wire-15", "wire-14")
async def test_python_calls_javascript(js_lab: Any) -> None:
    assert await js_lab.add(1, 2) == 3
    assert await js_lab.echo({"a": [1, None, "x"]}) == {"a": [1, None, "x"]}
    assert [n async for n in await js_lab.numbers(4)] == [0, 1, 2, 3]
    assert await js_lab.callBack(lambda value: value * 2, [1, 2]) == [2, 4]


@pytest.mark.spec("wire-16")
async def test_javascript_caller_is_named_truly_to_python(
    node: NodeWorker, py_lab: Lab, owner: Person
) -> None:
    seen = await node.run("return await state.lab.whoami();")
    assert seen["from"] == f"{py_lab.workspace}/js-provider"
    assert (seen["ws"], seen["user"]) == (owner.workspace, owner.id)


@pytest.mark.spec("wire-18")
async def test_exceptions_travel_both_ways(node: NodeWorker, js_lab: Any, py_lab: Lab) -> None:
    with pytest.raises(Exception, match=r"the battery is empty"):
        await js_lab.fail("the battery is empty")
    with pytest.raises(WorkerError, match=r"RemoteError.*the tank is empty"):
        await node.run("await state.lab.fail('the tank is empty');")


@pytest.mark.spec("wire-27")
async def test_javascript_sees_errors_of_the_manager(node: NodeWorker, js_lab: Any) -> None:
    with pytest.raises(WorkerError, match=r"Service not found"):
        await node.run("await state.server.getService('no-such-service');")


@pytest.mark.spec("wire-19", "wire-20")
async def test_javascript_passes_callbacks_and_reads_generators(node: NodeWorker, py_lab: Lab) -> None:
    seen = await node.run(
        """
        const doubled = await state.lab.call_back((value) => value * 2, [1, 2, 3]);
        const numbers = [];
        for await (const n of await state.lab.async_numbers(4)) numbers.push(n);
        const early = [];
        for await (const n of await state.lab.async_numbers(100)) { early.push(n); if (n === 2) break; }
        let failure = "";
        try {
          for await (const n of await state.lab.broken_numbers()) early.push(n);
        } catch (e) { failure = String(e); }
        return {doubled, numbers, early, failure};
        """
    )
    assert seen["doubled"] == [2, 4, 6]
    assert seen["numbers"] == [0, 1, 2, 3]
    assert seen["early"] == [0, 1, 2, 1]
    assert "no more numbers" in seen["failure"]


@pytest.mark.spec("wire-21")
async def test_javascript_values_survive_the_round_trip_through_python(node: NodeWorker, py_lab: Lab) -> None:
    seen = await node.run(
        """
        const same = {};
        const show = (v) => JSON.stringify(v, (_, x) => typeof x === "bigint" ? `big${x}` : x);
        const values = {
          null: null, bool: true, int: 2 ** 53 - 1, negative: -5, float: 1.5, text: "naïve 🦉",
          list: [1, [2, {a: 3}]],
          map: {a: {b: null}}, empty: {}, emptyList: [],
        };
        for (const [name, value] of Object.entries(values))
          same[name] = show(await state.lab.echo(value)) === show(value);
        const bytes = await state.lab.echo(new Uint8Array([1, 2, 255]));
        same.bytes = bytes instanceof Uint8Array && bytes[2] === 255 && bytes.length === 3;
        const set = await state.lab.echo(new Set([1, 2]));
        same.set = set instanceof Set && set.has(1) && set.size === 2;
        const addFive = await state.lab.make_adder(5);
        same.function = (await addFive(1)) === 6;
        const own = await state.server.getService("js-provider:js-lab");
        const date = await own.echo(new Date(1000));
        same.date = date instanceof Date && date.getTime() === 1000;
        const map = await own.echo(new Map([["a", 1]]));
        same.map_object = map instanceof Map && map.get("a") === 1;
        const floats = await own.echo(new Float32Array([1.5]));
        same.typed_array = floats instanceof Float32Array && floats[0] === 1.5;
        return same;
        """
    )
    assert {name for name, is_same in seen.items() if is_same is not True} == set()


@pytest.mark.spec("wire-21")
async def test_javascript_typed_array_and_map_reach_python(node: NodeWorker, py_lab: Lab) -> None:
    py_lab.received.clear()
    await node.run(
        """
        await state.lab.collect(new Float32Array([1.5, 2.5]));
        await state.lab.collect(new Int16Array([-1, 2]));
        await state.lab.collect(new Date(86400000));
        """
    )
    floats, integers, date = py_lab.received
    assert np.array_equal(floats, np.array([1.5, 2.5], dtype="float32"))
    assert np.array_equal(integers, np.array([-1, 2], dtype="int16"))
    assert isinstance(date, msgpack.Timestamp) and date.seconds == 86400


@pytest.mark.spec("wire-21")
async def test_python_values_survive_the_round_trip_through_javascript(js_lab: Any) -> None:
    for value in (
        None,
        True,
        2**53 - 1,
        -7,
        2.5,
        "naïve 🦉",
        b"\x00\xff",
        [1, ["a"]],
        {"a": {"b": None}},
        {1, 2},
    ):
        assert await js_lab.echo(value) == value
    array = np.arange(6, dtype="float32").reshape(2, 3)
    assert np.array_equal(await js_lab.echo(array), array)


@pytest.mark.spec("wire-24")
@pytest.mark.parametrize("size", [1024, 256 * 1024, 262144 + 1024, 1024 * 1024])
async def test_large_messages_travel_both_ways(node: NodeWorker, js_lab: Any, py_lab: Lab, size: int) -> None:
    data = bytes(range(256)) * (size // 256)
    assert await js_lab.echo(data) == data
    assert len(await js_lab.make(size)) == size
    seen = await node.run(
        """
        const data = new Uint8Array(args.size).map((_, i) => i % 251);
        const back = await state.lab.echo(data);
        const manager = await state.server.echo(data);
        return [await state.lab.size(data), (await state.lab.make(args.size)).length,
                back.every((v, i) => v === i % 251), manager.every((v, i) => v === i % 251)];
        """,
        size=size,
    )
    assert seen == [size, size, True, True]


@pytest.mark.spec("wire-24")
async def test_twenty_megabytes_from_python_to_javascript_and_back(js_lab: Any) -> None:
    data = np.random.default_rng(3).bytes(20 * 1024 * 1024)
    assert await js_lab.echo(data) == data


@pytest.mark.spec("wire-24")
async def test_twenty_megabytes_from_javascript_to_python_and_the_manager_and_back(
    node: NodeWorker, py_lab: Lab
) -> None:
    seen = await node.run(
        """
        const size = 20 * 1024 * 1024;
        const data = new Uint8Array(size).map((_, i) => i % 251);
        const same = (back) => back.length === size && back.every((v, i) => v === i % 251);
        return [same(await state.lab.echo(data)), same(await state.server.echo(data)),
                (await state.lab.make(size)).length];
        """
    )
    assert seen == [True, True, 20 * 1024 * 1024]


@pytest.mark.spec("wire-25")
async def test_a_hundred_concurrent_calls_from_javascript(node: NodeWorker, py_lab: Lab) -> None:
    answers = await node.run(
        "return await Promise.all(Array.from({length: 100}, (_, i) => state.lab.echo(i)));",
    )
    assert answers == list(range(100))


@pytest.mark.spec("wire-28")
async def test_javascript_call_to_somebody_absent_fails_at_once(
    node: NodeWorker, js_lab: Any, connect: Connect, owner: Person
) -> None:
    provider = await connect(owner, client_id="leaver")
    await provider.register_service({"id": "svc", "hello": lambda: 1})
    await node.run("state.leaver = await state.server.getService('leaver:svc');")
    await provider.disconnect()
    with pytest.raises(WorkerError, match=r"NotDelivered|not connected|disconnected"):
        await node.run("await state.leaver.hello();", timeout_s=5)


@pytest.mark.spec("wire-39", "wire-40")
async def test_events_between_javascript_and_python(
    node: NodeWorker, js_lab: Any, connect: Connect, owner: Person
) -> None:
    heard: list[Any] = []
    listener = await connect(owner)
    listener.on("from-js", lambda event: heard.append((event["from"], event["data"])))
    await listener.subscribe("from-js")
    await node.run(
        """
        state.heard = [];
        state.server.on("from-py", (event) => state.heard.push(event.data));
        await state.server.subscribe("from-py");
        await state.server.emit({type: "from-js", to: "*", data: {q: 1}});
        """
    )
    await eventually(lambda: heard == [(f"{owner.workspace}/js-provider", {"q": 1})])
    await listener.emit({"type": "from-py", "to": "*", "data": 5})

    async def js_heard() -> bool:
        return bool(await node.run("return state.heard;") == [5])

    await eventually(js_heard)


@pytest.mark.spec("wire-14")
async def test_get_remote_service_by_url(node: NodeWorker, server: ServerProcess, py_lab: Lab) -> None:
    answer = await node.run(
        """
        const svc = await hypha.getRemoteService(args.uri, {server_url: args.url, token: args.token});
        return await svc.add(20, 22);
        """,
        uri=f"{server.url}/{py_lab.workspace}/services/provider:lab-public",
        url=server.url,
        token=make_person(server).token,
    )
    assert answer == 42


@pytest.mark.spec("wire-37")
async def test_service_and_client_listings_in_javascript(
    node: NodeWorker, js_lab: Any, owner: Person
) -> None:
    seen = await node.run(
        """
        const token = await state.server.generateToken({permission: "read"});
        return {
          clients: (await state.server.listClients()).map((c) => c.id),
          parts: token.split(".").length,
          ping: await state.server.ping(`${state.server.config.workspace}/js-provider`),
          status: (await state.server.checkStatus()).status,
        };
        """
    )
    assert f"{owner.workspace}/js-provider" in seen["clients"]
    assert (seen["parts"], seen["ping"], seen["status"]) == (3, "pong", "ready")
