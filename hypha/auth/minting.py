"""Child tokens: what `generate_token` may give, and what it never gives (docs/spec/manager.md#minting).

A child is a new user with exactly one workspace. It never holds a right that its maker doesn't: the
role `admin` is dropped, `anonymous` always stays, and nothing is gained through `parent`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hypha.addresses import check_client_id, check_workspace_id
from hypha.auth.scopes import Level, Scope
from hypha.auth.users import ADMIN_ROLE, EVERYWHERE, Context, Descent, User
from hypha.errors import InvalidRequest, LimitReached, PermissionDenied
from hypha.ids import readable_id

DEFAULT_LIFE_S = 3600.0
MAX_EXTRA_SCOPES = 100
MAX_GENERATIONS = 16
_LEVELS = {"read": Level.READ, "read_write": Level.READ_WRITE, "admin": Level.ADMIN}
MAX_KEYS = 100
_MAX_GUESSED_CHARS = 2 * len("extra_scopes")
_KEYS = ("expires_in", "workspace", "permission", "extra_scopes", "client_id", "email", "name")
_RESERVED_WORDS = ("ws:", "cid:", "wid:")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a caller of `generate_token` asks for; `workspace` None is its current one."""

    workspace: str | None = None
    level: Level = Level.READ_WRITE
    expires_in_s: float = DEFAULT_LIFE_S
    extra_scopes: tuple[str, ...] = ()
    client_id: str | None = None
    email: str | None = None
    name: str | None = None

    @classmethod
    def parse(cls, config: object) -> TokenRequest:
        """Read the `config` argument of `generate_token`.

        Keys that we don't know are ignored, as they always were, unless they look like a slip of
        the pen: `permision` must not silently give the default.

        Raises:
            InvalidRequest: a value has the wrong type or isn't allowed.
        """
        if config is None:
            return cls()
        if not isinstance(config, Mapping):
            raise InvalidRequest("Invalid token config: it must be an object such as {'expires_in': 3600}.")
        if len(config) > MAX_KEYS:
            raise InvalidRequest(f"Invalid token config: it may have {MAX_KEYS} keys at most.")
        for key in config:
            if near := _slip(key):
                raise InvalidRequest(f"Invalid token config: unknown key {key!r}, did you mean {near!r}?")
        workspace = _text(config, "workspace")
        if workspace not in (None, EVERYWHERE):
            check_workspace_id(workspace)
        client_id = _text(config, "client_id")
        expires_in = config.get("expires_in")
        return cls(
            workspace,
            _level(config.get("permission")),
            DEFAULT_LIFE_S if expires_in is None else expires_in,
            _words(config.get("extra_scopes")),
            check_client_id(client_id) if client_id is not None else None,
            _text(config, "email"),
            _text(config, "name"),
        )


def _slip(key: object) -> str | None:
    """The key that was meant, if one was misspelt."""
    if not isinstance(key, str) or key in _KEYS or len(key) > _MAX_GUESSED_CHARS:
        return None
    return next(iter(difflib.get_close_matches(key, _KEYS, 1, 0.8)), None)


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is not None and (not isinstance(value, str) or not value or len(value) > 320):
        raise InvalidRequest(f"Invalid token config: '{key}' must be text of 1 to 320 characters.")
    return value


def _level(name: object) -> Level:
    if name is None:
        return Level.READ_WRITE
    level = _LEVELS.get(name) if isinstance(name, str) else None
    if level is None:
        raise InvalidRequest(
            f"Validation error: invalid permission {str(name)[:100]!r}, it must be one of "
            "'read', 'read_write', 'admin'."
        )
    return level


def _words(words: object) -> tuple[str, ...]:
    """Extra scopes; words that the scope claim gives a meaning of its own could smuggle rights."""
    if words is None:
        return ()
    if not isinstance(words, list | tuple) or len(words) > MAX_EXTRA_SCOPES:
        raise InvalidRequest(f"Invalid extra_scopes: it must be a list of at most {MAX_EXTRA_SCOPES} words.")
    for word in words:
        if not isinstance(word, str) or not word or len(word) > 256 or word.split() != [word]:
            raise InvalidRequest("Invalid extra_scopes: each must be one word of at most 256 characters.")
        if word.startswith(_RESERVED_WORDS):
            raise InvalidRequest(f"Invalid extra_scopes: {word!r} begins with a reserved word.")
    return tuple(words)


