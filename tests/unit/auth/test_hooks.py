"""What a provider's hooks may say, and what is never believed."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.hooks import checked
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority, fingerprint
from hypha.auth.user_info import ScopeInfo, UserInfo, UserPermission, create_scope, to_user
from hypha.auth.users import User
from hypha.errors import InvalidRequest, NotAuthenticated, ServerFault, TokenExpired

SECRET = "a-secret-that-is-long-enough-for-hs256"
ROOT_TOKEN = "r" * 40


@pytest.fixture
def tokens() -> TokenAuthority:
    return TokenAuthority(SECRET, root_token=ROOT_TOKEN)


def says(tokens: TokenAuthority, answer: Any) -> None:
    async def parse(token: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    tokens.hooks.read_with(parse)


async def test_a_hook_is_asked_first(tokens: TokenAuthority) -> None:
    says(tokens, User("ann"))
    assert (await tokens.authenticate("coin")).id == "ann"


async def test_the_hook_that_came_last_is_asked_before_the_others(tokens: TokenAuthority) -> None:
    says(tokens, User("ann"))
    says(tokens, User("bob"))
    says(tokens, None)
    assert (await tokens.authenticate("coin")).id == "bob"


async def test_none_of_a_hook_means_read_it_yourself(tokens: TokenAuthority) -> None:
    says(tokens, None)
    own = tokens.mint(User("bob"), 60)
    assert (await tokens.authenticate(own)).id == "bob"
    with pytest.raises(NotAuthenticated, match="decoding token headers"):
        await tokens.authenticate("coin")


async def test_the_root_token_never_reaches_a_hook(tokens: TokenAuthority) -> None:
    says(tokens, ValueError("no"))
    assert (await tokens.authenticate(ROOT_TOKEN)).id == "root"


async def test_a_hook_cannot_make_root_without_the_role(tokens: TokenAuthority) -> None:
    says(tokens, User("root"))
    with pytest.raises(NotAuthenticated, match="only an administrator"):
        await tokens.authenticate("coin")
    says(tokens, User("root", ("admin",)))
    assert (await tokens.authenticate("coin")).is_admin


def test_rights_everywhere_need_the_role_admin() -> None:
    wide = Scope({"*": Level.ADMIN, "ws-a": Level.READ})
    assert dict(checked(User("ann", scope=wide)).scope.workspaces) == {"ws-a": Level.READ}
    assert checked(User("ann", ("admin",), scope=wide)).scope.workspaces["*"] is Level.ADMIN


@pytest.mark.parametrize("name", ["a/b", "", "x" * 300, "a b", "a:b"])
def test_an_id_must_be_able_to_name_a_workspace(name: str) -> None:
    with pytest.raises(NotAuthenticated):
        checked(User(name))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad coin"), "bad coin"),
        (Exception("bad coin"), "bad coin"),
        (PermissionError("bad coin"), "bad coin"),
        (InvalidRequest("bad coin"), "bad coin"),
        (KeyError("/home/me/secret"), "the token is not valid."),
        (OSError("/home/me/secret"), "the token is not valid."),
    ],
)
async def test_errors_of_a_hook_are_refusals(tokens: TokenAuthority, error: Exception, text: str) -> None:
    says(tokens, error)
    with pytest.raises(NotAuthenticated, match=f"^Authentication error: {text}$"):
        await tokens.authenticate("coin")


async def test_expired_and_revoked_users_of_a_hook_are_refused(tokens: TokenAuthority) -> None:
    says(tokens, User("ann", expires_at=time.time() - 1))
    with pytest.raises(TokenExpired):
        await tokens.authenticate("coin")
    says(tokens, User("ann"))
    user = await tokens.authenticate("coin")
    assert user.credential == fingerprint("coin")
    await tokens.revoke("coin")
    with pytest.raises(NotAuthenticated, match="revoked"):
        await tokens.authenticate("coin")
    assert (await tokens.authenticate("another coin")).id == "ann"


async def test_tokens_are_made_by_the_hook(tokens: TokenAuthority) -> None:
    async def generate(user: User, life_s: float) -> Any:
        return f"{user.id} for {life_s:g}" if user.id != "odd" else 5

    assert tokens.parse(await tokens.issue(User("ann"), 60)).id == "ann"
    tokens.hooks.make_with(generate)
    assert await tokens.issue(User("ann"), 60) == "ann for 60"
    with pytest.raises(ServerFault):
        await tokens.issue(User("odd"), 60)


def test_users_are_read_from_every_form() -> None:
    scope = create_scope({"ws-a": UserPermission.read_write}, current_workspace="ws-a", client_id="c")
    info = UserInfo(id="ann", roles=["user"], scope=scope, email="a@example.org", expires_at=5)
    user = to_user(info)
    assert user.scope == Scope({"ws-a": Level.READ_WRITE}, "ws-a", "c", ())
    assert to_user(info.model_dump()) == user
    assert to_user(info.model_dump(mode="json")) == user
    assert to_user(SimpleNamespace(**dict(info))) == user
    assert to_user(user) is user
    assert to_user(UserInfo.of(user)) == user
    assert info.get_workspace() == "ws-user-ann"
    assert info.check_permission("ws-a", UserPermission.read)
    assert not info.check_permission("ws-a", UserPermission.admin)
    for wrong in (5, {}, {"id": 5}, {"id": "a", "scope": {"workspaces": {"ws-a": "all"}}}):
        with pytest.raises(InvalidRequest):
            to_user(wrong)


def test_scopes_are_made_from_text_and_levels() -> None:
    assert create_scope("ws-a#rw").workspaces == {"ws-a": UserPermission.read_write}
    assert create_scope({"ws-a": "read", "ws-b": Level.ADMIN}).workspaces == {
        "ws-a": UserPermission.read,
        "ws-b": UserPermission.admin,
    }
    assert create_scope() == ScopeInfo()
