"""Plugs administration in."""

from __future__ import annotations

from hypha.builtins.service import BuiltinService
from hypha.features.admin.service import AdminUtils
from hypha.features.admin.terminal import AdminUtilsWithTerminal
from hypha.features.base import Feature, FeatureContext
from hypha.workspaces.records import ROOT


class AdminFeature(Feature):
    """The service `admin-utils` in the workspace of root."""

    name = "admin"

    async def start(self, context: FeatureContext) -> None:
        """Offer the service; the terminal only where it was asked for and a root token exists."""
        settings = context.settings
        has_terminal = settings.enable_admin_terminal and bool(settings.root_token)
        functions = (AdminUtilsWithTerminal if has_terminal else AdminUtils)(context)
        service = BuiltinService.of(functions, id="admin-utils", type="admin-utils", name="Admin utilities")
        context.offer(service, workspace=ROOT, visibility="protected")
