"""Function values are followed only to who sent them; callers by HTTP send none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgpack
import pytest
import pytest_asyncio

from hypha.testing import RawCallError, ServerProcess, eventually
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

PACKED = {"content-type": "application/msgpack"}


class Victim:
    """Somebody with a service of her own, which counts how often it is run."""

    def __init__(self, person: Person, client: Any, http: httpx.AsyncClient) -> None:
        self.person = person
        self.client = client
        self.http = http
        self.address = f"{person.workspace}/lab"
        self.wiped = 0

    def wipe(self, *_: Any) -> str:
        """What nobody else may make her run."""
        self.wiped += 1
        return "wiped"


@pytest_asyncio.fixture(loop_scope="session")
async def victim(server: ServerProcess, connect: Connect, alice: Person) -> AsyncIterator[Victim]:
    client = await connect(alice, client_id="lab")
    headers = {"authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as http:
        made = Victim(alice, client, http)
        await client.register_service({"id": "instrument", "wipe": made.wipe})
        yield made


def generator(target: str, method: str, **fields: Any) -> dict[str, Any]:
    value = {"_rtype": "generator", "_rtarget": target, "_rmethod": method, "_rpromise": "*"}
    return {**value, **fields}


def method(target: str, name: str) -> dict[str, Any]:
    return {"_rtype": "method", "_rtarget": target, "_rmethod": name, "_rpromise": "*"}


async def refusals_of(server: ServerProcess, connect: Connect, root: Person, user_id: str) -> list[str]:
    admin = await (await connect(root)).get_service("ws-user-root/admin-utils")
    entries = await admin.get_audit_log(action="access_refused", user_id=user_id)
    return [str(entry["detail"]) for entry in entries]


@pytest.mark.parametrize("route", ["services", "page"])
@pytest.mark.parametrize("kind", ["other client", "manager", "caller", "own private", "close"])
async def test_a_generator_in_an_answer_runs_nothing_but_what_the_callee_offers(
    server: ServerProcess, connect: Connect, victim: Victim, bob: Person, root: Person, route: str, kind: str
) -> None:
    seen: dict[str, Any] = {}
    stranger = await connect(bob, client_id="evil")
    own = f"{bob.workspace}/evil"
    runs: list[str] = []

    async def trap(event: Any = None, context: Any = None) -> Any:
        seen.update(context)
        value = {
            "other client": generator(victim.address, "services.instrument.wipe"),
            "manager": generator(f"*/{stranger.rpc._connection.manager_id}", "services.default.list_clients"),
            "caller": generator(context["from"], "services.built-in.ping"),
            "own private": generator(own, "services.private.run"),
            "close": generator(own, "nosession.next", _rclose_method="services.private.run"),
        }[kind]
        return {"status": 200, "body": value} if route == "page" else value

    await stranger.register_service({"id": "private", "run": lambda: runs.append("run")})
    config = {"visibility": "public", "require_context": True}
    kind_of = "functions" if route == "page" else "generic"
    await stranger.register_service({"id": "svc", "type": kind_of, "config": config, "trap": trap})
    path = "apps/svc/trap" if route == "page" else "services/evil:svc/trap"
    answer = await victim.http.get(f"/{bob.workspace}/{path}")
    assert seen["user"]["id"] == victim.person.id, "the service ran"
    assert (victim.wiped, runs) == (0, [])
    assert answer.status_code == 403 or (route == "page" and answer.status_code >= 400), answer.text
    assert await eventually(lambda: refusals_of(server, connect, root, bob.id))


async def test_a_generator_of_a_service_that_the_caller_may_call_is_followed(
    connect: Connect, victim: Victim, bob: Person
) -> None:
    provider = await connect(bob, client_id="honest")
    items = iter([1, 2, {"_rtype": "stop_iteration"}])
    config = {"visibility": "public"}
    await provider.register_service({"id": "steps", "config": config, "next": lambda: next(items)})
    value = generator(f"{bob.workspace}/honest", "services.steps.next")
    await provider.register_service({"id": "svc", "config": config, "run": lambda: value})
    answer = await victim.http.get(f"/{bob.workspace}/services/svc/run")
    assert answer.text == "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"


async def test_a_service_holds_no_functions_of_others(
    connect_raw: ConnectRaw, victim: Victim, bob: Person
) -> None:
    raw = await connect_raw(bob)
    await raw.offer("svc", {"hello": lambda: "hi"}, visibility="public")
    honest = raw._describe
    foreign = {"more": {"hello": method(victim.address, "services.instrument.wipe")}}
    raw._describe = lambda name: {**honest(name), **foreign}  # type: ignore[method-assign]
    with pytest.raises(Exception, match=r"PermissionError: .*names somebody else"):
        await victim.client.get_service(f"{raw.address}:svc")
    raw._describe = honest  # type: ignore[method-assign]
    service = await victim.client.get_service(f"{raw.address}:svc")
    assert await service.hello() == "hi"
    assert not victim.wiped


BODIES = {
    "method": {"_rtype": "method", "_rtarget": "*/m", "_rmethod": "services.default.generate_token"},
    "generator": {"_rtype": "generator", "_rtarget": "*/m", "_rmethod": "services.default.generate_token"},
    "function": {"_rtype": "function"},
    "interface": {"_rtype": "interface", "a": 1},
    "no tag": {"_rtarget": "*/m", "_rmethod": "services.default.generate_token"},
    "iostream": {"_rtype": "iostream", "read": {"_rtype": "method", "_rtarget": "a", "_rmethod": "x.y"}},
    "no target": {"_rtype": "method", "_rmethod": "x.y"},
}


@pytest_asyncio.fixture(loop_scope="session")
async def deputy(server: ServerProcess, connect: Connect, alice: Person) -> AsyncIterator[Any]:
    """A public service that calls its callback back and tells what came of it."""
    ran: list[Any] = []

    async def process(callback: Any = None, **more: Any) -> Any:
        ran.append((callback, more))
        return await callback() if callable(callback) else str(callback)

    client = await connect(alice, client_id="deputy")
    config = {"visibility": "public"}
    await client.register_service({"id": "svc", "config": config, "process": process})
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        http.ran = ran  # type: ignore[attr-defined]
        http.path = f"/{alice.workspace}/services/svc/process"  # type: ignore[attr-defined]
        http.manager = f"*/{client.rpc._connection.manager_id}"  # type: ignore[attr-defined]
        yield http


@pytest.mark.parametrize("way", ["json", "json escaped", "msgpack", "query", "deep", "list", "bare"])
@pytest.mark.parametrize("kind", BODIES)
async def test_an_http_request_carries_no_functions(deputy: Any, kind: str, way: str) -> None:
    value = json.loads(json.dumps(BODIES[kind]).replace("*/m", deputy.manager))
    body: Any = {"callback": value}
    if way == "deep":
        body = {"callback": {"a": [1, [{"b": value}]]}}
    elif way == "list":
        body = [value]
    elif way == "bare":
        body = value
    text = json.dumps(body)
    if way == "query":
        answer = await deputy.get(deputy.path, params={"callback": json.dumps(value)})
    elif way == "msgpack":
        answer = await deputy.post(deputy.path, content=msgpack.packb(body), headers=PACKED)
    else:
        text = text.replace("_rt", "\\u005f\\u0072t") if way == "json escaped" else text
        answer = await deputy.post(deputy.path, content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert "function" in answer.json()["detail"]
    assert deputy.ran == []


async def test_names_of_a_query_make_no_function(deputy: Any) -> None:
    params = {"_rtype": "method", "_rtarget": deputy.manager, "_rmethod": "services.default.generate_token"}
    answer = await deputy.get(deputy.path, params=params)
    assert answer.status_code == 400
    assert deputy.ran == []


async def test_data_with_tags_still_arrives(deputy: Any) -> None:
    array = {"_rtype": "ndarray", "_rvalue": b"\x01\x02", "_rshape": [2], "_rdtype": "uint8"}
    body = msgpack.packb({"callback": array})
    answer = await deputy.post(deputy.path, content=body, headers=PACKED)
    assert msgpack.unpackb(answer.content) == "[1 2]"


async def test_headers_of_a_request_make_no_function_of_the_event(
    server: ServerProcess, connect: Connect, alice: Person
) -> None:
    client = await connect(alice, client_id="pages")
    got: list[Any] = []

    async def page(event: Any) -> Any:
        got.append(event["headers"])
        return {"status": 200, "body": "fine"}

    service = {"id": "pages", "type": "functions", "config": {"visibility": "public"}, "page": page}
    await client.register_service(service)
    headers = {"_rtype": "method", "_rtarget": "*/m", "_rmethod": "services.default.x", "x-plain": "1"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.get(f"/{alice.workspace}/apps/pages/page", headers=headers)
    assert answer.status_code == 200, answer.text
    assert not callable(got[0])
    assert got[0]["x-plain"] == "1"


@pytest.mark.parametrize("function", ["log_event", "set_env", "queue"])
async def test_a_function_of_somebody_else_is_neither_kept_nor_passed_on(
    server: ServerProcess,
    connect: Connect,
    connect_raw: ConnectRaw,
    victim: Victim,
    bob: Person,
    root: Person,
    function: str,
) -> None:
    raw = await connect_raw(bob)
    foreign = {"callback": [method(victim.address, "services.instrument.wipe")]}
    with pytest.raises(Exception, match=r"PermissionError: .*names somebody else"):
        if function == "queue":
            service = await raw.call_manager("get_service", "public/queue")
            push = service["push"]
            await raw.call(push["_rtarget"], push["_rmethod"], "jobs", foreign)
        else:
            await raw.call_manager(function, "custom", foreign)
    assert await eventually(lambda: refusals_of(server, connect, root, bob.id))
    own = {"callback": [method(raw.address.partition("/")[2], "session.f")]}
    if function == "queue":
        await raw.call(push["_rtarget"], push["_rmethod"], "jobs", own)
        pop = service["pop"]
        task = await raw.call(pop["_rtarget"], pop["_rmethod"], "jobs")
        assert task["callback"][0]["_rtarget"] == raw.address
    else:
        with pytest.raises(RawCallError, match=r"ValueError: .*'_rtype' at '(data\.)?callback\.0'"):
            await raw.call_manager(function, "custom", own)


async def test_many_refusals_do_not_delay_honest_calls(deputy: Any, victim: Victim) -> None:
    value = {"callback": BODIES["method"]}
    bad = [deputy.post(deputy.path, json=value) for _ in range(20)]
    answers = await asyncio.gather(*bad, victim.http.get("/health"))
    assert [answer.status_code for answer in answers] == [400] * 20 + [200]


@pytest_asyncio.fixture(loop_scope="session")
async def provider(server: ServerProcess, connect: Connect, victim: Victim) -> AsyncIterator[Any]:
    """The victim's own public service, in another client, that calls what it is given."""
    ran: list[Any] = []

    async def process(callback: Any) -> Any:
        ran.append(callback)
        return await callback("x") if callable(callback) else repr(callback)

    client = await connect(victim.person, client_id="deputy")
    config = {"visibility": "public"}
    await client.register_service({"id": "svc", "config": config, "process": process})
    await client.register_service({"id": "private", "wipe": victim.wipe})
    client.ran = ran
    yield client


