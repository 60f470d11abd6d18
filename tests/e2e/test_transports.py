"""Every kind of client with every other, over both transports."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from hypha.testing import NodeWorker, ServerProcess, eventually
from tests.e2e.lab import Lab
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

pytestmark = [pytest.mark.node, pytest.mark.timeout(120)]

KINDS = ("python-websocket", "python-http", "node-websocket", "node-http")
LARGEST_FRAME = 263168
SIZES = [1024, LARGEST_FRAME - 1, LARGEST_FRAME, LARGEST_FRAME + 1, 1024 * 1024]

NODE_CLIENT = """
  state[args.name] = await connect({server_url: args.url, token: args.token, client_id: args.name,
    transport: args.transport, method_timeout: 60});
  state.closed = 0;
"""

NODE_PROVIDER = """
  function* count(n) { try { for (let i = 0; i < n; i++) yield i; } finally { state.closed++; } }
  async function* countSlowly(n) { try { for (let i = 0; i < n; i++) yield i; } finally { state.closed++; } }
  await state[args.name].registerService({
    id: "lab", config: {visibility: "public", require_context: ["whoami"]},
    echo: (value) => value, add: (a, b = 10) => a + b, size: (value) => value.length,
    make: (size) => new Uint8Array(size).fill(120),
    fail: (text) => { throw new Error(text); }, async_fail: async (text) => { throw new Error(text); },
    numbers: count, async_numbers: countSlowly, closed: () => state.closed,
    broken_numbers: async function* () { yield 1; throw new Error("no more numbers"); },
    call_back: async (f, values) => {
      const out = [];
      for (const value of values) out.push(await f(value));
      return out;
    },
    whoami: (context) => ({from: context.from, to: context.to, ws: context.ws, user: context.user.id,
      connection_type: context.connection_type}),
    make_adder: (a) => (b) => a + b,
    nested: {deep: {add: (a, b) => a + b}, constant: 42}, tools: [(a, b) => a + b, (value) => value],
    use_interface: async (object) => {
      const value = await object.double(4);
      await object._dispose();
      return [value, await object.double(4).then(() => "alive", () => "gone")];
    },
  });
"""

NODE_CALLER = """
  const me = state[args.name], lab = await me.getService(args.id), wrong = {};
  const text = (value) => JSON.stringify(value);
  const expect = (name, value, wanted) => { if (text(value) !== text(wanted)) wrong[name] = text(value); };
  const all = async (items) => {
    const out = [];
    for await (const item of items) out.push(item);
    return out;
  };
  expect("id", [lab.id, lab.config.workspace], [args.id, args.id.split("/")[0]]);
  expect("add", [await lab.add(1, 2), await lab.add(1), await lab.nested.deep.add(2, 3)], [3, 11, 5]);
  expect("nested", [lab.nested.constant, await lab.tools[0](1, 1), await lab.tools[1]("x")], [42, 2, "x"]);
  expect("keywords", await lab.add({a: 1, b: 7, _rkwargs: true}), 8);
  for (const name of ["fail", "async_fail"]) {
    const error = await lab[name]("the tank is empty").then(() => "no error", String);
    expect(name, error.includes("RemoteError") && error.includes("the tank is empty"), true);
  }
  const seen = await lab.whoami();
  expect("context", [seen.from, seen.to, seen.ws, seen.connection_type],
    [`${me.config.workspace}/${args.name}`, args.id.split(":")[0], me.config.workspace, args.theirs]);
  expect("user", seen.user, me.config.user.id);
  expect("callback", await lab.call_back((value) => value * 2, [1, 2, 3]), [2, 4, 6]);
  for (const name of ["numbers", "async_numbers"]) {
    expect(name, await all(await lab[name](3)), [0, 1, 2]);
    const before = await lab.closed();
    for await (const number of await lab[name](50)) if (number === 2) break;
    for (let i = 0; i < 100 && (await lab.closed()) === before; i++) await sleep(20);
    expect(name + " left early", (await lab.closed()) > before, true);
  }
  expect("broken", (await all(await lab.broken_numbers()).catch(String)).includes("no more numbers"), true);
  const values = [null, true, false, 0, -5, 2 ** 53 - 1, 1.5, "naïve 🦉", [1, [2, {a: 3}]], {a: {b: null}}];
  values.push({}, []);
  for (const value of values) expect(text(value), await lab.echo(value), value);
  const bytes = await lab.echo(new Uint8Array([1, 2, 255]));
  expect("bytes", bytes instanceof Uint8Array && [...bytes], [1, 2, 255]);
  const set = await lab.echo(new Set([1, 2]));
  expect("set", set instanceof Set && [...set], [1, 2]);
  expect("function", await (await lab.make_adder(5))(1), 6);
  expect("interface", await lab.use_interface({_rintf: true, double: (value) => value * 2}), [8, "gone"]);
  const many = Array.from({length: 100}, (_, i) => i);
  expect("concurrent", await Promise.all(many.map((i) => lab.echo(i))), many);
  for (const size of args.sizes) {
    const data = new Uint8Array(size).map((_, i) => i % 251);
    const same = (back) => back.length === size && back.every((v, i) => v === i % 251);
    expect(`${size}`, [same(await lab.echo(data)), same(await me.echo(data)), await lab.size(data),
      (await lab.make(size)).length], [true, true, size, size]);
  }
  return wrong;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(server: ServerProcess) -> Person:
    """The user of all providers."""
    return make_person(server, "owner")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def providers(
    node: NodeWorker, module_connect: Connect, server: ServerProcess, owner: Person
) -> dict[str, str]:
    """The id of the same service as each kind of client offers it."""
    found = {}
    for kind in KINDS:
        language, transport = kind.split("-")
        found[kind] = f"{owner.workspace}/{kind}:lab"
        if language == "node":
            where = {"url": server.url, "token": owner.token, "transport": transport, "name": kind}
            await node.run(NODE_CLIENT, **where)
            await node.run(NODE_PROVIDER, name=kind)
            continue
        client = await module_connect(owner, client_id=kind, transport=transport)
        lab = Lab(client, None, None)
        config = {"visibility": "public", "require_context": ["whoami"]}
        closed = {"closed": lambda lab=lab: lab.closed_generators}
        await client.register_service({"id": "lab", "config": config, **lab.functions(), **closed})
    return found


