"""Calls between real Python clients (docs/spec/wire-protocol.md#calls)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from hypha.testing import RawCallError, ServerProcess, eventually
from tests.e2e.lab import Lab
from tests.kit.clients import Connect, ConnectRaw, NewWorker, StartServer
from tests.kit.people import Person, make_person
from tests.kit.quick import Watch, check_quick


@pytest.mark.spec("wire-14")
async def test_service_found_by_name_carries_its_full_id_and_url(lab: Lab, server: ServerProcess) -> None:
    assert lab.service.id == f"{lab.workspace}/provider:lab"
    assert lab.service.config.workspace == lab.workspace
    assert lab.service.config.url == f"{server.url}/{lab.workspace}/services/provider:lab"
    assert await lab.service.add(1, 2) == 3


@pytest.mark.spec("wire-15")
async def test_positional_keyword_and_mixed_arguments(lab: Lab) -> None:
    assert await lab.service.add(1) == 11
    assert await lab.service.add(a=1, b=2) == 3
    assert await lab.service.add(1, b=2, c=3) == 6
    assert await lab.service.async_add(1.5, b=2) == 3.5


@pytest.mark.spec("wire-16", "core-R8")
async def test_context_tells_the_truth_about_the_caller(lab: Lab) -> None:
    seen = await lab.service.whoami()
    assert seen["from"] == f"{lab.workspace}/consumer"
    assert seen["to"] == f"{lab.workspace}/provider"
    assert seen["ws"] == lab.workspace
    assert seen["user"] == lab.consumer.config.user["id"]
    assert seen["type"] == "method" and seen["method"] == "services.lab.whoami"
    assert seen["connection_type"] == "websocket"


@pytest.mark.spec("wire-16", "core-R8")
async def test_context_of_a_caller_from_another_workspace(lab: Lab) -> None:
    seen = await lab.public_service.whoami()
    assert seen["from"] == f"{lab.stranger.config.workspace}/stranger"
    assert seen["ws"] == lab.stranger.config.workspace
    assert seen["user"] == lab.stranger.config.user["id"]


@pytest.mark.spec("core-R8")
async def test_context_given_by_the_caller_is_ignored(lab: Lab) -> None:
    seen = await lab.service.whoami(context={"from": "forged/one", "ws": "forged", "user": {"id": "root"}})
    assert seen["from"] == f"{lab.workspace}/consumer"
    assert seen["user"] == lab.consumer.config.user["id"]


@pytest.mark.spec("wire-17")
async def test_nested_functions_lists_of_functions_and_constants(lab: Lab) -> None:
    assert await lab.service.nested.deep.add(2, 3) == 5
    assert lab.service.nested.constant == 42
    assert await lab.service.tools[0](1, 1) == 2
    assert await lab.service.tools[1]("x") == "x"


@pytest.mark.spec("wire-18")
@pytest.mark.parametrize("function", ["fail", "async_fail"])
async def test_exception_reaches_the_caller_with_its_message(lab: Lab, function: str) -> None:
    with pytest.raises(Exception, match=r"the battery is empty") as failure:
        await lab.service[function]("the battery is empty")
    assert type(failure.value).__name__ == "RemoteException"


@pytest.mark.spec("wire-19")
async def test_callback_is_called_several_times_with_its_own_results(lab: Lab) -> None:
    seen = []

    def double(value: int) -> int:
        seen.append(value)
        return value * 2

    assert await lab.service.call_back(double, [1, 2, 3]) == [2, 4, 6]
    assert seen == [1, 2, 3]


@pytest.mark.spec("wire-19")
async def test_callback_across_workspaces(lab: Lab) -> None:
    async def triple(value: int) -> int:
        return value * 3

    assert await lab.public_service.call_back(triple, [1, 2]) == [3, 6]


@pytest.mark.spec("wire-20")
@pytest.mark.parametrize("function", ["numbers", "async_numbers"])
async def test_generator_yields_every_item_in_order(lab: Lab, function: str) -> None:
    for service in (lab.service, lab.public_service):
        assert [number async for number in await service[function](5)] == [0, 1, 2, 3, 4]


@pytest.mark.spec("wire-20")
@pytest.mark.parametrize("function", ["numbers", "async_numbers"])
async def test_generator_left_early_is_closed_at_the_provider(lab: Lab, function: str) -> None:
    before = lab.closed_generators
    items = await lab.service[function](100)
    async for number in items:
        if number == 2:
            break
    await items.aclose()
    await eventually(
        lambda: lab.closed_generators == before + 1, what="the provider's generator to be closed"
    )


@pytest.mark.spec("wire-20")
async def test_exception_inside_a_generator_reaches_the_consumer(lab: Lab) -> None:
    seen = []
    with pytest.raises(Exception, match=r"no more numbers"):
        async for number in await lab.service.broken_numbers():
            seen.append(number)
    assert seen == [1]


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.spec("wire-23")
async def test_call_longer_than_the_method_timeout_lives_by_heartbeats(
    connect: Connect, alice: Person
) -> None:
    provider = await connect(alice, method_timeout=30)
    caller = await connect(alice, method_timeout=30)

    async def slow() -> str:
        await asyncio.sleep(33)
        return "done"

    await provider.register_service({"id": "slow", "slow": slow})
    assert await (await caller.get_service("slow")).slow() == "done"


@pytest.mark.spec("wire-23")
async def test_short_method_timeout_is_stretched_by_heartbeats(
    lab: Lab, connect: Connect, server: ServerProcess
) -> None:
    impatient = await connect(make_person(server, "hurry"), method_timeout=2)
    service = await impatient.get_service(f"{lab.workspace}/lab-public")
    assert await service.slow(3.0) == "done"


@pytest.mark.spec("wire-25")
async def test_a_hundred_concurrent_calls_each_way_get_their_own_answers(lab: Lab) -> None:
    back = await lab.provider.get_service(await _register_echo(lab.consumer))
    forth = [lab.service.echo(("forth", number)) for number in range(100)]
    answers = await asyncio.gather(*forth, *(back.echo(("back", number)) for number in range(100)))
    assert answers == [["forth", n] for n in range(100)] + [["back", n] for n in range(100)]


async def _register_echo(client: Any) -> str:
    await client.register_service({"id": "echo", "echo": lambda value: value}, {"overwrite": True})
    return f"{client.config.client_id}:echo"


@pytest.mark.spec("wire-25")
async def test_messages_from_one_sender_keep_their_order(lab: Lab) -> None:
    lab.received.clear()
    await asyncio.gather(*(lab.service.collect(number) for number in range(500)))
    assert lab.received == list(range(500))


@pytest.mark.spec("wire-25")
async def test_burst_of_a_busy_honest_client_is_not_cut_off(lab: Lab) -> None:
    answers = []
    for start in range(0, 5000, 500):
        answers += await asyncio.gather(*(lab.service.echo(n) for n in range(start, start + 500)))
    assert answers == list(range(5000))


@pytest.mark.spec("wire-27")
async def test_unknown_method_says_so(connect_raw: ConnectRaw, lab: Lab, server: ServerProcess) -> None:
    raw = await connect_raw()
    with pytest.raises(RawCallError, match=r"Method expired or not found"):
        await raw.call(f"{lab.workspace}/provider", "services.lab-public.no_such_function")


@pytest.mark.spec("wire-27", "core-R2")
async def test_unknown_service_says_so(lab: Lab) -> None:
    with pytest.raises(Exception, match=r"Service not found: .*/\*:no-such-service@\*") as failure:
        await lab.consumer.get_service("no-such-service")
    assert "KeyError" in str(failure.value)


@pytest.mark.spec("wire-27")
async def test_unknown_function_of_the_manager_says_so(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    with pytest.raises(RawCallError, match=r"Method expired or not found"):
        await raw.call_manager("no_such_function")


@pytest.mark.spec("wire-28", "core-R16")
@pytest.mark.parametrize(
    "target", ["{ws}/ghost", "ghost", "no-such-workspace/ghost", "*/ghost", "*/manager-ghost"]
)
async def test_call_to_somebody_absent_fails_at_once(connect_raw: ConnectRaw, target: str) -> None:
    raw = await connect_raw()

    async def attempt() -> float:
        with Watch() as watch, pytest.raises(RawCallError, match=r"not connected|NotDelivered"):
            await raw.call(target.format(ws=raw.workspace), "services.svc.hello", timeout_s=5)
        return watch.seconds

    await check_quick(attempt, within_s=1.0)


@pytest.mark.spec("wire-28")
async def test_reject_for_an_absent_target_comes_from_the_absolute_target(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    session = await raw.start_call("ghost", "services.svc.hello")
    frame = await raw.wait_frame(lambda frame: frame.method == f"{session}.reject")
    assert frame.main["from"] == f"{raw.workspace}/ghost"
    assert frame.main["to"] == raw.address


@pytest.mark.spec("wire-28")
async def test_frame_without_session_to_somebody_absent_is_dropped_silently(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    await raw.send({"type": "method", "to": "ghost", "method": "services.svc.hello"}, {"args": []})
    assert await raw.call_manager("echo", 1) == 1
    assert not [frame for frame in raw.frames if frame.method.endswith(".reject")]


class SlowService:
    """A service whose function says that it was called and then takes a minute."""

    def __init__(self) -> None:
        self._called = asyncio.Event()

    def api(self, **config: Any) -> dict[str, Any]:
        """What to register."""

        async def slow() -> None:
            self._called.set()
            await asyncio.sleep(60)

        return {"id": "slow", "config": config, "slow": slow}

    async def called(self) -> None:
        """Wait until the function runs."""
        await asyncio.wait_for(self._called.wait(), 5)


@pytest.mark.spec("wire-29", "core-R16")
async def test_caller_is_told_at_once_when_the_provider_leaves_in_order(
    connect: Connect, alice: Person
) -> None:
    provider, caller = await connect(alice, client_id="leaver"), await connect(alice)
    slow = SlowService()
    await provider.register_service(slow.api())
    service = await caller.get_service("slow")
    call = asyncio.ensure_future(service.slow())
    await slow.called()
    await provider.disconnect()
    start = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)disconnected|NotDelivered|OutcomeUnknown|not connected"):
        await asyncio.wait_for(call, 10)
    assert time.monotonic() - start < 3.0

    async def attempt() -> float:
        with Watch() as watch, pytest.raises(Exception, match=r"not connected|NotDelivered|disconnected"):
            await service.slow()
        return watch.seconds

    await check_quick(attempt, within_s=1.0)


@pytest.mark.spec("core-R16")
async def test_first_call_after_the_provider_left_in_order_fails_well_within_a_second(
    connect: Connect, alice: Person
) -> None:
    caller = await connect(alice)

    async def attempt() -> float:
        provider = await connect(alice)
        await provider.register_service({"id": "svc", "hello": lambda: "hi"})
        service = await caller.get_service("svc")
        await provider.disconnect()
        with Watch() as watch, pytest.raises(Exception, match=r"not connected"):
            await service.hello()
        return watch.seconds

    await check_quick(attempt, within_s=1.0)


@pytest.mark.spec("core-3.6")
@pytest.mark.parametrize("form", ["svc", "leaver:svc"])
async def test_service_of_a_client_that_left_is_not_found(connect: Connect, alice: Person, form: str) -> None:
    provider, caller = await connect(alice, client_id="leaver"), await connect(alice)
    await provider.register_service({"id": "svc", "hello": lambda: "hi"})
    await provider.disconnect()

    async def attempt() -> float:
        with Watch() as watch, pytest.raises(Exception, match=r"Service not found: .*svc"):
            await caller.get_service(form)
        return watch.seconds

    await check_quick(attempt, within_s=1.0)


@pytest.mark.spec("wire-29")
async def test_caller_in_another_workspace_is_told_when_the_provider_leaves(
    connect: Connect, alice: Person, bob: Person
) -> None:
    provider, caller = await connect(alice), await connect(bob)
    slow = SlowService()
    await provider.register_service(slow.api(visibility="public"))
    service = await caller.get_service(f"{alice.workspace}/slow")
    call = asyncio.ensure_future(service.slow())
    await slow.called()
    await provider.disconnect()
    with pytest.raises(Exception, match=r"(?i)disconnected|NotDelivered|OutcomeUnknown|not connected|peer"):
        await asyncio.wait_for(call, 4)


@pytest.mark.node
@pytest.mark.spec("wire-29")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("language", ["python", "node"])
async def test_callers_of_every_kind_are_told_within_the_hold_time_when_the_provider_is_killed(
    connect: Connect,
    python_worker: NewWorker,
    node_worker: NewWorker,
    start_server: StartServer,
    language: str,
) -> None:
    server = await start_server(env={"HYPHA_HOLD_TIME": "2"})
    alice, bob = make_person(server, "alice"), make_person(server, "bob")
    victim = await (python_worker if language == "python" else node_worker)()
    await victim.connect(server.url, token=alice.token, client_id="victim")
    await victim.serve("lab", visibility="public")
    full_id, calls = f"{alice.workspace}/victim:lab", []
    for person in (alice, bob):
        for transport in ("websocket", "http"):
            caller = await connect(person, url=server.url, method_timeout=60, transport=transport)
            calls.append((await caller.get_service(full_id)).run(f"{person.id}-{transport}", 60_000))
        node = await node_worker()
        await node.connect(server.url, token=person.token, method_timeout=60)
        calls.append(node.call(full_id, "run", f"{person.id}-node", 60_000))
    futures = [asyncio.ensure_future(call) for call in calls]

    async def all_run() -> bool:
        return len(await victim.runs()) == len(futures)

    await eventually(all_run, within_s=10, what="all calls to arrive")
    start = time.monotonic()
    victim.kill()
    for future in futures:
        with pytest.raises(Exception, match=r"OutcomeUnknown|disconnected"):
            await asyncio.wait_for(future, 15)
    assert time.monotonic() - start < 12.0


@pytest.mark.spec("wire-28")
async def test_relative_target_reaches_a_client_of_the_own_workspace(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    callee = await connect_raw(alice, client_id="callee")
    await callee.offer("svc", {"hello": lambda name: f"hello {name}"})
    caller = await connect_raw(alice)
    session = await caller.start_call("callee", "services.svc.hello", "you")
    assert await caller.answer_of(session) == "hello you"
    frame = await caller.wait_frame(lambda frame: frame.method == f"{session}.resolve")
    assert frame.main["from"] == callee.address


@pytest.mark.spec("wire-14")
async def test_manager_hosts_built_in_like_every_peer(connect_raw: ConnectRaw, bob: Person) -> None:
    raw = await connect_raw(bob)
    assert await raw.call(raw.manager, "services.built-in.ping", "ping") == "pong"
    service = await raw.call(raw.manager, "services.built-in.get_service", "default")
    assert service["id"] == "default" and isinstance(service["config"], dict)
    method = service["get_service"]
    assert method["_rtarget"] == raw.manager and method["_rmethod"] == "services.default.get_service"
    assert method["_rschema"]["parameters"]["type"] == "object"


@pytest.mark.spec("wire-14")
async def test_manager_offers_every_documented_function(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    service = await raw.call(raw.manager, "services.built-in.get_service", "default")
    names = (
        "echo log log_event get_event_stats get_events register_service unregister_service "
        "list_workspaces list_services search_services list_clients register_service_type "
        "get_service_type list_service_types get_service_info get_service generate_token revoke_token "
        "parse_token create_workspace delete_workspace bookmark unbookmark get_workspace_info "
        "get_summary ping cleanup check_status set_env get_env subscribe unsubscribe"
    ).split()
    assert not [name for name in names if service.get(name, {}).get("_rtype") != "method"]


@pytest.mark.spec("wire-16.12")
async def test_manager_errors_hold_no_paths_or_tracebacks(connect_raw: ConnectRaw) -> None:
    raw = await connect_raw()
    for function, args in (("get_service", ["nothing"]), ("get_env", ["nothing"]), ("create_workspace", [5])):
        with pytest.raises(RawCallError) as failure:
            await raw.call_manager(function, *args)
        text = str(failure.value) + failure.value.trace
        assert "Traceback" not in text and ".py" not in text and "site-packages" not in text
