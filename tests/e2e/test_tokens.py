"""Tokens: format, minting that only narrows, revocation (docs/spec/manager.md#tokens)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hypha.testing import ServerProcess, eventually, mint_token
from hypha.testing.tokens import AUDIENCE, ISSUER, NAMESPACE, read_claims
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person


@pytest.mark.spec("core-A1")
async def test_generated_token_has_the_documented_claims(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    token = await client.generate_token({"permission": "read", "expires_in": 120, "client_id": "bound"})
    claims = read_claims(token)
    assert (claims["iss"], claims["aud"], claims["gty"]) == (ISSUER, AUDIENCE, "client-credentials")
    words = claims["scope"].split()
    assert sorted(words) == sorted([f"ws:{alice.workspace}#r", "cid:bound", f"wid:{alice.workspace}"])
    assert claims[f"{NAMESPACE}parent"] == alice.id
    assert isinstance(claims[f"{NAMESPACE}roles"], list)
    assert f"{NAMESPACE}email" in claims
    assert claims["sub"] != alice.id
    assert 100 < claims["exp"] - time.time() < 121
    assert claims["iat"] <= time.time() + 1


@pytest.mark.spec("core-A1")
async def test_extra_scopes_are_carried(connect: Connect, alice: Person) -> None:
    client = await connect(alice)
    token = await client.generate_token({"extra_scopes": ["file:download", "profile"]})
    assert {"file:download", "profile"} <= set(read_claims(token)["scope"].split())


@pytest.mark.spec("core-A1")
async def test_parent_stays_the_first_ancestor(connect: Connect, alice: Person) -> None:
    owner = await connect(alice)
    child = await connect(token=await owner.generate_token({"permission": "admin"}))
    grandchild = await connect(token=await child.generate_token())
    assert grandchild.config.user["parent"] == alice.id


@pytest.mark.spec("core-A1")
async def test_child_of_an_anonymous_user_is_anonymous(connect: Connect) -> None:
    owner = await connect()
    child = await connect(token=await owner.generate_token())
    assert child.config.user["is_anonymous"] is True


@pytest.mark.spec("core-M7")
@pytest.mark.parametrize(("level", "code"), [("read", "r"), ("read_write", "rw"), ("admin", "a")])
async def test_level_of_a_minted_token_is_the_level_at_connect(
    connect: Connect, alice: Person, level: str, code: str
) -> None:
    owner = await connect(alice)
    child = await connect(token=await owner.generate_token({"permission": level}))
    assert (await child.check_status())["user_permission"] == code


@pytest.mark.spec("core-A10")
async def test_read_write_child_of_the_owner_mints_at_most_its_own_level(
    connect: Connect, alice: Person
) -> None:
    owner = await connect(alice)
    await owner.create_workspace({"id": f"{alice.id}-second", "persistent": False})
    child = await connect(token=await owner.generate_token({"permission": "read_write"}))
    grandchild = await connect(token=await child.generate_token({"permission": "read_write"}))
    assert (await grandchild.check_status())["user_permission"] == "rw"
    with pytest.raises(Exception, match=r"(?i)permission|only admin"):
        await child.generate_token({"permission": "admin"})
    with pytest.raises(Exception, match=r"(?i)permission"):
        await child.generate_token({"workspace": f"{alice.id}-second", "permission": "read"})


@pytest.mark.spec("core-A9")
async def test_stronger_of_wildcard_and_own_entry_wins(connect: Connect, server: ServerProcess) -> None:
    user = "wildcard-user"
    rights = {"*": "rw", f"ws-user-{user}": "a"}
    client = await connect(token=mint_token(server.secret or "", user, workspaces=rights))
    token = await client.generate_token({"permission": "admin"})
    assert read_claims(token)["scope"].startswith(f"ws:ws-user-{user}#a")


@pytest.mark.spec("core-A9")
async def test_wildcard_scope_opens_other_workspaces_at_its_level(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    await connect(alice)
    token = mint_token(server.secret or "", "rover", workspaces={"*": "r"})
    rover = await connect(token=token, workspace=alice.workspace)
    assert (await rover.check_status())["user_permission"] == "r"


@pytest.mark.spec("core-A3")
async def test_revoked_token_says_so(connect: Connect, alice: Person) -> None:
    owner = await connect(alice)
    token = await owner.generate_token()
    await owner.revoke_token(token)
    with pytest.raises(ConnectionAbortedError, match=r"Token has been revoked"):
        await connect(token=token)
    with pytest.raises(Exception, match=r"Invalid token: "):
        await owner.revoke_token("junk")


@pytest.mark.spec("core-11.1.16")
async def test_owners_of_a_workspace_and_makers_of_a_token_may_revoke_it(
    connect: Connect, alice: Person, bob: Person
) -> None:
    owner, stranger, shared = await connect(alice), await connect(bob), f"shared-{alice.id}"
    await owner.create_workspace({"id": shared, "owners": [bob.id]})
    other = await owner.generate_token({"workspace": shared})
    own = await owner.generate_token()
    with pytest.raises(Exception, match=r"Permission denied: you can revoke your own tokens"):
        await stranger.revoke_token(own)
    await stranger.revoke_token(other)
    child = await connect(token=await owner.generate_token({"permission": "admin"}))
    grandchild = await child.generate_token()
    await child.revoke_token(grandchild)
    await owner.revoke_token(own)
    for token in (other, grandchild, own):
        with pytest.raises(ConnectionAbortedError, match=r"Token has been revoked"):
            await connect(token=token)


@pytest.mark.spec("core-A4")
async def test_token_expires(connect: Connect, connect_raw: ConnectRaw, alice: Person) -> None:
    owner = await connect(alice)
    token = await owner.generate_token({"expires_in": 1})

    async def is_refused() -> bool:
        try:
            await (await connect_raw(token=token)).close()
        except Exception as error:
            return "The token has expired" in str(error)
        return False

    await eventually(is_refused, within_s=6, interval_s=0.3)


@pytest.mark.spec("core-A4")
@pytest.mark.parametrize("expires_in", [0, -5, "soon", 10**12])
async def test_odd_life_times_are_refused_or_bounded(
    connect: Connect, alice: Person, expires_in: Any
) -> None:
    owner = await connect(alice)
    try:
        token = await owner.generate_token({"expires_in": expires_in})
    except Exception as error:
        assert "expires_in" in str(error)
        return
    assert read_claims(token)["exp"] - time.time() < 20 * 365 * 86400


@pytest.mark.spec("core-4.2")
async def test_root_token_is_admin_everywhere(connect: Connect, root: Person, alice: Person) -> None:
    await connect(alice)
    admin = await connect(root)
    assert admin.config.workspace == "ws-user-root"
    assert admin.config.user["id"] == "root"
    inside = await connect(root, workspace=alice.workspace)
    assert (await inside.check_status())["user_permission"] == "a"


@pytest.mark.spec("core-4.2")
async def test_almost_the_root_token_is_no_token(connect: Connect, root: Person) -> None:
    for token in (root.token[:-1], root.token + "x", root.token.upper()):
        with pytest.raises(ConnectionAbortedError, match=r"^Authentication error"):
            await connect(token=token)


@pytest.mark.spec("core-A1")
async def test_parse_token_reads_without_connecting(connect: Connect, alice: Person) -> None:
    owner = await connect(alice)
    user = await owner.parse_token(await owner.generate_token({"permission": "read"}))
    assert user["parent"] == alice.id
    assert dict(user["scope"]["workspaces"]) == {alice.workspace: "r"}
    with pytest.raises(Exception, match=r"(?i)token|authenti"):
        await owner.parse_token("junk")
