"""Attacks on tokens, and on the list of who is kept out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from hypha.auth import blocklist, keysets, minting, tokens
from hypha.auth.blocklist import Blocklist
from hypha.auth.revocation import PURGE_AT, Revocations
from hypha.auth.scopes import Level
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User
from hypha.errors import (
    InvalidRequest,
    LimitReached,
    RateLimited,
)
from hypha.store.tables import RevokedToken
from hypha.testing import RawCallError
from hypha.workspaces.functions_tokens import (
    MAX_LISTED,
    MAX_NAME_CHARS,
    MAX_REVOKED,
    MAX_TOKEN_CHARS,
    STRANGERS_MAX_REVOKED,
    TokenFunctions,
)
from tests.faults.bounds.kit import Kit
from tests.kit.minting import OWNER, mint
from tests.unit.workspaces.tenancy_kit import acting

SECRET = "a-secret-of-the-tests-which-is-long-enough"


async def tokens_of_a_user(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    for _ in range(3):
        await client.call_manager("generate_token", {"expires_in": 60})
    with pytest.raises(RawCallError, match="QuotaExceeded"):
        await client.call_manager("generate_token", {"expires_in": 60})


async def one_token(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    for config in (
        {"expires_in": 10_000},
        {"extra_scopes": ["x"] * (minting.MAX_EXTRA_SCOPES + 1)},
        {f"k{number}": 1 for number in range(minting.MAX_KEYS + 1)},
    ):
        with pytest.raises(RawCallError):
            await client.call_manager("generate_token", config)
    user: Any = OWNER
    with pytest.raises(LimitReached):
        for _ in range(minting.MAX_GENERATIONS + 1):
            user = mint(user, {}, parent_level=Level.ADMIN)


async def revoked_tokens(kit: Kit) -> None:
    client = await kit.raw()
    token = await client.call_manager("generate_token", {"expires_in": 60})
    with pytest.raises(RawCallError, match=r"RateLimited"):
        for _ in range(STRANGERS_MAX_REVOKED + 1):
            await client.call_manager("revoke_token", token)
            token = await client.call_manager("generate_token", {"expires_in": 60})
    functions = TokenFunctions(SimpleNamespace())  # type: ignore[arg-type]
    somebody = acting(User("alice"), "w")
    with pytest.raises(RateLimited):
        for _ in range(MAX_REVOKED + 10):
            functions._spend_revocation(somebody)
    now = [1000.0]
    revocations = Revocations(clock=lambda: now[0])
    for number in range(3 * PURGE_AT):
        now[0] += 1
        revocations.apply({f"t{number}": now[0] + 100})
    assert len(revocations._known) <= PURGE_AT + 1
    store = await kit.store()
    await store.revoked_tokens.add("old", 10.0)
    await store.issued_tokens.note_use({}, 20.0, 0.0)
    async with store.reading() as connection:
        assert not (await connection.execute(select(RevokedToken.fingerprint))).all()


async def text_of_a_token(kit: Kit) -> None:
    client = await kit.raw(kit.person())
    for function, arguments in (
        ("parse_token", ["x" * (MAX_TOKEN_CHARS + 1)]),
        ("revoke_token", ["x" * (MAX_TOKEN_CHARS + 1)]),
        ("rename_token", ["0" * 32, "x" * (MAX_NAME_CHARS + 1)]),
        ("list_tokens", [None, 0, MAX_LISTED + 1]),
    ):
        with pytest.raises(RawCallError):
            await client.call_manager(function, *arguments)


async def known_tokens(kit: Kit) -> None:
    kit.patch.setattr(tokens, "_MAX_CACHED", 20)
    authority = TokenAuthority(SECRET)
    for number in range(100):
        authority.parse(authority.mint(User(f"u{number}"), 60.0))
    assert len(authority._cache) <= 20 and len(authority.used) <= 20
    authority = TokenAuthority(SECRET)
    authority.parse(authority.mint(User("u", roles=("x" * tokens._MAX_CACHED_CHARS,)), 60.0))
    assert not authority._cache


async def blocks(kit: Kit) -> None:
    kit.patch.setattr(blocklist, "MAX_BLOCKS", 20)
    blocked = Blocklist()
    with pytest.raises(InvalidRequest):
        for number in range(30):
            await blocked.block("user", f"u{number}", 60, "", "root")
    with pytest.raises(InvalidRequest):
        await Blocklist().block("user", "u", 60, "x" * (blocklist.MAX_REASON_CHARS + 1), "root")


async def keys_of_an_issuer(kit: Kit) -> None:
    read: list[int] = []
    kit.patch.setattr(keysets, "_read_key", lambda key: (read.append(1), ("RS256", None))[1])
    keysets.read_keys({"keys": [{"kid": str(number)} for number in range(1000)]})
    assert len(read) == keysets._MAX_KEYS
