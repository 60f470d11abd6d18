"""Arguments of a function call from a query or a body, guided by the function's schema.

The schema that the Python client derives by itself says `string` for every parameter that has no
simple annotation, so a plain `string` proves nothing: such text is converted conservatively.
A schema that somebody wrote (with a default, a title, alternatives …) is believed.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgpack

from hypha.errors import InvalidRequest, UnsupportedContent
from hypha.values import NO, YES
from hypha.wire.bounded import CONTAINER_VALUES, MAX_PASSED_VALUES, ValueLimit, unpack
from hypha.wire.frames import map_entries
from hypha.wire.json_text import Inexact, NotJson, loads
from hypha.wire.values import maps_in

JSON_TYPE = "application/json"
MSGPACK_TYPES = frozenset({"application/msgpack", "application/x-msgpack", "application/vnd.msgpack"})
MODE_KEY = "_mode"
ARRAYS_KEY, BYTES_KEY = "_arrays", "_bytes"
"""What they shall be in a JSON answer; arguments only for a function that has such parameters."""
_OPTIONS = frozenset({MODE_KEY, ARRAYS_KEY, BYTES_KEY})
PATH_NAMES = frozenset({"workspace", "service_id", "function_key"})
MAX_FIELDS = 1000
MAX_JSON_CONTAINERS = MAX_PASSED_VALUES // CONTAINER_VALUES
"""No body holds more lists and objects than that."""
MAX_OPTIONS = 100
"""Alternatives of one schema that are looked at."""

_DIGITS = re.compile(r"([+-]?)0*([0-9]+)")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})")
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_SHORT_QUERY = MAX_FIELDS
"""Bytes of a query that cannot have more than so many parameters."""
_CODED = frozenset(b"%+")
_UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
AUTOMATIC_KEYS = ["type", "description"]
_UNCONVERTED = object()
_ARRAY_TAGS = ("ndarray", "typedarray")

Schema = Mapping[str, Any]
Arguments = tuple[list[Any], dict[str, Any]]


def split_query(query: bytes) -> list[tuple[str, str]]:
    """Name and value pairs of a query string, in order."""
    if not query:
        return []
    if len(query) < _SHORT_QUERY and _CODED.isdisjoint(query):
        parts = query.decode("utf-8", "replace").split("&")
        return [(name, text) for name, _, text in (part.partition("=") for part in parts if part)]
    try:
        return parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidRequest(f"The query has more than {MAX_FIELDS} parameters.") from None


def properties_of(schema: Schema | None) -> Schema | None:
    """The parameters that a function's schema names, or None if nothing is known of them."""
    parameters = schema.get("parameters") if schema else None
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    return properties if isinstance(properties, dict) else None


def query_arguments(pairs: Iterable[tuple[str, str]], schema: Schema | None) -> dict[str, Any]:
    """Keyword arguments from a query: each text becomes what its parameter's schema asks for."""
    properties = properties_of(schema)
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        if name in texts:
            texts[name].append(text)
        elif name not in _OPTIONS or (name != MODE_KEY and properties and name in properties):
            texts[name] = [text]
    arguments: dict[str, Any] = {}
    for name, values in texts.items():
        known = properties.get(name) if properties is not None else None
        if known is None and properties and name in PATH_NAMES:
            continue
        arguments[name] = _from_texts(values, known if isinstance(known, dict) else None)
    return arguments


def _from_texts(values: list[str], schema: Schema | None) -> Any:
    if schema is None or _is_automatic(schema):
        return guess(values[-1])
    if "array" in _types(schema):
        whole = _parse_json(values[0], list) if len(values) == 1 else _UNCONVERTED
        if whole is not _UNCONVERTED:
            return whole
        if len(values) > 1 or _types(schema) == ["array"]:
            items = schema.get("items")
            return [convert(text, items if isinstance(items, dict) else None) for text in values]
    return convert(values[-1], schema)


