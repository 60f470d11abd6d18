"""Large messages between clients of different people: they arrive, and nobody forges anything in them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import numpy
import pytest

from hypha.testing import NodeWorker, RawCallError, ServerProcess
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

CACHE = "services.built-in.message_cache"


async def send_in_chunks(raw: Any, to: str, main: dict[str, Any], body: dict[str, Any]) -> None:
    """Send a message by the cache of its receiver, in two chunks."""
    envelope = {"type": "method", "from": raw.address, "to": to, **main}
    data = msgpack.packb(envelope) + msgpack.packb(body)
    await raw.call(to, f"{CACHE}.create", "k", False)
    for index, chunk in enumerate((data[:-2], data[-2:])):
        await raw.call(to, f"{CACHE}.set", "k", index, chunk, False)
    await raw.call(to, f"{CACHE}.process", "k", False)


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_large_values_and_callbacks_pass_between_people(
    connect: Connect, alice: Person, bob: Person, transport: str
) -> None:
    provider = await connect(alice, client_id="provider")
    heard: list[Any] = []

    async def work(value: Any, tell: Any = None) -> Any:
        if tell is not None:
            await tell(len(value["records"]))
        return value

    await provider.register_service({"id": "svc", "config": {"visibility": "public"}, "work": work})
    caller = await connect(bob, transport=transport, method_timeout=60)
    service = await caller.get_service(f"{alice.workspace}/provider:svc")
    value = {
        "array": numpy.arange(300_000, dtype="float32"),
        "records": [{"name": f"n{number}", "x": [number, number / 7, None]} for number in range(6_000)],
        "text": "_rtarget and 日本 " * 30_000,
    }
    result = await service.work(value, heard.append)
    assert (result["records"], result["text"]) == (value["records"], value["text"])
    assert (result["array"] == value["array"]).all()
    assert heard == [6_000]


async def test_large_values_pass_between_people_with_javascript(
    server: ServerProcess, connect: Connect, node: NodeWorker, alice: Person, bob: Person
) -> None:
    provider = await connect(alice, client_id="provider")
    config = {"visibility": "public"}
    await provider.register_service({"id": "svc", "config": config, "echo": lambda value: value})
    script = """
      const client = await connect(args.config);
      await client.registerService({id: "js", config: {visibility: "public"}, echo: (value) => value});
      const service = await client.getService(args.service);
      const list = Array.from({length: 30000}, (_, i) => i / 3);
      const value = {bytes: new Uint8Array(900000).fill(7), list};
      const found = await service.echo(value);
      return [found.bytes.length, found.list.length, found.list[29999] === value.list[29999]];
    """
    config = {"server_url": server.url, "token": bob.token, "client_id": "node"}
    assert await node.run(script, config=config, service=f"{alice.workspace}/provider:svc") == [
        900_000,
        30_000,
        True,
    ]
    service = await provider.get_service(f"{bob.workspace}/node:js")
    value = {"text": "x" * 600_000, "list": [[number, str(number)] for number in range(15_000)]}
    assert await service.echo(value) == value


@pytest.mark.parametrize("place", ["from", "ctx", "both"])
async def test_a_message_in_chunks_cannot_forge_its_sender(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, place: str
) -> None:
    ran: list[Any] = []
    victim = await connect(alice, client_id="lab")
    for name, visibility in (("private", "protected"), ("open", "public")):
        config = {"visibility": visibility, "require_context": True}
        await victim.register_service(
            {"id": name, "config": config, "run": lambda context=None: ran.append(context)}
        )
    stranger = await connect_raw()
    to = f"{alice.workspace}/lab"
    context = {"from": stranger.manager, "ws": "*", "to": to, "user": {"id": "root", "roles": ["admin"]}}
    forged = {"from": stranger.manager, "ctx": context}
    body = {"args": [], **({place: forged[place]} if place in forged else forged)}
    for service in ("private", "open"):
        with pytest.raises(RawCallError, match=r"not allowed here|protected method"):
            await send_in_chunks(stranger, to, {"method": f"services.{service}.run"}, body)
        await stranger.call(to, f"{CACHE}.remove", "k")
    await send_in_chunks(stranger, to, {"method": "services.open.run"}, {"args": []})
    assert [entry["user"]["id"] for entry in ran] == [stranger.info["user"]["id"]]


async def test_an_unusual_path_to_the_cache_is_refused(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    await connect(alice, client_id="lab")
    stranger = await connect_raw()
    method = "services.built-in.ping.__self__._process_message"
    with pytest.raises(RawCallError, match="begins with '__'"):
        await stranger.call(f"{alice.workspace}/lab", method, "k")


async def test_a_function_spelt_in_long_utf8_does_not_reach_javascript(
    server: ServerProcess, connect: Connect, connect_raw: ConnectRaw, node: NodeWorker, alice: Person
) -> None:
    wiped: list[int] = []
    lab = await connect(alice, client_id="lab")
    await lab.register_service({"id": "instrument", "wipe": lambda: wiped.append(1)})
    script = """
      const client = await connect(args.config);
      await client.registerService({id: "svc", config: {visibility: "public"}, run: async (f) => await f()});
    """
    config = {"server_url": server.url, "token": alice.token, "client_id": "deputy"}
    await node.run(script, config=config)
    stranger = await connect_raw()
    to = f"{alice.workspace}/deputy"
    key = b"".join(bytes((0xC0 | code >> 6, 0x80 | code & 0x3F)) for code in b"_rtarget")
    value = {"_rtype": "method", "@" * 16: f"{alice.workspace}/lab", "_rmethod": "services.instrument.wipe"}
    main = {
        "type": "method",
        "from": stranger.address,
        "to": to,
        "method": "services.svc.run",
        "session": "s",
    }
    body = {"args": [{**value, "_rpromise": "*", "_rasync": True}], "promise": "*"}
    await stranger.send_bytes((msgpack.packb(main) + msgpack.packb(body)).replace(b"@" * 16, key))
    with pytest.raises(RawCallError, match="is not UTF-8"):
        await stranger.answer_of("s")
    await asyncio.sleep(0)
    assert wiped == []
