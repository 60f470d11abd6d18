"""JSON schemas of functions, made fit for an OpenAPI 3.1 document.

What a client registers as schema is free text of a stranger: types may be Python names, defaults may
contradict the type, references point into the function's own `$defs`, or in circles. Here everything that a
reader of OpenAPI would stumble over is repaired or left out; nothing that is right gets lost, up to a size.
What a schema can make this work is bounded: its patterns are not run, long lists are cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

MAX_DEPTH = 24
MAX_TEXT_CHARS = 10_000
MAX_NODES = 100_000
"""Schemas inside the schemas of one document; what comes behind them is left open."""
MAX_OPTIONS = 100
MAX_LISTED = 1000
"""Values of an enumeration; of a longer one nothing is said."""
MAX_EXAMPLES = 10
MAX_PATTERN_CHARS = 500
MAX_PATTERNS_CHARS = 20_000
"""Letters of all patterns of one document of which it is found out whether they are right."""
_WIDE_SET_CHARS = 500
"""So much a set counts that may hold letters of all scripts: Python looks at 65,536 of them, for 5 ms."""
MAX_CHECKS = 100_000
"""Steps in which the defaults and examples of one document are compared with their schemas."""
MAX_CHECKS_OF_VALUE = 5000
MAX_CHECKED_CHARS = 100
"""A longer text is not compared with a pattern."""
TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_TYPE_NAMES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "tuple": "array",
    "NoneType": "null",
    "None": "null",
}
_COUNTS = frozenset(
    "minLength maxLength minItems maxItems minProperties maxProperties".split()
)  # whole numbers from 0
_BOUNDS = frozenset("minimum maximum exclusiveMinimum exclusiveMaximum".split())
_TEXTS = frozenset("title description format".split())
_SAID = ("title", "description")  # beside a reference
_CHOICES = ("anyOf", "oneOf", "allOf")
_NOTHING: frozenset[str] = frozenset()
_REFERENCE = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")
_COMPONENT_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_FLAGS = re.compile(r"\(\?[a-zA-Z-]")
"""Flags of Python inside a pattern: JSON schemas know none, and with `(?i)` a wide set takes 30 ms."""
_WIDE = re.compile(r"[^\x00-\x7f]|\\[uUN]")

Schema = dict[str, Any]


class SchemaPool:
    """The shared schemas of one document, filled while functions are described."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self.nodes_left = MAX_NODES
        self.checks_left = MAX_CHECKS
        self.pattern_chars_left = MAX_PATTERNS_CHARS
        self._numbers: dict[str, int] = {}

    def cleaned(self, schema: object) -> Schema:
        """One function's schema as OpenAPI 3.1 takes it; its `$defs` become components."""
        cleaner = _Cleaner(self, _definitions_of(schema))
        clean = cleaner.clean(schema, 0, _NOTHING)
        cleaner.move()
        return clean

    def name_for(self, wanted: str, source: Mapping[str, Any]) -> str:
        """A free component name near `wanted`."""
        stem = _COMPONENT_NAME.sub("_", wanted)[:80] or "Schema"
        name = stem
        while name in self.components:
            number = self._numbers[stem] = self._numbers.get(stem, 1) + 1
            name = f"{stem}_{number}"
        return name


def _definitions_of(schema: object) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    found: dict[str, Any] = {}
    for word in ("$defs", "definitions"):
        part = schema.get(word)
        if isinstance(part, Mapping):
            found.update({name: item for name, item in part.items() if isinstance(item, Mapping)})
    return found


