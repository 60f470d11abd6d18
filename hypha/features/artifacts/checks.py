"""What manifests, configs, types and secrets of artifacts may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hypha.errors import InvalidRequest
from hypha.features.artifacts.filters import checked_key
from hypha.features.artifacts.permissions import check_permissions
from hypha.features.artifacts.selection import check_list_fields
from hypha.workspaces.values import plain

MAX_MANIFEST_BYTES = 1024 * 1024
MAX_CONFIG_BYTES = 256 * 1024
MAX_TYPE_CHARS = 128
MAX_COMMENT_CHARS = 10_000
MAX_WEIGHTS = 10_000
MAX_NESTED = 64
COLLECTIONS = frozenset({"collection"})

_TEXTS = frozenset(
    {
        "type",
        "format_version",
        "name",
        "id",
        "description",
        "documentation",
        "version",
        "license",
        "git_repo",
        "source",
    }
)
_LISTS = frozenset({"tags", "covers", "badges", "authors", "files", "links", "maintainers", "services"})
_OBJECTS = frozenset({"config"})
_CHECKED_TYPES = frozenset({"generic", "collection"})
_OWN_KEYS = frozenset({"is_collection", "child_count"})


def check_type(value: object) -> str:
    """The type of an artifact.

    Raises:
        InvalidRequest: it is no text, or too long. Vector collections and git are not here.
    """
    kind = "generic" if value is None else value
    if not isinstance(kind, str) or not 0 < len(kind) <= MAX_TYPE_CHARS or "\x00" in kind:
        raise InvalidRequest(f"The type of an artifact is a text of up to {MAX_TYPE_CHARS} characters.")
    if kind == "vector-collection":
        raise InvalidRequest("This server keeps no vector collections: choose another type.")
    return kind


def check_manifest(value: object, kind: str) -> dict[str, Any]:
    """The manifest of an artifact of a type, as it is stored.

    Raises:
        InvalidRequest: it is none, or a known field has the wrong type. FrameTooLarge: it is too large.
    """
    if value is None:
        raise InvalidRequest("Manifest must be provided.")
    if not isinstance(value, Mapping):
        raise InvalidRequest("The manifest must be an object such as {'name': 'My data'}.")
    manifest = _plain(value, "manifest", MAX_MANIFEST_BYTES)
    if not isinstance(manifest, dict):
        raise InvalidRequest("The manifest must be an object such as {'name': 'My data'}.")
    if kind in _CHECKED_TYPES:
        for name, content in manifest.items():
            if content is not None and (wanted := _misfit(name, content)):
                raise InvalidRequest(f"ValidationError: the field {name!r} of the manifest must be {wanted}.")
    return manifest


def _misfit(name: str, content: Any) -> str:
    """What a known field of a manifest should be, where it is something else."""
    if name in _TEXTS and not isinstance(content, str):
        return "a text"
    if name in _LISTS and not isinstance(content, list):
        return "a list"
    if name in _OBJECTS and not isinstance(content, dict):
        return "an object"
    if name == "tags" and not all(isinstance(each, str) for each in content):
        return "a list of texts"
    return ""


def check_config(value: object) -> dict[str, Any]:
    """The config of an artifact, as it is stored.

    Raises:
        InvalidRequest: it is none, or one of its settings cannot be. FrameTooLarge: it is too large.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest("The config must be an object.")
    config = _plain(value, "config", MAX_CONFIG_BYTES)
    if not isinstance(config, dict):
        raise InvalidRequest("The config must be an object.")
    for name in _OWN_KEYS:
        config.pop(name, None)
    if "permissions" in config:
        check_permissions(config["permissions"])
    if config.get("storage") not in (None, "raw"):
        raise InvalidRequest("This server keeps artifacts in raw storage: leave config.storage out.")
    _check_weights(config.get("download_weights"))
    _check_inbox(config)
    check_list_fields(config.get("list_fields"))
    for name in ("id_parts", "collection_schema"):
        if config.get(name) is not None and not isinstance(config[name], dict):
            raise InvalidRequest(f"config.{name} must be an object.")
    return config


def _check_weights(weights: object) -> None:
    if weights is None:
        return
    if not isinstance(weights, dict) or len(weights) > MAX_WEIGHTS:
        raise InvalidRequest(f"config.download_weights is an object of at most {MAX_WEIGHTS:,} paths.")
    for weight in weights.values():
        check_weight(weight)


def _check_inbox(config: Mapping[str, Any]) -> None:
    if not isinstance(config.get("private_children"), bool | None):
        raise InvalidRequest("config.private_children is true or false.")
    if not config.get("private_children"):
        return
    recipient = config.get("recipient_field")
    if not isinstance(recipient, str):
        raise InvalidRequest("config.private_children needs config.recipient_field, a field of the manifest.")
    checked_key(recipient)


def check_weight(weight: object) -> float:
    """What the download of a file counts.

    Raises:
        InvalidRequest: it is no number of 0 or more.
    """
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not 0 <= weight <= 1e9:  # type: ignore[operator]
        raise InvalidRequest("A download weight is a number of 0 or more.")
    return float(weight)  # type: ignore[arg-type]


def check_comment(comment: object) -> str | None:
    """What somebody says of a version.

    Raises:
        InvalidRequest: it is no text, or too long.
    """
    if comment is not None and (not isinstance(comment, str) or len(comment) > MAX_COMMENT_CHARS):
        raise InvalidRequest(f"A comment is a text of up to {MAX_COMMENT_CHARS:,} characters.")
    return comment.replace("\x00", "") if comment is not None else None


def _plain(value: Any, what: str, limit_bytes: int) -> Any:
    """Plain data with infinite and undefined numbers as words, which is how they are stored."""
    return _finite(plain(value, what, limit_bytes), what, 0)  # what is too large is not walked through


def _finite(value: Any, what: str, depth: int) -> Any:
    if depth > MAX_NESTED:
        raise InvalidRequest(f"'{what}' is more than {MAX_NESTED} levels deep.")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {_key(key, what): _finite(each, what, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each, what, depth + 1) for each in value]
    return value


def _key(key: object, what: str) -> str:
    if not isinstance(key, str):
        raise InvalidRequest(f"The names of fields in '{what}' must be texts.")
    return key
