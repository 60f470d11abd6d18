"""The rules of local accounts, with a store in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hypha.errors import (
    AlreadyExists,
    BackendUnavailable,
    InvalidArguments,
    LimitReached,
    NotAuthenticated,
    RateLimited,
)
from hypha.features.accounts.mail import Letter, Mail
from hypha.store import Store
from tests.unit.features.accounts.bench import HERE, PASSWORD, Bench


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Store(":memory:") as store:
        yield Bench(store)


async def test_an_account_exists_once_the_code_came_back(bench: Bench) -> None:
    email, code = await bench.accounts.sign_up("Ann", "Ann@Example.org", PASSWORD, HERE)
    assert await bench.records.is_empty()
    assert code in bench.letters[0].text and bench.letters[0].to == email
    account = await bench.accounts.verify_email("ann@example.ORG", code, HERE)
    assert account.id.startswith("local-") and account.is_proven
    signed = await bench.accounts.sign_in("ann@example.org", PASSWORD, HERE)
    user = bench.tokens.parse(signed.token)
    assert (user.id, user.email, user.roles) == (account.id, "Ann@Example.org", ())
    assert user.expires_at is not None and round(user.expires_at - bench.clock.now) in (86399, 86400)


async def test_a_code_ends_with_its_time(bench: Bench) -> None:
    _, code = await bench.accounts.sign_up("Ann", "ann@example.org", PASSWORD, HERE)
    bench.clock.now += 601
    with pytest.raises(InvalidArguments, match="No pending verification"):
        await bench.accounts.verify_email("ann@example.org", code, HERE)


async def test_nobody_slips_a_password_under_anothers_sign_up(bench: Bench) -> None:
    await bench.accounts.sign_up("Ann", "ann@example.org", PASSWORD, HERE)
    _, code = await bench.accounts.sign_up("Mallory", "ann@example.org", "mallory's own", "198.51.100.9")
    with pytest.raises(InvalidArguments, match="another password"):
        await bench.accounts.verify_email("ann@example.org", code, HERE, PASSWORD)
    assert await bench.records.is_empty()


async def test_pending_sign_ups_are_bounded(bench: Bench) -> None:
    for number in range(3):
        await bench.accounts.sign_up("Ann", f"a{number}@example.org", PASSWORD, HERE)
    with pytest.raises(LimitReached):
        await bench.accounts.sign_up("Ann", "a4@example.org", PASSWORD, HERE)
    bench.clock.now += 601
    await bench.accounts.sign_up("Ann", "a4@example.org", PASSWORD, HERE)


async def test_one_account_per_address(bench: Bench) -> None:
    await bench.account()
    bench.accounts.mail = None
    with pytest.raises(AlreadyExists, match="Email already registered"):
        await bench.accounts.sign_up("Eve", "ANN@example.org", PASSWORD, HERE)


async def test_where_e_mail_is_sent_a_sign_up_tells_its_owner_alone_that_there_is_an_account(
    bench: Bench,
) -> None:
    await bench.account()
    before = await bench.records.find("ann@example.org")
    given, code = await bench.accounts.sign_up("Eve", "ANN@example.org", "eve's own password", HERE)
    assert given == "ANN@example.org"
    letter = bench.letters[-1]
    assert letter.to == given and "have an account" in letter.text and code not in letter.text
    for tried in ("000000", code):
        with pytest.raises(InvalidArguments, match=r"Incorrect code\. \d attempt"):
            await bench.accounts.verify_email(given, tried, HERE)
    bench.clock.now += 60
    await bench.accounts.resend_code(given, HERE)
    assert "have an account" in bench.letters[-1].text
    assert await bench.records.find("ann@example.org") == before


async def test_asking_for_a_reset_costs_the_same_with_and_without_an_account(bench: Bench) -> None:
    await bench.account()
    for email in ("ann@example.org", "nobody@example.org"):
        await bench.accounts.request_reset(email, HERE)
        await bench.work.pop()
        assert await bench.records.code("reset", email) is not None, "guessing it takes the same time"


async def test_a_letter_that_fails_tells_not_that_there_is_an_account(bench: Bench) -> None:
    await bench.account()

    def failing(_: Letter) -> None:
        raise BackendUnavailable("no mail today")

    bench.accounts.mail = Mail(failing)
    for email in ("ann@example.org", "nobody@example.org"):
        await bench.accounts.request_reset(email, HERE)
        with contextlib.suppress(BackendUnavailable):
            await bench.work.pop()
        with pytest.raises(RateLimited, match="Please wait 30s"):
            await bench.accounts.request_reset(email, HERE)


async def test_codes_that_are_over_are_not_kept(bench: Bench) -> None:
    for number in range(4):
        await bench.accounts.sign_up("Ann", f"a{number}@example.org", PASSWORD, HERE)
        bench.clock.now += 601
    assert [await bench.records.code("sign-up", f"a{n}@example.org") is not None for n in range(4)] == [
        False, False, False, True,
    ]  # fmt: skip


async def test_a_reset_sends_letters_to_owners_only_and_works_once(bench: Bench) -> None:
    await bench.account()
    bench.letters.clear()
    await bench.accounts.request_reset("nobody@example.org", HERE)
    await bench.accounts.request_reset("ann@example.org", HERE)
    for work in bench.work:
        await work
    assert [letter.to for letter in bench.letters] == ["ann@example.org"]
    code = bench.letters[0].text.split("\n    ")[1].split()[0]
    with pytest.raises(NotAuthenticated):
        await bench.accounts.confirm_reset("ann@example.org", "x" * 12, "another one", HERE)
    await bench.accounts.confirm_reset("ann@example.org", code, "another one", HERE)
    with pytest.raises(NotAuthenticated):
        await bench.accounts.confirm_reset("ann@example.org", code, "a third one", HERE)
    with pytest.raises(NotAuthenticated):
        await bench.accounts.sign_in("ann@example.org", PASSWORD, HERE)
    assert (await bench.accounts.sign_in("ann@example.org", "another one", HERE)).token


async def test_the_administrators_link_is_kept_as_a_hash_and_ends(bench: Bench) -> None:
    link = await bench.accounts.new_admin_link("http://here/")
    assert link is not None
    secret = link.partition("#administrator=")[2]
    kept = await bench.records.code("first-admin", "")
    assert kept is not None and secret not in str(kept)
    bench.clock.now += 3601
    with pytest.raises(NotAuthenticated):
        await bench.accounts.make_admin(secret, "Root", "root@example.org", PASSWORD, HERE)
    newer = await bench.accounts.new_admin_link("http://here/")
    assert newer is not None
    account = await bench.accounts.make_admin(newer, "Root", "root@example.org", PASSWORD, HERE)
    assert account.is_admin and bench.accounts.user_of(account).roles == ("admin",)
    assert await bench.accounts.new_admin_link("http://here/") is None
