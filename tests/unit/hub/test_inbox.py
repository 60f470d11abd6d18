"""Peers inside the server: built-in answers, calls to clients, chunked messages."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import pytest

from hypha.auth.scopes import Level
from hypha.auth.users import Context, anonymous_user
from hypha.builtins.service import BuiltinService
from hypha.errors import CallFailed, CallTimedOut, ForeignFunction, NotDelivered, OutcomeUnknown
from hypha.hub import opening
from hypha.hub.gateway_peer import GatewayPeer
from hypha.hub.service_peer import ServicePeer
from hypha.limits import WaitingRoom
from hypha.testing import eventually
from hypha.wire.bounded import MAX_QUICK_VALUES
from hypha.wire.chunks import MAX_AGE_S
from hypha.wire.frames import pack
from tests.kit.builtins import function
from tests.kit.world import World


async def echo(data: Any, *, context: Context) -> Any:
    return data


async def whoami(*, context: Context) -> str:
    return f"{context.address} {context.user.id}"


async def fail(*, context: Context) -> None:
    raise RuntimeError("a secret path: /srv/x")


async def slow(*, context: Context) -> str:
    await asyncio.sleep(0.25)
    return "done"


@pytest.fixture
async def manager(world: World) -> Any:
    functions = {f.__name__: function(f) for f in (echo, whoami, fail, slow)}
    functions["guarded"] = function(echo, Level.READ_WRITE)
    peer = world.add_manager(BuiltinService("default", functions, "manager"))
    yield peer
    await peer.close()


async def ask(world: World, client: Any, method: str, *args: Any, **extra: Any) -> None:
    main = {"type": "method", "from": client.address, "to": "*/manager-x", "method": f"services.{method}",
            "session": "S"}  # fmt: skip
    world.send(client, main, {"args": list(args), "promise": "*", "t": 15.0, **extra})


async def answer_on(link: Any) -> dict[str, Any]:
    await asyncio.wait_for(link.arrived(), 3)
    found: dict[str, Any] = link.frames.pop(0)
    return found


async def test_functions_are_called_and_answered_from_the_managers_own_address(
    world: World, manager: Any
) -> None:
    a, la = world.join("a")
    await ask(world, a, "default.echo", {"x": b"1"})
    answer = await answer_on(la)
    assert (answer["from"], answer["method"], answer["parent"]) == ("*/manager-x", "S.resolve", "S")
    assert answer["args"] == [{"x": b"1"}]


@pytest.mark.spec("wire-16.4", "core-R8")
async def test_the_context_comes_from_the_connection_never_from_the_frame(world: World, manager: Any) -> None:
    a, la = world.join("a")
    forged = {"user": {"id": "root"}, "ws": "other", "from": "other/x"}
    await ask(world, a, "default.whoami", {"context": forged}, with_kwargs=True)
    assert (await answer_on(la))["args"] == [f"w/a {a.user.id}"]


@pytest.mark.spec("wire-16.4", "wire-50")
@pytest.mark.parametrize("place", ["main", "extra"])
async def test_a_forged_context_in_a_chunked_message_is_refused_or_ignored(
    world: World, manager: Any, place: str
) -> None:
    a, la = world.join("a")
    root = {"user": {"id": "root", "roles": ["admin"]}, "ws": "other"}
    main = {"type": "method", "from": "*/manager-x", "to": "*/manager-x", "session": "T",
            "method": "services.default.whoami"}  # fmt: skip
    extra: dict[str, Any] = {"args": [], "promise": "*"}
    (main if place == "main" else extra)["ctx"] = root
    message = msgpack.packb(main) + msgpack.packb(extra)
    await ask(world, a, "built-in.message_cache.create", "k", False)
    await ask(world, a, "built-in.message_cache.set", "k", 0, message, False)
    await ask(world, a, "built-in.message_cache.process", "k", False)
    for _ in range(20):
        await asyncio.sleep(0)
    values = [frame["args"][0] for frame in la.frames if frame["method"].startswith("T.")]
    assert values in ([], [f"w/a {a.user.id}"])


@pytest.mark.spec("wire-16.12", "core-11.1.12")
async def test_a_fault_of_the_server_shows_no_path_and_no_traceback(world: World, manager: Any) -> None:
    a, la = world.join("a")
    await ask(world, a, "default.fail")
    error = (await answer_on(la))["args"][0]
    assert error["_rvalue"].startswith("ServerFault: ")
    assert "/srv" not in str(error)
    assert "Traceback" not in str(error)


async def test_the_declared_level_is_checked(world: World, manager: Any) -> None:
    a, la = world.join("a", level=Level.READ)
    await ask(world, a, "default.guarded", 1)
    assert "Permission denied for workspace w" in (await answer_on(la))["args"][0]["_rvalue"]


@pytest.mark.parametrize(("args", "phrase"), [((1, 2, 3), "too many"), ((), "missing")])
async def test_arguments_that_do_not_fit_are_named(
    world: World, manager: Any, args: Any, phrase: str
) -> None:
    a, la = world.join("a")
    await ask(world, a, "default.echo", *args)
    text = (await answer_on(la))["args"][0]["_rvalue"]
    assert text.startswith("TypeError: echo: ")
    assert phrase in text


async def test_a_busy_function_says_so_after_a_moment_and_a_quick_one_does_not(
    world: World, manager: Any
) -> None:
    a, la = world.join("a")
    await ask(world, a, "default.slow")
    assert (await answer_on(la))["method"] == "S.heartbeat"
    assert (await answer_on(la))["args"] == ["done"]


async def test_functions_in_arguments_get_an_absolute_target(world: World, manager: Any) -> None:
    a, la = world.join("a")
    callback = {"_rtype": "method", "_rtarget": "a", "_rmethod": "x.y"}
    await ask(world, a, "default.echo", [{"deep": callback}])
    assert (await answer_on(la))["args"] == [[{"deep": {**callback, "_rtarget": "w/a"}}]]


async def test_explicit_promises_are_answered_by_name(world: World, manager: Any) -> None:
    a, la = world.join("a")
    promise = {
        name: {"_rtype": "method", "_rmethod": f"P.{name}"} for name in ("resolve", "reject", "heartbeat")
    }
    await ask(world, a, "built-in.ping", "ping", promise={**promise, "interval": 3.0})
    answer = await answer_on(la)
    assert (answer["method"], answer["args"]) == ("P.resolve", ["pong"])


async def test_the_service_description_names_every_function(world: World, manager: Any) -> None:
    a, la = world.join("a")
    await ask(world, a, "built-in.get_service", "default")
    service = (await answer_on(la))["args"][0]
    assert service["echo"]["_rmethod"] == "services.default.echo"
    assert service["echo"]["_rtarget"] == "*/manager-x"


async def test_a_peer_describes_its_own_endpoint_under_the_address_that_was_asked(
    world: World, manager: Any
) -> None:
    a, la = world.join("a")
    await ask(world, a, "built-in.get_service", "built-in")
    endpoint = (await answer_on(la))["args"][0]
    assert endpoint["config"]["api_version"] == 3
    assert endpoint["message_cache"]["create"]["_rtarget"] == "*/manager-x"
    caller = GatewayPeer(world.hub.peer_ports, "http-1", "http://h")
    world.hub.peers.add_everywhere("http-1", caller)
    main = {"type": "method", "from": a.address, "to": "ws-anonymous/http-1", "session": "S"}
    la.frames.clear()
    world.send(
        a,
        {**main, "method": "services.built-in.get_service"},
        {"args": ["built-in"], "promise": "*", "t": 15.0},
    )
    answer = await answer_on(la)
    assert answer["from"] == "ws-anonymous/http-1"
    assert answer["args"][0]["message_cache"]["set"]["_rtarget"] == "ws-anonymous/http-1"


@pytest.mark.spec("wire-26")
async def test_a_large_answer_goes_in_chunks_of_less_than_half_a_megabyte(world: World, manager: Any) -> None:
    a, la = world.join("a")
    data = bytes(range(256)) * 4096
    await ask(world, a, "built-in.message_cache.create", "k", False)
    call = {
        "type": "method",
        "from": "w/a",
        "to": "*/manager-x",
        "method": "services.default.echo",
        "session": "T",
    }
    message = msgpack.packb(call) + msgpack.packb({"args": [data], "promise": "*"})
    for index in range(0, len(message), 262_144):
        await ask(
            world, a, "built-in.message_cache.set", "k", index // 262_144, message[index : index + 262_144]
        )
    await ask(world, a, "built-in.message_cache.process", "k")
    parts: dict[int, bytes] = {}
    async with asyncio.timeout(5):
        while True:
            frame = await answer_on(la)
            if not str(frame["method"]).startswith("services.built-in.message_cache."):
                continue
            if frame["method"].endswith(".set"):
                parts[frame["args"][1]] = frame["args"][2]
                assert len(frame["args"][2]) <= 262_144
            world.answer(a, "*/manager-x", frame["session"])
            if frame["method"].endswith(".process"):
                break
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(b"".join(parts[index] for index in range(len(parts))))
    assert unpacker.unpack()["method"] == "T.resolve"
    assert unpacker.unpack()["args"] == [data]


async def test_nothing_more_is_made_for_a_client_that_does_not_read(world: World, manager: Any) -> None:
    a, la = world.join("a")
    world.hub.flow.choke(a)
    await ask(world, a, "default.whoami")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not la.frames
    world.hub.flow.release(a)
    assert str((await answer_on(la))["args"][0]).startswith("w/a ")


async def test_a_message_in_chunks_counts_as_long_as_its_call_runs(world: World, manager: Any) -> None:
    gate = asyncio.Event()

    async def keep(data: Any, *, context: Context) -> int:
        await gate.wait()
        return len(data)

    manager.services.add(BuiltinService("store", {"keep": function(keep)}, "store"))
    a, _ = world.join("a")
    call = {
        "type": "method",
        "from": "w/a",
        "to": "*/manager-x",
        "method": "services.store.keep",
        "session": "T",
    }
    message = msgpack.packb(call) + msgpack.packb({"args": [bytes(100_000)], "promise": "*"})
    await ask(world, a, "built-in.message_cache.create", "k", False)
    await ask(world, a, "built-in.message_cache.set", "k", 0, message)
    await ask(world, a, "built-in.message_cache.process", "k")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not len(manager.unfinished) and world.hub.cache_rooms.account.used > 100_000
    gate.set()
    await eventually(lambda: not world.hub.cache_rooms.account.used)


@pytest.mark.spec("faults-F14", "wire-16.13")
@pytest.mark.parametrize("ending", ["returns", "raises", "is cancelled", "is malformed"])
async def test_arguments_of_one_frame_count_as_long_as_their_call_runs(
    world: World, manager: Any, ending: str
) -> None:
    gate = asyncio.Event()

    async def keep(data: Any, *, context: Context) -> int:
        await gate.wait()
        if ending == "raises":
            raise RuntimeError("no")
        return len(data)

    manager.services.add(BuiltinService("store", {"keep": function(keep)}, "store"))
    a, link = world.join("a")
    account = world.hub.cache_rooms.account
    if ending == "is malformed":
        await ask(world, a, "store.keep", [{"_rtype": "method", "_rtarget": "w/b", "_rmethod": "x"}] * 100)
    else:
        await ask(world, a, "store.keep", bytes(50_000))
        assert 50_000 <= account.used <= 51_000
        await ask(world, a, "store.keep", [[]] * 2000)
        assert account.used >= 50_000 + 2000 * 64, "values count with the memory that they take"
    if ending == "is cancelled":
        await manager.close()
    else:
        gate.set()
        await answer_on(link)
    await eventually(lambda: not account.used)


async def test_small_calls_and_answers_and_chunks_are_not_counted_as_arguments(
    world: World, manager: Any
) -> None:
    a, link = world.join("a")
    used: list[int] = []
    whole = world.hub.cache_rooms.whole
    world.hub.cache_rooms.whole = lambda *taken: used.append(1) or whole(*taken)  # type: ignore
    await ask(world, a, "default.echo", "x" * 700)
    await ask(world, a, "built-in.message_cache.create", "k", False)
    await ask(world, a, "built-in.message_cache.set", "k", 0, bytes(100_000))
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.s.f"))
    await eventually(lambda: [frame for frame in link.frames if frame["method"] == "services.s.f"])
    call = next(frame for frame in link.frames if frame["method"] == "services.s.f")
    main = {"type": "method", "from": "w/a", "to": "*/manager-x", "method": f"{call['session']}.resolve"}
    world.send(a, main, {"args": [bytes(100_000)]})
    assert len(await task) == 100_000
    assert not used


@pytest.mark.spec("faults-F14", "wire-16.13")
async def test_who_has_too_much_waiting_is_refused_until_calls_have_ended(world: World, manager: Any) -> None:
    gate = asyncio.Event()

    async def keep(data: Any, *, context: Context) -> int:
        await gate.wait()
        return len(data)

    manager.services.add(BuiltinService("store", {"keep": function(keep)}, "store"))
    account = world.hub.cache_rooms.account
    account.room = WaitingRoom(400_000, 200_000, 300_000, 600_000)
    (a, to_a), (b, to_b) = world.join("a"), world.join("b")
    for _ in range(5):
        await ask(world, a, "store.keep", bytes(60_000))
    refusals = [frame for frame in to_a.frames if frame["method"] == "S.reject"]
    assert len(refusals) == 2 and "waits for running calls" in str(refusals[0]["args"][0])
    await ask(world, a, "default.echo", "small")
    await eventually(lambda: any(frame.get("args") == ["small"] for frame in to_a.frames))
    await ask(world, b, "store.keep", bytes(60_000))
    assert to_b.frames[0]["method"] == "S.reject", "clients of one party share what it may have"
    assert account.used <= 200_000
    gate.set()
    await eventually(lambda: not account.used)
    await ask(world, a, "store.keep", bytes(150_000))
    await eventually(lambda: to_a.frames[-1].get("args") == [150_000])


async def test_calls_to_clients_return_answers_and_errors(world: World, manager: Any) -> None:
    a, la = world.join("a")
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.s.f", [1], {"k": 2}))
    call = await answer_on(la)
    assert (call["from"], call["user"]["id"], call["args"]) == ("*/manager-x", "root", [1, {"k": 2}])
    world.answer(a, "*/manager-x", call["session"])
    assert await task == 2
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.s.f"))
    call = await answer_on(la)
    main = {"type": "method", "from": "w/a", "to": "*/manager-x", "method": f"{call['session']}.reject"}
    world.send(a, main, {"args": [{"_rtype": "error", "_rvalue": "ValueError: bad", "_rtrace": ""}]})
    with pytest.raises(CallFailed, match="ValueError: bad"):
        await task
    assert not a.pending


async def test_nobody_else_may_answer_a_call_of_the_server(world: World, manager: Any) -> None:
    _, la = world.join("a")
    x, _ = world.join("x", "other")
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.s.f", timeout_s=0.3))
    call = await answer_on(la)
    world.answer(x, "*/manager-x", call["session"])
    with pytest.raises(CallTimedOut):
        await task


async def test_calls_to_absent_or_ended_clients_end_with_typed_errors(world: World, manager: Any) -> None:
    with pytest.raises(NotDelivered):
        await manager.calls.call("w/nobody", "services.s.f")
    a, la = world.join("a")
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.s.f"))
    await answer_on(la)
    world.hub.end(a, "test")
    with pytest.raises(OutcomeUnknown):
        await task


async def test_a_peer_of_all_workspaces_speaks_for_its_caller(world: World) -> None:
    peer = GatewayPeer(world.hub.peer_ports, "http-x", "http://h")
    world.hub.peers.add_everywhere("http-x", peer)
    a, la = world.join("a")
    user = anonymous_user()
    context = Context(user, "other")
    task = asyncio.ensure_future(peer.calls.call("w/a", "services.s.f", context=context))
    call = await answer_on(la)
    assert (call["from"], call["ws"], call["user"]["id"]) == ("other/http-x", "other", user.id)
    world.answer(a, "other/http-x", call["session"])
    assert await task == 2


async def test_generators_are_pulled_item_by_item_and_closed_early(world: World, manager: Any) -> None:
    a, la = world.join("a")
    value = {"_rtype": "generator", "_rtarget": "w/a", "_rmethod": "g.next", "_rclose_method": "g.close"}
    items = manager.calls.iterate(value)
    step = asyncio.ensure_future(anext(items))
    call = await answer_on(la)
    assert call["method"] == "g.next"
    world.answer(a, "*/manager-x", call["session"])
    assert await step == 2
    closing = asyncio.ensure_future(items.aclose())
    call = await answer_on(la)
    assert call["method"] == "g.close"
    world.answer(a, "*/manager-x", call["session"])
    await closing


def cache_call(world: World, client: Any, name: str, *args: Any) -> None:
    main = {"type": "method", "from": client.address, "to": "*/manager-x", "session": "S"}
    main["method"] = f"services.built-in.message_cache.{name}"
    world.send(client, main, {"args": list(args), "promise": "*"})


@pytest.mark.spec("wire-16.13")
async def test_unfinished_messages_of_a_silent_client_are_dropped_in_time(world: World, manager: Any) -> None:
    a, link = world.join("a")
    cache_call(world, a, "create", "k")
    cache_call(world, a, "set", "k", 0, b"x" * 1000)
    await answer_on(link)
    world.hub.liveness.start(0.0, 0.01)
    assert world.hub.cache_rooms.account.used > 1000
    world.now += MAX_AGE_S + 1
    await eventually(lambda: not world.hub.cache_rooms.account.used, within_s=10)
    assert not len(manager.unfinished)


@pytest.mark.spec("wire-16.13")
async def test_anonymous_clients_share_what_the_server_keeps_for_them(world: World, manager: Any) -> None:
    world.hub.cache_rooms.account.strangers.limit = 5000
    (a, to_a), (b, to_b) = world.join("a"), world.join("b")
    for client in (a, b):
        cache_call(world, client, "create", "k")
        cache_call(world, client, "set", "k", 0, b"x" * 3000)
    assert [frame["method"] for frame in to_a.frames] == ["S.resolve", "S.resolve"]
    assert [frame["method"] for frame in to_b.frames] == ["S.resolve", "S.reject"]
    assert "too many others are unfinished" in str(to_b.frames[1]["args"][0])
    world.hub.end(a, "test")
    cache_call(world, b, "create", "k")
    cache_call(world, b, "set", "k", 0, b"x" * 3000)
    assert [frame["method"] for frame in to_b.frames[2:]] == ["S.resolve", "S.resolve"]


async def test_unfinished_messages_go_with_their_client_at_every_peer(world: World, manager: Any) -> None:
    gateway = GatewayPeer(world.hub.peer_ports, "http-1", "http://h")
    own = ServicePeer(world.hub.peer_ports, "public/srv", "http://h")
    world.hub.peers.add_everywhere("http-1", gateway)
    world.hub.peers.add(own)
    a, link = world.join("a")
    for to in ("*/manager-x", "w/http-1", "public/srv"):
        main = {"type": "method", "from": a.address, "to": to, "session": "S"}
        main["method"] = "services.built-in.message_cache.create"
        world.send(a, main, {"args": ["k"], "promise": "*"})
        assert (await answer_on(link))["args"] == [None]
    assert all(len(peer.unfinished) for peer in (manager, gateway, own))
    world.hub.end(a, "test")
    assert not any(len(peer.unfinished) for peer in (manager, gateway, own))
    assert not world.hub.cache_rooms.account.used


@pytest.mark.spec("faults-F14")
async def test_a_call_of_many_values_is_opened_in_a_thread_while_its_sender_waits(
    world: World, manager: Any
) -> None:
    a, link = world.join("a")
    main = {"type": "method", "from": a.address, "to": "*/manager-x", "session": "S"}
    main["method"] = "services.built-in.ping"
    many = [1] * (MAX_QUICK_VALUES + 1)
    world.send(a, main, {"args": [many], "promise": "*"})
    assert link.frames == []
    assert link.paused
    assert (await answer_on(link))["args"] == ["pong"]
    assert not link.paused


@pytest.mark.spec("faults-F14")
async def test_a_call_of_too_many_values_is_refused_and_its_sender_goes_on(
    world: World, manager: Any
) -> None:
    a, link = world.join("a")
    main = {"type": "method", "from": a.address, "to": "*/manager-x", "session": "S"}
    main["method"] = "services.built-in.ping"
    world.send(a, main, {"args": [[[]] * MAX_QUICK_VALUES * 4], "promise": "*"})
    refused = await answer_on(link)
    assert refused["method"] == "S.reject"
    assert "more than 500,000 values" in str(refused["args"])
    assert not link.paused
    world.send(a, main, {"args": [], "promise": "*"})
    assert link.frames[-1]["args"] == ["pong"]


@pytest.mark.parametrize("count", [10, MAX_QUICK_VALUES + 1])
async def test_a_chunked_call_is_answered_however_many_values_it_holds(
    world: World, manager: Any, count: int
) -> None:
    a, link = world.join("a")
    main = {"type": "method", "from": a.address, "to": "*/manager-x", "session": "inner"}
    message = pack({**main, "method": "services.built-in.ping"}) + pack(
        {"args": [[1] * count], "promise": "*"}
    )
    cache_call(world, a, "create", "k")
    for index, begin in enumerate(range(0, len(message), 5000)):
        cache_call(world, a, "set", "k", index, message[begin : begin + 5000])
    cache_call(world, a, "process", "k")
    await eventually(lambda: "inner.resolve" in link.methods(), within_s=5)
    await eventually(lambda: link.methods()[-1] == "S.resolve", within_s=5)
    assert next(frame for frame in link.frames if frame["method"] == "inner.resolve")["args"] == ["pong"]


async def test_a_large_answer_that_nobody_waits_for_is_not_even_opened(
    world: World, manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, link = world.join("a")
    main = {"type": "method", "from": a.address, "to": "*/manager-x", "method": "over.resolve"}
    message = pack(main) + pack({"args": [[1] * (MAX_QUICK_VALUES + 1)]})
    cache_call(world, a, "create", "k")
    cache_call(world, a, "set", "k", 0, message)
    opened: list[Any] = []
    monkeypatch.setattr(opening, "open_message", lambda *given: opened.append(given))
    cache_call(world, a, "process", "k")
    await eventually(lambda: link.methods()[-1] == "S.reject", within_s=5)
    assert "session does not exist anymore: over" in str(link.frames[-1]["args"])
    assert not opened


async def test_functions_in_a_large_answer_are_found_too(world: World, manager: Any) -> None:
    a, la = world.join("a")
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.built-in.get_service", ["s"]))
    call = await answer_on(la)
    main = {"type": "method", "from": "w/a", "to": "*/manager-x", "method": f"{call['session']}.resolve"}
    value = {
        "f": {"_rtype": "method", "_rtarget": "a", "_rmethod": "m"},
        "many": [1] * (MAX_QUICK_VALUES + 1),
    }
    world.send(a, main, {"args": [value]})
    assert (await task)["f"]["_rtarget"] == "w/a"
    task = asyncio.ensure_future(manager.calls.call("w/a", "services.built-in.get_service", ["s"]))
    call = await answer_on(la)
    value["f"]["_rtarget"] = "other/victim"
    world.send(a, {**main, "method": f"{call['session']}.resolve"}, {"args": [value]})
    with pytest.raises(ForeignFunction):
        await task


async def test_an_error_that_is_a_large_value_is_not_written_out(world: World, manager: Any) -> None:
    a, la = world.join("a")
    for value in ({"_rtype": "error", "_rvalue": [[1]] * 6000}, [[1]] * 6000):
        task = asyncio.ensure_future(manager.calls.call("w/a", "services.s.f"))
        call = await answer_on(la)
        main = {"type": "method", "from": "w/a", "to": "*/manager-x", "method": f"{call['session']}.reject"}
        world.send(a, main, {"args": [value]})
        with pytest.raises(CallFailed, match=r"^list$"):
            await task


async def test_a_peer_that_closes_ends_its_calls_begun_or_not_and_frames_that_are_being_opened(
    world: World, manager: Any
) -> None:
    a, link = world.join("a")
    await ask(world, a, "default.slow")
    await asyncio.sleep(0)  # its first step
    await ask(world, a, "default.slow")
    await ask(world, a, "default.echo", [1] * (MAX_QUICK_VALUES + 1))
    assert len(manager.running) == 2 and link.paused
    await manager.close()
    assert not link.paused and not len(manager.running) and "S.resolve" not in link.methods()
