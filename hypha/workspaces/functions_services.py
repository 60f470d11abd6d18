"""Manager functions on services: register, find, get (docs/spec/manager.md#services)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import STRANGER_BYTES, permission
from hypha.errors import (
    InvalidAddress,
    InvalidRequest,
    PermissionDenied,
    ServiceNotFound,
)
from hypha.registry.applications import ANY_APP
from hypha.registry.directory import LookupOptions
from hypha.registry.records import (
    BUILT_IN,
    MAX_INFO_BYTES,
    Registrant,
    ServiceRecord,
    is_local_only,
    parse_registration,
    skips_app_check,
)
from hypha.registry.search import SearchRequest
from hypha.registry.shown import LISTING_BYTES, MAX_LISTED
from hypha.values import check_offset, is_whole
from hypha.workspaces.parts import ManagerFunctions

SETUP_TIMEOUT_S = 60.0


class ServiceFunctions(ManagerFunctions):
    """What a client may do with services."""

    @permission(
        Level.READ_WRITE,
        on="service",
        note="read_write on current workspace; the own client's `built-in`: none",
        by_lapsed=True,
        takes_bytes=MAX_INFO_BYTES + STRANGER_BYTES,
    )
    async def register_service(
        self, service_info: dict[str, Any], config: dict[str, Any] | None = None, *, context: Context
    ) -> None:
        """Register a service of the calling client, or replace the one with the same id.

        Args:
            service_info: Map with id (`workspace/client:name`), name, type, description, docs, config,
                service_schema.
            config: Map; skip_app_id_validation, as in the service's own config, takes unknown app ids.
        """
        if is_local_only(service_info):
            return
        parts = self._parts
        client = parts.hub.client(context.workspace, context.client_id)
        generation = client.generation if client is not None else 0
        record = parse_registration(service_info, Registrant.of(context, generation))
        known = parts.registry.get(*record.key)
        is_repeated = known is not None and record.with_app(known.app_id) == known
        if not record.is_built_in and not (context.user.is_lapsed and is_repeated):
            context.require(Level.READ_WRITE)
        if client is None:
            return  # it left meanwhile
        completed = await self._with_app(record, known if is_repeated else None, config)
        if completed is None or client.ended:
            return
        record, is_asked = completed
        if client.generation != record.generation:  # it resumed meanwhile
            record = replace(record, generation=client.generation)
        registered = await parts.registering.add(record)
        for other in registered.displaced:
            parts.hub.events.publish(other.workspace, "service_removed", other.to_info())
        self._announce(record, registered.replaced)
        if is_asked:
            parts.app_ids.ask(record)

    async def _with_app(
        self, record: ServiceRecord, repeated: ServiceRecord | None, config: object
    ) -> tuple[ServiceRecord, bool] | None:
        """A record with its app id, as far as that is known, and whether to ask for it once it is stored.

        None if it is not to be stored any more, see `AppIds.before`.

        Args:
            repeated: what is registered already, but for the app id.
        """
        if record.is_built_in:
            return record, False
        self._parts.app_ids.give_up(record.key)
        kept = repeated is not None and record.app_id in (ANY_APP, repeated.app_id) and repeated
        if kept and kept.generation != record.generation:
            return record.with_app(kept.app_id), False  # a client that resumed repeats itself
        if skips_app_check(config):
            record = replace(record, skips_app_check=True)
        completed = await self._parts.app_ids.before(record)
        if completed is None or not (kept and completed[1]):
            return completed
        return completed[0].with_app(kept.app_id), True

    def _announce(self, record: ServiceRecord, replaced: ServiceRecord | None) -> None:
        """Send the events of a registration, and start what follows it."""
        publish, workspace = self._parts.hub.events.publish, record.workspace
        if record.is_built_in:
            kind = "client_connected" if replaced is None else "client_updated"
            publish(workspace, kind, {"id": f"{workspace}/{record.client_id}", "workspace": workspace})
            return
        if replaced == record and replaced.generation != record.generation:
            return  # a client that resumed repeats itself
        if replaced is not None:
            publish(workspace, "service_removed", replaced.to_info())
        publish(workspace, "service_added", record.to_info())
        client = self._parts.hub.client(workspace, record.client_id)
        if client is not None and record.name == "default" and "setup" in record.service_schema:
            setup = self._parts.peer.call(client.address, "services.default.setup", timeout_s=SETUP_TIMEOUT_S)
            what, is_stranger = f"setup of {record.id}", record.is_of_stranger
            self._parts.background.start(setup, what, party=workspace, is_stranger=is_stranger)

    @permission(
        Level.READ_WRITE,
        on="service",
        note="read_write for own services, admin on their workspace for others'",
        by_lapsed=True,
    )
    async def unregister_service(self, service_id: str, *, context: Context) -> None:
        """Unregister a service: an own one, or as admin of the workspace that of any client.

        Args:
            service_id: `name` of an own service, or `workspace/client:name`.
        """
        workspace, client_id, name = _parse_own_id(service_id, context)
        if (workspace, client_id) != (context.workspace, context.client_id):
            if context.level(workspace) < Level.ADMIN:
                raise PermissionDenied(
                    f"Permission denied for workspace {workspace}: unregistering a service of another client "
                    "needs admin permission."
                )
        elif name != BUILT_IN and not context.user.is_lapsed:
            context.require(Level.READ_WRITE)
        has_waited = self._parts.app_ids.give_up((workspace, client_id, name))
        record = await self._parts.registering.remove(workspace, client_id, name)
        if record is None and has_waited:
            return
        if record is None:
            raise ServiceNotFound(f"Service not found: {service_id[:600]}")
        if not record.is_built_in:
            self._parts.hub.events.publish(workspace, "service_removed", record.to_info())

    @permission(Level.NONE, on="service", note="visibility of the service", by_lapsed=True)
    async def get_service(
        self,
        service_id: str,
        config: dict[str, Any] | None = None,
        mode: str | None = None,
        timeout: float | None = None,
        case_conversion: str | None = None,
        select_timeout: float | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Get a service, ready to be called.

        Args:
            service_id: `name`, `client:name`, `workspace/name` or `workspace/client:name`, each with
                `@app`; `~` is the workspace manager.
            config: Map of the options below.
            mode: Which of several: random, first, last, exact, min_load, native:random or
                `select:min:function` (also max, first_success).
            timeout: Seconds to wait for the provider (10).
            case_conversion: Rename functions to `camel` or `snake` case.
            select_timeout: Seconds to wait for each candidate of a `select:` mode (2).
        """
        given = {
            "mode": mode,
            "timeout": timeout,
            "case_conversion": case_conversion,
            "select_timeout": select_timeout,
        }
        options = LookupOptions.parse(config, given)
        return await self._parts.directory.get_service(service_id, context, options)

    @permission(
        Level.NONE, on="service", note="visibility of the service", by_lapsed=True, gives_bytes=MAX_INFO_BYTES
    )
    async def get_service_info(
        self,
        service_id: str,
        config: dict[str, Any] | None = None,
        mode: str | None = None,
        select_timeout: float | None = None,
        read_app_manifest: bool | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Get the description of a service, with the schema of its functions.

        Args:
            service_id: As in get_service.
            config: Map of the options below.
            mode: Which of several, as in get_service.
            select_timeout: Seconds to wait for each candidate of a `select:` mode (2).
            read_app_manifest: Accepted for compatibility.
        """
        options = LookupOptions.parse(config, {"mode": mode, "select_timeout": select_timeout})
        return await self._parts.directory.get_service_info(service_id, context, options)

    @permission(
        Level.NONE, on="service", note="none; shows what the caller may see", gives_bytes=LISTING_BYTES
    )
    async def list_services(
        self,
        query: str | dict[str, Any] | None = None,
        include_unlisted: bool = False,
        include_app_services: bool = False,
        prioritize_running_services: bool = False,
        offset: int = 0,
        limit: int | None = None,
        pagination: bool = False,
        *,
        context: Context,
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """List the services that the caller may see, in registration order.

        An answer has at most 10,000 of them and 4 MiB: large ones are given in brief, with `truncated`;
        get_service_info tells all of one.

        Args:
            query: Text (`workspace`, `workspace/name`, `client:name`, `*` for public ones everywhere)
                or map with workspace, client_id, service_id, type, app_id, visibility, docs (as they were
                registered). Default: all of the current workspace.
            include_unlisted: Also unlisted ones of a workspace that the caller may read.
            include_app_services: Also services of installed apps that are not running.
            prioritize_running_services: Running ones before those of apps.
            offset: Services to skip.
            limit: Most services (1 to 10000).
            pagination: Return `{items, total, offset, limit}`; items may be fewer than the limit.
        """
        options: Any = include_unlisted
        if isinstance(options, Mapping):  # an options map from JavaScript
            options = options.get("include_unlisted")
        found = await self._parts.listing.records(
            context, query, bool(options), running_only=not include_app_services
        )
        check_offset(offset)
        if limit is not None and (not is_whole(limit) or not 1 <= limit <= MAX_LISTED):
            raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_LISTED}.")
        most = MAX_LISTED if limit is None else limit
        items = await self._parts.listing.large_page(context, found, offset, most)
        if not pagination:
            return items
        return {"items": items, "total": len(found), "offset": offset, "limit": most}

    @permission(
        Level.NONE, on="service", note="none; shows what the caller may see", gives_bytes=LISTING_BYTES
    )
    async def search_services(
        self,
        query: str | None = None,
        filters: dict[str, Any] | None = None,
        limit: int = 5,
        offset: int = 0,
        return_fields: list[str] | None = None,
        order_by: str | None = None,
        pagination: bool = False,
        include_unlisted: bool = False,
        *,
        context: Context,
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """Search public services and those of the current workspace by words; best first.

        Args:
            query: Words to look for in names, types, descriptions, docs and functions.
            filters: Map of field (id, name, type, app_id, workspace, client_id, visibility,
                description) to the value, or list of values, that it must have.
            limit: Most results (1 to 1000).
            offset: Results to skip.
            return_fields: Fields of the results to return; `score` always comes.
            order_by: score, id, name, type, description or app_id; `-` before it reverses.
            pagination: Return `{items, total, offset, limit}`.
            include_unlisted: Also unlisted ones of the current workspace.
        """
        request = SearchRequest.parse(query, filters, limit, offset, return_fields, order_by)
        items, total = await self._parts.search.search(context, request, bool(include_unlisted))
        if not pagination:
            return items
        return {"items": items, "total": total, "offset": request.offset, "limit": request.limit}


def _parse_own_id(service_id: object, context: Context) -> tuple[str, str, str]:
    """Workspace, client and name of an id; what is missing is the caller's."""
    if not isinstance(service_id, str) or not service_id:
        raise InvalidAddress("Service id must be a non-empty string.")
    rest = service_id.partition("@")[0]
    workspace, slash, local = rest.partition("/")
    if not slash:
        workspace, local = context.workspace, rest
    client_id, colon, name = local.partition(":")
    if not colon:
        client_id, name = context.client_id, local
    return workspace, client_id, name
