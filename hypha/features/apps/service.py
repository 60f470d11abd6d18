"""The service `server-apps`: all functions of the app controller."""

from __future__ import annotations

from hypha.builtins.service import BuiltinService
from hypha.features.apps.functions_copies import CopyFunctions
from hypha.features.apps.functions_drafts import DraftFunctions
from hypha.features.apps.functions_workers import WorkerFunctions

FUNCTIONS = (
    "install", "uninstall", "list_apps", "get_app_info",
    "commit_app", "edit_app", "list_files", "read_file", "edit_file", "remove_file", "validate_app_manifest",
    "start", "stop", "list_running", "get_session_info", "get_logs",
    "execute", "take_screenshot", "stop_all", "launch", "publish",
    "list_workers", "edit_worker",
)  # fmt: skip


class AppController(CopyFunctions, DraftFunctions, WorkerFunctions):
    """Apps: programs that are installed in a workspace, and run by workers when they are started."""

    def service(self) -> BuiltinService:
        """The service that is offered."""
        return BuiltinService.of(
            self, id="server-apps", name="Server apps", type="server-apps", only=FUNCTIONS
        )
