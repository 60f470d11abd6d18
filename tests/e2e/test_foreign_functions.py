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

from hypha.testing import ServerProcess, eventually
from tests.conftest import Connect, ConnectRaw, Person

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
    await raw.call_manager("log_event", "custom", own)
    events = await raw.call_manager("get_events", "custom")
    assert events[0]["data"]["callback"][0]["_rtarget"] == raw.address


async def test_many_refusals_do_not_delay_honest_calls(deputy: Any, victim: Victim) -> None:
    value = {"callback": BODIES["method"]}
    bad = [deputy.post(deputy.path, json=value) for _ in range(20)]
    answers = await asyncio.gather(*bad, victim.http.get("/health"))
    assert [answer.status_code for answer in answers] == [400] * 20 + [200]
