"""The permission table: one row for each function of all built-in services (docs/permissions.md)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass

from hypha.builtins.permission import Permission, permission_of
from hypha.builtins.service import BuiltinService


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    service: str
    function: str
    permission: Permission
    summary: str


def table_of(services: Iterable[BuiltinService]) -> list[Row]:
    """Collect the rows of running services, sorted by service and function.

    Raises:
        LookupError: a function declares no row.
    """
    rows = []
    for service in services:
        for name, function in service.functions.items():
            declared = permission_of(function.call)
            if declared is None:
                raise LookupError(f"{service.id}.{name} declares no permission")
            summary = (inspect.getdoc(function.call) or "").partition("\n")[0]
            rows.append(Row(service.id, name, declared, summary))
    return sorted(rows, key=lambda row: (row.service, row.function))
