"""Tokens are written down when they are made and crossed out when they are taken back."""

from __future__ import annotations

from typing import Any

from hypha.auth.guard import Guard
from hypha.auth.issued import IssuedTokens
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import fingerprint
from hypha.auth.users import User
from hypha.store import Store


class Authority:
    """Signs tokens by numbering them, and notes which are revoked."""

    revocations = None
    reconnection_life_s = 0.0

    def __init__(self) -> None:
        self.made = 0
        self.revoked: list[str] = []

    async def issue(self, user: User, life_s: float) -> str:
        self.made += 1
        return f"token-{self.made}"

    async def revoke(self, token: str) -> None:
        self.revoked.append(token)


async def test_a_token_taken_back_is_revoked_and_no_longer_listed() -> None:
    authority: Any = Authority()
    person = User("u", scope=Scope({"ws-user-u": Level.ADMIN}))
    async with Store(":memory:") as store:
        issued = IssuedTokens(store.issued_tokens, authority)
        guard = Guard(issued=issued)
        kept, other = [
            await guard.issue_token(authority, person, 60.0, maker=person, name=name) for name in "ab"
        ]
        await guard.take_back_token(authority, other)
        known = [await store.issued_tokens.get(fingerprint(token)) for token in (kept, other)]
        assert [record and record.name for record in known] == ["a", None]
        assert authority.revoked == [other] != [kept]
        await issued.close()


async def test_without_a_store_tokens_are_made_and_revoked_all_the_same() -> None:
    authority: Any = Authority()
    token = await Guard().issue_token(authority, User("u"), 60.0, maker=User("u"), name=None)
    await Guard().take_back_token(authority, token)
    assert authority.revoked == [token]