def _is_automatic(schema: Schema) -> bool:
    """Whether the client library derived it without knowing anything."""
    return list(schema) == AUTOMATIC_KEYS and schema["type"] == "string"


def convert(text: str, schema: Schema | None) -> Any:
    """One text as its schema asks; text that does not fit is converted conservatively."""
    if schema is None or _is_automatic(schema):
        return guess(text)
    kinds = _types(schema)
    try:
        for kind in kinds:
            value = _convert_to(kind, text)
            if value is not _UNCONVERTED:
                return value
    except Inexact as error:
        if "string" not in kinds:
            raise InvalidRequest(f"Invalid query: {error}") from None
    return text if "string" in kinds else guess(text)


_ALTERNATIVES = frozenset({"anyOf", "oneOf", "allOf"})
_ORDER = ("null", "boolean", "integer", "number", "object", "array", "string")


def _types(schema: Schema) -> list[str]:
    """Types that a schema allows, as far as few alternatives say; it is asked for every text."""
    if _ALTERNATIVES.isdisjoint(schema):
        kind = schema.get("type")
        if isinstance(kind, str):
            return [kind] if kind in _ORDER else []
    found: set[str] = set()
    waiting, seen = [schema], 0
    while waiting and seen < MAX_OPTIONS:
        seen += 1
        option = waiting.pop()
        kind = option.get("type")
        names = [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else []
        found.update(name for name in names[:MAX_OPTIONS] if isinstance(name, str))
        for word in _ALTERNATIVES:
            options = option.get(word)
            if isinstance(options, list | tuple):
                waiting += [item for item in options[:MAX_OPTIONS] if isinstance(item, dict)]
    return [name for name in _ORDER if name in found]


def _convert_to(kind: str, text: str) -> Any:
    if kind == "null":
        return None if text == "null" else _UNCONVERTED
    if kind == "boolean":
        word = text.lower()
        return True if word in YES else False if word in NO else _UNCONVERTED
    if kind == "integer":
        return _to_integer(text)
    if kind == "number":
        return _to_number(text)
    if kind in ("object", "array"):
        return _parse_json(text, dict if kind == "object" else list)
    return _UNCONVERTED


def _to_integer(text: str) -> Any:
    """An integer that msgpack can carry.

    Raises:
        Inexact: it has more than 64 bits.
    """
    match = _DIGITS.fullmatch(text)
    if match is None:
        return _UNCONVERTED
    value = int(match[1] + match[2]) if len(match[2]) <= 20 else 2**64
    if -(2**63) <= value < 2**64:
        return value
    raise Inexact(f"the integer {text[:40]} has more than 64 bits; add '.0' to send it as a float")


def _to_number(text: str) -> Any:
    value = _to_integer(text)
    if value is not _UNCONVERTED:
        return value
    try:
        return float(text)
    except ValueError:
        return _UNCONVERTED


def _parse_json(text: str, kind: type) -> Any:
    """A map or list in JSON.

    Raises:
        Inexact: it would change its meaning.
    """
    try:
        value = loads(text.encode())
    except Inexact:
        raise
    except NotJson:
        return _UNCONVERTED
    return value if isinstance(value, kind) else _UNCONVERTED


def guess(text: str) -> Any:
    """Text of unknown meaning: only what is surely a number or a JSON object changes.

    `42` and `-1.5e3` become numbers and `{"a": 1}` an object; `007`, `nan`, `true`, `[1]` and
    everything else stay text.
    """
    try:
        if _INTEGER.fullmatch(text):
            return _to_integer(text)
        if text[:1] == "{":
            value = _parse_json(text, dict)
            return text if value is _UNCONVERTED else value
    except Inexact:
        return text
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return text
    try:
        value = float(text)
    except ValueError:  # it has no digits
        return text
    return value if math.isfinite(value) else text


def media_type(content_type: bytes | None) -> str:
    """The bare media type of a `Content-Type` header; JSON when there is none."""
    if not content_type:
        return JSON_TYPE
    return content_type[:1000].partition(b";")[0].decode("latin-1").strip().lower()


def check_media_type(kind: str) -> None:
    """Raise UnsupportedContent for what is neither JSON nor msgpack; forms could come from any web page."""
    if kind != JSON_TYPE and kind not in MSGPACK_TYPES:
        raise UnsupportedContent(
            f"Content-Type {kind[:80]!r} is not understood: send application/json or application/msgpack.",
            hint="With curl, add: -H 'Content-Type: application/json'",
        )


def check_charset(content_type: bytes | None, body: bytes) -> None:
    """Raise UnsupportedContent for text in another encoding than UTF-8, if the `Content-Type` says so."""
    for part in (content_type or b"")[:1000].split(b";")[1:]:
        name, _, value = part.partition(b"=")
        word = value.strip().strip(b'"').lower()
        if name.strip().lower() == b"charset" and word not in _UTF8 and not body.isascii():
            shown = word[:40].decode("latin-1")
            raise UnsupportedContent(f"The charset {shown!r} is not understood: send UTF-8.")


def is_msgpack(kind: str) -> bool:
    """True for the names under which MessagePack goes."""
    return kind in MSGPACK_TYPES


def body_arguments(
    body: bytes, kind: str, schema: Schema | None, max_values: int = MAX_PASSED_VALUES
) -> Arguments:
    """Arguments from a body: an object gives keywords, an array positions, a single value one.

    A tagged map (`_rtype`, such as an array in RPC encoding) is a single value.

    Raises:
        UnsupportedContent: neither JSON nor msgpack.
        InvalidRequest: the body cannot be decoded, or holds more than `max_values` values.
    """
    if not body:
        return [], {}
    check_media_type(kind)
    if kind in MSGPACK_TYPES:
        value = _unpack(body, max_values)
    else:
        try:
            value = loads(body, max_values)
        except (NotJson, ValueLimit) as error:
            raise InvalidRequest(f"Invalid request body: {error}") from None
        if b'"_rtype"' in body:
            _open_arrays(value)
    properties = properties_of(schema)
    if isinstance(value, dict) and "_rtype" not in value:
        return [], _keywords(value, properties)
    if isinstance(value, list):
        return value, {}
    if value is None and properties is not None and not properties:
        return [], {}
    return [value], {}


def _open_arrays(value: Any) -> None:
    """Make arrays in JSON, whose data is base64 text as in our answers, what they are in MessagePack."""
    for item in maps_in(value):
        data = item.get("_rvalue")
        if isinstance(data, str) and item.get("_rtype") in _ARRAY_TAGS:
            try:
                item["_rvalue"] = b64decode(data, validate=True)
            except ValueError:
                raise InvalidRequest(
                    "Invalid request body: the '_rvalue' of an array is base64 text in JSON."
                ) from None


def _unpack(body: bytes, max_values: int) -> Any:
    try:
        value = unpack(body, max_values)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        text = str(error) or type(error).__name__
        raise InvalidRequest(f"Invalid request body: not one complete msgpack value ({text[:120]})") from None
    if isinstance(value, dict) and _entries(body) != len(value):
        raise InvalidRequest("Invalid request body: the same name comes twice")
    return value


def _entries(body: bytes) -> int:
    """Entries of the map that a body is."""
    return int.from_bytes(body[1:5]) if body[0] == 0xDF else map_entries(body)


def _keywords(value: dict[Any, Any], properties: Schema | None) -> dict[str, Any]:
    if any(not isinstance(name, str) for name in value):
        raise InvalidRequest("Invalid request body: argument names must be text.")
    if properties and not PATH_NAMES.isdisjoint(value):
        return {k: v for k, v in value.items() if k not in PATH_NAMES or k in properties}
    return value
