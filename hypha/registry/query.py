"""`list_services`: what may be asked, and who sees what (docs/spec/manager.md#listing)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidAddress, InvalidRequest, PermissionDenied
from hypha.limits.crew import Crew
from hypha.registry.index import ServiceFilter
from hypha.registry.records import ServiceRecord
from hypha.registry.shown import MAX_LISTED, shown
from hypha.registry.sources import Sources
from hypha.values import unknown_keys

QUERY_KEYS = frozenset({"visibility", "workspace", "client_id", "service_id", "id", "type", "app_id", "docs"})
MAX_PART_CHARS = 512
_WORKSPACE = re.compile(r"[A-Za-z0-9\-_./|*]*")
_MARKS = re.compile(r"[\s\x00-\x1f\x7f!\"$'();<>?\[\\\]^`{}]")
"""Marks that are rare in names: who asks by them most likely means a pattern, of which there are none."""
EVERYWHERE = "*"
MANY = 500
"""More info maps than that are not made in one turn of the event loop."""


def parse_list_query(query: object, current_workspace: str) -> ServiceFilter:
    """Read the text or map form of a query; a missing workspace means the caller's own.

    In the result, workspace `*` stands for all workspaces, every other open part is None.
    A `*` inside a word is just a letter: nothing is ever matched by pattern. Names may be of any script.

    Raises:
        InvalidRequest: unknown keys, wrong types; InvalidAddress: both id keys, odd characters.
    """
    if query is None:
        return ServiceFilter(current_workspace)
    if isinstance(query, str):
        query = _parse_text(query, current_workspace)
    if not isinstance(query, Mapping):
        raise InvalidRequest("Service query must be text or a map.")
    if unknown := unknown_keys(query, QUERY_KEYS):
        raise InvalidRequest(f"Invalid query keys: {unknown}")
    if query.get("id") is not None and query.get("service_id") is not None:
        raise InvalidAddress("Service query must not have both 'id' and 'service_id'.")
    workspace = _part(query, "workspace", current_workspace) or current_workspace
    name = _part(query, "service_id") or _part(query, "id")
    return ServiceFilter(
        workspace,
        _part(query, "client_id"),
        name,
        _part(query, "type"),
        _part(query, "app_id"),
        _visibility(query),
        None if query.get("docs") in ("", EVERYWHERE) else query.get("docs"),
    )


def _parse_text(text: str, current_workspace: str) -> dict[str, str]:
    """Read `*`, `ws`, `ws/name`, `client:name`, `ws/client:name`, each with `@app`."""
    for mark in "/:@":
        if text.count(mark) > 1:
            raise InvalidAddress(f"Service query must contain at most one '{mark}', got {text[:200]!r}")
    rest, at, app_id = text.partition("@")
    parts = {"app_id": app_id} if at else {}
    workspace, slash, local = rest.partition("/")
    if not slash:
        if ":" not in rest:
            return {**parts, "workspace": rest}
        workspace, local = current_workspace, rest
    client_id, colon, name = local.partition(":")
    if not colon:
        client_id, name = "*", local
    return {**parts, "workspace": workspace, "client_id": client_id or "*", "service_id": name or "*"}


def _part(query: Mapping[str, Any], key: str, allowed: str | None = None) -> str | None:
    """One part of a query; `*` means open, except for the workspace, where it means all."""
    value = query.get(key)
    if value is None or value == "" or (value == "*" and key != "workspace"):
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"Service query '{key}' must be text.")
    is_workspace = key == "workspace" and value != allowed
    if len(value) > MAX_PART_CHARS or (is_workspace and not _WORKSPACE.fullmatch(value)):
        raise _odd(value)
    return value


def _odd(value: str) -> InvalidAddress:
    return InvalidAddress(f"Invalid characters in query part: {value[:200]}")


def _check_marks(wanted: ServiceFilter) -> None:
    """Refuse a query that found nothing and looks like a pattern."""
    for value in (wanted.name, wanted.client_id, wanted.type, wanted.app_id):
        if value is not None and _MARKS.search(value):
            raise _odd(value)


def _visibility(query: Mapping[str, Any]) -> str | None:
    value = _part(query, "visibility")
    if value not in (None, "public", "protected", "unlisted", "private"):
        raise InvalidRequest(f"Invalid visibility: {value!r}, must be public, protected or unlisted.")
    return "protected" if value == "private" else value


class Membership:
    """Which workspaces a caller may read; each is asked once, a listing asks for many records."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, bool] = {}

    def of(self, workspace: str) -> bool:
        """True if the caller may read the workspace."""
        is_member = self._known.get(workspace)
        if is_member is None:
            is_member = self._known[workspace] = self._context.level(workspace) >= Level.READ
        return is_member


