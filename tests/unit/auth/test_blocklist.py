"""Who is kept out, for how long, and where that is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.auth.blocklist import LONGEST_S, Blocked, Blocklist
from hypha.auth.users import User, root_user
from hypha.errors import InvalidRequest
from hypha.store import Store
from tests.kit.clock import Clock


async def test_a_block_holds_for_the_user_and_its_descendants_until_its_time_is_over() -> None:
    clock, told = Clock(), []
    blocklist = Blocklist(clock=clock)
    blocklist.on_blocked = told.append
    assert not blocklist.is_active
    block = await blocklist.block("user", "mallory", 60, "spam", "root")
    assert told == [block]
    for user in (User("mallory"), User("kid", parent="mallory")):
        with pytest.raises(Blocked, match=r"^User is blocked: spam$"):
            blocklist.check_user(user)
    blocklist.check_user(User("alice", parent="bob"))
    clock.now += 61
    blocklist.check_user(User("mallory"))
    assert not blocklist.is_active


async def test_addresses_have_one_spelling_and_never_keep_administrators_out() -> None:
    blocklist = Blocklist()
    await blocklist.block("ip", "::ffff:203.0.113.5", 0, None, "root")
    with pytest.raises(Blocked, match=r"^IP is blocked: "):
        blocklist.check(User("alice"), "203.0.113.5")
    blocklist.check(root_user(), "203.0.113.5")
    blocklist.check(User("alice"), "unknown")
    assert [block.subject for block in blocklist.all("ip")] == ["203.0.113.5"]
    assert await blocklist.unblock("ip", "203.0.113.5") is True
    blocklist.check(User("alice"), "203.0.113.5")


@pytest.mark.parametrize(
    "arguments",
    [
        ("ip", "localhost", 60, None), ("ip", 7, 60, None), ("user", "", 60, None),
        ("user", "root", 60, None),
        ("user", "x" * 321, 60, None), ("user", "x", -1, None), ("user", "x", "soon", None),
        ("user", "x", True, None), ("user", "x", float("nan"), None), ("user", "x", 60, "a\nb"),
        ("user", "x", 60, "y" * 501), ("user", "x", 60, 5),
    ],
)  # fmt: skip
async def test_odd_blocks_are_refused(arguments: tuple[Any, ...]) -> None:
    blocklist = Blocklist()
    with pytest.raises(InvalidRequest):
        await blocklist.block(*arguments, by="root")
    assert not blocklist.is_active


async def test_blocks_are_kept_in_the_store() -> None:
    async with Store(":memory:") as store:
        first = Blocklist(store.blocks)
        block = await first.block("user", "mallory", 0, "spam", "root")
        assert block.expires_at - block.created_at == LONGEST_S
        await first.block("user", "mallory", 60, "spam again", "root")
        await first.block("user", "trudy", 60, None, "root")
        await first.unblock("user", "trudy")
        second = Blocklist(store.blocks)
        await second.load()
        assert [block.reason for block in second.all("user")] == ["spam again"]
        late = Clock()
        late.now = block.created_at + 61
        third = Blocklist(store.blocks, late)
        await third.load()
        assert not third.is_active