class _Cleaner:
    """Cleans the schema of one function; remembers which definitions it has moved."""

    def __init__(self, pool: SchemaPool, definitions: Mapping[str, Any]) -> None:
        self._pool = pool
        self._definitions = definitions
        self._moved: dict[str, str] = {}
        self._waiting: list[tuple[str, Mapping[str, Any], frozenset[str]]] = []
        """Definitions that have their name in the document, and what they are inside of."""

    def move(self) -> None:
        """Clean the definitions that were referred to, and those to which they refer in turn.

        One after the other: thousands of them may refer to the next one.
        """
        while self._waiting:
            name, definition, inside = self._waiting.pop()
            self._pool.components[name] = self.clean(definition, 1, inside)

    def clean(self, schema: object, depth: int, inside: frozenset[str]) -> Schema:
        """The schema without what is wrong in it.

        Args:
            inside: definitions that say something of the same value; none of them may be said again.
        """
        self._pool.nodes_left -= 1
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self._pool.nodes_left < 0:
            return {}
        if "$ref" in schema:
            texts = {
                word: schema[word][:MAX_TEXT_CHARS] for word in _SAID if isinstance(schema.get(word), str)
            }
            return {**self._reference(schema["$ref"], inside), **texts}
        clean: Schema = {}
        kinds = _types_of(schema)
        if kinds:
            clean["type"] = kinds[0] if len(kinds) == 1 else kinds
        for word, value in schema.items():
            self._keep(clean, word, value, depth, inside)
        if "integer" in kinds and not clean.keys() & {"format", "enum", "const"}:
            clean["format"] = "int64"  # what msgpack carries
        _repair_required(clean)
        self._repair_default(clean)
        return clean

    def _fits(self, value: Any, schema: Schema) -> bool:
        comparison = _Comparison(min(MAX_CHECKS_OF_VALUE, self._pool.checks_left))
        does_fit = comparison.fits(value, schema)
        self._pool.checks_left -= MAX_CHECKS_OF_VALUE - comparison.left
        return does_fit

    def _repair_default(self, clean: Schema) -> None:
        """`null` as default means that null is taken; another default that does not fit is left out."""
        if "examples" in clean:
            clean["examples"] = [value for value in clean["examples"] if self._fits(value, clean)]
            if not clean["examples"]:
                del clean["examples"]
        if "default" not in clean or self._fits(clean["default"], clean):
            return
        kinds = clean.get("type")
        if clean["default"] is None and isinstance(kinds, str) and "enum" not in clean:
            clean["type"] = [kinds, "null"]
        else:
            del clean["default"]

    def _reference(self, target: object, inside: frozenset[str]) -> Schema:
        match = _REFERENCE.fullmatch(target) if isinstance(target, str) else None
        definition = self._definitions.get(match[1]) if match else None
        if match is None or definition is None or match[1] in inside:
            return {}
        name = self._moved.get(match[1])
        if name is None:
            if len(inside) > MAX_DEPTH:
                return {}
            name = self._moved[match[1]] = self._pool.name_for(match[1], definition)
            self._pool.components[name] = {}  # taken
            self._waiting.append((name, definition, inside | {match[1]}))
        return {"$ref": f"#/components/schemas/{name}"}

    def _keep(self, clean: Schema, word: object, value: Any, depth: int, inside: frozenset[str]) -> None:
        if word in _TEXTS:
            if isinstance(value, str) and value:
                clean[str(word)] = value[:MAX_TEXT_CHARS]
        elif word in _CHOICES:
            given = value[:MAX_OPTIONS] if isinstance(value, list) else []
            options = [self.clean(option, depth + 1, inside) for option in given]
            if options:
                clean[str(word)] = options
        elif word in ("properties", "items", "prefixItems", "additionalProperties"):
            self._keep_inner(clean, str(word), value, depth)
        elif word == "enum" and isinstance(value, list) and len(value) <= MAX_LISTED:
            _keep_values(clean, word, value)
        elif word == "examples" and isinstance(value, list):
            _keep_values(clean, word, value[:MAX_EXAMPLES])
        elif word == "example" and is_json(value):
            clean.setdefault("examples", [value])
        elif word in ("const", "default", "required") and is_json(value):
            clean[str(word)] = value
        elif word == "pattern" and isinstance(value, str) and self._is_pattern(value):
            clean[word] = value
        else:
            _keep_limit(clean, word, value)

    def _is_pattern(self, text: str) -> bool:
        """Whether a text is a pattern, as far as that may be found out."""
        if len(text) > MAX_PATTERN_CHARS or _FLAGS.search(text):
            return False
        wide_sets = text.count("[") if _WIDE.search(text) else 0
        self._pool.pattern_chars_left -= len(text) + _WIDE_SET_CHARS * wide_sets
        if self._pool.pattern_chars_left < 0:
            return False
        try:
            re.compile(text)
        except (re.error, RecursionError, OverflowError):
            return False
        return True

    def _keep_inner(self, clean: Schema, word: str, value: Any, depth: int) -> None:
        if word == "properties" and isinstance(value, Mapping):
            clean[word] = {
                name: self.clean(item, depth + 1, _NOTHING)
                for name, item in value.items()
                if isinstance(name, str) and self._pool.nodes_left > 0
            }
        elif word == "items" and isinstance(value, Mapping):
            clean[word] = self.clean(value, depth + 1, _NOTHING)
        elif word == "prefixItems" and isinstance(value, list) and value:
            clean[word] = [self.clean(item, depth + 1, _NOTHING) for item in value[:MAX_OPTIONS]]
        elif word == "additionalProperties":
            clean[word] = value if isinstance(value, bool) else self.clean(value, depth + 1, _NOTHING)