def forged(victim: Victim, manager: str, kind: str) -> dict[str, Any]:
    """Function values by which a stranger would make the victim run something of hers."""
    return {
        "manager": method(manager, "services.default.generate_token"),
        "other client": method(victim.address, "services.instrument.wipe"),
        "receiver": method(f"{victim.person.workspace}/deputy", "services.private.wipe"),
        "generator": generator(victim.address, "services.instrument.wipe"),
        "deep": {"a": [[{"b": method(victim.address, "services.instrument.wipe")}]]},
    }[kind]


@pytest.mark.parametrize("kind", ["manager", "other client", "receiver", "generator", "deep"])
async def test_a_stranger_cannot_name_somebody_else_in_a_call(
    server: ServerProcess,
    connect: Connect,
    connect_raw: ConnectRaw,
    victim: Victim,
    provider: Any,
    bob: Person,
    root: Person,
    kind: str,
) -> None:
    raw = await connect_raw(bob)
    target = f"{victim.person.workspace}/deputy"
    with pytest.raises(RawCallError, match=r"PermissionError: .*names somebody else"):
        await raw.call(target, "services.svc.process", forged(victim, raw.manager, kind))
    assert (provider.ran, victim.wiped) == ([], 0)
    assert await eventually(lambda: refusals_of(server, connect, root, bob.id))


