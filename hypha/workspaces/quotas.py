"""How much a workspace may keep of what its members set in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hypha.settings.quotas import Quotas as Settings
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Allowance, Kind, Quota, is_of_stranger

Measure = Callable[[str], tuple[int, int]]


class Quotas:
    """The quotas that the operator has set; anonymous users' workspaces have a share of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._quotas: dict[str, Quota] = {}
        """Of a registered user's workspace, by kind."""
        self._shown: dict[str, str] = {}
        """What people call each kind, in the order in which they see them."""
        self._measures: dict[str, Measure] = {}
        for kind, quota in _of_core(settings):
            self.declare(kind, kind.name.lower(), quota)

    def declare(self, kind: str, shown: str, quota: Quota, measure: Measure | None = None) -> None:
        """Bound one more kind of what workspaces keep; `kind` as it is counted, `shown` as people see it.

        `measure` tells the number and bytes of what a workspace keeps where the database doesn't count it.
        """
        self._quotas[kind], self._shown[kind] = quota, shown
        if measure is not None:
            self._measures[kind] = measure

    def of(self, record: WorkspaceRecord, kind: str) -> Allowance:
        """What bounds the next addition to a workspace."""
        settings, is_strangers = self._settings, is_of_stranger(record)
        of_all = settings.max_stored_bytes_of_anonymous if is_strangers else settings.max_stored_bytes
        return Allowance(self._quota(kind, is_strangers), settings.max_stored_bytes_per_person, of_all)

    def limits(self, record: WorkspaceRecord, used: dict[str, tuple[int, int]]) -> dict[str, Any]:
        """`{used, limit, used_bytes, limit_bytes}` of each kind, for people to see."""
        told = {}
        for kind, shown in self._shown.items():
            quota = self._quota(kind, is_of_stranger(record))
            measure = self._measures.get(kind)
            count, size = used.get(kind, (0, 0)) if measure is None else measure(record.id)
            told[shown] = {
                "used": count,
                "limit": quota.count,
                "used_bytes": size,
                "limit_bytes": quota.size_bytes,
            }
        return told

    def _quota(self, kind: str, is_strangers: bool) -> Quota:
        quota, share = self._quotas[kind], self._settings.anonymous_quota_share
        if not is_strangers:
            return quota
        return replace(quota, count=int(quota.count * share), size_bytes=int(quota.size_bytes * share))


def _of_core(settings: Settings) -> Iterator[tuple[Kind, Quota]]:
    yield (
        Kind.EVENTS,
        Quota(
            settings.max_events_per_workspace,
            settings.max_event_bytes_per_workspace,
            "entries of the event log",
            "Old ones go by themselves; write fewer, or ask the server's operator for more.",
        ),
    )
    yield (
        Kind.VARIABLES,
        Quota(
            settings.max_variables_per_workspace,
            settings.max_variable_bytes_per_workspace,
            "environment variables",
            "Delete some with set_env(key, None), or ask the server's operator for more.",
        ),
    )
    yield (
        Kind.TYPES,
        Quota(
            settings.max_service_types_per_workspace,
            settings.max_service_type_bytes_per_workspace,
            "service types",
            "Use another workspace, or ask the server's operator for more.",
        ),
    )
    yield (
        Kind.BOOKMARKS,
        Quota(
            settings.max_bookmarks_per_workspace,
            settings.max_bookmark_bytes_per_workspace,
            "bookmarks",
            "Delete some with unbookmark, or ask the server's operator for more.",
        ),
    )
