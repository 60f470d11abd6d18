"""Who is admitted where (docs/spec/wire-protocol.md#first-message)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import event, text

from hypha.auth.minting import TokenRequest, child_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User, anonymous_user
from hypha.limits.turns import on_behalf_of
from hypha.store import Store
from hypha.wire.handshake import FirstMessage, Refused
from hypha.workspaces.catalogue import Catalogue
from tests.unit.workspaces.tenancy_kit import ROOT_TOKEN, Tenants, acting, person

PREFIX = "Failed to establish connection: "


@pytest.fixture
def alice() -> User:
    return person("alice", email="Alice@Example.org")


async def make_lab(tenants: Tenants, owner: User, **config: Any) -> str:
    catalogue: Catalogue = tenants.catalogue
    await catalogue.create({"id": "the-lab", "persistent": True, **config}, acting(owner))
    return "the-lab"


async def refusal(tenants: Tenants, client_id: str = "c1", **first: str | None) -> tuple[int, str]:
    """Close code and text with which a newcomer is refused."""
    with pytest.raises(Refused) as caught:
        await tenants.admission.identify(FirstMessage(client_id, **first))
    return caught.value.close_code, caught.value.message


@pytest.mark.spec("core-M1")
async def test_an_anonymous_user_is_admin_of_its_own_workspace(tenants: Tenants) -> None:
    identity = await tenants.connect()
    user = identity.user
    assert user.id.startswith("anonymouz-") and user.is_anonymous
    assert identity.workspace == f"ws-user-{user.id}" == user.scope.current_workspace
    assert user.level(identity.workspace) is Level.ADMIN
    assert user.scope.client_id == "c1"
    assert not identity.resumes
    assert 590 < (user.expires_at or 0) - time.time() <= 600
    record = tenants.workspaces.get(identity.workspace)
    assert record is not None and not record.persistent and record.read_only


async def test_anonymous_admission_touches_no_database(tenants: Tenants) -> None:
    statements = count_statements(tenants.store)
    for _ in range(5):
        await tenants.leave(await tenants.connect())
    assert statements == []


def count_statements(store: Store) -> list[str]:
    """Collects what reaches the database from now on."""
    seen: list[str] = []
    engine = store._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    return seen


@pytest.mark.spec("core-A2")
async def test_anonymous_users_are_refused_elsewhere(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice)
    for workspace in ("the-lab", "ws-user-root", "ws-anonymous", "public"):
        code, text = await refusal(tenants, workspace=workspace)
        assert (code, text) == (1001, f"{PREFIX}Permission denied for workspace: {workspace}")


@pytest.mark.spec("core-A2")
@pytest.mark.parametrize("workspace", ["no-such", "ws-user-alice", "a/b", "*", "x" * 1000, "ws-user-"])
async def test_an_unknown_workspace_is_refused(tenants: Tenants, workspace: str) -> None:
    code, text = await refusal(tenants, workspace=workspace)
    assert code == 1001
    assert text == f"{PREFIX}'Workspace {workspace[:200]} does not exist or is not accessible'"


@pytest.mark.spec("core-11.1.6")
async def test_nobody_enters_or_creates_the_workspace_of_a_user_to_come(tenants: Tenants) -> None:
    mallory = person("mallory")
    _, text = await refusal(tenants, token=tenants.token(mallory), workspace="ws-user-bob")
    assert "does not exist or is not accessible" in text
    assert await tenants.workspaces.load("ws-user-bob") is None


async def test_a_registered_user_gets_the_own_workspace(tenants: Tenants, alice: User) -> None:
    identity = await tenants.connect(token=tenants.token(alice))
    assert identity.workspace == "ws-user-alice"
    assert identity.user.level("ws-user-alice") is Level.ADMIN
    record = await tenants.store.workspaces.get("ws-user-alice")
    assert record is not None and record.persistent and record.owners == ("alice",)


async def test_who_has_a_token_does_not_wait_for_strangers_of_the_same_address(
    tenants: Tenants, alice: User
) -> None:
    done: list[int] = []

    async def write(number: int) -> None:
        async with tenants.store.writing() as connection:
            await connection.execute(text("SELECT 1"))
            done.append(number)

    with on_behalf_of("203.0.113.7"):
        strangers = [asyncio.create_task(write(number)) for number in range(50)]
        await asyncio.sleep(0)
        await tenants.admission.identify(FirstMessage("c1", token=tenants.token(alice)))
    assert len(done) < 10
    await asyncio.gather(*strangers)


@pytest.mark.spec("core-A9")
async def test_the_stronger_of_two_entries_and_ownership_count(tenants: Tenants) -> None:
    wide = person("wide", scope=Scope({"*": Level.READ_WRITE}))
    identity = await tenants.connect(token=tenants.token(wide))
    assert identity.user.level("ws-user-wide") is Level.ADMIN
    both = person("both", scope=Scope({"*": Level.READ_WRITE, "ws-user-both": Level.READ}))
    identity = await tenants.connect(token=tenants.token(both))
    assert identity.user.level("ws-user-both") is Level.READ_WRITE


async def test_a_token_without_a_right_is_refused(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice)
    code, text = await refusal(tenants, token=tenants.token(person("bob")), workspace="the-lab")
    assert (code, text) == (1001, f"{PREFIX}Permission denied for workspace: the-lab")


@pytest.mark.spec("core-A8")
async def test_an_owner_by_email_is_admin(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice, owners=["Carol@example.org"])
    carol = person("carol", email="carol@EXAMPLE.org")
    identity = await tenants.connect(token=tenants.token(carol), workspace="the-lab")
    assert identity.user.level("the-lab") is Level.ADMIN


async def test_an_address_that_only_looks_like_an_owners_gives_nothing(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice, owners=["ann@straße.example"])
    for email in ("ann@strasse.example", "\u0430nn@straße.example", "ann@straße.example.evil"):
        other = person("carol", email=email)
        _, text = await refusal(tenants, token=tenants.token(other), workspace="the-lab")
        assert "Permission denied" in text


@pytest.mark.spec("core-11.1.3")
async def test_a_child_does_not_own_by_its_makers_email(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice, owners=["alice@example.org"])
    kid = User("kid", email=alice.email, parent="alice", scope=Scope({"ws-user-alice": Level.READ}))
    _, text = await refusal(tenants, token=tenants.token(kid), workspace="the-lab")
    assert "Permission denied" in text
    kid = User("kid", email=alice.email, parent="alice", scope=Scope({"the-lab": Level.READ}, "the-lab"))
    identity = await tenants.connect(token=tenants.token(kid))
    assert identity.user.level("the-lab") is Level.READ


async def test_a_narrow_token_of_an_owner_stays_narrow(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice)
    narrow = person("alice", scope=Scope({"the-lab": Level.READ}, "the-lab"))
    identity = await tenants.connect(token=tenants.token(narrow))
    assert identity.user.level("the-lab") is Level.READ


@pytest.mark.spec("core-A2")
async def test_token_failures_of_the_table(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice)
    assert await refusal(tenants, token="junk") == (
        1008,
        "Authentication error: Error decoding token headers.",
    )
    assert await refusal(tenants, token=tenants.token(alice, -5)) == (
        1008,
        "Authentication error: The token has expired. Please fetch a new one",
    )
    code, text = await refusal(tenants, token=TokenAuthority("x" * 32).mint(alice, 60))
    assert code == 1008 and text.startswith("Authentication error: ")
    bound = tenants.token(person("alice", scope=Scope({"ws-user-alice": Level.ADMIN}, "ws-user-alice", "c9")))
    assert await refusal(tenants, token=bound) == (
        1001,
        f"{PREFIX}Client id mismatch: this token is restricted to client with client_id='c9'",
    )
    code, text = await refusal(tenants, "c9", token=bound, workspace="the-lab")
    assert (code, text) == (
        1001,
        f"{PREFIX}Current workspace encoded in the token (ws-user-alice) does not match the specified "
        "workspace (the-lab)",
    )
    token = tenants.token(alice)
    await tenants.tokens.revoke(token)
    assert await refusal(tenants, token=token) == (
        1001,
        f"{PREFIX}Failed to authenticate user: Token has been revoked",
    )


@pytest.mark.spec("core-A4", "wire-16.11")
async def test_a_specialized_token_is_refused(tenants: Tenants, alice: User) -> None:
    own = alice.own_workspace
    special = person("alice", scope=Scope({own: Level.ADMIN}, own, "c1", ("file:download",)))
    token = tenants.token(special)
    for first in ({"token": token}, {"reconnection_token": token}):
        code, text = await refusal(tenants, **first)
        assert code == 1001
        beginning = (
            "Specialized token with scopes ['file:download'] cannot be used for general workspace access"
        )
        assert text.startswith(PREFIX + beginning)
    plain = person("alice", scope=Scope({own: Level.ADMIN}, own, None, ("openid",)))
    assert (await tenants.connect(token=tenants.token(plain))).workspace == own


@pytest.mark.spec("wire-16.8")
@pytest.mark.parametrize("client_id", ["", "a/b", "a:b", "a@b", "*", "a b", "a\n", "x" * 10_000])
async def test_bad_client_ids_are_refused(tenants: Tenants, client_id: str) -> None:
    code, text = await refusal(tenants, client_id)
    assert code == 1001 and text.startswith(f"{PREFIX}Invalid client id")


async def test_asking_for_public_leads_to_the_own_workspace(tenants: Tenants, alice: User) -> None:
    assert (
        await tenants.connect(token=tenants.token(alice), workspace="public")
    ).workspace == "ws-user-alice"
    await make_lab(tenants, alice)
    bound = person("alice", scope=Scope({"the-lab": Level.READ}, "the-lab"))
    assert (await tenants.connect(token=tenants.token(bound), workspace="public")).workspace == "the-lab"
    public = person("alice", scope=Scope({"public": Level.READ}, "public"))
    assert (await tenants.connect(token=tenants.token(public), workspace="public")).workspace == "public"


async def test_root_may_go_everywhere(tenants: Tenants, alice: User) -> None:
    await make_lab(tenants, alice)
    assert (await tenants.connect(token=ROOT_TOKEN)).workspace == "ws-user-root"
    for workspace in ("public", "the-lab", "ws-anonymous"):
        identity = await tenants.connect(token=ROOT_TOKEN, workspace=workspace)
        assert identity.workspace == workspace
        assert identity.user.level(workspace) is Level.ADMIN
    _, text = await refusal(tenants, token=ROOT_TOKEN, workspace="no-such")
    assert "does not exist" in text


async def test_a_child_enters_the_workspace_of_its_person_before_the_person(tenants: Tenants) -> None:
    kid = User("kid", parent="dora", scope=Scope({"ws-user-dora": Level.READ}, "ws-user-dora"))
    identity = await tenants.connect(token=tenants.token(kid))
    assert identity.user.level("ws-user-dora") is Level.READ
    record = await tenants.store.workspaces.get("ws-user-dora")
    assert record is not None and record.owners == ("dora",)


@pytest.mark.spec("wire-3.1")
async def test_a_reconnection_token_brings_a_client_back(tenants: Tenants, alice: User) -> None:
    first = await tenants.connect("c7", token=tenants.token(alice))
    token = tenants.tokens.mint_reconnection(first.user, first.workspace, "c7")
    again = await tenants.connect("c7", reconnection_token=token)
    assert again.resumes
    assert (again.user.id, again.workspace, again.client_id) == ("alice", "ws-user-alice", "c7")
    assert again.user.level("ws-user-alice") is Level.ADMIN
    again = await tenants.connect("c7", reconnection_token=token, workspace="ws-user-alice", token="ignored")
    assert again.resumes


@pytest.mark.spec("wire-1.6")
async def test_a_reconnection_token_is_bound_to_client_and_workspace(tenants: Tenants, alice: User) -> None:
    first = await tenants.connect("c7", token=tenants.token(alice))
    token = tenants.tokens.mint_reconnection(first.user, first.workspace, "c7")
    assert await refusal(tenants, "other", reconnection_token=token) == (
        1001,
        f"{PREFIX}Client id mismatch, disconnecting",
    )
    assert await refusal(tenants, "c7", reconnection_token=token, workspace="elsewhere") == (
        1001,
        f"{PREFIX}Invalid scope, workspace mismatch: ws-user-alice != elsewhere",
    )
    code, text = await refusal(tenants, "c7", reconnection_token=tenants.token(alice))
    assert code == 1001 and "Invalid reconnection token" in text
    code, text = await refusal(tenants, "c7", reconnection_token=token[:-3] + "AAA")
    assert code == 1008 and text.startswith("Authentication error")


async def test_coming_back_touches_no_database(tenants: Tenants) -> None:
    identity = await tenants.connect()
    token = tenants.tokens.mint_reconnection(identity.user, identity.workspace, "c1")
    statements = count_statements(tenants.store)
    assert (await tenants.connect(reconnection_token=token)).resumes
    assert statements == []


@pytest.mark.spec("core-11.1.16")
async def test_a_revoked_token_ends_its_reconnection_tokens(tenants: Tenants, alice: User) -> None:
    token = tenants.token(alice)
    identity = await tenants.connect("c7", token=token)
    coming_back = tenants.tokens.mint_reconnection(identity.user, identity.workspace, "c7")
    await tenants.tokens.revoke(token)
    _, text = await refusal(tenants, "c7", reconnection_token=coming_back)
    assert text == f"{PREFIX}Failed to authenticate user: Token has been revoked"


async def test_anonymous_clients_and_their_children_come_back_after_a_restart(tenants: Tenants) -> None:
    parent = await tenants.connect("p1")
    request = TokenRequest.parse({"permission": "read_write"})
    kid = child_of(acting(parent.user, parent.workspace), request, Level.ADMIN)
    child = await tenants.connect("k1", token=tenants.token(kid))
    tokens = [
        (identity, tenants.tokens.mint_reconnection(identity.user, identity.workspace, identity.client_id))
        for identity in (child, parent)
    ]
    await tenants.workspaces.stop()
    after = tenants.restarted()
    await after.workspaces.start()
    for identity, token in tokens:
        again = await after.connect(identity.client_id, reconnection_token=token)
        assert (again.user.id, again.workspace) == (identity.user.id, identity.workspace)
        assert again.user.level(again.workspace) is identity.user.level(identity.workspace)
    record = after.workspaces.get(parent.workspace)
    assert record is not None and record.owners == (parent.user.id,) and not record.persistent


async def test_a_child_of_an_anonymous_user_cannot_bring_its_workspace_back(tenants: Tenants) -> None:
    gone = anonymous_user()
    own = gone.own_workspace
    kid = User("kid", ("anonymous",), True, parent=gone.id, scope=Scope({own: Level.ADMIN}, own))
    _, text = await refusal(tenants, token=tenants.token(kid))
    assert "does not exist or is not accessible" in text


async def test_admission_is_cheap(tenants: Tenants) -> None:
    async def admit() -> float:
        start = time.process_time()
        for _ in range(100):
            identity = await tenants.admission.identify(FirstMessage("c1"))
            tenants.workspaces.client_joined(identity.workspace)
            tenants.workspaces.client_left(identity.workspace)
        return (time.process_time() - start) / 100

    assert min([await admit() for _ in range(5)]) < 300e-6