def child_of(context: Context, request: TokenRequest, level: Level, parent_level: Level = Level.NONE) -> User:
    """The user that a child token will name.

    Args:
        level: the caller's level in the requested workspace, ownership included.
        parent_level: the same of the user from whom the caller descends; it counts only for a
            read_write caller that mints, inside that workspace, at most its own level.

    Raises:
        PermissionDenied: the caller may not mint this token.
    """
    caller = context.user
    workspace = request.workspace or context.workspace
    if caller.scope.is_specialized:
        raise PermissionDenied("Permission denied: a specialized token cannot generate tokens.")
    if request.email is not None and not caller.is_admin:
        raise PermissionDenied("Only callers with the 'admin' role may set TokenConfig.email")
    if workspace == EVERYWHERE:
        if not caller.is_root:
            raise PermissionDenied("You do not have any permission for workspace: *")
    elif level is Level.NONE:
        raise PermissionDenied(f"You do not have any permission for workspace: {workspace}")
    elif level < Level.ADMIN:
        is_inside = context.workspace == workspace and parent_level is Level.ADMIN
        if level < Level.READ_WRITE or not is_inside or request.level > level:
            raise PermissionDenied(
                f"Only admin can generate token. You have the permission '{level.name.lower()}' "
                f"in workspace {workspace}"
            )
    scope = Scope(
        MappingProxyType({workspace: request.level}),
        None if workspace == EVERYWHERE else workspace,
        _client_id(caller, request),
        request.extra_scopes,
    )
    return User(
        readable_id(),
        tuple(role for role in caller.roles if role != ADMIN_ROLE),
        caller.is_anonymous,
        request.email or caller.email,
        caller.person,
        scope=scope,
        descent=_descent(caller, workspace, request.level),
    )


def program_of(context: Context, client_id: str, level: Level, extra_scopes: tuple[str, ...] = ()) -> User:
    """The user of a program that the server runs for a caller, in the caller's workspace.

    It is bound to one client id of its own, and has at most what the caller has there, never above
    read_write. It ends with the credential of its caller, as a child does.

    Raises:
        PermissionDenied: the caller may not read there, or its token is for one purpose only.
        LimitReached: it comes from too many others in turn.
    """
    caller, workspace = context.user, context.workspace
    if caller.scope.is_specialized:
        raise PermissionDenied("Permission denied: a specialized token cannot start programs.")
    if level < Level.READ or not caller.reaches(workspace):
        raise PermissionDenied(f"Permission denied for workspace {workspace}")
    given = min(level, Level.READ_WRITE)
    return User(
        readable_id(),
        tuple(role for role in caller.roles if role != ADMIN_ROLE),
        caller.is_anonymous,
        None,
        caller.person,
        scope=Scope(MappingProxyType({workspace: given}), workspace, client_id, extra_scopes),
        descent=_descent(caller, workspace, given),
    )


def _client_id(caller: User, request: TokenRequest) -> str | None:
    """The client id to which a child is bound: its maker's, if that one is bound to one.

    Raises:
        PermissionDenied: the child would be good for another client.
    """
    bound = None if caller.is_admin else caller.granted.client_id
    if bound is not None and request.client_id not in (None, bound):
        raise PermissionDenied(
            f"Permission denied: a token for the client id '{bound}' makes tokens for that id only."
        )
    return bound or request.client_id


def _descent(caller: User, workspace: str, level: Level) -> Descent:
    """From whom a token comes that the caller makes for a workspace, where it has at least this level."""
    makers = caller.descent.makers or ((caller.parent,) if caller.parent else ())
    if len(makers) >= MAX_GENERATIONS:
        raise LimitReached(
            f"A token that comes from {MAX_GENERATIONS} others in turn cannot make more: use one of them."
        )
    line = (*caller.descent.credentials, *([caller.credential] if caller.credential else []))
    is_owner_only = not caller.is_admin and caller.granted.level(workspace) < level
    return Descent((*makers, caller.id), caller.descent.owner or (caller.id if is_owner_only else None), line)
