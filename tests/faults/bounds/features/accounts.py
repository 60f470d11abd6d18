"""Attacks on accounts, their letters and their passwords."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.errors import (
    BackendUnavailable,
    HyphaError,
    InvalidArguments,
    LimitReached,
    QuotaExceeded,
    RateLimited,
)
from hypha.features.accounts import invitations as invitations_module
from hypha.features.accounts import mail, names, page, passwords
from hypha.features.accounts.attempts import Attempts, Origin
from hypha.features.accounts.codes import Codes
from hypha.features.accounts.invitation_records import Invitations
from hypha.features.accounts.invitations import Admittance
from hypha.features.accounts.mail import Letter, Mail
from hypha.features.accounts.options import AccountOptions
from hypha.features.accounts.records import MAX_PLACES, _know
from hypha.features.accounts.throttle import Allowance, Throttle
from hypha.limits.turns import Turns
from tests.faults.bounds.internal import PACE
from tests.faults.bounds.kit import Kit
from tests.unit.features.accounts.bench import Bench

INTERNAL = {
    "hypha.features.accounts.codes.MAX_TYPED_CHARS": "what is looked at of a typed code or link",
    "hypha.features.accounts.invitations.MAX_LIFE_S": "how long an administrator's invitation is good",
    "hypha.features.accounts.mail.MAX_ANSWER_BYTES": "what is read of the operator's mail service",
    "hypha.features.accounts.invitation_records.KEPT_AFTER_S": PACE,
}
"""Constants that look like bounds and stand in no row of the table, and why."""


def devices() -> Any:
    """Nobody has signed in before."""

    async def knows(*_: Any) -> bool:
        return False

    return SimpleNamespace(is_known=knows)


async def sign_in_attempts(kit: Kit) -> None:
    throttle = Throttle(clock=lambda: 0.0, max_keys=50)
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    made = Attempts(AccountOptions(sign_in_attempts_per_address=30), devices(), throttle)
    made._pause = pause
    origin = Origin.of("192.0.2.1")
    with pytest.raises(RateLimited):
        for _ in range(200):
            await made.guess("password", "ann@example.org", origin)
    with pytest.raises(RateLimited):
        for _ in range(200):
            made.use(origin)
    for number in range(500):
        throttle.count(f"k{number}", Allowance(5, 60.0))
    assert len(throttle) <= 50


async def letters(kit: Kit) -> None:
    for bound in ("letters_per_recipient", "letters_per_address", "letters_per_hour"):
        limits = {"letters_per_recipient": 0, "letters_per_address": 0, "letters_per_hour": 0, bound: 3}
        made = Attempts(AccountOptions(**limits), devices(), Throttle(clock=lambda: 0.0))  # type: ignore[arg-type]
        with pytest.raises(RateLimited):
            for number in range(10):
                made.letter(
                    "ann@example.org" if "recipient" in bound else f"a{number}", Origin.of("192.0.2.1")
                )
                made.letter_of_all("sign-up")
    gate = threading.Event()
    post = Mail(lambda _: (gate.wait(10), None)[1])
    letter = Letter("ann@example.org", "s", "t")
    waiting = [asyncio.ensure_future(post.send(letter)) for _ in range(mail.MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(BackendUnavailable):
        await post.send(letter)
    gate.set()
    await asyncio.gather(*waiting)


async def sign_ups_that_wait(kit: Kit) -> None:
    bench = Bench(await kit.store())
    for number in range(3):
        await bench.accounts.sign_up("Ann", f"a{number}@example.org", "correct horse battery", "192.0.2.1")
    with pytest.raises(LimitReached):
        await bench.accounts.sign_up("Ann", "more@example.org", "correct horse battery", "192.0.2.1")
    for _ in range(4):
        with pytest.raises(InvalidArguments):
            await bench.accounts.verify_email("a0@example.org", "000000", "192.0.2.1")
    with pytest.raises(HyphaError, match=r"sign up again|Too many"):
        await bench.accounts.verify_email("a0@example.org", "000000", "192.0.2.1")
        await bench.accounts.verify_email("a0@example.org", "000000", "192.0.2.1")


async def passwords_at_work(kit: Kit) -> None:
    assert (passwords.MOST_WAITING, passwords.MOST_PER_PLACE) == (2000, 64)
    for key in (lambda _: "one", str):
        turns, done = Turns(1, per_party=1, most=20, most_per_party=5), asyncio.Event()

        async def work(name: str, turns: Turns = turns, done: asyncio.Event = done) -> None:
            async with turns.taken(name):
                await done.wait()

        crowd = [asyncio.ensure_future(work(key(number))) for number in range(50)]
        await asyncio.sleep(0.01)
        refused = [task for task in crowd if task.done() and isinstance(task.exception(), RateLimited)]
        assert len(refused) == (44 if key("x") == "one" else 29)
        done.set()
        await asyncio.gather(*crowd, return_exceptions=True)


async def texts_of_accounts(kit: Kit) -> None:
    with pytest.raises(InvalidArguments):
        passwords.check_password("x" * (passwords.MAX_BYTES + 1))
    with pytest.raises(InvalidArguments):
        names.check_name("x" * (names.MAX_NAME_CHARS + 1))
    with pytest.raises(InvalidArguments):
        names.check_email("a" * names.MAX_EMAIL_CHARS + "@example.org")
    http = await kit.http()
    answer = await http.post("/public/apps/hypha-login/session", json={"token": "x" * page.MAX_BODY_BYTES})
    assert answer.status_code == 413


async def invitations(kit: Kit) -> None:
    kit.patch.setattr(invitations_module, "MAX_KEPT", 3)
    store = await kit.store()
    admittance = Admittance(
        Invitations(store), AccountOptions(sign_up="invitation"), Codes("secret", lambda: 0.0)
    )
    for uses, note in (
        (invitations_module.MAX_USES + 1, ""),
        (1, "x" * (invitations_module.MAX_NOTE_CHARS + 1)),
    ):
        with pytest.raises(InvalidArguments):
            await admittance.invite("root", None, uses, "", note)
    with pytest.raises(QuotaExceeded):
        for _ in range(5):
            await admittance.invite("root", None, 1, "", "")
    with pytest.raises(InvalidArguments):
        await admittance.list(0, invitations_module.MAX_LISTED + 1)


async def known_places(kit: Kit) -> None:
    bench = Bench(await kit.store())
    await bench.account()
    account = await bench.records.find("ann@example.org")
    assert account is not None
    async with bench.records._connections.writing() as connection:
        for number in range(MAX_PLACES + 20):
            await _know(connection, account.id, f"place-{number}", float(number))
    known = [await bench.records.knows(f"place-{number}", -1.0) for number in range(MAX_PLACES + 20)]
    assert sum(known) == MAX_PLACES and not known[0]
