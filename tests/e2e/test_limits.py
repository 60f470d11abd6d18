"""Quotas and rates: slowed down or refused with a typed error, visible, and back to zero afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from hypha.testing import RawCallError, RawClient, RawRefused, eventually
from tests.kit.clients import ConnectRaw, StartServer
from tests.kit.people import Person, make_person
from tests.kit.quick import Watch, check_quick


@pytest.mark.spec("wire-16.13", "core-A2")
async def test_connection_and_service_quotas_refuse_with_typed_errors(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    limits = {
        "HYPHA_MAX_CONNECTIONS_PER_USER": "3",
        "HYPHA_MAX_CLIENTS_PER_WORKSPACE": "2",
        "HYPHA_MAX_SERVICES_PER_WORKSPACE": "4",
    }
    server = await start_server(env=limits)
    person = make_person(server)
    raw = await connect_raw(person, url=server.ws_url)
    other = await connect_raw(person, url=server.ws_url)
    with pytest.raises(RawRefused, match=r"^Connection limit exceeded: workspace \S+ has 2/2 clients"):
        await connect_raw(person, url=server.ws_url)
    await other.close()
    await raw.offer("one")
    for name in ("two", "three"):
        await raw.offer(name)
    with pytest.raises(RawCallError, match=r"^QuotaExceeded: Service quota exceeded: workspace"):
        await raw.offer("four")
    summary = await raw.call_manager("get_summary")
    assert summary["limits"]["connections"]["limit"] == 3
    assert 1 <= summary["limits"]["connections"]["used"] <= 2
    assert summary["limits"]["services"] == {"used": 4, "limit": 4}
    assert summary["limits"]["rates"] == []
    with pytest.raises(RawCallError, match=r"expires_in"):
        await raw.call_manager("generate_token", {"expires_in": 10**12})


@pytest.mark.spec("wire-16.13")
async def test_clients_that_are_away_never_keep_a_live_one_out(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    limits = {"HYPHA_MAX_CONNECTIONS_PER_USER": "4", "HYPHA_MAX_CLIENTS_PER_WORKSPACE": "3"}
    server = await start_server(env=limits)
    person = make_person(server)
    elsewhere = person.with_token(person.token_for("a", "public", user_id=person.id))
    first = await connect_raw(person, url=server.ws_url, client_id="first")
    for number in range(20):
        crashing = await connect_raw(person, url=server.ws_url, client_id=f"crash-{number}")
        await crashing.abort()
    listed = [entry["id"].rpartition("/")[2] for entry in await first.call_manager("list_clients")]
    assert sorted(listed) == ["crash-18", "crash-19", "first"], "the oldest ones give way first"
    assert await first.is_alive()
    for level in ("r", "rw"):
        member = person.with_token(person.token_for(level))
        with pytest.raises(RawRefused, match=r"has 3/3 clients"):  # it may end nobody's state
            await connect_raw(member, url=server.ws_url)
    live = [await connect_raw(person, url=server.ws_url) for _ in range(2)]
    with pytest.raises(RawRefused, match=r"has 3/3 clients"):
        await connect_raw(person, url=server.ws_url)
    live.append(await connect_raw(elsewhere, url=server.ws_url, workspace="public"))
    with pytest.raises(RawRefused, match=r"has 4/4 connections"):
        await connect_raw(elsewhere, url=server.ws_url, workspace="public")
    await live.pop().abort()
    live.append(await connect_raw(elsewhere, url=server.ws_url, workspace="public"))
    assert [await raw.is_alive() for raw in [first, *live]] == [True] * 4


async def test_rates_of_a_user_slow_all_its_connections_and_close_none(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server(env={"HYPHA_USER_CALL_RATE_LIMIT": "50", "HYPHA_RATE_BURST": "1"})
    person = make_person(server)
    one, two = [await connect_raw(person, url=server.ws_url) for _ in range(2)]
    began = time.monotonic()

    async def burst(raw: RawClient) -> None:
        for number in range(50):
            assert await raw.call_manager("echo", number) == number

    await asyncio.gather(burst(one), burst(two))
    assert time.monotonic() - began > 0.7
    rates = (await one.call_manager("get_summary"))["limits"]["rates"]
    assert [(rate["of"], rate["unit"], rate["per_second"]) for rate in rates] == [("user", "calls", 50.0)]

    async def attempt() -> float:
        other = await connect_raw(make_person(server), url=server.ws_url)
        with Watch() as watch:
            await burst(other)
        return watch.seconds

    await check_quick(attempt, within_s=0.7)
    headers = {"Authorization": f"Bearer {person.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        url = f"/{person.workspace}/services/ws/echo"
        sessions = [await one.start_call(one.manager, "services.default.echo", n) for n in range(100)]
        answers = [await http.post(url, json=[1]) for _ in range(10)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and refused[0].json()["code"] == "rate_limited"
        assert int(refused[0].headers["retry-after"]) >= 1
        assert int(answers[-1].headers.get("x-ratelimit-limit", 0)) in (0, 5000)
    for number, session in enumerate(sessions):
        assert await one.answer_of(session) == number
    assert await one.is_alive() and await two.is_alive()


async def test_nobody_uses_up_the_rates_of_a_workspace_in_which_he_may_not_act(
    start_server: StartServer,
) -> None:
    server = await start_server(
        env={"HYPHA_WORKSPACE_CALL_RATE_LIMIT": "0.001", "HYPHA_RATE_BURST": "5000"}  # five calls in all
    )
    alice, mallory = make_person(server), make_person(server)
    async with httpx.AsyncClient(base_url=server.url) as http:

        async def post(person: Person, path: str) -> int:
            headers = {"Authorization": f"Bearer {person.token}"}
            return (await http.post(path, json=[1], headers=headers)).status_code

        own = f"/{alice.workspace}/services/ws/echo"
        assert await post(alice, own) == 200
        for path in (
            f"/{alice.workspace}/services/any/thing",
            "/health",
            "/no-such-workspace/services/ws/echo",
        ):
            await post(mallory, path)
        refused = [await post(mallory, f"/{alice.workspace}/services/any/thing") for _ in range(6)]
        assert 200 not in refused and refused[-1] == 429
        assert [await post(alice, own) for _ in range(5)] == [200] * 4 + [429]


async def test_bytes_of_a_workspace_are_slowed(start_server: StartServer, connect_raw: ConnectRaw) -> None:
    server = await start_server(env={"HYPHA_WORKSPACE_BYTE_RATE_LIMIT": "200000", "HYPHA_RATE_BURST": "1"})
    raw = await connect_raw(url=server.ws_url)
    began = time.monotonic()
    for _ in range(8):
        await raw.call_manager("echo", b"x" * 50_000)
    assert time.monotonic() - began > 0.7
    assert await raw.is_alive()


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_bytes_over_http_count_however_they_are_sent(
    start_server: StartServer, is_chunked: bool
) -> None:
    server = await start_server(env={"HYPHA_USER_BYTE_RATE_LIMIT": "20000", "HYPHA_RATE_BURST": "1"})
    person = make_person(server)

    async def parts() -> AsyncIterator[bytes]:
        for part in (b'["', b"x" * 60_000, b"x" * 60_000, b'"]'):
            yield part

    whole = b"".join([part async for part in parts()])
    headers = {"Authorization": f"Bearer {person.token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        url = f"/{person.workspace}/services/ws/echo"
        first = await http.post(url, content=parts() if is_chunked else whole)
        assert first.status_code == 200
        second = await http.post(url, json=[1])
    assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
    assert int(second.headers["retry-after"]) >= 3


async def test_http_answers_tell_what_is_left(start_server: StartServer) -> None:
    server = await start_server(env={"HYPHA_HTTP_RATE_LIMIT": "1", "HYPHA_HTTP_BURST_LIMIT": "10"})
    async with httpx.AsyncClient(base_url=server.url) as http:
        left = [int((await http.get("/public/services/")).headers["x-ratelimit-remaining"]) for _ in range(3)]
        assert left == [9, 8, 7]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("visits", [1000, pytest.param(6000, marks=pytest.mark.slow)])
async def test_counters_return_to_zero_after_random_connects_and_kills(
    start_server: StartServer, connect_raw: ConnectRaw, visits: int
) -> None:
    window = {"HYPHA_RESUME_WINDOW": "1", "HYPHA_HOLD_TIME": "0.3", "HYPHA_USER_CALL_RATE_LIMIT": "100000"}
    server = await start_server(env=window)
    dice = random.Random(4)
    people = [make_person(server, f"p{number}") for number in range(5)]
    root = await connect_raw(url=server.ws_url, token=server.root_token)

    async def visit(number: int) -> None:
        person = dice.choice([None, *people])
        client_id = f"c{number % 40}"
        try:
            raw = await RawClient.connect(
                server.ws_url, token=person.token if person else None, client_id=client_id
            )
        except RawRefused:
            return
        with contextlib.suppress(Exception):
            if dice.random() < 0.5:
                await raw.offer("svc")
            if dice.random() < 0.3:
                await raw.call_manager("echo", 1)
        if dice.random() < 0.5:
            raw.socket.transport.abort()
            with contextlib.suppress(Exception):
                await raw.close()
        else:
            await raw.close()

    for start in range(0, visits, 25):
        await asyncio.gather(*(visit(number) for number in range(start, start + 25)))

    async def usage() -> dict[str, object]:
        service = await root.call_manager("get_service", "ws-user-root/admin-utils")
        method = service["get_resource_usage"]
        found = await root.call(method["_rtarget"], method["_rmethod"])
        return {name: found[name] for name in ("connections_per_user", "connections_per_workspace")} | {
            "services": [address for address in found["services_per_client"] if "ws-user-root" not in address]
        }

    async def is_empty() -> bool:
        return await usage() == {
            "connections_per_user": {"root": 1},
            "connections_per_workspace": {"ws-user-root": 1},
            "services": [],
        }

    await eventually(is_empty, within_s=20, interval_s=0.3)
    own = {"authorization": f"Bearer {server.root_token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=own) as http:
        seen = (await http.get("/health")).json()["connections"]
    assert (seen["active"], seen["held"], seen["held_frames"]) == (1, 0, 0)
    assert seen["total_created"] - seen["total_closed"] == 1
