"""The parts of tenancy, built together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from hypha.auth.users import User
from hypha.settings import Settings
from hypha.store import Seal, Store
from hypha.workspaces.bookmarks import Bookmarks
from hypha.workspaces.catalogue import Catalogue
from hypha.workspaces.environment import Environment
from hypha.workspaces.event_log import EventLog, EventRates
from hypha.workspaces.lifecycle import EndTokens, Publish, Workspaces
from hypha.workspaces.quotas import Quotas
from hypha.workspaces.service_types import ServiceTypes


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Workspaces and what users set in them."""

    workspaces: Workspaces
    catalogue: Catalogue
    environment: Environment
    event_log: EventLog
    service_types: ServiceTypes
    bookmarks: Bookmarks
    quotas: Quotas

    @classmethod
    def build(
        cls,
        store: Store,
        settings: Settings,
        seal: Seal,
        publish: Publish,
        on_deleted: Callable[[str], None] = lambda _: None,
        end_tokens: EndTokens = lambda _: None,
        on_changed: Callable[[str], None] = lambda _: None,
        on_overwritten: Callable[[str, str], None] = lambda workspace, stays: None,
        has_ended: Callable[[User], bool] = lambda _: False,
    ) -> Self:
        """Build all parts on one store.

        Args:
            publish: sends an event `(workspace, type, data)` to those who subscribed.
            on_deleted: called with the id of a workspace that was deleted under its clients.
            end_tokens: called with the fingerprints of tokens that ended with their workspace.
            on_changed: called with the id of a workspace whose owners may be others now.
            on_overwritten: called with the id of a workspace whose clients must go, and the address of the
                one that may stay.
            has_ended: whether the token with which a user acts was revoked.
        """
        quotas = Quotas(settings)
        workspaces = Workspaces(
            store,
            settings,
            publish=publish,
            end_tokens=end_tokens,
            has_ended=has_ended,
            quotas=quotas,
        )
        event_log = EventLog(workspaces, store, EventRates.from_settings(settings))
        limit = settings.max_workspaces_per_user
        return cls(
            workspaces,
            Catalogue(workspaces, store, limit, publish, on_deleted, on_changed, on_overwritten),
            Environment(workspaces, store, seal, event_log),
            event_log,
            ServiceTypes(workspaces, store),
            Bookmarks(workspaces, store),
            quotas,
        )
