"""What replicas tell each other of what is forbidden, or changed, so that it holds at all of them at once.

Each reads from the database what it may have missed while it was cut off from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgpack

from hypha.assembly.access import end_clients_of
from hypha.store.blocklist import BlockRecord

if TYPE_CHECKING:
    from hypha.assembly.core import Core
    from hypha.replicas.crossing import Crossing
    from hypha.replicas.replica import Replica
    from hypha.workspaces.membership import Members
    from hypha.workspaces.tenancy import Tenancy

REVOKED, BLOCKED, UNBLOCKED = "revoked", "blocked", "unblocked"
DELETED, OVERWRITTEN = "deleted", "overwritten"


class Announcing:
    """Tells others, and does what others tell."""

    def __init__(
        self, core: Core, tenancy: Tenancy, members: Members, replica: Replica, crossing: Crossing
    ) -> None:
        self._core = core
        self._tenancy = tenancy
        self._members = members
        self._tell = replica.tell
        self._listen(crossing)
        self._speak()
        replica.on_anew.append(self.catch_up)

    def _listen(self, crossing: Crossing) -> None:
        revocations, blocklist = self._core.tokens.revocations, self._core.guard.blocklist
        crossing.handlers |= {
            REVOKED: lambda body: revocations.hear(msgpack.unpackb(body)),
            BLOCKED: lambda body: blocklist.hear(BlockRecord(**msgpack.unpackb(body))),
            UNBLOCKED: lambda body: blocklist.forget(*msgpack.unpackb(body)),
            DELETED: lambda body: self._reread(msgpack.unpackb(body), ""),
            OVERWRITTEN: lambda body: self._reread(*msgpack.unpackb(body)),
        }

    def _speak(self) -> None:
        self._core.tokens.revocations.tell_others = self._tell_revoked
        blocklist, catalogue = self._core.guard.blocklist, self._tenancy.catalogue
        blocklist.tell_blocked = lambda block: self._say(BLOCKED, asdict(block))
        blocklist.tell_unblocked = lambda kind, subject: self._say(UNBLOCKED, [kind, subject])
        here_deleted, here_overwritten = catalogue.on_deleted, catalogue.on_overwritten

        def deleted(workspace: str) -> None:
            here_deleted(workspace)
            self._say(DELETED, workspace)

        def overwritten(workspace: str, stays: str) -> None:
            here_overwritten(workspace, stays)
            self._say(OVERWRITTEN, [workspace, stays])

        catalogue.on_deleted, catalogue.on_overwritten = deleted, overwritten

    def _tell_revoked(self, revoked: Mapping[str, float]) -> None:
        self._say(REVOKED, dict(revoked))

    def _say(self, kind: str, what: object) -> None:
        self._tell(kind, msgpack.packb(what))

    def _reread(self, workspace: str, stays: str) -> None:
        """A workspace was deleted or overwritten elsewhere: its clients here go, but one."""
        self._core.background.start(self._read_again(workspace, stays), f"reading {workspace} again")

    async def _read_again(self, workspace: str, stays: str) -> None:
        await self._tenancy.workspaces.reread(workspace)
        self._members.standing.workspace_changed(workspace)
        end_clients_of(self._core.hub, workspace, stays)

    async def catch_up(self) -> None:
        """Read what others may have told meanwhile."""
        await self._core.tokens.revocations.reload()
        await self._core.guard.blocklist.reload()
        for resident in self._tenancy.workspaces.residents:
            workspace = resident.record.id
            await self._tenancy.workspaces.reread(workspace)
            self._members.standing.workspace_changed(workspace)
