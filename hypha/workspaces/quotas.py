"""How much a workspace may keep of what its members set in it."""

from __future__ import annotations

from typing import Any

from hypha.settings.quotas import Quotas as Settings
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Allowance, Kind, Quota, is_of_stranger

_OPERATOR = "or ask the server's operator for more."
_TEXTS = {
    Kind.EVENTS: ("entries of the event log", f"Old ones go by themselves; write fewer, {_OPERATOR}"),
    Kind.VARIABLES: ("environment variables", f"Delete some with set_env(key, None), {_OPERATOR}"),
    Kind.TYPES: ("service types", f"Use another workspace, {_OPERATOR}"),
    Kind.BOOKMARKS: ("bookmarks", f"Delete some with unbookmark, {_OPERATOR}"),
    Kind.TASKS: ("tasks in queues", f"Take some with pop, {_OPERATOR}"),
}


class Quotas:
    """The quotas that the operator has set; anonymous users' workspaces have a share of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_kind = {
            Kind.EVENTS: (settings.max_events_per_workspace, settings.max_event_bytes_per_workspace),
            Kind.VARIABLES: (
                settings.max_variables_per_workspace,
                settings.max_variable_bytes_per_workspace,
            ),
            Kind.TYPES: (
                settings.max_service_types_per_workspace,
                settings.max_service_type_bytes_per_workspace,
            ),
            Kind.BOOKMARKS: (
                settings.max_bookmarks_per_workspace,
                settings.max_bookmark_bytes_per_workspace,
            ),
            Kind.TASKS: (settings.max_tasks_per_workspace, settings.max_task_bytes_per_workspace),
        }

    def of(self, record: WorkspaceRecord, kind: Kind) -> Allowance:
        """What bounds the next addition to a workspace."""
        settings, is_strangers = self._settings, is_of_stranger(record)
        of_all = settings.max_stored_bytes_of_anonymous if is_strangers else settings.max_stored_bytes
        return Allowance(self._quota(kind, is_strangers), settings.max_stored_bytes_per_person, of_all)

    def limits(self, record: WorkspaceRecord, used: dict[str, tuple[int, int]]) -> dict[str, Any]:
        """`{used, limit, used_bytes, limit_bytes}` of each kind, for people to see."""
        shown = {}
        for kind in Kind:
            quota = self._quota(kind, is_of_stranger(record))
            count, size = used.get(kind, (0, 0))
            shown[kind.name.lower()] = {
                "used": count,
                "limit": quota.count,
                "used_bytes": size,
                "limit_bytes": quota.size_bytes,
            }
        return shown

    def _quota(self, kind: Kind, is_strangers: bool) -> Quota:
        share = self._settings.anonymous_quota_share if is_strangers else 1.0
        count, size = self._by_kind[kind]
        return Quota(int(count * share), int(size * share), *_TEXTS[kind])
