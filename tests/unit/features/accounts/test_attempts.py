"""Guesses shut out nobody but who guesses; letters are bounded; nothing tells if there is an account."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import anonymous_user
from hypha.errors import HyphaError, InvalidArguments, NotAuthenticated, RateLimited
from hypha.features.accounts.accounts import LocalAccounts
from hypha.features.accounts.attempts import PRESSED_ATTEMPTS, Attempts, Origin
from hypha.features.accounts.codes import Codes
from hypha.features.accounts.devices import LIFE_S, Devices, cookie_in, cookie_name
from hypha.features.accounts.mail import Letter, Mail
from hypha.features.accounts.options import AccountOptions
from hypha.features.accounts.passwords import Passwords
from hypha.features.accounts.records import Accounts
from hypha.features.accounts.throttle import Throttle
from hypha.store import Store
from tests.kit.clock import Clock

PASSWORD = "correct horse battery"
ANN = "ann@example.org"
HOME = "203.0.113.5"


class Door:
    """Local accounts as strangers see them, with a clock to turn; `waits` are the pauses made."""

    def __init__(self, store: Store, **settings: Any) -> None:
        self.clock = Clock(time.time())
        self.letters: list[Letter] = []
        self.work: list[Any] = []
        self.waits: list[float] = []
        self.records = Accounts(store)
        self.hashed: list[str | None] = []
        passwords = Passwords(time_cost=1, memory_kib=64)
        matches = passwords.matches

        async def counted(kept: str | None, *args: Any, **options: Any) -> bool:
            self.hashed.append(kept)
            return await matches(kept, *args, **options)

        passwords.matches = counted  # type: ignore[method-assign]

        async def nothing(_: str) -> None:
            return None

        def start(work: Any, _: str) -> bool:
            self.work.append(work)
            return True

        self.accounts = LocalAccounts(
            self.records,
            TokenAuthority("secret-that-is-long-enough-for-hs256", clock=self.clock),
            SimpleNamespace(load=nothing),  # type: ignore[arg-type]
            AccountOptions(**settings),
            Codes("secret", self.clock),
            mail=Mail(self.letters.append),
            base_url="http://here",
            start=start,
            passwords=passwords,
            throttle=Throttle(clock=self.clock),
            clock=self.clock,
        )
        self.attempts: Attempts = self.accounts._attempts

        async def pause(seconds: float) -> None:
            self.waits.append(seconds)

        self.attempts._pause = pause

    async def settle(self) -> None:
        while self.work:
            await self.work.pop()

    async def account(self, email: str = ANN, origin: Origin | str = HOME) -> None:
        _, code = await self.accounts.sign_up("Ann", email, PASSWORD, origin)
        await self.accounts.verify_email(email, code, origin)

    async def guess(self, origin: Origin | str, email: str = ANN) -> str:
        """The code of the refusal of a wrong password."""
        with pytest.raises(HyphaError) as caught:
            await self.accounts.sign_in(email, "a wrong password", origin)
        return caught.value.code

    async def enters(self, origin: Origin | str) -> bool:
        try:
            return bool((await self.accounts.sign_in(ANN, PASSWORD, origin)).token)
        except RateLimited:
            return False


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    async with Store(":memory:") as store:
        made = Door(store)
        await made.account()
        yield made
        for work in made.work:
            work.close()
        made.accounts.close()


async def flood(door: Door, addresses: int, each: int) -> None:
    for number in range(addresses):
        for _ in range(each):
            await door.guess(f"198.18.{number // 250}.{number % 250 + 1}")


async def test_a_thousand_addresses_shut_nobody_out(door: Door) -> None:
    assert await door.enters(HOME)
    await flood(door, 1000, 1)
    assert await door.enters(HOME), "somebody signed in from there before"
    assert not door.waits or await door.enters("192.0.2.77"), "nor from a place that is new"
    before = len(door.waits)
    assert await door.enters(HOME) and len(door.waits) == before, "a known place does not wait"


async def test_many_addresses_have_few_attempts_and_wait(door: Door) -> None:
    await flood(door, 12, 10)
    answers = [await door.guess("198.51.100.7") for _ in range(PRESSED_ATTEMPTS + 1)]
    assert answers == ["not_authenticated"] * PRESSED_ATTEMPTS + ["rate_limited"]
    assert len(door.waits) >= PRESSED_ATTEMPTS
    assert await door.enters("192.0.2.78")


async def test_a_device_of_the_person_is_not_shut_out_by_others_at_its_address(door: Door) -> None:
    name, value = door.accounts.devices.cookie(ANN)
    mine = Origin(HOME, f"theme=dark; {name}={value}")
    for _ in range(10):
        await door.guess(HOME)
    assert await door.guess(HOME) == "rate_limited"
    assert not await door.enters(HOME)
    assert await door.enters(mine)
    for number in range(300):
        with contextlib.suppress(HyphaError):
            await door.accounts.sign_in(f"p{number}@example.org", "a wrong password", HOME)
    assert await door.enters(mine), "the limit of the address is not the device's"
    for _ in range(10):
        await door.guess(mine)
    assert await door.guess(mine) == "rate_limited", "a device guesses no more than a place"


async def test_a_cookie_of_a_device_is_good_for_one_account_and_its_time(door: Door) -> None:
    devices = door.accounts.devices
    name, value = devices.cookie(ANN)
    assert cookie_in(f"a=b; {name}={value}", ANN) == value and cookie_in(f"{name}={value}", "b@c.org") == ""
    assert devices.device(ANN, value) and devices.device("b@c.org", value) is None
    words = value.rpartition(".")[0]
    for forged in (words, f"{words}.{'0' * 40}", f"x{value}", value[:-1] + "g", "", value * 2):
        assert devices.device(ANN, forged) is None
    assert Devices(door.records, "other", door.clock).device(ANN, value) is None
    door.clock.now += LIFE_S + 1
    assert devices.device(ANN, value) is None
    assert "@" not in name and cookie_name(ANN) == name


async def test_places_are_known_by_network_and_forgotten_with_a_new_password(door: Door) -> None:
    devices = door.accounts.devices
    assert await door.enters("2001:db8:1:2::1")
    assert await devices.is_known(ANN, "2001:db8:1:2:ffff::9")
    assert not await devices.is_known(ANN, "2001:db8:1:3::1")
    assert not await devices.is_known("bob@example.org", "2001:db8:1:2::1")
    await door.accounts.request_reset(ANN, HOME)
    await door.settle()
    code = door.letters[-1].text.split("\n    ")[1].split()[0]
    await door.accounts.confirm_reset(ANN, code, "another password", HOME)
    assert not await devices.is_known(ANN, "2001:db8:1:2::1")


async def test_an_ipv6_network_is_one_place(door: Door) -> None:
    for number in range(10):
        await door.guess(f"2001:db8::{number + 1:x}")
    assert await door.guess("2001:db8::ffff") == "rate_limited"
    assert await door.guess("2001:db8:0:1::1") == "not_authenticated"


async def test_wrong_codes_use_up_nobodys_reset(door: Door) -> None:
    await door.accounts.request_reset(ANN, HOME)
    await door.settle()
    code = door.letters[-1].text.split("\n    ")[1].split()[0]
    for number in range(200):
        with pytest.raises(NotAuthenticated):
            await door.accounts.confirm_reset(ANN, "x" * 12, "another password", f"198.18.9.{number}")
    await door.accounts.confirm_reset(ANN, code, "another password", HOME)


# -- letters -------------------------------------------------------------------------------------


async def test_letters_to_one_recipient_are_bounded_whoever_asks(door: Door) -> None:
    before = len(door.letters)
    with pytest.raises(RateLimited) as caught:
        for number in range(101):
            await door.accounts.sign_up("Eve", "bob@example.org", PASSWORD, f"198.18.0.{number}")
    assert len(door.letters) - before <= 6
    assert (caught.value.retry_after_s or 0) > 0


async def test_letters_that_one_address_asks_for_are_bounded(door: Door) -> None:
    for kind in ("sign_up", "reset", "resend"):
        origin = {"sign_up": "198.18.0.1", "reset": "198.18.0.2", "resend": "2001:db8::1"}[kind]
        with pytest.raises(RateLimited) as caught:
            for number in range(101):
                email = f"{kind}-{number}@example.org"
                if kind == "sign_up":
                    await door.accounts.sign_up("Eve", email, PASSWORD, origin)
                elif kind == "reset":
                    await door.accounts.request_reset(email, origin)
                else:
                    await door.accounts.resend_code(email, origin)
        assert (caught.value.retry_after_s or 0) > 0 and "e-mails" in caught.value.message
    assert len(door.letters) < 50
    await door.accounts.sign_up("Bob", "bob@example.org", PASSWORD, HOME)
    await door.settle()


async def test_sign_ups_leave_room_for_resets() -> None:
    async with Store(":memory:") as store:
        door = Door(store, letters_per_hour=5)
        await door.account()
        with pytest.raises(RateLimited):
            for number in range(20):
                await door.accounts.sign_up("Eve", f"e{number}@example.org", PASSWORD, f"198.18.0.{number}")
        assert len(door.letters) == 5
        await door.accounts.request_reset(ANN, HOME)
        await door.settle()
        assert len(door.letters) == 6 and door.letters[-1].to == ANN
        door.accounts.close()


async def test_asking_for_letters_to_nobody_uses_up_nobodys() -> None:
    async with Store(":memory:") as store:
        door = Door(store, letters_per_hour=3)
        await door.account()
        for number in range(20):
            await door.accounts.request_reset(f"n{number}@example.org", f"198.18.0.{number}")
        await door.accounts.request_reset(ANN, HOME)
        await door.settle()
        assert door.letters[-1].to == ANN and "new password" in door.letters[-1].text
        door.accounts.close()


# -- whether there is an account -----------------------------------------------------------------


async def answers(door: Door, email: str, origin: str) -> list[tuple[str, str]]:
    """What a stranger is told about an address by everything that can be asked."""
    accounts, nobody = door.accounts, anonymous_user()
    asked = [
        lambda: accounts.sign_in(email, "a wrong password", origin),
        lambda: accounts.update_profile(nobody, email, "Mallory", None, None, origin),
        lambda: accounts.update_profile(nobody, email, "Mallory", "a guess", None, origin),
        lambda: accounts.update_profile(nobody, email, None, "a guess", "another password", origin),
        lambda: accounts.update_profile(nobody, email, "", "a guess", "short", origin),
        lambda: accounts.request_reset(email, origin),
        lambda: accounts.confirm_reset(email, "x" * 12, "another password", origin),
        lambda: accounts.resend_code(email, origin),
        lambda: accounts.verify_email(email, "000000", origin),
        lambda: accounts.sign_up("Eve", email, PASSWORD, origin),
        lambda: accounts.verify_email(email, "x", origin),
        lambda: accounts.resend_code(email, origin),
        lambda: accounts.request_reset(email, origin),
    ]
    told = []
    for ask in asked:
        try:
            await ask()
            told.append(("done", ""))
        except HyphaError as error:
            told.append((error.code, error.message))
        await door.settle()
    return told


async def test_no_answer_tells_whether_there_is_an_account(door: Door) -> None:
    door.clock.now += 3600
    known = await answers(door, ANN, "198.18.0.1")
    door.hashed.clear()
    unknown = await answers(door, "nobody@example.org", "198.18.0.2")
    assert known == unknown
    assert ("done", "") in known and any(code == "not_authenticated" for code, _ in known)
    assert len(door.hashed) == 3, "a password is compared for nobody too"


async def test_the_same_is_told_under_limits(door: Door) -> None:
    told: dict[str, list[str]] = {}
    for email, net in ((ANN, "198.18.1"), ("nobody@example.org", "198.18.2")):
        told[email] = [await door.guess(f"{net}.{n // 10}", email) for n in range(130)]
        told[email].append(str(len(door.waits)))
        door.waits.clear()
    assert told[ANN] == told["nobody@example.org"]


# -- whose sign-up a code is ---------------------------------------------------------------------


async def test_a_code_alone_confirms_no_sign_up_that_others_joined(door: Door) -> None:
    await door.accounts.sign_up("Bob", "bob@example.org", "bob's own password", HOME)
    _, code = await door.accounts.sign_up("Eve", "bob@example.org", "eve's own password", "198.18.0.1")
    with pytest.raises(InvalidArguments, match="Several sign-ups"):
        await door.accounts.verify_email("bob@example.org", code, HOME)
    await door.accounts.sign_up("Cat", "cat@example.org", "cat's own password", HOME)
    _, code = await door.accounts.sign_up("Cat", "cat@example.org", "cat's own password", HOME)
    assert (await door.accounts.verify_email("cat@example.org", code, HOME)).name == "Cat"


async def test_a_letter_that_could_not_be_sent_leaves_nothing_behind(door: Door) -> None:
    def fail(_: Letter) -> None:
        raise OSError

    door.accounts.mail = Mail(fail)
    for _ in range(10):
        with pytest.raises(HyphaError, match="could not be sent"):
            await door.accounts.sign_up("Bob", "bob@example.org", PASSWORD, HOME)
    assert await door.records.code("sign-up", "bob@example.org") is None
