"""Tokens are written down when they are made and crossed out when they are taken back."""

from __future__ import annotations

import pytest

from hypha.auth.guard import Guard
from hypha.auth.issued import IssuedTokens
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority, fingerprint
from hypha.auth.users import User
from hypha.errors import NotAuthenticated
from hypha.store import Store


@pytest.fixture
def authority() -> TokenAuthority:
    return TokenAuthority("a-secret-of-the-tests-of-at-least-32-bytes")


async def test_a_token_taken_back_is_revoked_and_no_longer_listed(authority: TokenAuthority) -> None:
    person = User("u", scope=Scope({"ws-user-u": Level.ADMIN}))
    async with Store(":memory:") as store:
        issued = IssuedTokens(store.issued_tokens, authority)
        guard = Guard(issued=issued)
        kept, other = [
            await guard.issue_token(authority, person, 60.0, maker=person, name=name) for name in "ab"
        ]
        assert await guard.take_back_token(authority, other) == 1
        known = [await store.issued_tokens.get(fingerprint(token)) for token in (kept, other)]
        assert [record and record.name for record in known] == ["a", None]
        assert authority.parse(kept).id == "u"
        with pytest.raises(NotAuthenticated, match="revoked"):
            authority.parse(other)
        await issued.close()


async def test_without_a_store_tokens_are_made_and_revoked_all_the_same(authority: TokenAuthority) -> None:
    token = await Guard().issue_token(authority, User("u"), 60.0, maker=User("u"), name=None)
    await Guard().take_back_token(authority, token)
    with pytest.raises(NotAuthenticated, match="revoked"):
        authority.parse(token)
