"""Ids of artifacts: what callers may write for one, what an alias may be, and how new ones are found."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hypha.errors import InvalidAddress, InvalidRequest
from hypha.ids import spoken_id

MAX_ALIAS_CHARS = 64
MAX_PATTERN_CHARS = 256
MAX_PLACEHOLDERS = 16
RESERVED = frozenset("-~_")
"""One character alone: routes use them."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Reference:
    """An artifact as somebody names it: by its internal id, or by workspace and alias."""

    id: str = ""
    workspace: str = ""
    alias: str = ""

    def __str__(self) -> str:
        return self.id or f"{self.workspace}/{self.alias}"


def parse_reference(value: object, workspace: str) -> Reference:
    """Read `alias`, `workspace/alias` or the internal id; a bare alias is of the given workspace.

    Raises:
        InvalidAddress: it is none of them.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidAddress("Invalid artifact ID: it is a text such as `alias` or `workspace/alias`.")
    text = value.strip()
    if _UUID.fullmatch(text):
        return Reference(id=text)
    first, slash, rest = text.partition("/")
    if not slash:
        return Reference(workspace=workspace, alias=text)
    if not first or not rest or "/" in rest:
        raise InvalidAddress("Invalid artifact ID format, it should be `workspace/alias`.")
    return Reference(workspace=first, alias=rest)


def is_internal(text: str) -> bool:
    """Whether a text has the form of an internal id."""
    return _UUID.fullmatch(text) is not None


def new_id(now: float | None = None) -> str:
    """A new internal id, a UUID of version 7: later ones sort behind earlier ones."""
    at = time.time() if now is None else now
    milliseconds, rest = divmod(int(at * 1000 * 4096), 4096)
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | rest << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def check_alias(value: object) -> str:
    """The alias that an artifact shall have, without placeholders.

    Raises:
        InvalidRequest: it is too long, reserved or malformed.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest("An alias is a text that is not empty.")
    alias = value.strip()
    if len(alias) > MAX_ALIAS_CHARS:
        raise InvalidRequest(
            f"Alias is too long: at most {MAX_ALIAS_CHARS} characters, this has {len(alias)}."
        )
    if alias in RESERVED or is_internal(alias):
        raise InvalidRequest(f"The alias {alias!r} is reserved: choose another one.")
    if not _ALIAS.fullmatch(alias):
        raise InvalidRequest(
            f"Invalid alias {alias!r}: it begins with a letter or digit and has letters, digits, '.', '_', "
            "'-'."
        )
    return alias


def may_be_alias(text: str) -> bool:
    """Whether an artifact can have it as its alias."""
    return len(text) <= MAX_ALIAS_CHARS and _ALIAS.fullmatch(text) is not None


def is_pattern(alias: str) -> bool:
    """Whether an alias has placeholders to be filled in."""
    return "{" in alias


def alias_maker(alias: str | None, parts: Mapping[str, object], user_id: str) -> Callable[[], str]:
    """A function that makes candidates for an alias: readable ones without a pattern.

    Args:
        alias: the pattern, such as `{animal}-{color}`. parts: `id_parts` of the collection. user_id: of the
            caller.

    Raises:
        InvalidRequest: the pattern is too long, or has too many placeholders.
    """
    if alias is None:
        return spoken_id
    if len(alias) > MAX_PATTERN_CHARS or alias.count("{") > MAX_PLACEHOLDERS:
        raise InvalidRequest(
            f"A pattern for an alias has at most {MAX_PATTERN_CHARS} characters and "
            f"{MAX_PLACEHOLDERS} placeholders."
        )

    def fill(found: re.Match[str]) -> str:
        return _filled(found[1].strip(), parts, user_id)

    return lambda: check_alias(_no_id(_PLACEHOLDER.sub(fill, alias)))


def _no_id(alias: str) -> str:
    """An alias that is a UUID alone, without what makes it look like an internal id."""
    return alias.replace("-", "") if is_internal(alias) else alias


def _filled(name: str, parts: Mapping[str, object], user_id: str) -> str:
    if name == "timestamp":
        return str(int(time.time()))
    if name == "user_id":
        return _UNFIT.sub("-", user_id)
    choice = parts.get(name) if name != "uuid" else None
    if isinstance(choice, list | tuple) and choice:
        return str(secrets.choice(choice))
    return choice if isinstance(choice, str) else str(uuid.uuid4())
