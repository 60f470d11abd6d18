"""The life of workspaces: opened on demand, visited, left, unloaded (docs/spec/manager.md#life).

A workspace that isn't persistent is written only when something is set in it, so an anonymous
user's coming and going never touches the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from hypha.addresses import check_workspace_id
from hypha.auth.scopes import Level
from hypha.auth.tokens import REVOKED_TEXT
from hypha.auth.users import User
from hypha.background import Background
from hypha.errors import InvalidAddress, NotAuthenticated, WorkspaceNotFound
from hypha.locks import NamedLocks
from hypha.store import Store
from hypha.store.records import WorkspaceRecord
from hypha.store.usage import Allowance
from hypha.workspaces import records
from hypha.workspaces.endings import Endings
from hypha.workspaces.quotas import Quotas
from hypha.workspaces.residents import CallLater, Resident, Residents

Publish = Callable[[str, str, dict[str, Any]], None]
EndTokens = Callable[[Mapping[str, float]], None]


class WorkspaceSettings(Protocol):
    """The settings that concern workspaces."""

    @property
    def workspace_unload_grace_period_s(self) -> float:
        """Wait between a workspace's last disconnect and its unloading."""

    @property
    def resume_window_s(self) -> float:
        """How long clients have to come back after a start."""

    @property
    def max_workspaces_per_user(self) -> int:
        """Workspaces that one user may have created."""

    @property
    def enable_s3_for_anonymous_users(self) -> bool:
        """Whether anonymous workspaces may store files."""


def _loop_call_later(delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay_s, call)


