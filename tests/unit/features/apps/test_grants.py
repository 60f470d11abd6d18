"""In whose name apps are started unasked, and until when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from hypha.auth.blocklist import Blocked
from hypha.auth.guard import Guard
from hypha.auth.revocation import line_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User
from hypha.errors import PermissionDenied
from hypha.features.apps.grants import Grants, mark_of
from hypha.features.apps.records import AppRecords
from hypha.store import Store
from hypha.store.records import WorkspaceRecord
from hypha.workspaces import records as rights

ARTIFACT: dict[str, Any] = {
    "alias": "app", "revision": "0.0", "last_modified": 1, "versions": [{"version": "v0"}], "file_count": 1,
    "manifest": {"name": "App", "daemon": True},
}  # fmt: skip
OWNER = User("ann", ("admin", "editor"), email="ann@example.org", credential="login")


class Places:
    """Workspaces, of which one is there."""

    def __init__(self) -> None:
        self.record = WorkspaceRecord("lab", "lab", owners=("ann",))

    @asynccontextmanager
    async def changing(self, workspace: str, user: User) -> AsyncIterator[Any]:
        yield self

    async def level_in(self, user: User, workspace: str) -> Level:
        return rights.level_for(user, self.record)


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(":memory:") as opened:
        yield opened


def grants_of(store: Store) -> tuple[Grants, Places, TokenAuthority, Guard]:
    places, tokens, guard = Places(), TokenAuthority("a-secret-of-the-tests-which-is-long-enough"), Guard()
    return Grants(AppRecords(store), places, tokens, guard), places, tokens, guard  # type: ignore[arg-type]


async def given(store: Store, user: User) -> tuple[Grants, Places, TokenAuthority, Guard]:
    grants, *others = grants_of(store)
    level = user.level("lab") or Level.ADMIN
    acting = replace(user, roles=("editor",)).within("lab", "c-1", level)
    await grants.give(ARTIFACT, Context(acting, "lab", "c-1"))
    return grants, *others  # type: ignore[return-value]


async def test_the_starter_is_the_installer_with_read_write_at_most(store: Store) -> None:
    grants, *_ = await given(store, OWNER)
    grant = await grants.find("lab", "app")
    assert grant is not None and grant.is_daemon and grant.mark == mark_of(ARTIFACT)
    starter = await grants.starter(grant)
    assert (starter.user.id, starter.workspace, starter.user.email) == ("ann", "lab", "ann@example.org")
    assert starter.level() is Level.READ_WRITE and not starter.user.is_admin
    assert starter.level("elsewhere") is Level.NONE


async def test_a_grant_ends_with_ownership(store: Store) -> None:
    grants, places, *_ = await given(store, OWNER)
    places.record = WorkspaceRecord("lab", "lab", owners=("somebody",))
    grant = await grants.find("lab", "app")
    assert grant is not None
    with pytest.raises(PermissionDenied, match="may not read"):
        await grants.starter(grant)


async def test_a_grant_ends_with_the_token_of_its_maker(store: Store) -> None:
    scope = Scope({"lab": Level.READ_WRITE}, "lab")
    child = User("kid", parent="ann", scope=scope, credential="child")
    grants, _, tokens, _ = await given(store, child)
    grant = await grants.find("lab", "app")
    assert grant is not None and (await grants.starter(grant)).level() is Level.READ_WRITE
    await tokens.revocations.revoke(line_of("child"), 9e9)
    with pytest.raises(PermissionDenied, match="revoked"):
        await grants.starter(grant)
    await grants.prune()
    assert await grants.find("lab", "app") is None


async def test_who_is_blocked_starts_nothing(store: Store) -> None:
    grants, _, _, guard = await given(store, OWNER)
    grant = await grants.find("lab", "app")
    assert grant is not None

    def refuse(user: User) -> None:
        raise Blocked("blocked")

    guard.blocklist.check_user = refuse  # type: ignore[method-assign]
    with pytest.raises(Blocked):
        await grants.starter(grant)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "0.1"},
        {"last_modified": 2},
        {"versions": []},
        {"file_count": 2},
        {"manifest": {"name": "Other"}},
    ],
)
def test_every_change_of_an_app_changes_its_mark(change: dict[str, Any]) -> None:
    assert mark_of({**ARTIFACT, **change}) != mark_of(ARTIFACT)
    assert mark_of({**ARTIFACT, "view_count": 9}) == mark_of(ARTIFACT)
