"""Tagged values (`_rtype`, docs/spec/wire-protocol.md#values) as the server sees them.

The server decodes values only as far as it must: tags stay as they are, functions get an
absolute target so that they can be passed on. A function value names a method of some client; whoever
calls it does so with rights of its own. So the server follows, keeps and passes on only those that
name the client that sent them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypha.errors import ForeignFunction, InvalidRequest

MAX_DEPTH = 100
"""Levels of lists and maps in a value that the server takes, or packs for somebody else."""

SERVICES = "services."
BUILT_IN = "services.built-in."
MESSAGE_CACHE = f"{BUILT_IN}message_cache."
FLAT_VALUES = 64
"""Of a map or list, for which `is_flat` looks."""
_FLAT_LEVELS = 4

_CONTAINERS = frozenset({dict, list})
_SCALARS = frozenset({int, float, bool, type(None), str})
_TEXT_CHARS = 4096
_FUNCTION_TAGS = frozenset({"method", "generator"})
_FUNCTION_KEYS = frozenset({"_rtarget", "_rmethod", "_rclose_method"})
BARRED_KEYS = frozenset({"__proto__", "hasOwnProperty"})
"""Of maps for JavaScript: msgpack there refuses the first, the second hides what hypha-rpc calls on maps."""
_FLAT_KEYS = _FUNCTION_KEYS | BARRED_KEYS | {"_rtype", "_rintf"}


def is_hidden(path: str) -> bool:
    """Whether a path of a function has a name that begins with `__`: what a language keeps beside one."""
    return path.startswith("__") or ".__" in path


def is_flat(value: Any) -> bool:
    """Whether a look shows that there is nothing to look for inside: a number, a text, or few of them.

    Most arguments and results are so, with at most one list or map in another. A map with a tag, with a
    part of a function value, or with a barred key, is not; nor are bytes.
    """
    for _ in range(_FLAT_LEVELS):
        kind = type(value)
        if kind is dict:
            if len(value) > FLAT_VALUES or not _FLAT_KEYS.isdisjoint(value):
                return False
            value = value.values()
        elif kind is not list:
            return kind in _SCALARS
        elif len(value) > FLAT_VALUES:
            return False
        if _SCALARS.issuperset(map(type, value)):
            return True
        inner = [item for item in value if type(item) not in _SCALARS]
        if len(inner) != 1:
            return False
        value = inner[0]
    return False


def is_short(value: Any) -> bool:
    """Whether a look shows that a value is flat, and its texts are short."""
    if type(value) is str:
        return len(value) <= _TEXT_CHARS
    if type(value) is dict:
        if len(value) > FLAT_VALUES or not _FLAT_KEYS.isdisjoint(value):
            return False
        value = value.values()
    elif type(value) is not list:
        return type(value) in _SCALARS
    elif len(value) > FLAT_VALUES:
        return False
    for item in value:
        if type(item) is str:
            if len(item) > _TEXT_CHARS:
                return False
        elif type(item) not in _SCALARS:
            return False
    return True


def maps_in(value: Any) -> Iterator[dict[Any, Any]]:
    """All maps inside a value of lists and maps, itself included.

    Raises:
        InvalidRequest: the value is nested deeper than 100 levels.
    """
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"The value is nested deeper than {MAX_DEPTH} levels.")
        inner: list[Any] = []
        for item in level:
            if type(item) is dict:
                yield item
                inner += [part for part in item.values() if type(part) in _CONTAINERS]
            elif type(item) is list:
                inner += [part for part in item if type(part) in _CONTAINERS]
        level, depth = inner, depth + 1


def is_function(value: Mapping[Any, Any]) -> bool:
    """True for a map that a client would turn into a function or generator, or something like it."""
    tag = value.get("_rtype")
    return (isinstance(tag, str) and tag in _FUNCTION_TAGS) or not _FUNCTION_KEYS.isdisjoint(value)


def absolute_targets(value: Any, workspace: str) -> list[dict[Any, Any]]:
    """Complete relative `_rtarget`s in a decoded value, in place, from its sender's workspace.

    Returns:
        The function values in it.

    Raises:
        InvalidRequest: the value is nested deeper than 100 levels.
    """
    found: list[dict[Any, Any]] = []
    if is_flat(value):
        return found
    for item in maps_in(value):
        if is_function(item):
            target = item.get("_rtarget")
            if isinstance(target, str) and "/" not in target:
                item["_rtarget"] = f"{workspace}/{target}"
            found.append(item)
    return found


def check_owner(functions: list[dict[Any, Any]], owner: str) -> None:
    """Refuse function values, made absolute, that are not those of the client `owner`.

    Raises:
        ForeignFunction: one names somebody else.
    """
    for value in functions:
        if value.get("_rtarget") != owner:
            raise ForeignFunction(
                f"A function in a value that {owner} sent names somebody else; "
                "only functions of the sender itself are taken."
            )


def is_tagged(value: Any, tag: str) -> bool:
    """True for a map with this `_rtype`."""
    return isinstance(value, dict) and value.get("_rtype") == tag


def method_value(
    target: str, method: str, server_url: str, name: str, schema: dict[str, Any] | None, doc: str | None
) -> dict[str, Any]:
    """Encode a function of the server as its clients expect it (docs/spec/wire-protocol.md#functions)."""
    value = {
        "_rtype": "method",
        "_rserver": server_url,
        "_rtarget": target,
        "_rmethod": method,
        "_rpromise": "*",
        "_rname": name,
        "_rasync": True,
        "_rdoc": doc,
    }
    if schema:
        value["_rschema"] = schema
    return value
