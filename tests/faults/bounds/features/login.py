"""Attacks on sign-ins of programs and on pages of the operator."""

from __future__ import annotations

import contextlib

import pytest
from starlette.requests import Request
from starlette.types import Message

from hypha.auth.users import root_user
from hypha.errors import (
    FrameTooLarge,
    HyphaError,
    LimitReached,
)
from hypha.features.login import functions_page, pending
from hypha.features.login.mistakes import Mistakes
from hypha.features.login.pending import PendingKeys
from hypha.features.login.records import PendingLogins
from tests.faults.bounds.internal import SAME
from tests.faults.bounds.kit import Kit

INTERNAL = {
    "hypha.features.login.pending._MAX_KEY_CHARS": SAME,
    "hypha.features.login.service.MAX_TEXT": SAME,
    "hypha.features.login.service.MAX_TOKEN_CHARS": SAME,
}
"""Constants that look like bounds and stand in no row of the table, and why."""


async def logins_of_programs(kit: Kit) -> None:
    kit.patch.setattr(pending, "MAX_PENDING", 5)
    now = [1000.0]
    keys = PendingKeys(PendingLogins(await kit.store()), 60.0, clock=lambda: now[0])
    made = [await keys.new() for _ in range(5)]
    with pytest.raises(LimitReached):
        await keys.new()
    kit.patch.setattr(pending, "MAX_WAITING", 2)
    with contextlib.ExitStack() as stack:
        for _ in range(pending.MAX_WAITING_PER_KEY):
            stack.enter_context(keys._waits("one"))
        with pytest.raises(LimitReached):
            stack.enter_context(keys._waits("one"))
        stack.enter_context(keys._waits("two"))
        with pytest.raises(LimitReached):
            stack.enter_context(keys._waits("three"))
    assert not keys._waiting
    kit.patch.setattr(pending, "MAX_WAITING_PER_PARTY", 1)
    with keys._waits("four"), pytest.raises(LimitReached), keys._waits("five"):
        pass
    now[0] += 61
    with pytest.raises(HyphaError):
        await keys.get(made[0])


async def mistakes_of_logins(kit: Kit) -> None:
    mistakes = Mistakes(5, 10.0, clock=lambda: 0.0, max_tracked=20)
    for number in range(200):
        mistakes.note(f"a{number}")
    assert len(mistakes) <= 20


async def page_of_a_custom_login(kit: Kit) -> None:
    async def receive() -> Message:
        part = bytes(functions_page.MAX_BODY_BYTES // 4)
        return {"type": "http.request", "body": part, "more_body": True}

    with pytest.raises(FrameTooLarge):
        await functions_page.event_of(Request({"type": "http", "method": "POST"}, receive), root_user())
