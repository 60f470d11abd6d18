"""One registered service: parsed once from what its client says (docs/spec/manager.md#registering)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from hypha.addresses import check_service_name
from hypha.auth.scopes import Level
from hypha.auth.users import Context, User
from hypha.builtins.service import BuiltinService
from hypha.errors import FrameTooLarge, InvalidAddress, InvalidRequest, PermissionDenied
from hypha.hub.connection import LinkKind
from hypha.wire.decodable import check_shown

BUILT_IN = "built-in"
MAX_DESCRIPTION_CHARS = 1024
MAX_TITLE_CHARS = 1024
MAX_TYPE_CHARS = 256
MAX_APP_ID_CHARS = 256
MAX_AUTHORIZED_WORKSPACES = 1000
MAX_INFO_BYTES = 384 * 1024  # below the 512 KB that an event to the clients may have
UNREACHABLE_NAMES = frozenset({"ws", "~", ".", ".."})
"""The manager has the first two for itself, and programs shorten addresses that hold the others."""
_SHOWN = ("config", "docs", "service_schema")
_VISIBILITIES = {
    "public": "public",
    "protected": "protected",
    "unlisted": "unlisted",
    "private": "protected",
}


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A service of one client, as registered.

    `name` is the last part of the id, `title` what people read. `order` is given by the registry and
    grows with registration; `generation` is that of the connection which registered the record.
    `size_bytes` is what the whole info took when it came.
    `user_id` is the user who registered it and `limit` the only workspace, if any, that the credential for
    that reached: by both it is decided whose code answers. `is_inner` is
    true for code of the server process: built-in services and startup functions. `is_entrance` is true for
    what outsiders may use too, `skips_app_check` where any app id is taken. `service` is the built-in service
    itself, None for what clients offer.
    """

    workspace: str
    client_id: str
    name: str
    app_id: str = "*"
    type: str = "generic"
    title: str = ""
    description: str | None = None
    docs: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)
    service_schema: Mapping[str, Any] = field(default_factory=dict)
    visibility: str = "protected"
    authorized_workspaces: tuple[str, ...] = ()
    is_singleton: bool = False
    user_id: str = ""
    limit: str | None = None
    is_inner: bool = False
    is_entrance: bool = False
    skips_app_check: bool = field(default=False, compare=False)
    size_bytes: int = field(default=0, compare=False)
    order: int = field(default=0, compare=False)
    generation: int = field(default=0, compare=False)
    service: BuiltinService | None = field(default=None, compare=False, repr=False)

    @property
    def address(self) -> str:
        """The client that provides it: `workspace/client`."""
        return f"{self.workspace}/{self.client_id}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes the record unique: workspace, client and name, whatever its app."""
        return self.workspace, self.client_id, self.name

    @property
    def id(self) -> str:
        """Full id without the app: `workspace/client:name`."""
        return f"{self.workspace}/{self.client_id}:{self.name}"

    @property
    def is_running(self) -> bool:
        """False for a service that must be started before it has a client."""
        return self.client_id != "*"

    @property
    def is_of_stranger(self) -> bool:
        """True if an anonymous user registered it."""
        return self.user_id.startswith("anonymouz-")

    @property
    def is_built_in(self) -> bool:
        """True for the endpoint that every client hosts (docs/spec/wire-protocol.md#built-in)."""
        return self.name == BUILT_IN

    def is_usable_by(self, context: Context) -> bool:
        """True if the caller may look the service up and call it (docs/spec/manager.md#visibility)."""
        return self.is_usable(context.user, "" if context.user.is_lapsed else context.workspace)

    def is_usable(self, user: User, workspace: str) -> bool:
        """`is_usable_by` for a user who acts in a workspace."""
        if user.is_outsider:
            return self.is_entrance
        return (
            self.visibility != "protected"
            or user.level(self.workspace) >= Level.READ
            or workspace in self.authorized_workspaces
        )

    def is_listed_for(self, context: Context, include_unlisted: bool = False) -> bool:
        """True if a listing may show the service to the caller."""
        if context.user.is_outsider:
            return self.is_entrance
        is_member = context.level(self.workspace) >= Level.READ
        return self.is_listed(is_member, context.workspace, include_unlisted)

    def is_listed(self, is_member: bool, viewer_workspace: str, include_unlisted: bool = False) -> bool:
        """`is_listed_for` when it is known whether the viewer may read the service's workspace."""
        if is_member:
            return include_unlisted or self.visibility != "unlisted"
        if self.visibility == "unlisted" or self.is_built_in:
            return False
        return self.visibility == "public" or viewer_workspace in self.authorized_workspaces

    def with_app(self, app_id: str) -> ServiceRecord:
        """The same record under another app id."""
        return replace(self, app_id=app_id)

    def to_info(self, viewer: Context | None = None) -> dict[str, Any]:
        """The info map; strangers get neither the creator nor the authorized workspaces.

        See docs/spec/manager.md#services.

        `viewer` None is the server itself: events inside the service's own workspace.
        """
        return self.info(viewer is None or viewer.level(self.workspace) >= Level.READ)

    def info(self, is_member: bool) -> dict[str, Any]:
        """`to_info` when it is known whether the viewer may read the service's workspace."""
        config = dict(self.config)
        if not is_member:
            config.pop("created_by", None)
            config.pop("authorized_workspaces", None)
        return {
            "config": config,
            "id": self.id,
            "name": self.title or self.name,
            "type": self.type,
            "description": self.description,
            "docs": self.docs,
            "app_id": self.app_id,
            "service_schema": self.service_schema,
        }


