"""The other replicas: built where `--redis-uri` says what they share, and only then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hypha.assembly.announcing import Announcing
from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.observe.health import State

if TYPE_CHECKING:
    from hypha.assembly.core import Core
    from hypha.assembly.endings import Endings
    from hypha.bus.base import Bus
    from hypha.presence.base import Presence
    from hypha.replicas.crossing import Crossing
    from hypha.replicas.replica import Replica
    from hypha.store import Store
    from hypha.workspaces.membership import Members
    from hypha.workspaces.tenancy import Tenancy

logger = logging.getLogger(__name__)

LAPSED_EVERY_S = 10.0
UNFINISHED = (
    "Replicas over Redis are unfinished: limits and rates count in each of them by itself, and apps, queues "
    "and sign-ins under way are known only where they were begun."
)
EXTRA_TEXT = "--redis-uri needs a package that is not installed: pip install 'hypha-server[redis]'"


def build_replica(core: Core, tenancy: Tenancy, members: Members, endings: Endings) -> Replica | None:
    """What ties the server to other replicas, not yet open; None for one that is alone.

    Raises:
        ConfigurationError: what they share cannot be used.
    """
    if not core.settings.redis_uri:
        return None
    try:
        from hypha.replicas.crossing import Crossing
        from hypha.replicas.replica import Replica
    except ImportError as error:
        raise ConfigurationError(EXTRA_TEXT) from error
    logger.warning(UNFINISHED)
    crossing = Crossing(core.hub, core.manager_peer, members.listens)
    presence, bus = _over_redis(core, crossing)
    crossing.use(bus)
    replica = Replica(core.hub, core.registry, presence, bus, crossing)

    async def close() -> None:
        core.hub.upcalls.elsewhere = core.registry.elsewhere = None
        await replica.close()

    endings.add("the ties to other replicas", close)
    members.follow(replica.left)
    residents = tenancy.workspaces.residents
    residents.has_clients_elsewhere = replica.has_mirrors
    tenancy.workspaces.has_clients = replica.has_clients
    replica.is_resident = lambda workspace: residents.get(workspace) is not None
    Announcing(core, tenancy, members, replica, crossing)
    core.health.add_check("redis", lambda: State(replica.is_reached, _text(replica)))
    return replica


async def join_others(core: Core, replica: Replica | None) -> None:
    """Be one of the replicas, if there are others; the last step before clients are let in.

    Raises:
        ConfigurationError: what they share cannot be reached.
    """
    if replica is None:
        return
    try:
        await replica.open()
    except BackendUnavailable as error:
        raise ConfigurationError(
            "The Redis of --redis-uri cannot be reached, or does not let this server in: see whether it "
            "runs, and whether user and password are right."
        ) from error
    core.hub.upcalls.elsewhere = core.registry.elsewhere = replica


def _over_redis(core: Core, crossing: Crossing) -> tuple[Presence, Bus]:
    try:
        from hypha.bus.redis import RedisBus
        from hypha.presence.redis import RedisPresence
        from hypha.redis.link import read_uri
    except ImportError as error:
        raise ConfigurationError(EXTRA_TEXT) from error
    pool, name = read_uri(str(core.settings.redis_uri)), core.server_id
    return RedisPresence(pool, name, core.base_url.encode()), RedisBus(pool, name, crossing)


def _text(replica: Replica) -> str:
    return "connected" if replica.is_reached else "not reached"


async def end_lapsed(store: Store) -> None:
    """End again and again what replicas that are gone owned in the database."""
    while True:
        await asyncio.sleep(LAPSED_EVERY_S)
        try:
            await store.lease.end_lapsed()
        except BackendUnavailable:
            continue
