"""Creating, listing and deleting workspaces on a user's behalf (docs/spec/manager.md#workspaces)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context, User
from hypha.errors import AlreadyExists, InvalidRequest, PermissionDenied, QuotaExceeded, WorkspaceNotFound
from hypha.store import Bookmark, Store
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Kind
from hypha.store.workspaces import MATCHABLE
from hypha.values import check_offset, is_whole
from hypha.workspaces import records
from hypha.workspaces.lifecycle import Publish, Workspaces
from hypha.workspaces.residents import Resident

MAX_LISTED = 256
MAX_MATCHED = 20
MAX_MATCHED_CHARS = 1024
"""What may be looked for in one listing: each value makes the question to the database longer."""
_CHANGEABLE = ("name", "description", "persistent", "read_only", "icon", "covers", "docs")


class Catalogue:
    """The workspaces that exist, as a user sees and changes them.

    Args:
        max_per_user: how many workspaces one person may have made.
        publish: sends an event `(workspace, type, data)` to those who subscribed.
        on_deleted: called with the id of a workspace that was deleted, or taken, under its clients.
        on_changed: called with the id of a workspace whose owners may be others now.
        on_overwritten: called with the id of a workspace whose clients must go, and the address of the one
            that may stay.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        store: Store,
        max_per_user: int,
        publish: Publish,
        on_deleted: Callable[[str], None] = lambda _: None,
        on_changed: Callable[[str], None] = lambda _: None,
        on_overwritten: Callable[[str, str], None] = lambda workspace, stays: None,
    ) -> None:
        self.on_overwritten = on_overwritten
        self.on_deleted = on_deleted
        self.on_changed = on_changed
        self._workspaces = workspaces
        self._store = store
        self._max_per_user = max_per_user
        self._publish = publish
        self._words: frozenset[str] = frozenset()

    def keep_free(self, words: Iterable[str]) -> None:
        """Let nobody make a workspace of one of these names: something else is at their addresses."""
        self._words = frozenset(words)

    async def create(self, config: object, context: Context, *, overwrite: bool = False) -> dict[str, Any]:
        """Create a workspace and bookmark it for its creator; return its info.

        Raises:
            PermissionDenied, InvalidRequest, AlreadyExists, QuotaExceeded: docs/spec/manager.md#error-texts.
        """
        user = context.user
        if user.is_anonymous:
            raise PermissionDenied(
                "Only registered user can create workspace. Permission denied: please log in first."
            )
        if context.level() < Level.READ_WRITE:
            raise PermissionDenied(
                f"Permission denied for workspace {context.workspace}: your token may only read."
            )
        record = records.new_record(config, user)
        if not user.reaches(record.id):
            user.require_unlimited("creating workspaces")
        async with self._workspaces.making(record, user):
            existing = await self._workspaces.find_stored(record.id)
            if existing is not None:
                await self._overwrite(existing, record, context, overwrite)
            else:
                await self._add(record, user)
        await self._bookmark(record, user)
        info = records.to_info(record)
        self._publish(user.own_workspace, "workspace_loaded", info)
        for place in {record.id, user.own_workspace}:
            self._publish(place, "workspace_status_changed", {"workspace": record.id, "status": "ready"})
            self._publish(place, "workspace_ready", info)
        return records.to_info(record, {"ready": False, "status": "loading"})

    async def _add(self, record: WorkspaceRecord, user: User) -> None:
        self._check_not_reserved(record.id, user)
        quota = None if user.is_admin else self._max_per_user
        owned = await self._store.workspaces.create(record, quota=quota)
        if owned is not None:
            raise QuotaExceeded(
                f"Workspace quota exceeded: user {record.created_by} already owns {owned} workspaces "
                f"(max {quota}). Delete one first."
            )
        self._workspaces.begin(record)

    def _check_not_reserved(self, workspace: str, user: User) -> None:
        if workspace in records.RESERVED_IDS:
            raise PermissionDenied(f"Permission denied: workspace {workspace} belongs to the server.")
        if workspace in self._words:
            raise PermissionDenied(
                f"Permission denied: {workspace} is reserved, for the server itself answers at /{workspace}; "
                "choose another id."
            )
        if workspace.startswith(records.PERSONAL_PREFIX) and workspace != user.own_workspace:
            raise PermissionDenied(
                f"Permission denied: {workspace} is reserved for the user of that name; choose an id that "
                f"does not begin with '{records.PERSONAL_PREFIX}'."
            )

    async def _overwrite(
        self, existing: Resident, record: WorkspaceRecord, context: Context, overwrite: bool
    ) -> None:
        """Give a workspace other settings: its clients and services end, but the client that asks for it.

        What is set in it stays (environment, types, bookmarks), and so do the tokens for it: who has one
        may come back.
        """
        user = context.user
        if not overwrite:
            raise AlreadyExists(f"Workspace already exists: {record.id}")
        if existing.is_fixed or records.level_for(user, existing.record) < Level.ADMIN:
            raise PermissionDenied(
                f"Permission denied: user {user.id} cannot overwrite workspace {record.id}"
            )
        if not existing.is_stored:
            await self._store.workspaces.ensure(existing.record)
            existing.is_stored = True
        fields = {name: getattr(record, name) for name in _CHANGEABLE}
        fields["config"] = dict(record.config)
        await self._store.workspaces.update(record.id, fields, record.owners)
        old = existing.record
        anew = replace(record, created_by=old.created_by, created_at=old.created_at)
        self._workspaces.begin(anew, existing)
        self._publish(record.id, "workspace_changed", records.to_info(anew))
        self.on_changed(record.id)
        self.on_overwritten(record.id, context.address)

    async def _bookmark(self, record: WorkspaceRecord, user: User) -> None:
        if user.parent is not None or record.id == user.own_workspace or not user.reaches(user.own_workspace):
            return
        bookmark = Bookmark("workspace", record.id, record.name, record.description)
        async with self._workspaces.changing(user.own_workspace, user) as own:
            allowance = self._workspaces.allowance(own.record, Kind.BOOKMARKS)
            with contextlib.suppress(QuotaExceeded):  # the workspace is there all the same
                await self._store.bookmarks.put(own.record, bookmark, time.time(), allowance)

    async def delete(self, workspace: str, context: Context) -> dict[str, float]:
        """Delete a workspace with everything in it; its clients are told through `on_deleted`.

        Returns the fingerprints of the tokens that ended with it, for `Revocations.apply`.

        Raises:
            WorkspaceNotFound, PermissionDenied: docs/spec/manager.md#error-texts.
        """
        record = await self._workspaces.load(workspace)
        if record is None:
            raise WorkspaceNotFound(f"Workspace not found: {str(workspace)[:200]}")
        if workspace in records.RESERVED_IDS or records.level_for(context.user, record) < Level.ADMIN:
            raise PermissionDenied(f"Permission denied for workspace {workspace}")
        async with self._workspaces.locked(workspace):
            ended = await self._store.workspaces.delete_with_tokens(workspace)
            resident = self._workspaces.residents.get(workspace)
            if resident is not None:
                self._workspaces.residents.remove(resident)
            await self._workspaces.endings.tell(workspace)
        info = records.to_info(record, "deleted")
        for place in {workspace, context.user.own_workspace}:
            self._publish(place, "workspace_deleted", info)
        self.on_deleted(workspace)
        return ended

    async def visible_to(
        self, user: User, match: object = None, offset: object = 0, limit: object = MAX_LISTED
    ) -> list[WorkspaceRecord]:
        """The workspaces that a user may read or owns, those only in memory first.

        Raises:
            InvalidRequest: wrong range or unknown field.
        """
        first, most = _range(offset, limit)
        fields = _match(match)
        rights = [name for name, level in user.scope.workspaces.items() if level]
        sees_all = user.level("*") >= Level.READ
        named = [*rights, *([user.own_workspace] if user.reaches(user.own_workspace) else [])]
        fleeting = self._fleeting(None if sees_all else named, fields)
        shown = fleeting[first : first + most]
        if len(shown) < most:
            owners = []
            if user.limit is None:
                owners = [user.id, *([user.email] if user.email and user.parent is None else [])]
            shown += await self._store.workspaces.list(
                owners=None if sees_all else owners,
                ids=named,
                match=fields,
                offset=max(first - len(fleeting), 0),
                limit=most - len(shown),
            )
        return shown

    def _fleeting(self, names: list[str] | None, fields: Mapping[str, Any]) -> list[WorkspaceRecord]:
        """Workspaces that are in memory only, in the order of their ids; `names` None: all."""
        residents = self._workspaces.residents
        found = residents if names is None else [residents.get(name) for name in dict.fromkeys(names)]
        unwritten = [resident.record for resident in found if resident and not resident.is_stored]
        return sorted((record for record in unwritten if _fits(record, fields)), key=lambda record: record.id)


