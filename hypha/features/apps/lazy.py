"""Services of apps that do not run: whoever looks one up has the app started, in its installer's name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from hypha.auth.scopes import Level
from hypha.errors import CallFailed, HyphaError, LimitReached, ServiceNotFound
from hypha.features.apps.grants import mark_of
from hypha.features.apps.starting import Wish
from hypha.features.apps.steps import Steps
from hypha.limits import BoundedMap
from hypha.registry.records import ServiceRecord

if TYPE_CHECKING:
    from hypha.addresses import ServiceQuery
    from hypha.auth.users import Context
    from hypha.features.apps.artifacts import AppArtifacts
    from hypha.features.apps.grants import Grants
    from hypha.features.apps.records import Grant
    from hypha.features.apps.starting import Starting
    from hypha.features.apps.waiting import Waiting
    from hypha.features.ports import ServicesPort
    from hypha.registry.index import Registry, ServiceFilter

MAX_WAITING = 5_000
MAX_WAITING_PER_APP = 1_000
"""Callers that wait for apps to start, of all and of one."""
PAUSE_S = 3.0
"""So long after a start has failed nobody's look-up starts the app again."""
MAX_FAILED = 1_000
_VISIBILITIES = frozenset({"public", "protected", "unlisted"})


class LazyApps:
    """A source of services (`hypha.registry.sources.ServiceSource`): those that installed apps offer."""

    def __init__(
        self,
        services: ServicesPort,
        artifacts: AppArtifacts,
        grants: Grants,
        starting: Starting,
        waiting: Waiting,
        registry: Registry,
    ) -> None:
        self._services = services
        self._artifacts = artifacts
        self._grants = grants
        self._starting = starting
        self._waiting = waiting
        self._registry = registry
        self._callers: Counter[tuple[str, str]] = Counter()
        self._failed: BoundedMap[tuple[str, str], float] = BoundedMap(MAX_FAILED)
        """Until when apps that did not start are left alone (loop time, s)."""

    async def candidates(self, query: ServiceQuery) -> Sequence[ServiceRecord]:
        """The service of that name and app that can be started; none where a client is named."""
        if query.client_id != "*" or query.app_id == "*" or not self._grants.has_any(query.workspace):
            return ()
        found = await self._installed(query.workspace, query.app_id)
        if found is None:
            return ()
        offered = _offered(found[0], query.workspace, query.app_id)
        return [record for record in offered if record.name == query.name][:1]

    async def find(self, wanted: ServiceFilter) -> Sequence[ServiceRecord]:
        """All services that apps of a workspace have offered, as far as its installers may still read it."""
        if wanted.workspace is None or wanted.client_id is not None:
            return ()
        if not self._grants.has_any(wanted.workspace):
            return ()
        seen: dict[bytes, Mapping[str, Mapping[str, Any]]] = {}
        """What an installer may see; most apps of a workspace have the same."""
        found = []
        for grant in await self._grants.of(wanted.workspace):
            key = orjson.dumps(grant.starter, option=orjson.OPT_SORT_KEYS)
            if key not in seen:
                seen[key] = await self._seen_by(grant)
            artifact = seen[key].get(grant.app_id)
            if artifact is not None and _may_start(artifact, grant):
                found += _offered(artifact["manifest"], wanted.workspace, grant.app_id)
        return [record for record in found if wanted.matches(record)]

    async def _seen_by(self, grant: Grant) -> Mapping[str, Mapping[str, Any]]:
        """The apps that an installer may see now, by their ids."""
        try:
            return await self._artifacts.committed(await self._grants.starter(grant))
        except HyphaError:
            return {}

    async def _installed(self, workspace: str, app_id: str) -> tuple[Mapping[str, Any], Context, str] | None:
        """The manifest of an app, who starts it, and what was granted; None where it isn't to be started."""
        grant = await self._grants.find(workspace, app_id)
        if grant is None:
            return None
        try:
            starter = await self._grants.starter(grant)
            artifact = await self._artifacts.read(app_id, starter)
        except HyphaError:
            return None
        return (artifact["manifest"], starter, grant.mark) if _may_start(artifact, grant) else None

    async def running(self, record: ServiceRecord, context: Context) -> ServiceRecord:
        """The service of the app's session, which is started if there is none; all callers share one start.

        Raises:
            ServiceNotFound: the app may not be started any more, or has no such service after all.
            CallFailed: it did not start; members of its workspace learn why.
            LimitReached: too many wait for it.
        """
        key = (record.workspace, record.app_id)
        if self._callers[key] >= MAX_WAITING_PER_APP or self._callers.total() >= MAX_WAITING:
            raise LimitReached(
                f"Too many callers wait for the app {record.app_id} to start.", retry_after_s=1.0
            )
        if (self._failed.get(key) or 0.0) > asyncio.get_running_loop().time():
            raise CallFailed(f"The app {record.app_id} has just failed to start: try again in a few seconds.")
        self._callers[key] += 1
        try:
            return await self._start(record, key, context)
        finally:
            self._callers[key] -= 1
            if not self._callers[key]:
                del self._callers[key]

    async def _start(self, record: ServiceRecord, key: tuple[str, str], context: Context) -> ServiceRecord:
        found = await self._installed(*key)
        if found is None:
            raise ServiceNotFound(f"Service not found: {record.id}@{record.app_id}")
        _, starter, mark = found
        wish = Wish(record.app_id, {"wait_for_service": record.name}, granted=mark)
        try:
            session = await self._starting.start(wish, starter, Steps(self._services, None, starter))
            await self._waiting.until_offered(
                session.workspace, session.client_id, record.name, session.timeout_s, session.worker
            )
        except HyphaError as error:
            self._failed.put(key, asyncio.get_running_loop().time() + PAUSE_S)
            if context.level(record.workspace) >= Level.READ:
                raise
            raise CallFailed(f"The app {record.app_id} did not start.") from error
        offered = self._registry.get(session.workspace, session.client_id, record.name)
        if offered is None or not offered.is_usable_by(context):
            raise ServiceNotFound(f"Service not found: {record.id}@{record.app_id}")
        return offered


def _may_start(artifact: Mapping[str, Any], grant: Grant) -> bool:
    return mark_of(artifact) == grant.mark and artifact["manifest"].get("disabled") is not True


def _offered(manifest: Mapping[str, Any], workspace: str, app_id: str) -> list[ServiceRecord]:
    services = manifest.get("services")
    listed = services if isinstance(services, list) else []
    return [_record_of(each, workspace, app_id) for each in listed if isinstance(each, Mapping)]


def _record_of(offered: Mapping[str, Any], workspace: str, app_id: str) -> ServiceRecord:
    """A service as the manifest has it, which the server wrote."""
    config = offered.get("config")
    visibility = config.get("visibility") if isinstance(config, Mapping) else None
    named = config.get("authorized_workspaces") if isinstance(config, Mapping) else None
    return ServiceRecord(
        workspace,
        "*",
        str(offered.get("id")).rpartition(":")[2],
        app_id,
        type=str(offered.get("type")),
        title=str(offered.get("name")),
        description=offered.get("description"),
        config={**(config or {}), "workspace": workspace, "_source": "app_manifest"},
        visibility=visibility if visibility in _VISIBILITIES else "protected",
        authorized_workspaces=tuple(each for each in named or () if isinstance(each, str)),
    )
