"""Whether whoever gets a value from the server can decode it (docs/spec/wire-protocol.md#stored-values).

The libraries decode an answer as a whole. One map in it with a tag (`_rtype`) and without what belongs to
the tag, and they give the whole answer up, so that their caller waits until the timeout; one that names a
function becomes a function. So what one client gives the server to show to others holds plain data, and
of tagged values those that are data, and whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, TypeAlias

import orjson

from hypha.errors import InvalidRequest
from hypha.wire.values import BARRED_KEYS, MAX_DEPTH

_TAG = "_rtype"
_KEYS = tuple(sorted((_TAG, *BARRED_KEYS)))
_WIDTHS = {
    **{"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4},
    **{"float32": 4, "int64": 8, "uint64": 8, "float64": 8, "complex64": 8, "complex128": 16},
}
_TYPED = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"})
_DIMENSIONS, _LARGEST = 32, 2**31
"""Of an array of numpy, and of one of its dimensions: larger ones overflow where another is 0."""
_NAMED = re.compile(r"[<>|=]?[A-Za-z]\w{0,30}(\[\w{1,20}\])?")
_ARRAYS = ("ndarray", "typedarray")
_PLAIN = (str, int, float, type(None), dict, list, tuple)
_PLACE_CHARS = 200

_Place: TypeAlias = "tuple[_Place, str] | None"


def check_shown(value: Any, what: str, json: bytes | None = None) -> None:
    """Let a value pass that the server keeps and shows to others; `json` is that value, if it is at hand.

    Raises:
        InvalidRequest: others could not decode a map in it, or would get a function from it.
    """
    _check(value, what, json, is_handed_on=False)


def check_read(value: Any, what: str) -> None:
    """The same of what was read from JSON, in which keys are text and may have been escaped.

    Raises:
        InvalidRequest: as `check_shown`.
    """
    _check_maps(value, what, is_handed_on=False)


def check_handed_on(value: Any, what: str) -> None:
    """The same of a value for somebody who knows what it is: functions and own codecs may be in it.

    Raises:
        InvalidRequest: a tagged map in it is not whole.
    """
    _check(value, what, None, is_handed_on=True)


def check_key(name: str, what: str) -> None:
    """Let a name pass that becomes a key of a map which others get.

    Raises:
        InvalidRequest: with it they could not decode the map.
    """
    if name in _KEYS:
        raise InvalidRequest(f"'{name}' cannot be {what}: choose another name.")


def shown_key(name: str) -> str:
    """A stored name as key of a map, in brackets if it is none that `check_key` lets pass."""
    return f"({name})" if name in _KEYS else name


def unplain_place(value: Any) -> str:
    """What in a value JSON cannot say and where, as a sentence for its sender; empty if nothing is found."""
    for place, item in _containers_in(value):
        entries = item.items() if isinstance(item, dict) else enumerate(item)
        if isinstance(item, dict) and item.get(_TAG) in _ARRAYS:
            return f" An array or number of numpy{_at(place) or ' is it'}: send what its 'tolist()' gives."
        for key, part in entries:
            here = _at((place, str(key)))
            if isinstance(item, dict) and not isinstance(key, str):
                return f" A key that is no text{here}."
            if isinstance(part, bytes | bytearray | memoryview):
                return f" Bytes{here}: send them as base64 or hex, or keep them in a file."
            if not isinstance(part, _PLAIN):
                return f" A value of another kind{here}: send it as text."
    return ""


def untagged(value: Any) -> Any:
    """A value that `check_shown` let pass and JSON can say, with sets as lists and ordered maps as maps.

    Raises:
        InvalidRequest: such a map has keys that are no text.
    """
    if isinstance(value, dict):
        tag = value.get(_TAG)
        if tag == "set":
            return list(value["_rvalue"])
        if tag == "orderedmap":
            if not all(isinstance(key, str) for key, _ in value["_rvalue"]):
                raise InvalidRequest("A Map that is kept here must have texts as keys.")
            return {key: untagged(part) for key, part in value["_rvalue"]}
        return {key: untagged(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [untagged(part) for part in value]
    return value


def made_decodable(value: Any, is_handed_on: bool = False) -> Any:
    """A value that was stored somehow, changed in place: each key that would be refused is in brackets."""
    for _, item in _maps_in(value):
        wrong = {key for key in item if key in BARRED_KEYS}
        if _TAG in item and _fault(item, is_handed_on):
            wrong.add(_TAG)
        if wrong:
            parts = {f"({key})" if key in wrong else key: part for key, part in item.items()}
            item.clear()
            item.update(parts)
    return value


def may_be_odd(stored: str | bytes) -> bool:
    """Whether a look at JSON without escapes, or at a packed value, shows what may be an odd key."""
    if isinstance(stored, str):
        return any(key in stored for key in _KEYS)
    return any(key.encode() in stored for key in _KEYS)


def _check(value: Any, what: str, json: bytes | None, is_handed_on: bool) -> None:
    if json is None:
        try:
            json = orjson.dumps(value, default=_nothing)
        except (TypeError, ValueError, RecursionError):
            raise InvalidRequest(
                f"'{what}' has keys that are no text, or is nested too deep: others cannot read it."
            ) from None
    if may_be_odd(json):
        _check_maps(value, what, is_handed_on)


def _check_maps(value: Any, what: str, is_handed_on: bool) -> None:
    for place, item in _maps_in(value):
        for key in BARRED_KEYS.intersection(item):
            raise InvalidRequest(
                f"'{what}' holds the key '{key}'{_at(place)}: JavaScript cannot read it, rename it."
            )
        if _TAG in item and (fault := _fault(item, is_handed_on)):
            raise InvalidRequest(
                f"'{what}' holds a map with the key '{_TAG}'{_at(place)}, which others cannot read: {fault}"
            )


def _nothing(_: Any) -> None:
    """What stands for bytes and times: they are read by everybody."""


def _maps_in(value: Any) -> Iterator[tuple[_Place, dict[Any, Any]]]:
    """All maps in a value, with the way to each."""
    return ((place, item) for place, item in _containers_in(value) if isinstance(item, dict))


def _containers_in(value: Any) -> Iterator[tuple[_Place, Any]]:
    """All maps and lists in a value, with the way to each; deeper ones than the server packs are left out."""
    level: list[tuple[_Place, Any]] = [(None, value)]
    for _ in range(MAX_DEPTH + 1):
        inner: list[tuple[_Place, Any]] = []
        for place, item in level:
            if isinstance(item, dict):
                inner += [((place, str(key)), part) for key, part in item.items() if _is_container(part)]
                yield place, item
            elif isinstance(item, list | tuple):
                inner += [((place, str(at)), part) for at, part in enumerate(item) if _is_container(part)]
                yield place, item
        level = inner


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _at(place: _Place) -> str:
    names: list[str] = []
    while place is not None:
        place, name = place
        names.append(name)
    path = ".".join(reversed(names))
    short = path if len(path) <= _PLACE_CHARS else f"…{path[-_PLACE_CHARS:]}"
    return f" at '{short}'" if path else ""


def _fault(item: Mapping[Any, Any], is_handed_on: bool) -> str:
    """What is wrong with a tagged map, and what helps; empty if others can decode it."""
    tag = item[_TAG]
    if not isinstance(tag, str):
        return "its value must be text. Rename the key."
    checks: Mapping[str, Callable[[Mapping[Any, Any]], bool]] = _HANDED_ON if is_handed_on else _DATA
    if check := checks.get(tag):
        return (
            "" if check(item) else f"it is no whole '{tag[:40]}'. Send the value itself, or rename the key."
        )
    if is_handed_on and tag not in _NEVER:
        return ""
    if tag == "pydantic_model":
        return "send what 'model_dump()' gives."
    return f"'{tag[:40]}' is not kept here. Send plain data, or rename the key."


def _is_array(item: Mapping[Any, Any]) -> bool:
    data, kind, shape = item.get("_rvalue"), item.get("_rdtype"), item.get("_rshape")
    if not isinstance(data, bytes) or not isinstance(kind, str) or kind not in _WIDTHS:
        return False
    if not isinstance(shape, list | tuple) or len(shape) > _DIMENSIONS:
        return False
    if not all(type(size) is int and 0 <= size < _LARGEST for size in shape):
        return False
    return prod(shape) * _WIDTHS[kind] == len(data) and prod(filter(None, shape)) < _LARGEST


def _is_any_array(item: Mapping[Any, Any]) -> bool:
    """An array of another type too, if numpy makes it by the type's name: not of records, nor of objects."""
    kind = item.get("_rdtype")
    if not isinstance(kind, str) or kind in _WIDTHS:
        return _is_array(item)
    is_named = bool(_NAMED.fullmatch(kind)) and kind.lstrip("<>|=") not in ("object", "O")
    return is_named and isinstance(item.get("_rvalue"), bytes) and isinstance(item.get("_rshape"), list)