@dataclass(frozen=True, slots=True)
class Registrant:
    """Who registers: fixed by the connection, never by the message."""

    workspace: str
    client_id: str
    user_id: str
    generation: int = 0
    is_inner: bool = False
    limit: str | None = None

    @classmethod
    def of(cls, context: Context, generation: int = 0) -> Registrant:
        """The registrant behind a call."""
        is_inner = context.connection_type == LinkKind.INNER
        user = context.user
        return cls(context.workspace, context.client_id, user.id, generation, is_inner, user.limit)


def skips_app_check(config: object) -> bool:
    """True if a config says that any app id shall be taken."""
    return isinstance(config, Mapping) and config.get("skip_app_id_validation") is True


def is_local_only(info: object) -> bool:
    """True for callback interfaces, which clients keep to themselves.

    See docs/spec/wire-protocol.md#functions.
    """
    if not isinstance(info, Mapping):
        return False
    name = str(info.get("id", "")).rpartition(":")[2]
    config = info.get("config")
    return name.startswith("_rintf_") or (isinstance(config, Mapping) and bool(config.get("_local_only")))


def parse_registration(info: object, who: Registrant) -> ServiceRecord:
    """Read the map of `register_service`, with every refusal (docs/spec/manager.md#registering).

    Raises:
        InvalidRequest: not a map, wrong types, too long, or what others could not decode.
        InvalidAddress: malformed id or app id.
        PermissionDenied: the id names another workspace or another client.
        FrameTooLarge: the whole description is above MAX_INFO_BYTES.
    """
    if not isinstance(info, Mapping):
        raise InvalidRequest("Service info must be a map with 'id', 'name', 'config', 'service_schema'.")
    size_bytes = _check_size(info)
    name, app_id = _parse_id(info, who)
    config = _optional_map(info, "config")
    visibility = _parse_visibility(config)
    authorized = _parse_authorized(config, visibility)
    return ServiceRecord(
        workspace=who.workspace,
        client_id=who.client_id,
        name=name,
        app_id=app_id,
        type=_text(info, "type", MAX_TYPE_CHARS) or "generic",
        title=_text(info, "name", MAX_TITLE_CHARS) or name,
        description=_text(info, "description", MAX_DESCRIPTION_CHARS),
        docs=info.get("docs"),
        config=_stored_config(config, visibility, authorized, who),
        service_schema=_optional_map(info, "service_schema"),
        visibility=visibility,
        authorized_workspaces=authorized or (),
        is_singleton=bool(config.get("singleton")),
        user_id=who.user_id,
        limit=who.limit,
        is_inner=who.is_inner,
        skips_app_check=skips_app_check(config),
        size_bytes=size_bytes,
        generation=who.generation,
    )