async def test_a_name_that_libraries_leave_as_it_is_does_not_become_one_of_the_receivers_clients(
    connect: Connect, connect_raw: ConnectRaw, victim: Victim, provider: Any, bob: Person
) -> None:
    owner = await connect(bob)
    workspace = await owner.create_workspace({"id": f"lab-{bob.id}"})
    token = await owner.generate_token({"workspace": workspace["id"]})
    raw = await connect_raw(token=token, workspace=workspace["id"], client_id=workspace["id"])
    value = method(workspace["id"], "services.instrument.wipe")
    with pytest.raises(RawCallError, match=r"PermissionError: .*names somebody else"):
        await raw.call(f"{victim.person.workspace}/deputy", "services.svc.process", value)
    assert provider.ran == []


async def test_own_callbacks_and_plain_text_pass_between_workspaces(
    connect: Connect, victim: Victim, provider: Any, bob: Person
) -> None:
    stranger = await connect(bob)
    service = await stranger.get_service(f"{victim.person.workspace}/deputy:svc")
    assert await service.process(lambda word: f"{word}!") == "x!"
    text = "_rtarget _rmethod */manager services.default"
    assert await service.process(text) == repr(text)
    assert await service.process({"said": text.encode()}) is not None
    assert len(provider.ran) == 3


