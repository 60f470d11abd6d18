"""Workspaces that an account made before its e-mail address was proven.

They have no owner until the person who proved the address keeps them, and no token is good for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hypha.features.accounts.tables import HeldWorkspace
from hypha.store.issued_tokens import end_tokens_for
from hypha.store.records import WorkspaceRecord
from hypha.store.repository import Repository, upsert
from hypha.store.tables import Workspace, WorkspaceOwner
from hypha.store.workspaces import delete_workspaces, write_owners


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """One of them; `owners` had it before, `held_at` is Unix time."""

    workspace: str
    name: str
    description: str
    owners: tuple[str, ...]
    held_at: float


@dataclass(slots=True)
class Taken:
    """What was taken from an account: tokens as `end_tokens_for`, workspaces, and its place in others'.

    `deleted` are those of the workspaces that are gone for good.
    """

    ended: dict[str, float] = field(default_factory=dict)
    workspaces: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class HeldWorkspaces(Repository):
    """One row per workspace that waits."""

    async def touched_by(self, account_id: str) -> list[str]:
        """The workspaces that `hold_workspaces` would change."""
        async with self._connections.reading() as connection:
            return list((await connection.execute(select(Workspace.id).where(_of(account_id)))).scalars())

    async def list(self, account_id: str) -> list[HeldRecord]:
        """What waits for the person of an account, in the order of the ids."""
        statement = (
            select(
                HeldWorkspace.workspace,
                Workspace.name,
                Workspace.description,
                HeldWorkspace.owners,
                HeldWorkspace.held_at,
            )
            .join(Workspace, Workspace.id == HeldWorkspace.workspace)
            .where(HeldWorkspace.account == account_id)
            .order_by(HeldWorkspace.workspace)
        )
        async with self._connections.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [HeldRecord(row[0], row[1], row[2], tuple(row[3]), row[4]) for row in rows]

    async def keep(self, account_id: str, workspace: str) -> bool:
        """Make the person of an account its only owner; False if it doesn't wait for them."""
        async with self._connections.writing() as connection:
            if not await _release(connection, account_id, workspace):
                return False
            await write_owners(connection, WorkspaceRecord(workspace, owners=(account_id,)))
            return True

    async def drop(self, account_id: str, workspace: str) -> bool:
        """Delete it with everything in it; False if it doesn't wait for them."""
        async with self._connections.writing() as connection:
            if not await _release(connection, account_id, workspace):
                return False
            await delete_workspaces(connection, [workspace])
            return True


async def hold_workspaces(
    connection: AsyncConnection,
    account_id: str,
    now: float,
    until: float,
    *,
    keeps_own: bool = False,
    keep: str | None = None,
) -> Taken:
    """Take from an account what it made and where it belongs; in the caller's transaction.

    What it made loses its owners and waits, or is deleted if it isn't persistent. In what others made it
    is an owner no more. Its own workspace is deleted, or with `keeps_own` loses its other owners.
    All tokens for these workspaces end, whoever made them, but that of fingerprint `keep`; they are to be
    known as revoked `until` then.
    """
    taken = Taken()
    rows = (
        await connection.execute(
            select(Workspace.id, Workspace.created_by, Workspace.persistent).where(_of(account_id))
        )
    ).all()
    for workspace, created_by, persistent in rows:
        owners = await _owners(connection, workspace)
        is_own = workspace == _own(account_id)
        if not is_own and created_by != account_id and set(owners) != {account_id}:
            left = tuple(owner for owner in owners if owner != account_id)
            await _set_owners(connection, workspace, left)
            taken.left.append(workspace)
            continue
        taken.workspaces.append(workspace)
        taken.ended |= await end_tokens_for(connection, workspace, until=until, sessions_too=True, keep=keep)
        if is_own and keeps_own:
            await _make_anew(connection, workspace, (account_id,), now)
        elif is_own or not persistent:
            await delete_workspaces(connection, [workspace])
            taken.deleted.append(workspace)
        else:
            await _hold(connection, account_id, workspace, owners, now)
    return taken


async def _hold(
    connection: AsyncConnection, account_id: str, workspace: str, owners: Sequence[str], now: float
) -> None:
    """Let it wait for the person of the account."""
    await _make_anew(connection, workspace, (), now)
    others = [owner for owner in owners if owner != account_id]
    row = {"workspace": workspace, "account": account_id, "owners": others, "held_at": now}
    await upsert(connection, HeldWorkspace, row, ("workspace",))


async def _make_anew(
    connection: AsyncConnection, workspace: str, owners: tuple[str, ...], now: float
) -> None:
    """Change its owners, and its time, or those who were in it before could come back."""
    await _set_owners(connection, workspace, owners)
    await connection.execute(update(Workspace).where(Workspace.id == workspace).values(created_at=now))


async def _release(connection: AsyncConnection, account_id: str, workspace: str) -> bool:
    result = await connection.execute(
        delete(HeldWorkspace).where(HeldWorkspace.workspace == workspace, HeldWorkspace.account == account_id)
    )
    return bool(result.rowcount == 1)


async def _owners(connection: AsyncConnection, workspace: str) -> list[str]:
    statement = select(WorkspaceOwner.owner).where(WorkspaceOwner.workspace == workspace)
    return list((await connection.execute(statement.order_by(WorkspaceOwner.position))).scalars())


async def _set_owners(connection: AsyncConnection, workspace: str, owners: tuple[str, ...]) -> None:
    await connection.execute(delete(WorkspaceOwner).where(WorkspaceOwner.workspace == workspace))
    await write_owners(connection, WorkspaceRecord(workspace, owners=owners))


def _own(account_id: str) -> str:
    return f"ws-user-{account_id}"


def _of(account_id: str) -> Any:
    owned = select(WorkspaceOwner.workspace).where(WorkspaceOwner.owner == account_id)
    waiting = select(HeldWorkspace.workspace).where(HeldWorkspace.account == account_id)
    return and_(
        or_(Workspace.id == _own(account_id), Workspace.created_by == account_id, Workspace.id.in_(owned)),
        Workspace.id.not_in(waiting),
    )
