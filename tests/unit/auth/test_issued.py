"""The register of tokens: what was begun to be written is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.guard import Guard
from hypha.auth.issued import IssuedTokens
from hypha.auth.minting import TokenRequest, child_of
from hypha.auth.revocation import line_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority, fingerprint
from hypha.auth.users import Context, User, root_user
from hypha.errors import NotAuthenticated, QuotaExceeded
from hypha.store import Store
from hypha.store.issued_tokens import IssuedTokenRecord


class SlowStore:
    """A store that writes when the test says so."""

    def __init__(self) -> None:
        self.rows: list[IssuedTokenRecord] = []
        self.is_asked = asyncio.Event()
        self.may_write = asyncio.Event()

    async def add(self, tokens: Sequence[IssuedTokenRecord]) -> None:
        self.is_asked.set()
        await self.may_write.wait()
        self.rows += tokens


async def test_closing_waits_for_the_tokens_that_are_being_written() -> None:
    store: Any = SlowStore()
    tokens: Any = SimpleNamespace(revocations=None)
    issued = IssuedTokens(store, tokens)
    recording = asyncio.create_task(issued.record("mark", root_user(), root_user(), None, 60.0))
    await store.is_asked.wait()
    recording.cancel()  # its caller is gone; the token may be in use already
    closing = asyncio.create_task(issued.close())
    done, _ = await asyncio.wait([closing], timeout=0.05)
    assert not done
    store.may_write.set()
    await closing
    assert [row.fingerprint for row in store.rows] == ["mark"]
    await issued.close()


async def test_only_tokens_that_are_valid_count_towards_the_quota() -> None:
    now = [1000.0]
    async with Store(":memory:") as store:
        tokens: Any = SimpleNamespace(revocations=None)
        issued = IssuedTokens(store.issued_tokens, tokens, lambda: now[0], max_per_user=2)
        maker = User("u")
        for mark, kind in (("a", "generated"), ("b", "generated"), ("c", "session"), ("d", "login")):
            await issued.record(mark, User("child"), maker, None, 60.0, kind)  # type: ignore[arg-type]
        with pytest.raises(QuotaExceeded, match="user u has 2"):
            await issued.reserve(maker)
        with pytest.raises(QuotaExceeded, match="user u has 2"):
            await issued.reserve(User("child", parent="u"))
        await issued.reserve(User("child"))
        now[0] += 61.0
        await issued.reserve(maker)
        await issued.reserve(maker)


@pytest.fixture
def tokens() -> TokenAuthority:
    return TokenAuthority("a-secret-of-the-tests-of-at-least-32-bytes")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(":memory:") as opened:
        yield opened


@pytest.fixture
async def register(tokens: TokenAuthority, store: Store) -> AsyncIterator[Guard]:
    issued = IssuedTokens(store.issued_tokens, tokens)
    yield Guard(issued=issued)
    await issued.close()


async def made_with(guard: Guard, tokens: TokenAuthority, maker: User, name: str, kind: Any) -> str:
    """A token that a token of this maker made."""
    request = TokenRequest(maker.limit or maker.own_workspace, Level.ADMIN)
    child = child_of(Context(maker, maker.limit or maker.own_workspace), request, Level.ADMIN)
    user = child if kind == "generated" else maker
    return await guard.issue_token(tokens, user, 60.0, maker=maker, name=name, kind=kind)


@pytest.mark.spec("core-A3")
async def test_what_was_made_with_a_revoked_token_ends_with_it(
    tokens: TokenAuthority, register: Guard, store: Store
) -> None:
    person = User("ann", scope=Scope({"ws-user-ann": Level.ADMIN}))
    ended: set[str] = set()
    tokens.revocations.on_revoked = ended.update
    laptop, phone = [
        await register.issue_token(tokens, person, 60.0, maker=person, name=name, kind="session")
        for name in ("laptop", "phone")
    ]
    lines: dict[str, list[str]] = {}
    for name, session in (("laptop", laptop), ("phone", phone)):
        line = lines[name] = [session]
        for kind in ("login", "generated", "generated"):
            line.append(await made_with(register, tokens, tokens.parse(line[-1]), name, kind))
    assert await register.take_back_token(tokens, laptop) == 4
    assert ended == {*map(fingerprint, lines["laptop"]), line_of(fingerprint(laptop))}
    for token in lines["laptop"]:
        with pytest.raises(NotAuthenticated, match="revoked"):
            tokens.parse(token)
    assert [tokens.parse(token).credential for token in lines["phone"]]
    assert register.issued is not None
    listed = await register.issued.list(created_by="ann", workspace=None, offset=0, limit=100)
    assert [token["name"] for token in listed] == ["phone"] * 4
    assert set(await store.revoked_tokens.load(0.0)) == ended


async def test_signing_out_leaves_what_was_made_with_the_session(
    tokens: TokenAuthority, register: Guard
) -> None:
    person = User("ann", scope=Scope({"ws-user-ann": Level.ADMIN}))
    session = await register.issue_token(tokens, person, 60.0, maker=person, name="", kind="session")
    box = await made_with(register, tokens, tokens.parse(session), "box", "generated")
    assert register.issued is not None
    await register.issued.end_session(fingerprint(session))
    with pytest.raises(NotAuthenticated, match="revoked"):
        tokens.parse(session)
    assert tokens.parse(box).parent == "ann"
