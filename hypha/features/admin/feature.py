"""Plugs administration in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypha.builtins.service import BuiltinService
from hypha.features.admin.options import AdminOptions
from hypha.features.admin.service import AdminUtils
from hypha.features.admin.terminal import AdminUtilsWithTerminal
from hypha.features.base import Feature, FeatureContext
from hypha.findings import Findings, note, risky
from hypha.workspaces.records import ROOT

if TYPE_CHECKING:
    from hypha.settings import Settings

logger = logging.getLogger(__name__)

NO_TERMINAL = "--enable-admin-terminal is switched off: it needs --root-token"


class AdminFeature(Feature):
    """The service `admin-utils` in the workspace of root."""

    name = "admin"

    async def start(self, context: FeatureContext) -> None:
        """Offer the service; the terminal only where it was asked for and a root token exists."""
        asks = context.settings.of(AdminOptions).enable_admin_terminal
        has_terminal = asks and bool(context.settings.root_token)
        if asks and not has_terminal:
            logger.warning(NO_TERMINAL)
        functions = (AdminUtilsWithTerminal if has_terminal else AdminUtils)(context)
        service = BuiltinService.of(functions, id="admin-utils", type="admin-utils", name="Admin utilities")
        context.offer(service, workspace=ROOT, visibility="protected")

    @classmethod
    def examine(cls, settings: Settings) -> Findings:
        """What `doctor` says of the terminal."""
        if not settings.of(AdminOptions).enable_admin_terminal:
            return
        if not settings.root_token:
            yield note(NO_TERMINAL)
            return
        yield risky(
            "--enable-admin-terminal: who has the root token, or the role admin, runs any code in the "
            "server; leave it out unless you need it now"
        )
