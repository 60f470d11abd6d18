"""In whose name an app is started when nobody asks for it: of who installed it, while it is what it was.

That is kept apart from the manifest, which others may change, and never taken from a caller.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from hypha.auth.minting import program_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, Descent, User
from hypha.errors import PermissionDenied
from hypha.features.apps.records import AppRecords, Grant

if TYPE_CHECKING:
    from hypha.auth.guard import Guard
    from hypha.auth.tokens import TokenAuthority
    from hypha.workspaces.lifecycle import Workspaces


class Grants:
    """Keeps grants, and finds out whether they still hold."""

    def __init__(
        self, records: AppRecords, workspaces: Workspaces, tokens: TokenAuthority, guard: Guard
    ) -> None:
        self._records = records
        self._workspaces = workspaces
        self._tokens = tokens
        self._guard = guard
        self._granting: set[str] = set()
        """Workspaces that may have some."""

    async def load(self) -> None:
        """Learn which workspaces have grants."""
        self._granting = await self._records.granting()

    def has_any(self, workspace: str) -> bool:
        """Whether a workspace may have grants; False only where it has none."""
        return workspace in self._granting

    async def give(self, artifact: Mapping[str, Any], context: Context) -> None:
        """Let an app, as it is committed now, be started in the caller's name."""
        workspace, app_id = context.workspace, str(artifact["alias"])
        is_daemon = artifact["manifest"].get("daemon") is True
        grant = Grant(workspace, app_id, mark_of(artifact), is_daemon, _written(context))
        async with self._workspaces.changing(workspace, context.user) as resident:
            await self._records.grant(resident.record, grant, time.time())
        self._granting.add(workspace)

    async def take(self, workspace: str, app_id: str) -> None:
        """Forget a grant."""
        await self._records.revoke(workspace, app_id)

    async def find(self, workspace: str, app_id: str) -> Grant | None:
        """The grant of an app, whether it holds or not."""
        return await self._records.granted(workspace, app_id) if self.has_any(workspace) else None

    async def of(self, workspace: str) -> list[Grant]:
        """The grants of a workspace."""
        return await self._records.grants(workspace)

    async def daemons(self) -> list[Grant]:
        """Those of all daemons."""
        return await self._records.daemons()

    async def starter(self, grant: Grant) -> Context:
        """Who starts the app.

        Raises:
            PermissionDenied: that person is blocked, has lost the right, or has revoked the token.
        """
        user = _read(grant)
        if self._tokens.revocations.ends(user):
            raise PermissionDenied(
                f"The token with which {grant.app_id} was installed has been revoked: commit the app anew."
            )
        self._guard.blocklist.check_user(user)
        kept = Level(grant.starter["level"])
        level = min(kept, await self._workspaces.level_in(user, grant.workspace))
        if level < Level.READ:
            raise PermissionDenied(
                f"Whoever installed {grant.app_id} may not read the workspace {grant.workspace} any more."
            )
        return Context(user.within(grant.workspace, None, level), grant.workspace)

    async def prune(self) -> None:
        """Forget the grants of tokens that were revoked: nobody remembers these for ever."""
        for grant in await self._records.grants():
            if self._tokens.revocations.ends(_read(grant)):
                await self.take(grant.workspace, grant.app_id)


CHANGED = "It was changed since it was committed: commit it anew"


def mark_of(artifact: Mapping[str, Any]) -> str:
    """What changes with every commit of an artifact, and with nothing else."""
    names = ("revision", "last_modified", "versions", "file_count", "manifest")
    parts = [artifact[name] for name in names]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _written(context: Context) -> dict[str, Any]:
    caller, program = context.user, program_of(context, "", context.level())
    return {
        "id": caller.id,
        "email": caller.email,
        "roles": list(program.roles),
        "parent": caller.parent,
        "level": int(program.level(context.workspace)),
        "makers": list(program.descent.makers),
        "owner": program.descent.owner,
        "credentials": list(program.descent.credentials),
    }


def _read(grant: Grant) -> User:
    """Whoever gave the grant; as an owner without a right of the token's own, which is looked up again."""
    kept, workspace = grant.starter, grant.workspace
    is_owner = kept["owner"] == kept["id"]
    rights = {} if is_owner else {workspace: Level(kept["level"])}
    makers, owner = tuple(kept["makers"])[:-1], None if is_owner else kept["owner"]
    return User(
        kept["id"], tuple(kept["roles"]), False, kept["email"], kept["parent"],
        scope=Scope(MappingProxyType(rights), workspace),
        descent=Descent(makers, owner, tuple(kept["credentials"])),
    )  # fmt: skip
