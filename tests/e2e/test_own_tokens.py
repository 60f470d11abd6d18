"""Generated tokens are listed, named and revoked by those whose they are (issue: signing in)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from hypha.testing import RawCallError, RawRefused, eventually
from tests.kit.clients import Connect, ConnectRaw, StartServer
from tests.kit.people import Person, make_person


async def test_tokens_are_listed_named_used_and_revoked_by_id(
    connect_raw: ConnectRaw, server: Any, alice: Person
) -> None:
    owner = await connect_raw(alice)
    before = time.time()
    token = await owner.call_manager(
        "generate_token", {"permission": "read", "name": "laptop", "client_id": "pc", "expires_in": 600}
    )
    (shown,) = await owner.call_manager("list_tokens")
    assert {key: shown[key] for key in ("name", "workspace", "permission", "client_id", "created_by")} == {
        "name": "laptop",
        "workspace": alice.workspace,
        "permission": "read",
        "client_id": "pc",
        "created_by": alice.id,
    }
    assert before - 1 < shown["created_at"] < time.time() + 1
    assert shown["expires_at"] - shown["created_at"] == pytest.approx(600, abs=2)
    assert shown["last_used_at"] is None
    assert token not in json.dumps(shown)
    guest = await connect_raw(token=token, client_id="pc")
    assert (await owner.call_manager("list_tokens"))[0]["last_used_at"] >= shown["created_at"]
    await owner.call_manager("rename_token", shown["id"], "old laptop")
    assert (await owner.call_manager("list_tokens"))[0]["name"] == "old laptop"
    await owner.call_manager("revoke_token", shown["id"])
    assert (await guest.wait_closed(5))[0] == 1008
    with pytest.raises(RawRefused, match="Token has been revoked"):
        await connect_raw(token=token, client_id="pc")
    assert await owner.call_manager("list_tokens") == []
    with pytest.raises(RawCallError, match="Token not found"):
        await owner.call_manager("revoke_token", shown["id"])


@pytest.mark.spec("core-11.1.3", "core-11.1.16")
async def test_children_neither_see_nor_revoke_what_their_parent_generated(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    owner = await connect_raw(alice)
    reader = await connect_raw(token=await owner.call_manager("generate_token", {"permission": "read"}))
    stranger = await connect_raw(bob)
    token_id = (await owner.call_manager("list_tokens"))[0]["id"]
    for other in (reader, stranger):
        assert await other.call_manager("list_tokens") == []
        for function, args in (
            ("list_tokens", [alice.workspace]),
            ("revoke_token", [token_id]),
            ("rename_token", [token_id, "mine"]),
        ):
            with pytest.raises(RawCallError, match=r"(?i)permission denied"):
                await other.call_manager(function, *args)
    boss = await connect_raw(token=await owner.call_manager("generate_token", {"permission": "admin"}))
    assert len(await boss.call_manager("list_tokens", alice.workspace)) == 2
    await boss.call_manager("revoke_token", token_id)


async def test_an_offset_beyond_what_a_database_counts_is_refused(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect_raw(alice)
    with pytest.raises(RawCallError, match="Offset number must be"):
        await owner.call_manager("list_tokens", kwargs={"offset": 2**63})


async def test_anonymous_users_mint_without_a_record(connect_raw: ConnectRaw) -> None:
    guest = await connect_raw()
    await guest.call_manager("generate_token")
    assert await guest.call_manager("list_tokens") == []


@pytest.mark.spec("core-A3")
async def test_acknowledged_tokens_and_last_uses_survive_a_kill(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server()
    person = make_person(server)
    owner = await connect_raw(person, url=server.ws_url)
    await asyncio.gather(
        *(owner.call_manager("generate_token", {"name": f"t{number}"}) for number in range(20))
    )
    server.restart(kill=True)
    again = await connect_raw(person, url=server.ws_url)
    found = await again.call_manager("list_tokens")
    assert sorted(token["name"] for token in found) == sorted(f"t{number}" for number in range(20))
    assert len(await again.call_manager("list_tokens", None, 5, 10)) == 10
    for wrong in ([None, -1], [None, 0, 0], [None, 0, 1001], [None, "x"]):
        with pytest.raises(RawCallError, match=r"must be|Limit"):
            await again.call_manager("list_tokens", *wrong)


async def test_last_use_over_http_is_noted(connect: Connect, server: Any, alice: Person) -> None:
    owner = await connect(alice)
    token = await owner.generate_token({"permission": "read"})
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as http:
        assert (await http.get(f"/{alice.workspace}/services/ws/check_status")).status_code == 200

    async def is_noted() -> bool:
        return (await owner.list_tokens())[0]["last_used_at"] is not None

    await eventually(is_noted, within_s=5)


@pytest.mark.spec("core-A3", "wire-16.16")
async def test_a_token_that_has_expired_still_ends_the_connection_that_came_with_it(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    """A connection stays when its token expires; whoever gave the token can end it all the same."""
    server = await start_server()
    person = make_person(server)
    owner = await connect_raw(person, url=server.ws_url)
    config = {"permission": "read_write", "expires_in": 1, "name": "for an hour"}
    token = await owner.call_manager("generate_token", config)
    guest = await connect_raw(url=server.ws_url, token=token, client_id="guest")
    back = {"client_id": "guest", "reconnection_token": guest.info["reconnection_token"]}
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as http:

        async def has_expired() -> bool:
            return (await http.get("/public/services/hypha-login/profile")).status_code == 401

        await eventually(has_expired, within_s=10)
    assert await guest.is_alive()
    (shown,) = await owner.call_manager("list_tokens")
    assert shown["name"] == "for an hour"
    await owner.call_manager("revoke_token", shown["id"])
    assert (await guest.wait_closed(5))[0] == 1008
    assert await owner.call_manager("list_tokens") == []
    for kill in (False, True):
        with pytest.raises(RawRefused, match="Token has been revoked"):
            await connect_raw(url=server.ws_url, **back)
        await owner.close()
        await asyncio.to_thread(server.restart, kill=kill)
        owner = await connect_raw(person, url=server.ws_url)


async def test_generated_tokens_of_one_person_are_limited_those_of_its_children_included(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    own = await start_server(env={"HYPHA_MAX_TOKENS_PER_USER": "3"})
    alice, bob = make_person(own, "alice"), make_person(own, "bob")
    owner = await connect_raw(alice, url=own.ws_url)
    first = await owner.call_manager("generate_token", {"permission": "admin"})
    second = await owner.call_manager("generate_token")
    child = await connect_raw(token=first, url=own.ws_url)
    grandchild = await connect_raw(token=await child.call_manager("generate_token"), url=own.ws_url)
    for maker in (owner, child, grandchild):
        with pytest.raises(RawCallError, match=r"QuotaExceeded: .* user alice\S* has 3 .*revoke_token"):
            await maker.call_manager("generate_token")
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=own.url, headers=headers) as http:
        answer = await http.get(f"/{alice.workspace}/services/ws/generate_token")
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    root = await connect_raw(token=own.root_token, url=own.ws_url)
    for other, count in ((await connect_raw(bob, url=own.ws_url), 3), (root, 5)):
        for _ in range(count):
            await other.call_manager("generate_token")
    await owner.call_manager("revoke_token", second)
    third = await owner.call_manager("generate_token", {"name": "third"})
    (token_id,) = [t["id"] for t in await owner.call_manager("list_tokens") if t["name"] == "third"]
    await owner.call_manager("revoke_token", token_id)
    assert third != await owner.call_manager("generate_token")
    own.restart()
    owner = await connect_raw(alice, url=own.ws_url)
    with pytest.raises(RawCallError, match="QuotaExceeded"):
        await owner.call_manager("generate_token")
