"""What runs beside the calls for as long as the server does."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING

from hypha.assembly.replication import end_lapsed
from hypha.observe.memory import trim_regularly
from hypha.registry.records import BUILT_IN
from hypha.transports.stream_watch import StreamWatch, WatchLimits

if TYPE_CHECKING:
    from hypha.assembly.core import Core
    from hypha.assembly.edge import Edge
    from hypha.assembly.tenants import Tenants
    from hypha.hub.client import Client


def start_upkeep(core: Core, tenants: Tenants, edge: Edge) -> None:
    """Start it; it ends with the background work of the core."""
    settings, store, guard, start = core.settings, core.store, core.guard, core.background.start

    def hosts_built_in(client: Client) -> bool:
        return core.registry.get(client.workspace, client.client_id, BUILT_IN) is not None

    async def forget_absent() -> None:
        await asyncio.sleep(settings.resume_window_s * 2)
        await tenants.members.forget_absent()

    idle_s = settings.ws_idle_timeout_s
    every_s = min(settings.activity_check_interval_s, idle_s / 4) if idle_s > 0 else 10.0
    core.hub.liveness.start(idle_s, max(every_s, 0.2))
    start(forget_absent(), "cleaning up after the last run")
    start(store.watch(), "watching the database")
    stop = partial(signal.raise_signal, signal.SIGTERM)
    start(store.claim.keep(stop), "keeping the database")
    start(store.lease.keep(stop), "keeping what is owned in the database")
    if tenants.replica is not None:
        start(end_lapsed(store), "ending what replicas that are gone owned")
    start(edge.lasting.run(), "looking after answers that last")
    watch = StreamWatch(
        core.hub, WatchLimits.from_settings(settings), core.manager_peer.calls.ping, hosts_built_in
    )
    start(watch.run(), "looking for dead streams")
    start(guard.audit.run(), "writing the audit log")
    start(tenants.tenancy.event_log.forget_old(settings.event_retention_s), "forgetting old events")
    if guard.issued is not None:
        start(guard.issued.note_use(), "noting the use of tokens")
    start(trim_regularly(settings.malloc_trim_interval_s), "giving back memory")