@pytest.mark.parametrize("kind", ["manager", "other client", "generator"])
async def test_an_answer_names_nobody_else(
    connect_raw: ConnectRaw, victim: Victim, bob: Person, kind: str
) -> None:
    raw = await connect_raw(bob)
    answers = {"trap": lambda: forged(victim, raw.manager, kind)}
    await raw.offer("svc", answers, visibility="public")
    service = await victim.client.get_service(f"{raw.address}:svc")
    with pytest.raises(Exception, match=r"PermissionError: .*names somebody else"):
        await service.trap()
    assert not victim.wiped


@pytest.mark.parametrize("member", ["stranger", "same person"])
@pytest.mark.parametrize("form", ["resolve", "generator", "large"])
async def test_an_answer_goes_to_a_session_never_to_a_service(
    connect_raw: ConnectRaw, victim: Victim, provider: Any, bob: Person, member: str, form: str
) -> None:
    raw = await connect_raw(bob if member == "stranger" else victim.person)
    value = method(raw.manager, "services.default.delete_workspace")
    if form == "generator":
        value = generator(raw.address, "s.next", _rclose_method="services.default.delete_workspace")
    promise = {"resolve": value, "reject": value}
    argument = "x" * 9000 if form == "large" else victim.person.workspace
    session = await raw.start_call(
        f"{victim.person.workspace}/deputy", "services.svc.process", argument, extra={"promise": promise}
    )
    with pytest.raises(RawCallError, match="an answer goes to a session"):
        await raw.answer_of(session)
    assert provider.ran == []


@pytest.mark.parametrize("level", ["r", "rw", "a"])
async def test_a_member_of_a_shared_workspace_may_name_its_clients_but_not_the_server(
    connect_raw: ConnectRaw, victim: Victim, provider: Any, bob: Person, level: str
) -> None:
    raw = await connect_raw(token=victim.person.token_for(level, user_id=bob.id))
    target = f"{victim.person.workspace}/deputy"
    elsewhere = method(f"{bob.workspace}/other", "services.instrument.wipe")
    for value in (forged(victim, raw.manager, "manager"), elsewhere):
        with pytest.raises(RawCallError, match=r"PermissionError: .*names somebody else"):
            await raw.call(target, "services.svc.process", value)
    assert provider.ran == []
    assert await raw.call(target, "services.svc.process", forged(victim, "", "other client")) == "wiped"


async def test_a_function_of_the_server_that_a_caller_lent_is_not_run_for_the_one_who_got_it(
    server: ServerProcess, connect: Connect, victim: Victim, bob: Person, root: Person
) -> None:
    """Encrypted, so that the server cannot see it."""
    ran: list[Any] = []
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def process(callback: Any) -> None:
        ran.append(callback)
        try:
            outcome.set_result(await callback("x"))
        except Exception as error:
            outcome.set_exception(error)

    config = {"visibility": "public"}
    deputy = await connect(victim.person, client_id="closed", encryption=True)
    await deputy.register_service({"id": "svc", "config": config, "process": process})
    stranger = await connect(bob, encryption=True)
    key = deputy.rpc.get_public_key()
    options = {"encryption_public_key": key}
    service = await stranger.get_service(f"{victim.person.workspace}/closed:svc", options)
    manager = f"*/{stranger.rpc._connection.manager_id}"
    await service.process(method(manager, "services.default.log"))
    with pytest.raises(Exception, match="a caller lent you this function"):
        await asyncio.wait_for(outcome, 10)
    assert len(ran) == 1, "the server could not see it"
    assert await eventually(lambda: refusals_of(server, connect, root, victim.person.id))