class Workspaces:
    """All workspaces of the deployment; those in use are in memory.

    Args:
        publish: sends an event `(workspace, type, data)` to those who subscribed.
        end_tokens: called with the fingerprints of tokens that ended with their workspace.
        has_ended: whether the token with which a user acts was revoked.
        quotas: how much a workspace may keep; None: as much as it likes.
        call_later, clock: the event loop's timers and a monotonic clock, or a test's.

    `endings` tells whoever follows it of each workspace that ends.
    """

    def __init__(
        self,
        store: Store,
        settings: WorkspaceSettings,
        *,
        publish: Publish = lambda *_: None,
        end_tokens: EndTokens = lambda _: None,
        has_ended: Callable[[User], bool] = lambda _: False,
        quotas: Quotas | None = None,
        call_later: CallLater = _loop_call_later,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._publish = publish
        self._end_tokens = end_tokens
        self._has_ended = has_ended
        self._quotas = quotas
        self.endings = Endings()
        self._call_later = call_later
        self.residents = Residents(self._leave, settings.workspace_unload_grace_period_s, call_later, clock)
        self.has_clients: Callable[[str], Awaitable[bool]] | None = None
        """Whether anybody is in a workspace at any replica; None for a server that is alone."""
        self._locks = NamedLocks()
        self._background = Background()
        self._left_over: set[str] = set()
        self._untold: set[str] = set()
        self._is_telling = False
        self._stopping = False

    # -- start and stop --------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the system's workspaces; let the temporary ones of the last run wait for their users."""
        for record in records.system_records():
            stored = await self._store.workspaces.get(record.id)
            self.residents.add(stored or record, is_stored=stored is not None, is_fixed=True)
        self._left_over = set(await self._store.workspaces.adopt())
        if self._left_over:
            self._call_later(self._settings.resume_window_s, self._forget)

    async def stop(self) -> None:
        """Unload nothing from now on: who is here now may come back after a restart."""
        self._stopping = True
        self.residents.cancel_all()
        await self._background.settled()

    def _forget(self) -> None:
        """The window for coming back after a start is over."""
        left_over, self._left_over = self._left_over, set()
        for workspace in left_over:
            if not self._stopping:
                self._background.start(self._remove_temporary(workspace), f"removal of {workspace}")

    # -- looking up ------------------------------------------------------------------------------

    def get(self, workspace: str) -> WorkspaceRecord | None:
        """The record of a workspace in memory, or None."""
        resident = self.residents.get(workspace)
        return None if resident is None else resident.record

    async def load(self, workspace: str) -> WorkspaceRecord | None:
        """The record of a workspace, read from the database if need be, or None."""
        resident = await self._find(workspace)
        if resident is None:
            return None
        self.residents.look_at(resident)
        return resident.record

    async def require(self, workspace: str) -> WorkspaceRecord:
        """The record of a workspace; raise WorkspaceNotFound if there is none."""
        record = await self.load(workspace)
        if record is None:
            raise WorkspaceNotFound(f"Workspace ({str(workspace)[:200]}) not found")
        return record

    async def is_still(self, record: WorkspaceRecord) -> bool:
        """Whether a workspace is the one whose record was read: it has not ended, nor been made anew.

        Waits for an ending that has begun. A personal one may be made again, for its person alone.
        """
        if record.id.startswith(records.PERSONAL_PREFIX):
            return True
        async with self.locked(record.id):
            resident = await self.find_stored(record.id)
        if resident is None:
            return False
        self.residents.look_at(resident)
        return resident.record.created_at == record.created_at

    async def _find(self, workspace: str) -> Resident | None:
        resident = self.residents.get(workspace)
        if resident is not None:
            return resident
        try:
            check_workspace_id(workspace)
        except InvalidAddress:
            return None
        async with self.locked(workspace):
            return await self.find_stored(workspace)

    async def find_stored(self, workspace: str) -> Resident | None:
        """The resident, loaded if need be; the caller holds the workspace's lock."""
        resident = self.residents.get(workspace)
        if resident is None:
            record = await self._store.workspaces.get(workspace)
            if record is not None:
                resident = self.residents.add(record, is_stored=True)
            elif self.has_clients is not None and await self.has_clients(workspace):
                resident = self._known_elsewhere(workspace)
        return resident

    def _known_elsewhere(self, workspace: str) -> Resident | None:
        """A personal workspace that is in the memory of another replica, and in no database."""
        name = workspace.removeprefix(records.PERSONAL_PREFIX)
        if name == workspace or not name.startswith("anonymouz-"):
            return None
        return self._create_personal(User(name, ("anonymous",), True))

    async def describe(self, record: WorkspaceRecord) -> dict[str, Any]:
        """Workspace info with service types and bookmarks; never the environment."""
        resident = self.residents.get(record.id)
        if resident is not None and not resident.is_stored:
            return records.to_info(record)
        return records.to_full_info(
            record,
            await self._store.service_types.all(record.id),
            await self._store.bookmarks.all(record.id),
        )

    def allowance(self, record: WorkspaceRecord, kind: str) -> Allowance | None:
        """How much more of a kind may be kept in a workspace; None for no bound."""
        return None if self._quotas is None else self._quotas.of(record, kind)

    async def kept(self, workspace: str) -> dict[str, Any]:
        """How much of each kind a workspace keeps and may keep, for people to see."""
        record = await self.load(workspace)
        if record is None or self._quotas is None:
            return {}
        return self._quotas.limits(record, await self._store.usage.of(workspace))

    # -- rights ----------------------------------------------------------------------------------

    def level_for(self, user: User, record: WorkspaceRecord) -> Level:
        """What a user may do in a workspace: by role, token or ownership."""
        return records.level_for(user, record)

    async def level_in(self, user: User, workspace: str) -> Level:
        """The same for a workspace id, which need not exist (a user's own may be yet to come)."""
        if user.is_admin:
            return Level.ADMIN
        record = await self.load(workspace)
        return records.level_for(user, record or WorkspaceRecord(workspace))

    async def owner_level(self, user_id: str | None, workspace: str) -> Level:
        """ADMIN if the user of that id owns the workspace, else NONE."""
        if not user_id:
            return Level.NONE
        record = await self.load(workspace)
        owners = record.owners if record is not None else ()
        is_own = workspace == records.PERSONAL_PREFIX + user_id
        return Level.ADMIN if is_own or user_id in owners else Level.NONE

    # -- opening ---------------------------------------------------------------------------------

    def open_new(self, user: User) -> WorkspaceRecord:
        """The own workspace of a user who was made this moment; touches no database."""
        return self._arrive(self._create_personal(user), user)

    async def open(self, workspace: str, user: User, *, returning: bool = False) -> WorkspaceRecord:
        """The workspace in which a client is about to join; a user's own is created on demand.

        Whether the user may join is for the caller to check. With `returning` the user's token shows
        that it was in the workspace before the server restarted: a personal one is made again, even
        for a descendant of its person.

        Raises:
            WorkspaceNotFound: there is none, and it isn't the user's own.
        """
        resident = self.residents.get(workspace) or await self._open_stored(workspace, user, returning)
        return self._arrive(resident, user)

    async def _open_stored(self, workspace: str, user: User, returning: bool) -> Resident:
        try:
            check_workspace_id(workspace)
        except InvalidAddress:
            raise _not_accessible(workspace) from None
        async with self.locked(workspace):
            return await self._open_locked(workspace, user, returning)

    async def _open_locked(self, workspace: str, user: User, returning: bool) -> Resident:
        resident = self.residents.get(workspace)
        if resident is not None:
            return resident
        resident = await self.find_stored(workspace)
        if resident is None:
            person = _person_of(workspace, user, returning)
            if person is None:
                raise _not_accessible(workspace)
            resident = self._create_personal(person)
            if resident.record.persistent:
                await self._store.workspaces.ensure(resident.record)
                resident.is_stored = True
        self._publish(user.own_workspace, "workspace_loaded", records.to_info(resident.record))
        return resident

    def _create_personal(self, user: User) -> Resident:
        anonymous_storage = self._settings.enable_s3_for_anonymous_users
        record = records.personal_record(user, anonymous_storage=anonymous_storage)
        return self.residents.add(record, is_stored=False)

    def _arrive(self, resident: Resident, user: User) -> WorkspaceRecord:
        self.residents.expect(resident)
        return resident.record

    @contextlib.asynccontextmanager
    async def changing(self, workspace: str, user: User) -> AsyncIterator[Resident]:
        """Hold a workspace while something is set in it; from then on the database has a row of it.

        It cannot be unloaded or deleted meanwhile. A user's own is created on demand.

        Raises:
            WorkspaceNotFound: there is none.
            NotAuthenticated: the user's token was revoked while others held the workspace.
        """
        async with self.locked(workspace):
            self.check_token(user)
            resident = await self._open_locked(workspace, user, False)
            resident.is_stored = True
            yield resident
        self.residents.look_at(resident)

    @contextlib.asynccontextmanager
    async def making(self, record: WorkspaceRecord, user: User) -> AsyncIterator[None]:
        """Hold a workspace that comes into being or is put in place of another, and its person's own one.

        So nobody takes the person's workspaces away meanwhile (`Held.changing`).

        Raises:
            NotAuthenticated: the user's token was revoked while others held them.
        """
        own = records.PERSONAL_PREFIX + (record.created_by or user.id)
        async with self.all_locked({own, record.id}):
            self.check_token(user)
            yield

    @contextlib.asynccontextmanager
    async def all_locked(self, workspaces: Iterable[str]) -> AsyncIterator[None]:
        """Hold several, always in the same order, so that nobody waits for each other."""
        async with contextlib.AsyncExitStack() as locks:
            for workspace in sorted(workspaces):
                await locks.enter_async_context(self.locked(workspace))
            yield

    def check_token(self, user: User) -> None:
        """Raise NotAuthenticated if the token with which a user acts was revoked since."""
        if self._has_ended(user):
            raise NotAuthenticated(REVOKED_TEXT)

    def locked(self, workspace: str) -> AbstractAsyncContextManager[None]:
        """Hold the lock under which a workspace comes into being and ends."""
        return self._locks.held(workspace)

    def begin(self, record: WorkspaceRecord, existing: Resident | None = None) -> None:
        """Take in a workspace that was created, or put in place of an existing one.

        Whatever was to end of the one before, it waits for its first client. The caller holds its lock.
        """
        self._left_over.discard(record.id)
        if existing is None:
            existing = self.residents.add(record, is_stored=True)
        else:
            self.residents.renew(existing, record)
        self.residents.look_at(existing)

    # -- coming and going ------------------------------------------------------------------------

    def client_joined(self, workspace: str) -> None:
        """Count a client in."""
        self.residents.joined(workspace)

    def client_left(self, workspace: str) -> None:
        """Count a client out; the workspace may be unloaded."""
        self.residents.left(workspace)

    def _leave(self, resident: Resident) -> None:
        """Nobody is in a workspace: drop it from memory; a temporary one ends for good.

        One that was created and never visited stays in the database for its first client.
        """
        if self._stopping:
            return
        record = resident.record
        had_its_time = record.id not in self._left_over and record.id.startswith(records.PERSONAL_PREFIX)
        if resident.is_stored and not record.persistent and (resident.was_visited or had_its_time):
            removal = self._remove_temporary(record.id, record)
            if not self._background.start(removal, f"removal of {record.id}"):
                self.residents.look_at(resident)  # later, when less is to be removed
            return
        self.residents.remove(resident)
        self._publish(record.id, "workspace_unloaded", records.to_info(record))
        if not resident.is_stored:
            self._untold.add(record.id)
            if not self._is_telling:
                self._is_telling = self._background.start(self._tell_untold(), "the end of workspaces")

    async def _tell_untold(self) -> None:
        """Tell of workspaces that were in memory alone; one task for all, however many end at once."""
        try:
            while self._untold:
                workspace = self._untold.pop()
                async with self.locked(workspace):
                    if self.residents.get(workspace) is None:  # else its person is back already
                        await self.endings.tell(workspace, was_stored=False)
        finally:
            self._is_telling = False

    async def _remove_temporary(self, workspace: str, left: WorkspaceRecord | None = None) -> bool:
        """Delete a workspace that isn't persistent, unless somebody has come.

        Nothing changes if another replica answers for it.

        `left` is the record of the workspace that is to end: one that was overwritten, or made anew under
        its id, before its turn came is another workspace and stays. None: nothing of it was in memory.

        The tokens for it end, or they would be good for somebody else's workspace of the same id;
        those for a personal one stay, which nobody but its person can make again.
        """
        async with self.locked(workspace):
            resident = self.residents.get(workspace)
            if resident is not None:
                is_another = left is not None and resident.record is not left
                if is_another or resident.record.persistent or not self.residents.is_deserted(resident):
                    return False
                self.residents.remove(resident)
            is_personal = workspace.startswith(records.PERSONAL_PREFIX)
            ended = await self._store.workspaces.end(workspace, with_tokens=not is_personal)
            if ended is None:
                return False
            self._end_tokens(ended)
            await self.endings.tell(workspace)
        gone = {"id": workspace} if resident is None else records.to_info(resident.record)
        self._publish(workspace, "workspace_unloaded", gone)
        return True

    async def reread(self, workspace: str) -> None:
        """Another replica may have changed or deleted a workspace: take what the database has of it."""
        async with self.locked(workspace):
            resident = self.residents.get(workspace)
            if resident is None or not resident.is_stored:
                return
            record = await self._store.workspaces.get(workspace)
            if record is not None:
                resident.record = record
            elif not resident.is_fixed:
                self.residents.remove(resident)

    async def unload(self, workspace: str) -> bool:
        """Drop a workspace that nobody is in from memory; a temporary one ends. True if it is gone."""
        resident = self.residents.get(workspace)
        if resident is None:
            return True
        if not self.residents.is_deserted(resident):
            return False
        if not resident.record.persistent and resident.is_stored:
            return await self._remove_temporary(workspace, resident.record)
        self._leave(resident)
        return True

    async def remove_if_empty(self, workspace: str) -> bool:
        """Delete a workspace that isn't persistent if nobody is in it; True if it was."""
        record = await self.load(workspace)
        return (
            record is not None and not record.persistent and await self._remove_temporary(workspace, record)
        )


def _not_accessible(workspace: str) -> WorkspaceNotFound:
    return WorkspaceNotFound(f"Workspace {workspace[:200]} does not exist or is not accessible")


def _person_of(workspace: str, user: User, returning: bool) -> User | None:
    """For whom a missing workspace may be made: the user, or the person from whom it descends."""
    if workspace == user.own_workspace:
        return user
    name = workspace.removeprefix(records.PERSONAL_PREFIX)
    if name == workspace or not name:
        return None
    is_anonymous = name.startswith("anonymouz-")
    descends = user.parent == name and workspace in user.scope.workspaces and not is_anonymous
    if descends or returning:
        return User(name, ("anonymous",) if is_anonymous else (), is_anonymous)
    return None
