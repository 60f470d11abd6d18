"""Plugs administration in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.builtins.service import BuiltinService
from hypha.features.admin.options import AdminOptions
from hypha.features.admin.parts import Parts
from hypha.features.admin.service import AdminUtils
from hypha.features.base import Feature, FeatureContext, PromptNames
from hypha.findings import Findings, note, risky
from hypha.hub.hub import Hub
from hypha.hub.rates import Rates
from hypha.registry.index import Registry
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.membership import Members
from hypha.workspaces.records import ROOT

if TYPE_CHECKING:
    from hypha.settings import Settings

logger = logging.getLogger(__name__)

NO_TERMINAL = "--enable-admin-terminal is switched off: it needs --root-token"


class AdminFeature(Feature):
    """The service `admin-utils` in the workspace of root."""

    name = "admin"
    needs = (Hub, Registry, Members, Workspaces, Guard, TokenAuthority, Rates, PromptNames)

    async def start(self, context: FeatureContext) -> None:
        """Offer the service; the terminal only where it was asked for and a root token exists."""
        settings = context.settings
        parts = Parts(
            settings,
            context.server_id,
            context.get(Hub),
            context.get(Registry),
            context.get(Members),
            context.get(Workspaces),
            context.get(Guard),
            context.get(TokenAuthority),
            context.get(Rates),
        )
        functions = AdminUtils(parts)
        if settings.of(AdminOptions).enable_admin_terminal:
            if settings.root_token:
                from hypha.features.admin.terminal import AdminUtilsWithTerminal

                functions = AdminUtilsWithTerminal(parts, context.get(PromptNames))
            else:
                logger.warning(NO_TERMINAL)
        service = BuiltinService.of(functions, id="admin-utils", type="admin-utils", name="Admin utilities")
        context.services.offer(service, workspace=ROOT, visibility="protected")

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