def _keep_values(clean: Schema, word: str, values: list[Any]) -> None:
    kept = [item for item in values if is_json(item)]
    if kept:
        clean[word] = _unique(kept)


def _keep_limit(clean: Schema, word: object, value: Any) -> None:
    """Bounds, where they are what they must be."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if word in _BOUNDS and is_number:
        clean[str(word)] = value
    elif word in _COUNTS and isinstance(value, int) and is_number and value >= 0:
        clean[str(word)] = value
    elif word == "multipleOf" and is_number and value > 0:
        clean["multipleOf"] = value
    elif word in ("uniqueItems", "deprecated", "readOnly", "writeOnly") and isinstance(value, bool):
        clean[str(word)] = value


def is_json(value: Any, depth: int = 0) -> bool:
    """Whether JSON can carry a value; msgpack brought it, so it may hold bytes."""
    if isinstance(value, list):
        return depth < MAX_DEPTH and all(is_json(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return depth < MAX_DEPTH and all(
            isinstance(name, str) and is_json(item, depth + 1) for name, item in value.items()
        )
    return value is None or isinstance(value, str | int | float)


def _unique(values: list[Any]) -> list[Any]:
    kept: dict[bytes, Any] = {}
    for value in values:
        kept.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), value)
    return list(kept.values())


def _types_of(schema: Mapping[str, Any]) -> list[str]:
    given = schema.get("type")
    words = given if isinstance(given, list) else [given]
    names = [_TYPE_NAMES.get(word, word) for word in words if isinstance(word, str)]
    kinds = [name for name in dict.fromkeys(names) if name in TYPES]
    if len(kinds) != len(set(names)):
        return []  # one of them is unknown, so anything may be meant
    if schema.get("nullable") is True and kinds and "null" not in kinds:
        kinds.append("null")
    return kinds


def _repair_required(clean: Schema) -> None:
    if "required" not in clean:
        return
    given = clean.pop("required")
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    known = clean.get("properties", {})
    names = [name for name in dict.fromkeys(names) if name in known]
    if names:
        clean["required"] = names


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is one that the (cleaned) schema allows; formats and references are believed.

    A value that takes many steps to compare does not count as one.
    """
    return _Comparison(MAX_CHECKS_OF_VALUE).fits(value, schema)


class _Comparison:
    """Compares one value with a schema, in a bounded number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def fits(self, value: Any, schema: Mapping[str, Any]) -> bool:
        """Whether it fits, as far as that is known when the steps are used up."""
        return self._fits(value, schema) and self.left > 0

    def _fits(self, value: Any, schema: Mapping[str, Any]) -> bool:
        self.left -= 1 + len(schema.get("enum", ()))
        if self.left <= 0:
            return False
        kinds = schema.get("type")
        if kinds and not any(_is_of(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
            return False
        if "enum" in schema and value not in schema["enum"]:
            return False
        if "const" in schema and value != schema["const"]:
            return False
        for word, enough in (("anyOf", any), ("oneOf", any), ("allOf", all)):
            options = schema.get(word)
            if options and not enough(self._fits(value, option) for option in options):
                return False
        return self._fits_kind(value, schema)

    def _fits_kind(self, value: Any, schema: Mapping[str, Any]) -> bool:
        if isinstance(value, list):
            return _within(len(value), schema, "minItems", "maxItems") and all(
                self._fits(item, schema.get("items", {})) for item in value
            )
        if isinstance(value, dict):
            known, required = schema.get("properties", {}), schema.get("required", ())
            self.left -= len(required)
            return all(name in value for name in required) and all(
                self._fits(item, known.get(name, {})) for name, item in value.items()
            )
        if isinstance(value, str):
            pattern = schema.get("pattern")
            is_long = len(value) > MAX_CHECKED_CHARS
            matches = pattern is None or (not is_long and _is_plain(pattern) and re.search(pattern, value))
            return bool(matches) and _within(len(value), schema, "minLength", "maxLength")
        return isinstance(value, bool | None) or _is_in_bounds(value, schema)


def _is_plain(pattern: str) -> bool:
    """Whether a pattern can be run on any text of a few hundred characters: it has no groups to repeat.

    `(a+)+$` takes years for forty letters.
    """
    return "(" not in pattern and sum(map(pattern.count, "*+?{")) <= 2


def _is_of(value: Any, kind: str) -> bool:
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and value.is_integer()
        )
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "object": dict, "array": list}[kind])


def _within(size: int, schema: Mapping[str, Any], least: str, most: str) -> bool:
    return bool(schema.get(least, 0) <= size <= schema.get(most, size))


def _is_in_bounds(value: Any, schema: Mapping[str, Any]) -> bool:
    if not isinstance(value, int | float):
        return True
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )
