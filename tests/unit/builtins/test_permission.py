"""Declared permissions, and the table that is made of them."""

from __future__ import annotations

import pytest

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import TARGET_WORKSPACE, permission, permission_of
from hypha.builtins.service import BuiltinService
from hypha.builtins.table import table_of


class Complete:
    """A built-in service of the tests."""

    @permission(Level.READ_WRITE)
    async def write(self, *, context: Context) -> None:
        """Write something.

        More about it.
        """

    @permission(Level.ADMIN, on=TARGET_WORKSPACE)
    async def remove(self, *, context: Context) -> None:
        """Remove something."""

    @permission(Level.ADMIN, by_root=True)
    async def stop(self, *, context: Context) -> None:
        """Stop everything."""

    @permission(Level.NONE)
    async def look(self, *, context: Context) -> None:
        """Look around."""

    @permission(Level.NONE, on="nothing")
    async def time(self, *, context: Context) -> None:
        """Tell the time."""

    async def _hidden(self) -> None: ...

    def plain(self) -> None: ...


def test_the_table_has_one_row_per_function() -> None:
    rows = {row.function: row for row in table_of([BuiltinService.of(Complete(), id="svc")])}
    assert list(rows) == ["look", "remove", "stop", "time", "write"]
    assert {row.service for row in rows.values()} == {"svc"}
    assert rows["write"].summary == "Write something."
    assert rows["write"].permission.text == "read_write on current workspace"
    assert rows["remove"].permission.text == "admin on target workspace"
    assert rows["stop"].permission.text == "the role admin"
    assert rows["look"].permission.text.startswith("no permission")
    assert rows["time"].permission.text == "none"
    assert permission_of(Complete.write) == rows["write"].permission
    assert permission_of(Complete.plain) is None


def test_a_function_without_a_row_is_found() -> None:
    class Incomplete(Complete):
        async def forgotten(self, *, context: Context) -> None: ...

    with pytest.raises(LookupError, match=r"svc\.forgotten"):
        table_of([BuiltinService.of(Incomplete(), id="svc")])