def _is_typed_array(item: Mapping[Any, Any]) -> bool:
    data, kind = item.get("_rvalue"), item.get("_rdtype")
    if not isinstance(data, bytes) or not isinstance(kind, str) or kind not in _TYPED:
        return False
    return len(data) % _WIDTHS[kind] == 0


def _is_view(item: Mapping[Any, Any]) -> bool:
    return isinstance(item.get("_rvalue"), bytes)


def _is_set(item: Mapping[Any, Any]) -> bool:
    items = item.get("_rvalue")
    return isinstance(items, list) and not any(map(_is_container, items))


def _is_ordered_map(item: Mapping[Any, Any]) -> bool:
    items = item.get("_rvalue")
    if not isinstance(items, list):
        return False
    return all(isinstance(each, list) and len(each) == 2 and not _is_container(each[0]) for each in items)


def _is_error(item: Mapping[Any, Any]) -> bool:
    return isinstance(item.get("_rvalue"), str) and isinstance(item.get("_rtrace"), str | None)


def _is_function(item: Mapping[Any, Any]) -> bool:
    texts = isinstance(item.get("_rtarget"), str) and isinstance(item.get("_rmethod"), str)
    more = all(
        isinstance(item.get(key), str | None) for key in ("_rname", "_rdoc", "_rserver", "_rclose_method")
    )
    return texts and more and isinstance(item.get("_rschema"), dict | None)


def _is_model(item: Mapping[Any, Any]) -> bool:
    return isinstance(item.get("_rvalue"), dict) and isinstance(item.get("_rschema"), dict)


def _is_stream(item: Mapping[Any, Any]) -> bool:
    read = item.get("read")
    return isinstance(read, dict) and read.get(_TAG) == "method"


_DATA: Mapping[str, Callable[[Mapping[Any, Any]], bool]] = {
    "ndarray": _is_array,
    "typedarray": _is_typed_array,
    "memoryview": _is_view,
    "set": _is_set,
    "orderedmap": _is_ordered_map,
}
_HANDED_ON: Mapping[str, Callable[[Mapping[Any, Any]], bool]] = {
    **_DATA,
    "ndarray": _is_any_array,
    "error": _is_error,
    "method": _is_function,
    "generator": _is_function,
    "iostream": _is_stream,
    "pydantic_model": _is_model,
}
_NEVER = frozenset({"stop_iteration"})
"""It ends whatever it is an item of."""
