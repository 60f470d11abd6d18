"""The workspace manager: the service `default` at `*/<manager_id>` (docs/spec/manager.md#functions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypha.builtins.service import BuiltinService
from hypha.workspaces.functions_clients import ClientFunctions
from hypha.workspaces.functions_events import EventFunctions
from hypha.workspaces.functions_services import ServiceFunctions
from hypha.workspaces.functions_settings import SettingFunctions
from hypha.workspaces.functions_tokens import TokenFunctions
from hypha.workspaces.functions_workspaces import WorkspaceFunctions

FUNCTIONS = (
    "echo", "log", "log_event", "get_event_stats", "get_events",
    "register_service", "unregister_service",
    "list_workspaces", "list_services", "search_services", "list_clients",
    "register_service_type", "get_service_type", "list_service_types",
    "get_service_info", "get_service",
    "generate_token", "revoke_token", "parse_token", "list_tokens", "rename_token",
    "create_workspace", "delete_workspace", "bookmark", "unbookmark", "get_workspace_info",
    "get_summary", "ping", "cleanup", "check_status",
    "set_env", "get_env", "subscribe", "unsubscribe",
)  # fmt: skip

FOR_OUTSIDERS = frozenset(
    ("get_service", "get_service_info", "register_service", "unregister_service", "subscribe", "unsubscribe")
)
"""What client libraries call when they connect and sign somebody in; each looks at what for."""


class WorkspaceManager(
    ServiceFunctions, EventFunctions, ClientFunctions, WorkspaceFunctions, TokenFunctions, SettingFunctions
):
    """Services, clients, tokens, events and settings of the current workspace."""

    def service(self, facts: Mapping[str, Any]) -> BuiltinService:
        """The manager as a service; `facts` about the server become part of its config."""
        config = {"require_context": True, "visibility": "public", **facts}
        made = BuiltinService.of(
            self,
            id="default",
            type="workspace-manager",
            name="Workspace manager",
            config=config,
            only=FUNCTIONS,
        )
        return replace(made, on_refused=self._parts.guard.note_refused, for_outsiders=FOR_OUTSIDERS)
