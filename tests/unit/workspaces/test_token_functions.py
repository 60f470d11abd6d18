"""Minting, revoking and reading tokens through the manager."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User
from hypha.errors import HyphaError, InvalidRequest, PermissionDenied
from hypha.workspaces.functions_tokens import TokenFunctions
from hypha.workspaces.parts import Parts

SECRET = "a-secret-of-the-tests-of-at-least-32-bytes"


class Rights:
    """Who owns what: `w` belongs to `alice`."""

    async def load(self, workspace: str) -> None:
        return None

    async def level_in(self, user: User, workspace: str) -> Level:
        return Level.ADMIN if (user.id, workspace) == ("alice", "w") else user.level(workspace)

    async def owner_level(self, user_id: str | None, workspace: str) -> Level:
        return Level.ADMIN if (user_id, workspace) == ("alice", "w") else Level.NONE


@pytest.fixture
def authority() -> TokenAuthority:
    return TokenAuthority(SECRET, root_token="the-root-token-which-is-long-enough")


@pytest.fixture
def functions(parts: Parts, authority: TokenAuthority) -> TokenFunctions:
    parts.tokens = authority
    parts.tenancy = SimpleNamespace(workspaces=Rights())  # type: ignore[assignment]
    return TokenFunctions(parts)


def caller(
    workspace: str = "w", level: Level = Level.ADMIN, user_id: str = "alice", **fields: Any
) -> Context:
    return Context(User(user_id, scope=Scope({workspace: level}, workspace), **fields), workspace, "c")


async def refusal(call: Any) -> str:
    with pytest.raises(HyphaError) as caught:
        await call
    return str(caught.value)


@pytest.mark.spec("core-A1", "wire-37")
async def test_a_child_holds_one_workspace(functions: TokenFunctions, authority: TokenAuthority) -> None:
    token = await functions.generate_token({"permission": "read"}, context=caller())
    child = authority.parse(token)
    assert dict(child.scope.workspaces) == {"w": Level.READ}
    assert (child.parent, child.scope.current_workspace) == ("alice", "w")
    assert (await functions.parse_token(token, context=caller()))["parent"] == "alice"


@pytest.mark.spec("core-M7")
async def test_what_generate_token_refuses(functions: TokenFunctions) -> None:
    generate = functions.generate_token
    assert "permission" in await refusal(generate({"permission": "root"}, context=caller()))
    assert "You do not have any permission for workspace: x" in await refusal(
        generate({"workspace": "x"}, context=caller())
    )
    reader = caller(level=Level.READ, user_id="bob")
    assert "Only admin can generate token." in await refusal(generate(context=reader))
    assert "expires_in" in await refusal(generate({"expires_in": -1}, context=caller()))


@pytest.mark.spec("core-A10", "core-11.1.3")
async def test_a_read_write_child_of_the_owner_mints_within_its_level(functions: TokenFunctions) -> None:
    child = caller(level=Level.READ_WRITE, user_id="child", parent="alice")
    await functions.generate_token({"permission": "read_write"}, context=child)
    for config in ({"permission": "admin"}, {"workspace": "ws-user-alice"}):
        with pytest.raises(PermissionDenied):
            await functions.generate_token(config, context=child)
    reader = caller(level=Level.READ, user_id="child", parent="alice")
    with pytest.raises(PermissionDenied):
        await functions.generate_token({"permission": "read"}, context=reader)


@pytest.mark.spec("core-A3", "core-11.1.16")
async def test_own_and_workspace_tokens_may_be_revoked(
    functions: TokenFunctions, authority: TokenAuthority
) -> None:
    child = await functions.generate_token(context=caller())
    await functions.revoke_token(child, context=caller())
    assert "Token has been revoked" in await refusal(functions.parse_token(child, context=caller()))
    own = authority.mint(User("bob", scope=Scope({"ws-user-bob": Level.ADMIN})), 60)
    limited = caller("elsewhere", Level.READ, "bob")
    assert "Permission denied" in await refusal(functions.revoke_token(own, context=limited))
    unlimited = User("bob").within("elsewhere", "c", Level.READ)
    await functions.revoke_token(own, context=Context(unlimited, "elsewhere", "c"))


@pytest.mark.spec("core-11.1.16")
async def test_tokens_of_others_may_not_be_revoked(
    functions: TokenFunctions, authority: TokenAuthority
) -> None:
    for scope in (
        Scope({"x": Level.READ}),
        Scope({"w": Level.READ, "x": Level.READ}),
        Scope({}),
        Scope({"*": Level.READ}),
    ):
        token = authority.mint(User("bob", scope=scope), 60)
        assert "Permission denied" in await refusal(functions.revoke_token(token, context=caller()))
        assert authority.parse(token).id == "bob"


async def test_what_revoke_token_refuses(functions: TokenFunctions, authority: TokenAuthority) -> None:
    root = "the-root-token-which-is-long-enough"
    admin = caller(user_id="root", roles=("admin",))
    assert "root token" in await refusal(functions.revoke_token(root, context=admin))
    for junk in ("", "junk", 5, "x" * 20_000, None):
        with pytest.raises(InvalidRequest, match="Invalid token: "):
            await functions.revoke_token(junk, context=admin)  # type: ignore[arg-type]
    authority._clock = lambda: 0.0
    old = authority.mint(User("bob"), 60)
    authority._clock = lambda: 1e9
    with pytest.raises(InvalidRequest, match="Token has already expired"):
        await functions.revoke_token(old, context=admin)