class Listing:
    """Lists services, each caller seeing what it may."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._crew = Crew(1, "listings")

    async def infos(
        self, context: Context, query: object = None, include_unlisted: bool = False
    ) -> list[dict[str, Any]]:
        """The info maps of the matching services that the caller may see, in registration order."""
        return self.page(context, await self.records(context, query, include_unlisted))

    def page(
        self, context: Context, found: Sequence[ServiceRecord], offset: int = 0, limit: int = MAX_LISTED
    ) -> list[dict[str, Any]]:
        """The info maps of a part of what was found, bounded in size; see `shown`.

        Where not all can be shown, the services of the caller's own workspace come first.
        """
        return shown(_part_of(found, context, offset, limit), Membership(context).of)

    async def large_page(
        self, context: Context, found: Sequence[ServiceRecord], offset: int = 0, limit: int = MAX_LISTED
    ) -> list[dict[str, Any]]:
        """The same as `page`; the maps of many services are made in a thread, beside the event loop."""
        if len(found) <= MANY:
            return self.page(context, found, offset, limit)
        part = _part_of(found, context, offset, limit)
        membership = Membership(context)
        for record in part:  # asked for here: a thread must not look at what the loop changes
            membership.of(record.workspace)
        return await self._crew.work(partial(shown, part, membership.of))

    async def records(
        self,
        context: Context,
        query: object = None,
        include_unlisted: bool = False,
        *,
        running_only: bool = True,
    ) -> list[ServiceRecord]:
        """The records behind `infos`; those of services that are not running come after the others.

        Raises:
            InvalidAddress: protected or unlisted services of all workspaces are asked for; nothing was
                found by a part with marks of patterns.
            PermissionDenied: unlisted services of a foreign workspace are asked for.
        """
        wanted = parse_list_query(query, context.workspace)
        found = await self._found(context, wanted, include_unlisted, running_only)
        if not found:
            _check_marks(wanted)
        return found

    async def _found(
        self, context: Context, wanted: ServiceFilter, include_unlisted: bool, running_only: bool
    ) -> list[ServiceRecord]:
        if wanted.workspace == EVERYWHERE:
            return await self._everywhere(context, wanted, include_unlisted, running_only)
        include_unlisted = include_unlisted or wanted.visibility == "unlisted"
        if include_unlisted and context.level(wanted.workspace) < Level.READ:
            raise PermissionDenied(
                f"Cannot include unlisted services from workspace {wanted.workspace}. "
                "Permission denied: you can only include those of workspaces that you may read."
            )
        is_member = context.level(wanted.workspace or context.workspace) >= Level.READ
        found = await self._sources.find(wanted, running_only=running_only)
        return [
            record for record in found if record.is_listed(is_member, context.workspace, include_unlisted)
        ]

    async def _everywhere(
        self, context: Context, wanted: ServiceFilter, include_unlisted: bool, running_only: bool
    ) -> list[ServiceRecord]:
        """Public services of all workspaces, and everything listed in the caller's own."""
        if wanted.visibility in ("protected", "unlisted"):
            raise InvalidAddress("Cannot list protected or unlisted services in all workspaces.")
        if include_unlisted:
            raise PermissionDenied(
                "Cannot include unlisted services from workspace *. "
                "Permission denied: name one workspace that you may read."
            )
        public = await self._sources.find(_within(wanted, None), running_only=running_only)
        own = await self._sources.find(_within(wanted, context.workspace), running_only=running_only)
        found = [record for record in public if record.workspace != context.workspace]
        found += [record for record in own if record.is_listed_for(context)]
        found.sort(key=lambda record: (not record.is_running, record.order))
        return found


def _part_of(
    found: Sequence[ServiceRecord], context: Context, offset: int, limit: int
) -> Sequence[ServiceRecord]:
    if len(found) > limit:
        own = [record for record in found if record.workspace == context.workspace]
        found = [*own, *(record for record in found if record.workspace != context.workspace)]
    return found[offset : offset + limit]


def _within(wanted: ServiceFilter, workspace: str | None) -> ServiceFilter:
    return replace(wanted, workspace=workspace)