def _range(offset: object, limit: object) -> tuple[int, int]:
    if not is_whole(limit) or not 0 < limit <= MAX_LISTED:
        raise InvalidRequest(f"Limit must be greater than 0 and less than {MAX_LISTED}")
    return check_offset(offset), limit


def _match(match: object) -> Mapping[str, Any]:
    if match is None:
        return {}
    if not isinstance(match, Mapping) or not set(match) <= {*MATCHABLE, "owners"}:
        names = ", ".join((*MATCHABLE, "owners"))
        raise InvalidRequest(f"'match' must be an object with some of {names}.")
    owners = match.get("owners")
    values = [*(owners if isinstance(owners, list | tuple) else [owners])]
    values += [value for name, value in match.items() if name != "owners"]
    if len(values) > MAX_MATCHED or not all(map(_is_short, values)):
        raise InvalidRequest(
            f"'match' takes plain values, {MAX_MATCHED} at most, none above {MAX_MATCHED_CHARS} characters."
        )
    return match


def _is_short(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and len(str(value)) <= MAX_MATCHED_CHARS)


def _fits(record: WorkspaceRecord, fields: Mapping[str, Any]) -> bool:
    for name, value in fields.items():
        if name == "owners":
            wanted = value if isinstance(value, list | tuple) else [value]
            if not set(map(str, wanted)) <= set(record.owners):
                return False
        elif getattr(record, name) != value:
            return False
    return True