def _parse_id(info: Mapping[str, Any], who: Registrant) -> tuple[str, str]:
    given = info.get("id")
    if not isinstance(given, str) or ":" not in given:
        raise InvalidAddress("Service id info must contain ':'")
    local, _, id_app = given.partition("@")
    workspace, slash, rest = local.partition("/")
    if not slash:
        workspace, rest = who.workspace, local
    if workspace != who.workspace:
        raise PermissionDenied(
            f"Service ID workspace prefix '{workspace[:128]}' does not match the current workspace "
            f"'{who.workspace}'. Permission denied: register services in your own workspace."
        )
    client_id, _, name = rest.partition(":")
    if client_id != who.client_id:
        raise PermissionDenied(
            f"Service ID client prefix '{client_id[:256]}' does not match the client '{who.client_id}'. "
            "Permission denied: register services under your own client id."
        )
    app_id = info.get("app_id") or id_app or "*"
    if id_app and app_id != id_app:  # the libraries say the app apart; to them `@` is part of a name
        check_service_name(f"{name}@{id_app}")
    if name in UNREACHABLE_NAMES:
        raise InvalidAddress(
            f"Service id {name!r} means something else in the addresses of services: choose another one."
        )
    return check_service_name(name), check_app_id(app_id)


def check_app_id(app_id: object) -> str:
    """Return the app id if a service can carry it, else raise InvalidAddress."""
    if isinstance(app_id, str) and "/" in app_id:
        raise InvalidAddress("App id info must not contain '/'")
    if not isinstance(app_id, str) or not 0 < len(app_id) <= MAX_APP_ID_CHARS or set(app_id) & set(":@"):
        raise InvalidAddress(f"Invalid app id: use 1 to {MAX_APP_ID_CHARS} characters without ':' or '@'.")
    return app_id


def _parse_visibility(config: Mapping[str, Any]) -> str:
    given = config.get("visibility") or "protected"
    visibility = _VISIBILITIES.get(given) if isinstance(given, str) else None
    if visibility is None:
        raise InvalidRequest(f"Invalid visibility: {given!r}, must be public, protected or unlisted.")
    return visibility


def _parse_authorized(config: Mapping[str, Any], visibility: str) -> tuple[str, ...] | None:
    given = config.get("authorized_workspaces")
    if given is None:
        return None
    if visibility != "protected":
        raise InvalidRequest(
            "authorized_workspaces can only be set when visibility is 'protected', "
            f"got visibility='{visibility}'"
        )
    if not isinstance(given, list | tuple):
        raise InvalidRequest("authorized_workspaces must be a list of workspace ids")
    if len(given) > MAX_AUTHORIZED_WORKSPACES:
        raise InvalidRequest(f"authorized_workspaces may hold at most {MAX_AUTHORIZED_WORKSPACES} workspaces")
    for workspace in given:
        if not isinstance(workspace, str):
            raise InvalidRequest("Each workspace id in authorized_workspaces must be a string")
    return tuple(given)


def _stored_config(
    config: Mapping[str, Any], visibility: str, authorized: tuple[str, ...] | None, who: Registrant
) -> dict[str, Any]:
    """The client's config with the fields that the server decides; all other keys are kept."""
    return {
        "require_context": False,
        "flags": [],
        "singleton": False,
        "service_embedding": None,
        **config,
        "visibility": visibility,
        "workspace": who.workspace,
        "created_by": {"id": who.user_id},
        "authorized_workspaces": None if authorized is None else list(authorized),
    }


def _optional_map(info: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = info.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"Service {key} must be a map.")
    return value


def _text(info: Mapping[str, Any], key: str, max_chars: int) -> str | None:
    value = info.get(key)
    if value is None or (isinstance(value, str) and len(value) <= max_chars):
        return value
    if not isinstance(value, str):
        raise InvalidRequest(f"Service {key} must be text.")
    raise InvalidRequest(f"Service {key} is too long: it has {len(value)} characters, at most {max_chars}.")


def _check_size(info: Mapping[str, Any]) -> int:
    try:
        size_bytes = len(msgpack.packb(info))
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest("Service info must hold plain values only.") from None
    if size_bytes > MAX_INFO_BYTES:
        raise FrameTooLarge(f"Service info is too large: {size_bytes} bytes, at most {MAX_INFO_BYTES}.")
    for key in _SHOWN:
        check_shown(info.get(key), key)
    return size_bytes
