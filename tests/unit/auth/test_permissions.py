"""The permission table."""

from __future__ import annotations

import pytest

from hypha.auth.permissions import TARGET_WORKSPACE, permission, permission_of, table
from hypha.auth.scopes import Level


class Complete:
    """A built-in service of the tests."""

    @permission(Level.READ_WRITE)
    async def write(self) -> None:
        """Write something.

        More about it.
        """

    @permission(Level.ADMIN, on=TARGET_WORKSPACE)
    async def remove(self) -> None:
        """Remove something."""

    @permission(Level.ADMIN, by_root=True)
    async def stop(self) -> None:
        """Stop everything."""

    @permission(Level.NONE)
    async def look(self) -> None:
        """Look around."""

    @permission(Level.NONE, on="nothing")
    async def time(self) -> None:
        """Tell the time."""

    async def _hidden(self) -> None: ...

    def plain(self) -> None: ...


def test_the_table_has_one_row_per_public_coroutine() -> None:
    rows = {row.function: row for row in table({"svc": Complete()})}
    assert set(rows) == {"write", "remove", "stop", "look", "time"}
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
        async def forgotten(self) -> None: ...

    with pytest.raises(LookupError, match=r"svc\.forgotten"):
        table({"svc": Incomplete})
