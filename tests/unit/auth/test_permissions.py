"""The permission table."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.auth.permissions import TARGET_WORKSPACE, permission, permission_of, table_of
from hypha.auth.scopes import Level


@dataclass
class Service:
    """As much of a running service as the table reads."""

    id: str
    functions: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, owner: object, *names: str) -> Service:
        return cls("svc", {name: SimpleNamespace(call=getattr(owner, name)) for name in names})


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


def test_the_table_has_one_row_per_function() -> None:
    service = Service.of(Complete(), "write", "remove", "stop", "look", "time")
    rows = {row.function: row for row in table_of([service])}
    assert list(rows) == ["look", "remove", "stop", "time", "write"]
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
        table_of([Service.of(Incomplete(), "write", "forgotten")])
