"""Rights are looked up when they are used, and a limited token reaches its workspace alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from hypha.testing import RawClient, ServerProcess, mint_token
from hypha.testing.rawclient import RawCallError, RawRefused
from hypha.testing.waiting import eventually
from tests.kit.clients import Connect, ConnectRaw, StartServer
from tests.kit.people import Person, make_person

LOGIN = "/public/services/hypha-login"


async def refused(client: RawClient, function: str, *args: Any) -> str:
    """The text with which the manager refuses a call."""
    with pytest.raises(RawCallError) as caught:
        await client.call_manager(function, *args)
    return str(caught.value)


async def limited_login(server: ServerProcess, person: Person, workspace: str) -> str:
    """The token of a program that a person let into one workspace only."""
    async with httpx.AsyncClient(base_url=f"{server.url}{LOGIN}", timeout=15) as web:
        key = (await web.post("/start", json={"workspace": workspace})).json()["key"]
        answer = await web.post("/report", json={"key": key, "token": person.token})
        assert answer.status_code == 200, answer.text
        return str((await web.post("/check", json={"key": key, "timeout": 0})).json())


async def http_status(server: ServerProcess, token: str, path: str, **arguments: Any) -> int:
    async with httpx.AsyncClient(base_url=server.url, timeout=15) as web:
        answer = await web.post(path, json=arguments, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code


# -- a token limited to one workspace -------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def lab(connect_raw: ConnectRaw, alice: Person) -> str:
    """A workspace that belongs to alice, besides her own."""
    owner = await connect_raw(alice)
    name = f"lab-{alice.id}"
    await owner.call_manager("create_workspace", {"id": name, "persistent": True})
    await owner.call_manager("set_env", "secret", "of alice's own workspace")
    return name


@pytest.mark.parametrize("kind", ["login", "own id", "own id by e-mail", "child", "come back"])
async def test_a_token_limited_to_a_workspace_reaches_no_other(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person, lab: str, kind: str
) -> None:
    here = {"workspaces": {lab: "a"}, "current": lab}
    owner = await connect_raw(alice)
    await owner.call_manager("generate_token", {"name": "of alice"})
    if kind == "login":
        token = await limited_login(server, alice, lab)
    elif kind == "own id by e-mail":
        await owner.call_manager("create_workspace", {"id": f"{lab}-2", "owners": [f"{alice.id}@x.org"]})
        token = mint_token(alice.secret, alice.id, email=f"{alice.id}@x.org", **here)
    elif kind == "child":
        token = await owner.call_manager("generate_token", {"workspace": lab, "permission": "admin"})
    else:
        token = mint_token(alice.secret, alice.id, **here)
    client = await connect_raw(token=token, client_id="limited")
    if kind == "come back":
        back = client.info["reconnection_token"]
        await client.close()
        client = await connect_raw(client_id="limited", reconnection_token=back)
    assert client.workspace == lab
    for other in (alice.workspace, f"{lab}-2", "ws-user-root", "*"):
        wanted = {"workspace": other, "permission": "read"}
        assert "ermission" in await refused(client, "generate_token", wanted)
        if other != "*":
            assert "ermission" in await refused(client, "list_tokens", other)
            assert await refused(client, "delete_workspace", other)
            assert await refused(client, "get_workspace_info", other)
            assert await refused(client, "list_clients", other)
            with pytest.raises(RawRefused):
                await connect_raw(token=token, workspace=other, client_id="limited")
    assert {each["id"] for each in await client.call_manager("list_workspaces")} <= {lab}
    assert not [each for each in await client.call_manager("list_tokens") if each["name"] == "of alice"]
    assert "limited to the workspace" in await refused(client, "create_workspace", {"id": f"{lab}-3"})
    assert await refused(client, "bookmark", {"bookmark_type": "workspace", "id": lab})
    assert "ermission denied" in await refused(client, "revoke_token", alice.token)
    minted = await client.call_manager("generate_token", {"permission": "admin"})
    for path in (f"/{alice.workspace}/services/ws/get_env", f"/{alice.workspace}/services/ws/generate_token"):
        for each in (token, minted):
            async with httpx.AsyncClient(base_url=server.url) as web:
                answer = await web.get(path, headers={"Authorization": f"Bearer {each}"})
            assert "of alice's own workspace" not in answer.text
            if answer.status_code == 200 and path.endswith("token"):
                user = await owner.call_manager("parse_token", answer.json())
                assert set(user["scope"]["workspaces"]) == {lab}


# -- rights that end --------------------------------------------------------------------------------


async def test_a_removed_owner_has_no_way_left(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    name = f"shared-{alice.id}"
    owner = await connect_raw(alice)
    await owner.call_manager("create_workspace", {"id": name, "owners": [bob.id], "persistent": True})
    inside = await connect_raw(alice, workspace=name)
    await inside.call_manager("set_env", "key", "value")
    bobs = await connect_raw(bob, workspace=name, client_id="bobs")
    assert await bobs.call_manager("get_env") == {"key": "value"}
    tokens = [await bobs.call_manager("generate_token", {"permission": level}) for level in ("admin", "read")]
    tokens.append(await limited_login(server, bob, name))
    kids = [await connect_raw(token=token) for token in tokens]
    tokens.append(await kids[0].call_manager("generate_token", {"permission": "admin"}))
    kids.append(await connect_raw(token=tokens[-1]))
    back = {"client_id": "bobs", "reconnection_token": bobs.info["reconnection_token"]}
    await owner.call_manager("create_workspace", {"id": name, "owners": [], "persistent": True}, True)
    for each in (bobs, *kids):
        await each.wait_closed(1.0)
    with pytest.raises(RawRefused, match="ermission denied"):
        await connect_raw(**back)
    for token in (bob.token, *tokens):
        with pytest.raises(RawRefused, match="ermission denied"):
            await connect_raw(token=token, workspace=name)
        assert await http_status(server, token, f"/{name}/services/ws/get_env") == 403 or token is bob.token
    async with httpx.AsyncClient(
        base_url=server.url, headers={"Authorization": f"Bearer {bob.token}"}
    ) as web:
        answer = await web.get(f"/{name}/info")
        assert answer.status_code == 403, answer.text
    assert await (await connect_raw(alice, workspace=name)).call_manager("get_env") == {"key": "value"}


async def test_a_reconnection_token_is_good_for_reconnecting_only(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    client = await connect_raw(alice, client_id="box")
    for _ in range(2):
        back = client.info["reconnection_token"]
        for path in ("get_env", "generate_token", "list_tokens"):
            assert await http_status(server, back, f"/{alice.workspace}/services/ws/{path}") == 401
        with pytest.raises(RawRefused, match="reconnection token"):
            await connect_raw(token=back, client_id="box")
        async with httpx.AsyncClient(base_url=server.url) as web:
            stream = {"client_id": "box", "workspace": alice.workspace}
            answer = await web.post(
                "/rpc", params=stream, content=b"x", headers={"Authorization": f"Bearer {back}"}
            )
            assert answer.status_code in (400, 401)
            key = (await web.post(f"{LOGIN}/start", json={})).json()["key"]
            report = await web.post(f"{LOGIN}/report", json={"key": key, "token": back})
            assert report.status_code == 400, report.text
        await client.close()
        client = await connect_raw(client_id="box", reconnection_token=back)
    assert await client.call_manager("get_env") == {}


async def test_an_expired_token_gives_its_connection_no_right(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    """It stays connected for those who call its services, and may do nothing in its workspace."""
    owner = await connect_raw(alice)
    await owner.call_manager("set_env", "key", "value")
    token = mint_token(alice.secret, alice.id, life_s=3)
    client = await connect_raw(token=token, client_id="box")
    await client.call_manager("subscribe", ["service_added", "mine"])
    info = {"id": f"{alice.workspace}/box:svc", "name": "svc", "config": {}, "service_schema": {}}
    await client.call_manager("register_service", info)
    made_before = await client.call_manager("generate_token", {"expires_in": 600})

    async def is_over() -> bool:
        try:
            await client.call_manager("get_env", "key")
        except RawCallError as error:
            return "expired" in str(error)
        return False

    await eventually(is_over, within_s=10)
    for function, *args in (
        ("generate_token", {"expires_in": 10 * 365 * 86400}), ("get_env",), ("set_env", "a", 1),
        ("list_tokens",), ("list_clients",), ("log_event", "x"), ("create_workspace", {"id": "a-b"}),
        ("register_service", {**info, "id": f"{alice.workspace}/box:other"}), ("subscribe", "mine"),
        ("revoke_token", made_before), ("delete_workspace", alice.workspace), ("get_summary",),
    ):  # fmt: skip
        assert "expired" in await refused(client, function, *args), function
    assert await client.call_manager("echo", 1) == 1
    await client.call_manager("register_service", info)
    listed = [each["id"] for each in await owner.call_manager("list_services", alice.workspace)]
    assert info["id"] in listed
    await owner.call_manager("get_env", "key")


@pytest.mark.parametrize("whose", ["anonymous", "person"])
async def test_callers_of_an_expired_connection_are_not_cut_off(
    connect: Connect, alice: Person, whose: str
) -> None:
    owner = await connect(*([alice] if whose == "person" else []))
    workspace = owner.config.workspace
    token = await owner.generate_token({"expires_in": 2})
    provider = await connect(token=token, workspace=workspace, client_id=f"lent-{whose}")

    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def ask(callback: Callable[[int], Awaitable[int]]) -> int:
        return await callback(20)

    config = {"visibility": "public"}
    await provider.register_service({"id": "svc", "config": config, "numbers": numbers, "ask": ask})
    service = await owner.get_service(f"{workspace}/lent-{whose}:svc")

    async def is_over() -> bool:
        try:
            await provider.list_clients()
        except Exception as error:
            assert "the token of this connection has expired" in str(error)
            return True
        return False

    await eventually(is_over, within_s=10)
    assert await service.ask(lambda number: number + 1) == 21
    assert [number async for number in await service.numbers()] == [1]


async def test_an_expired_connection_comes_back_to_its_state_and_to_nothing_else(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server()
    person = make_person(server)
    token = mint_token(person.secret, person.id, life_s=2)
    client = await connect_raw(url=server.ws_url, token=token, client_id="box")
    back = {"client_id": "box", "reconnection_token": client.info["reconnection_token"]}
    expired_at = time.time() + 2.5

    async def is_over() -> bool:
        return time.time() > expired_at and "expired" in await refused(client, "get_env")

    await eventually(is_over, within_s=10)
    await client.abort()
    client = await connect_raw(url=server.ws_url, **back)
    assert "expired" in await refused(client, "generate_token")
    fresh = client.info["reconnection_token"]
    await asyncio.to_thread(server.restart)
    for each in (back["reconnection_token"], fresh):
        with pytest.raises(RawRefused, match="The token has expired"):
            await connect_raw(url=server.ws_url, client_id="box", reconnection_token=each)


async def test_an_expired_connection_calls_no_protected_service(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    provider = await connect_raw(alice, client_id="provider")
    info = {"id": f"{alice.workspace}/provider:svc", "name": "svc", "config": {}, "service_schema": {}}
    await provider.call_manager("register_service", info)
    client = await connect_raw(token=mint_token(alice.secret, alice.id, life_s=2), client_id="caller")
    target = f"{alice.workspace}/provider"

    async def is_refused() -> bool:
        try:
            await client.call(target, "services.svc.run", timeout_s=0.5)
        except RawCallError as error:
            return "expired" in str(error)
        except TimeoutError:
            return False
        return False

    await eventually(is_refused, within_s=10)


async def test_tokens_made_with_a_revoked_token_end_with_it(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect_raw(alice)
    first = await owner.call_manager("generate_token", {"permission": "admin", "name": "first"})
    line, clients = [first], [await connect_raw(token=first)]
    for n in range(3):
        line.append(
            await clients[-1].call_manager("generate_token", {"permission": "admin", "name": f"n{n}"})
        )
        clients.append(await connect_raw(token=line[-1]))
    names = {each["name"] for each in await owner.call_manager("list_tokens")}
    assert {"first", "n0", "n1", "n2"} <= names, "a maker sees what was made in turn"
    await owner.call_manager("revoke_token", first)
    for client in clients:
        assert (await client.wait_closed(1.0))[0] == 1008
    for token in line:
        assert await http_status(server, token, f"/{alice.workspace}/services/ws/get_env") == 401
        with pytest.raises(RawRefused, match="Token has been revoked"):
            await connect_raw(token=token)
    assert not {"first", "n0", "n1", "n2"} & {t["name"] for t in await owner.call_manager("list_tokens")}


async def test_tokens_of_anonymous_users_end_with_the_token_that_made_them(
    server: ServerProcess, connect_raw: ConnectRaw
) -> None:
    stranger = await connect_raw()
    first = await stranger.call_manager("generate_token", {"permission": "admin"})
    child = await connect_raw(token=first)
    second = await child.call_manager("generate_token", {"permission": "admin"})
    grandchild = await connect_raw(token=second)
    await stranger.call_manager("revoke_token", first)
    for client in (child, grandchild):
        assert (await client.wait_closed(1.0))[0] == 1008
    with pytest.raises(RawRefused, match="Token has been revoked"):
        await connect_raw(token=second)
    assert "at most 172800 seconds" in await refused(stranger, "generate_token", {"expires_in": 10**7})


async def test_who_is_blocked_takes_along_what_descends_from_it(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = await start_server()
    person = make_person(server)
    root = await connect_raw(url=server.ws_url, token=server.root_token)
    owner = await connect_raw(person, url=server.ws_url)
    first = await owner.call_manager("generate_token", {"permission": "admin"})
    child = await connect_raw(url=server.ws_url, token=first)
    second = await child.call_manager("generate_token", {"permission": "admin"})
    grandchild = await connect_raw(url=server.ws_url, token=second)
    back = {
        "client_id": grandchild.info["client_id"],
        "reconnection_token": grandchild.info["reconnection_token"],
    }
    block = (await root.call_manager("get_service", "ws-user-root/admin-utils"))["block_user"]
    await root.call(block["_rtarget"], block["_rmethod"], child.info["user"]["id"])
    for client in (child, grandchild):
        assert (await client.wait_closed(1.0))[0] == 1008
    for how in ({"token": first}, {"token": second}, back):
        with pytest.raises(RawRefused, match="blocked"):
            await connect_raw(url=server.ws_url, **how)
    assert await owner.call_manager("get_env") == {}


async def test_a_client_bound_token_is_not_for_http(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    owner = await connect_raw(alice)
    token = await owner.call_manager("generate_token", {"client_id": "box", "permission": "read_write"})
    assert await http_status(server, token, f"/{alice.workspace}/services/ws/get_env") == 403
    client = await connect_raw(token=token, client_id="box")
    assert await client.call_manager("get_env") == {}


@pytest.mark.parametrize("how", ["revoked", "expired", "removed"])
async def test_answers_that_last_end_with_the_right_to_them(
    server: ServerProcess, connect_raw: ConnectRaw, connect: Connect, alice: Person, bob: Person, how: str
) -> None:
    name = f"stream-{alice.id}-{how}"
    owner = await connect_raw(alice)
    await owner.call_manager("create_workspace", {"id": name, "owners": [bob.id], "persistent": True})
    provider = await connect(alice, workspace=name)

    async def count() -> AsyncIterator[int]:
        for n in range(10_000):
            yield n
            await asyncio.sleep(0.02)

    async def serve(args: dict[str, Any]) -> None:
        await args["receive"]()
        await args["send"]({"type": "websocket.accept"})
        await args["send"]({"type": "websocket.send", "text": "open"})
        await args["receive"]()

    config = {"visibility": "protected"}
    await provider.register_service({"id": "counter", "config": config, "count": count})
    await provider.register_service({"id": "app", "type": "asgi", "config": config, "serve": serve})
    inside = await connect_raw(bob, workspace=name)
    life = 4 if how == "expired" else 600
    token = await inside.call_manager("generate_token", {"permission": "read", "expires_in": life})
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{server.ws_url.removesuffix('/ws')}/{name}/apps/app/"
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as web,
        websockets.connect(url, additional_headers=headers) as socket,
        web.stream("GET", f"/{name}/services/counter/count") as stream,
    ):
        assert await socket.recv() == "open"
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("data: ")
        if how == "revoked":
            await inside.call_manager("revoke_token", token)
        elif how == "removed":
            wanted = {"id": name, "owners": [], "persistent": True}
            await owner.call_manager("create_workspace", wanted, True)
        async with asyncio.timeout(10):
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            with contextlib.suppress(httpx.RemoteProtocolError):
                async for line in lines:
                    assert how == "removed" or "[DONE]" not in line
    if how != "removed":  # there the provider has been sent away, too
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
