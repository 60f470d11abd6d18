"""Workspaces of an account whose address was proven after it had made them: kept or dropped by its person."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from hypha.errors import NotFound
from hypha.features.accounts.held_records import HeldWorkspaces, Taken
from hypha.store.workspaces import Workspaces as StoredWorkspaces
from hypha.workspaces import records
from hypha.workspaces.lifecycle import Workspaces


@dataclass(frozen=True, slots=True)
class Held:
    """Takes workspaces from an account, and gives them back to its person.

    `on_taken` is called with the id of a workspace whose clients must go, `on_changed` with that of one
    whose owners are others now.
    """

    workspaces: Workspaces
    stored: StoredWorkspaces
    records: HeldWorkspaces
    on_taken: Callable[[str], None] = lambda _: None
    on_changed: Callable[[str], None] = lambda _: None

    @contextlib.asynccontextmanager
    async def changing(self, account_id: str) -> AsyncIterator[None]:
        """Hold the workspaces of an account still while they are taken from it in the store.

        Its own one is held also where it is not in the store yet: what is made for the account
        meanwhile waits for it (`Workspaces.making`).
        """
        touched = await self.records.touched_by(account_id)
        async with self.workspaces.all_locked({*touched, records.PERSONAL_PREFIX + account_id}):
            yield

    async def apply(self, taken: Taken) -> None:
        """Follow the store: send the clients of what was taken away, note who owns what others have.

        Call it inside `changing`.
        """
        self._forget(taken.workspaces)
        for workspace in taken.deleted:
            await self.workspaces.endings.tell(workspace)
        residents = self.workspaces.residents
        for workspace in taken.left:
            resident, record = residents.get(workspace), await self.stored.get(workspace)
            if resident is not None and record is not None:
                resident.record = record
                residents.look_at(resident)
                self.on_changed(workspace)

    def _forget(self, workspaces: list[str]) -> None:
        for workspace in workspaces:
            resident = self.workspaces.residents.get(workspace)
            if resident is not None:
                self.workspaces.residents.remove(resident)
        for workspace in workspaces:
            self.on_taken(workspace)

    async def list(self, account_id: str) -> list[dict[str, Any]]:
        """What waits for the person of an account."""
        return [
            {
                "id": found.workspace,
                "name": found.name,
                "description": found.description,
                "owners_before": list(found.owners),
                "held_at": found.held_at,
            }
            for found in await self.records.list(account_id)
        ]

    async def settle(self, account_id: str, workspace: object, *, keep: bool) -> None:
        """Give one to its person, as the only owner, or delete it.

        Raises:
            NotFound: it does not wait for this person.
        """
        name = workspace if isinstance(workspace, str) else ""
        change = self.records.keep if keep else self.records.drop
        async with self.workspaces.locked(name[:128]):
            if not name or not await change(account_id, name):
                raise NotFound(f"No workspace of that id waits for you: {name[:128]}")
            self._forget([name])
            if not keep:
                await self.workspaces.endings.tell(name)
