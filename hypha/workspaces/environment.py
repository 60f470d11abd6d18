"""Environment variables of workspaces: secrets, so encrypted at rest and never part of any info."""

from __future__ import annotations

from typing import Any

import orjson

from hypha.auth.users import Context
from hypha.errors import InvalidRequest, NotFound
from hypha.store import Seal, Store
from hypha.store.usage import Kind
from hypha.wire.decodable import check_key, made_decodable, may_be_odd, shown_key
from hypha.workspaces.event_log import EventLog
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.values import encode_plain

MAX_KEY_CHARS = 256
MAX_VARIABLE_BYTES = 64 * 1024


class Environment:
    """Variables of one workspace after the other; whether the caller may is checked before."""

    def __init__(self, workspaces: Workspaces, store: Store, seal: Seal, event_log: EventLog) -> None:
        self._workspaces = workspaces
        self._store = store
        self._seal = seal
        self._event_log = event_log

    async def set(self, context: Context, key: object, value: Any) -> None:
        """Set one variable of the current workspace; None removes it. The event log names the key only.

        Raises:
            InvalidRequest: no text as key, or a value that is not plain data.
            FrameTooLarge: the value is larger than 64 KiB. QuotaExceeded: there are too many.
        """
        name = _check_key(key)
        workspace = context.workspace
        if value is None:
            await self._store.environment.remove(workspace, name)
            await self._event_log.note(context, "env_removed", {"key": name})
            return
        check_key(name, "the name of a variable")
        sealed = self._seal.close(encode_plain(value, name, MAX_VARIABLE_BYTES), _place(workspace, name))
        async with self._workspaces.changing(workspace, context.user) as resident:
            allowance = self._workspaces.allowance(resident.record, Kind.VARIABLES)
            await self._store.environment.set(resident.record, name, sealed, allowance)
        await self._event_log.note(context, "env_set", {"key": name})

    async def get(self, context: Context, key: object = None) -> Any:
        """One variable of the current workspace, or without a key all of them.

        Raises:
            NotFound: no variable of that name.
        """
        workspace = context.workspace
        if key is None:
            found = await self._store.environment.all(workspace)
            return {shown_key(name): self._opened(workspace, name, sealed) for name, sealed in found.items()}
        name = _check_key(key)
        sealed = await self._store.environment.get(workspace, name)
        if sealed is None:
            raise NotFound(f"Environment variable '{name}' not found in workspace {workspace}")
        return self._opened(workspace, name, sealed)

    def _opened(self, workspace: str, name: str, sealed: bytes) -> Any:
        text = self._seal.open(sealed, _place(workspace, name))
        value = orjson.loads(text)
        return made_decodable(value) if may_be_odd(text) else value


def _place(workspace: str, name: str) -> str:
    return f"environment/{workspace}/{name}"


def _check_key(key: object) -> str:
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARS or not key.isprintable():
        raise InvalidRequest(f"The name of a variable must be text of 1 to {MAX_KEY_CHARS} characters.")
    return key
