"""Workspace records: read from what a user asks for, shown as workspace info, judged for rights."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from hypha.addresses import check_workspace_id, fold_email
from hypha.auth.scopes import Level
from hypha.auth.users import User
from hypha.errors import InvalidRequest
from hypha.store.records import Bookmark, ServiceType, WorkspaceRecord
from hypha.wire.decodable import shown_key
from hypha.workspaces.values import plain

PUBLIC = "public"
ANONYMOUS = "ws-anonymous"
ROOT = "ws-user-root"
PERSONAL_PREFIX = "ws-user-"
RESERVED_IDS = frozenset({PUBLIC, ANONYMOUS, ROOT, "api-docs"})
MAX_OWNERS = 100
_LONGEST_ID = 128
_NEW_ID = re.compile(r"[a-z0-9|-]+")
_TEXT_LIMITS = {"name": 1024, "description": 16 * 1024, "icon": 256 * 1024}
_HIDDEN_CONFIG = frozenset({"environs", "bookmarks"})


def system_records() -> list[WorkspaceRecord]:
    """The workspaces that always exist."""
    return [
        WorkspaceRecord(PUBLIC, PUBLIC, "Services for everybody", ("root",), persistent=True, read_only=True),
        WorkspaceRecord(ROOT, ROOT, "Workspace of the server's operator", ("root",), persistent=True),
        WorkspaceRecord(
            ANONYMOUS, ANONYMOUS, "Callers over HTTP without a credential", ("root",), True, True
        ),
    ]


def personal_record(user: User, *, anonymous_storage: bool = False) -> WorkspaceRecord:
    """The own workspace of a user; it lasts for registered people only."""
    name = user.own_workspace
    return WorkspaceRecord(
        name,
        name,
        owners=(user.id,),
        persistent=not user.is_anonymous and user.parent is None,
        read_only=user.is_anonymous and not anonymous_storage,
        created_by=user.person,
        created_at=time.time(),
    )


def is_owner(user: User, record: WorkspaceRecord) -> bool:
    """Whether the user owns the workspace by id, or by e-mail unless it is a child.

    Children carry their maker's e-mail; counting it would give them the maker's workspaces.
    """
    if user.own_workspace == record.id:
        return True
    if user.is_anonymous:
        return False
    if user.id in record.owners:
        return True
    if user.parent is not None or not user.email:
        return False
    folded = fold_email(user.email)
    return any("@" in owner and fold_email(owner) == folded for owner in record.owners)


def level_for(user: User, record: WorkspaceRecord) -> Level:
    """What a user may do in a workspace now: role, then token, then ownership (docs/spec/manager.md#levels).

    An entry of the token for this very workspace is final (or the stronger one for `*`); an owner
    whose token has none is admin, unless the token is limited to another workspace. A token that an
    owner made is good for as long as that person is an owner.
    """
    if user.is_lapsed:
        return Level.NONE
    if user.is_admin:
        return Level.ADMIN
    granted = user.granted
    level = granted.level(record.id)
    if user.descent.owner is not None and not is_owner(_owner_behind(user, user.descent.owner), record):
        return Level.NONE
    if record.id in granted.workspaces or not user.reaches(record.id):
        return level
    return Level.ADMIN if is_owner(user, record) else level


def _owner_behind(user: User, owner: str) -> User:
    """The maker whose ownership a token rests on; only a person, not a child, owns by e-mail."""
    is_person = owner == user.descent.makers[0] == user.parent
    return User(owner, email=user.email, parent=None if is_person else user.parent)


def new_record(config: object, user: User) -> WorkspaceRecord:
    """Read what `create_workspace` was given (docs/spec/manager.md#workspaces); the caller becomes an owner.

    Raises:
        InvalidRequest: with the texts of docs/spec/manager.md#error-texts.
    """
    if not isinstance(config, Mapping):
        raise InvalidRequest("Workspace config must be an object such as {'id': 'my-workspace'}.")
    workspace = check_new_id(config.get("id"), user)
    owners = _owners(config.get("owners"))
    if user.id not in owners and not is_owner(user, WorkspaceRecord("", owners=owners)):
        owners = (*owners, user.id)
    if user.parent is not None and user.parent not in owners and not user.is_admin:
        owners = (*owners, user.parent)
    extra = plain(config.get("config"), "config") or {}
    if not isinstance(extra, Mapping):
        raise InvalidRequest("The workspace's 'config' must be an object.")
    return WorkspaceRecord(
        workspace,
        _text(config, "name") or workspace,
        _text(config, "description") or "",
        owners,
        _flag(config, "persistent") or (workspace == user.own_workspace and user.parent is None),
        _flag(config, "read_only"),
        _text(config, "icon"),
        plain(config.get("covers"), "covers"),
        plain(config.get("docs"), "docs"),
        {key: value for key, value in extra.items() if key not in _HIDDEN_CONFIG},
        user.person,
        time.time(),
    )


def check_new_id(workspace: object, user: User) -> str:
    """Return the id if a workspace may be created under it; root needs no hyphen."""
    if not workspace or not isinstance(workspace, str):
        raise InvalidRequest("Workspace id must be provided.")
    if "-" not in workspace and not user.is_root:
        raise InvalidRequest("Workspace name must contain at least one hyphen (e.g. my-workspace).")
    if len(workspace) > _LONGEST_ID:
        raise InvalidRequest(
            f"Invalid workspace name: {workspace[:50]}…, it has {len(workspace)} characters, "
            f"at most {_LONGEST_ID} are allowed."
        )
    if _NEW_ID.fullmatch(workspace) is None:
        raise InvalidRequest(
            f"Invalid workspace name: {workspace}, only lowercase letters, numbers and hyphens are allowed."
        )
    return check_workspace_id(workspace)


def _owners(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if len(names) > MAX_OWNERS or not all(isinstance(name, str) and 0 < len(name) <= 320 for name in names):
        raise InvalidRequest(f"'owners' must be a list of at most {MAX_OWNERS} user ids or e-mail addresses.")
    return tuple(dict.fromkeys(names))


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value, limit = config.get(key), _TEXT_LIMITS[key]
    if value is not None and (not isinstance(value, str) or len(value) > limit):
        raise InvalidRequest(f"The workspace's '{key}' must be text of at most {limit} characters.")
    return value


def _flag(config: Mapping[str, Any], key: str) -> bool:
    value = config.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"The workspace's '{key}' must be true or false.")
    return bool(value)


def to_info(record: WorkspaceRecord, status: str | Mapping[str, Any] = "ready") -> dict[str, Any]:
    """Workspace info without what lies in other tables; never any environment.

    See docs/spec/manager.md#workspaces.
    """
    state = {"ready": status == "ready", "status": status} if isinstance(status, str) else dict(status)
    return {
        "type": "workspace",
        "id": record.id,
        "name": record.name or record.id,
        "description": record.description,
        "persistent": record.persistent,
        "owners": list(record.owners),
        "read_only": record.read_only,
        "icon": record.icon,
        "covers": record.covers,
        "docs": record.docs,
        "service_types": {},
        "config": dict(record.config),
        "status": state,
    }


def to_summary(record: WorkspaceRecord) -> dict[str, Any]:
    """A line of `list_workspaces`."""
    return {
        "id": record.id,
        "name": record.name or record.id,
        "description": record.description,
        "read_only": record.read_only,
        "persistent": record.persistent,
        "owners": list(record.owners),
    }


def to_full_info(
    record: WorkspaceRecord, service_types: Iterable[ServiceType], bookmarks: Iterable[Bookmark]
) -> dict[str, Any]:
    """Workspace info with service types and bookmarks, for those who may read the workspace."""
    info = to_info(record)
    info["service_types"] = {shown_key(found.id): type_info(record.id, found) for found in service_types}
    marked = [bookmark_info(bookmark) for bookmark in bookmarks]
    if marked:
        info["config"]["bookmarks"] = marked
    return info


def type_info(workspace: str, found: ServiceType) -> dict[str, Any]:
    """A service type as users see it; its id names the workspace."""
    return {
        "id": f"{workspace}/{found.id}",
        "name": found.name,
        "definition": found.definition,
        "description": found.description,
        "config": dict(found.config or {}),
        "docs": found.docs,
    }


def bookmark_info(bookmark: Bookmark) -> dict[str, Any]:
    """A bookmark as users see it."""
    shown: dict[str, Any] = {
        "bookmark_type": bookmark.bookmark_type,
        "id": bookmark.id,
        "name": bookmark.name,
        "description": bookmark.description,
    }
    if bookmark.config is not None:
        shown["config"] = dict(bookmark.config)
    return shown
