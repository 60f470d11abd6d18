"""Sessions without a server."""

from __future__ import annotations

from typing import Any

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.features.apps.identity import new_client_id
from hypha.features.apps.sessions import Session
from hypha.registry.records import ServiceRecord


def caller(user_id: str = "ann", workspace: str = "lab", level: Level = Level.READ_WRITE) -> Context:
    """Somebody in a workspace."""
    return Context(User(user_id, scope=Scope({workspace: level}, workspace)), workspace, "c-1")


def session_of(user_id: str = "ann", workspace: str = "lab", **fields: Any) -> Session:
    """A session that somebody has started, on a worker of the public workspace."""
    worker = ServiceRecord("public", "w-1", "worker", type="server-app-worker")
    given = {"app_id": "app", "app_type": "own", "manifest": {}, **fields}
    return Session(client_id=new_client_id(), starter=caller(user_id, workspace), worker=worker, **given)
