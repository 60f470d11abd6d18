"""Users and services as replicas tell them to each other; plain msgpack."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgpack

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Grant, User
from hypha.registry.records import ServiceRecord

_OWN = frozenset({"service", "order", "generation"})
"""Fields of a record that mean something at its own replica alone."""
_FIELDS = tuple(field.name for field in fields(ServiceRecord) if field.name not in _OWN)


def pack_user(user: User) -> bytes:
    """Who a client is and what it may do, without what could be used as its credential."""
    grant = user.grant
    return bytes(
        msgpack.packb(
            {
                "id": user.id,
                "roles": list(user.roles),
                "is_anonymous": user.is_anonymous,
                "email": user.email,
                "parent": user.parent,
                "expires_at": user.expires_at,
                "scope": _scope(user.scope),
                "incarnation": user.incarnation,
                "grant": None if grant is None else [_scope(grant.scope), grant.expires_at],
                "is_lapsed": user.is_lapsed,
            }
        )
    )


def unpack_user(packed: bytes) -> User:
    """The same at another replica."""
    found = msgpack.unpackb(packed)
    grant = found["grant"]
    return User(
        found["id"],
        tuple(found["roles"]),
        found["is_anonymous"],
        found["email"],
        found["parent"],
        found["expires_at"],
        _to_scope(found["scope"]),
        incarnation=found["incarnation"],
        grant=None if grant is None else Grant(_to_scope(grant[0]), grant[1]),
        is_lapsed=found["is_lapsed"],
    )


def _scope(scope: Scope) -> list[Any]:
    levels = {name: int(level) for name, level in scope.workspaces.items()}
    return [levels, scope.current_workspace, scope.client_id, list(scope.extra_scopes)]


def _to_scope(parts: list[Any]) -> Scope:
    levels, workspace, client_id, extra = parts
    return Scope({name: Level(level) for name, level in levels.items()}, workspace, client_id, tuple(extra))


def pack_record(record: ServiceRecord) -> bytes:
    """A service of a client; not one of the server's own."""
    return bytes(msgpack.packb({name: getattr(record, name) for name in _FIELDS}))


def unpack_record(packed: bytes) -> ServiceRecord:
    """The same at another replica."""
    found = msgpack.unpackb(packed, strict_map_key=False)
    known = {name: value for name, value in found.items() if name in _FIELDS}
    known["authorized_workspaces"] = tuple(known["authorized_workspaces"])
    return ServiceRecord(**known)