@pytest.fixture(params=KINDS)
def provider(request: pytest.FixtureRequest) -> str:
    """The kind of client that provides the service."""
    return str(request.param)


@pytest.fixture
def caller(owner: Person, provider: str, server: ServerProcess, kind: str) -> Person:
    """Who calls: some pairs meet in one workspace, the others over its border."""
    return owner if KINDS.index(kind) % 2 == KINDS.index(provider) % 2 else make_person(server, "other")


@pytest.mark.spec("wire-47", "wire-24", "wire-22")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("node")])
async def test_node_calls_every_kind_of_provider(
    node: NodeWorker,
    server: ServerProcess,
    caller: Person,
    providers: dict[str, str],
    kind: str,
    provider: str,
) -> None:
    name, transport = f"caller-{kind}-{provider}", kind.split("-")[1]
    await node.run(NODE_CLIENT, url=server.url, token=caller.token, transport=transport, name=name)
    theirs = "http_streaming" if provider.endswith("http") else "websocket"
    wrong = await node.run(NODE_CALLER, name=name, id=providers[provider], sizes=SIZES, theirs=theirs)
    await node.run("await state[args.name].disconnect();", name=name)
    assert wrong == {}


@pytest.mark.spec("wire-47", "wire-24", "wire-22")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("python")])
async def test_python_calls_every_kind_of_provider(
    connect: Connect, caller: Person, providers: dict[str, str], kind: str, provider: str
) -> None:
    name, transport = f"caller-{kind}-{provider}", kind.split("-")[1]
    client = await connect(caller, client_id=name, transport=transport, method_timeout=60)
    lab = await client.get_service(providers[provider])
    assert (lab.id, lab.config.workspace) == (providers[provider], providers[provider].split("/")[0])
    await call_functions(lab)
    await read_generators(lab)
    await exchange_values(lab, is_python=provider.startswith("python"))
    seen = await lab.whoami()
    assert (seen["from"], seen["ws"]) == (f"{caller.workspace}/{name}", caller.workspace)
    assert (seen["to"], seen["user"]) == (lab.id.split(":")[0], caller.id)
    assert seen["connection_type"] == ("http_streaming" if provider.endswith("http") else "websocket")
    for size in SIZES:
        data = bytes(index % 251 for index in range(size))
        assert await lab.echo(data) == data
        assert await client.echo(data) == data
        assert (await lab.size(data), len(await lab.make(size))) == (size, size)


async def call_functions(lab: Any) -> None:
    """Arguments, nested functions, errors, callbacks, many at once."""
    assert [await lab.add(1, 2), await lab.add(1), await lab.add(a=1, b=7)] == [3, 11, 8]
    assert await lab.nested.deep.add(2, 3) == 5
    assert (lab.nested.constant, await lab.tools[0](1, 1), await lab.tools[1]("x")) == (42, 2, "x")
    for name in ("fail", "async_fail"):
        with pytest.raises(Exception, match="the tank is empty") as failure:
            await lab[name]("the tank is empty")
        assert type(failure.value).__name__ == "RemoteException"
    assert await lab.call_back(lambda value: value * 2, [1, 2, 3]) == [2, 4, 6]
    assert await (await lab.make_adder(5))(1) == 6
    interface = {"_rintf": True, "double": lambda value: value * 2}
    assert await lab.use_interface(interface) == [8, "gone"]
    assert await asyncio.gather(*(lab.echo(number) for number in range(100))) == list(range(100))


async def read_generators(lab: Any) -> None:
    """To the end, left early, and broken."""
    for name in ("numbers", "async_numbers"):
        assert [number async for number in await lab[name](3)] == [0, 1, 2]
        before = await lab.closed()
        items = await lab[name](50)
        async for number in items:
            if number == 2:
                break
        await items.aclose()

        async def is_closed(before: int = before) -> bool:
            return bool(await lab.closed() > before)

        await eventually(is_closed, what="the provider's generator to be closed")
    seen = []
    with pytest.raises(Exception, match="no more numbers"):
        async for number in await lab.broken_numbers():
            seen.append(number)
    assert seen == [1]


async def exchange_values(lab: Any, is_python: bool) -> None:
    """Plain values and arrays; JavaScript keeps no integers above 2^53."""
    values = [None, True, False, 0, -1, 2**53 - 1, 1.5, "", "naïve 🦉\0", bytes(range(256)), b"", {1, 2}]
    values += [[1, "a", None, [2.5]], {"a": {"b": [1, {"c": None}]}}, [], {}]
    values += [-(2**63), 2**63, 2**64 - 1] if is_python else []
    for value in values:
        assert await lab.echo(value) == value
    for array in (np.arange(12.0).reshape(3, 4), np.array(7, "int32"), np.zeros((0, 3), "uint8")):
        back = await lab.echo(array)
        assert (back.dtype, back.shape) == (array.dtype, array.shape) and np.array_equal(back, array)
    assert bytes(await lab.echo(memoryview(b"window"))) == b"window"
    assert await lab.echo({"_rtype": "unheard-of", "x": [1]}) == {"_rtype": "unheard-of", "x": [1]}
