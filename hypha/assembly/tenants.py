"""Workspaces, who is in them, and what the manager lets them do: built on the core."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hypha.assembly.access import check_http_user, end_clients_of
from hypha.assembly.manager import build_manager
from hypha.assembly.replication import build_replica
from hypha.assembly.shared_secrets import derived_secret
from hypha.registry.balance import Selection
from hypha.registry.calling import Calling
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from hypha.store import Seal
from hypha.web.credentials import Credentials
from hypha.web.origins import Origins
from hypha.workspaces.membership import Members
from hypha.workspaces.tenancy import Tenancy

if TYPE_CHECKING:
    from hypha.assembly.core import Core
    from hypha.assembly.endings import Endings
    from hypha.builtins.service import BuiltinService
    from hypha.replicas.replica import Replica
    from hypha.workspaces.lifecycle import Workspaces


@dataclass(frozen=True, slots=True)
class Tenants:
    """Workspaces with their clients and services, and the rights of whoever asks."""

    tenancy: Tenancy
    members: Members
    selection: Selection
    calling: Calling
    manager: BuiltinService
    credentials: Credentials
    replica: Replica | None
    """What ties it to the other replicas, if it is not alone."""

    @property
    def workspaces(self) -> Workspaces:
        """All workspaces of the deployment."""
        return self.tenancy.workspaces


async def open_tenants(core: Core, endings: Endings) -> Tenants:
    """Load the workspaces, and put the manager on the wire."""
    hub, tokens = core.hub, core.tokens
    tenancy = Tenancy.build(
        core.store,
        core.settings,
        Seal(derived_secret(core.settings, "sealing") or core.folder.secret("sealing")),
        hub.events.publish,
        partial(end_clients_of, hub),
        tokens.revocations.apply,
        lambda workspace: members.standing.workspace_changed(workspace),
        partial(end_clients_of, hub),
        tokens.revocations.ends,
    )
    workspaces = tenancy.workspaces
    endings.add("the workspaces", workspaces.stop)
    await workspaces.start()
    members = Members(hub, core.registry, workspaces, core.store.subscriptions, core.background)
    await members.load()
    hub.upcalls.membership = members
    hub.upcalls.on_refused = core.guard.note_refused_frame
    selection = Selection(Sources(core.registry), LocalRoster(hub), server := core.manager_peer.calls)
    calling = Calling(core.registry, selection, core.http_peer.calls, server, core.base_url)
    credentials = Credentials(
        tokens.authenticate,
        workspaces,
        check_user=partial(check_http_user, core.guard.blocklist, hub, core.expected),
        serves_anonymous=core.settings.allow_anonymous,
        origins=Origins(core.base_url, core.proxies),
    )
    manager = build_manager(core, tenancy, members, selection, calling)
    replica = build_replica(core, tenancy, members, endings)
    return Tenants(tenancy, members, selection, calling, manager, credentials, replica)
