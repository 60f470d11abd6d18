"""Attacks on what administrators are told, and on their terminal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypha.auth.users import User
from hypha.features.admin import terminal as terminal_module
from hypha.features.admin.service import MAX_ENTRIES, AdminUtils
from hypha.features.admin.terminal import Terminal
from hypha.store.audit import AuditQuery
from tests.faults.bounds.kit import Kit
from tests.unit.workspaces.tenancy_kit import acting

INTERNAL = {
    "hypha.features.admin.service.MAX_WAIT_S": "how long an administrator's call waits",
}
"""Constants that look like bounds and stand in no row of the table, and why."""


async def answers_of_the_audit_log(kit: Kit) -> None:
    asked: list[int] = []

    async def find(query: AuditQuery, offset: int, limit: int) -> list[Any]:
        asked.append(limit)
        return []

    guard = SimpleNamespace(audit=SimpleNamespace(find=find), blocklist=None)
    admin = AdminUtils(SimpleNamespace(guard=guard))  # type: ignore[arg-type]
    await admin.get_audit_log(limit=10**9, context=acting(User("alice")))
    assert asked == [MAX_ENTRIES]


async def terminal(kit: Kit) -> None:
    kit.patch.setattr(terminal_module, "MAX_SCREEN_CHARS", 1000)
    shell = Terminal({"app": None, "store": None})
    await shell.execute("print('x' * 100_000)")
    assert len(shell._printed()) <= 1000
    shell._show("x" * 100_000)
    assert len(shell.screen) <= 1000
    await shell.write("x" * (terminal_module.MAX_COMMAND_CHARS + 1))
    assert "dropped" in shell.read()
    kit.patch.setattr(terminal_module, "MAX_SCREEN_CHARS", 100_000)
    kit.patch.setattr(terminal_module, "MAX_UNFINISHED_LINES", 50)
    await shell.write("(\n" + "1,\n" * (terminal_module.MAX_UNFINISHED_LINES + 1))
    assert "dropped" in shell.read()
