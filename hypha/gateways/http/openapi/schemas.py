"""JSON schemas of functions, made fit for an OpenAPI 3.1 document.

What a client registers as schema is free text of a stranger: types may be Python names, defaults may
contradict the type, references point into the function's own `$defs`. Here everything that a reader
of OpenAPI would stumble over is repaired or left out; nothing that is right gets lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 24
MAX_TEXT_CHARS = 10_000
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
_REFERENCE = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")
_COMPONENT_NAME = re.compile(r"[^A-Za-z0-9._-]+")

Schema = dict[str, Any]


class SchemaPool:
    """The shared schemas of one document, filled while functions are described."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def cleaned(self, schema: object) -> Schema:
        """One function's schema as OpenAPI 3.1 takes it; its `$defs` become components."""
        definitions = _definitions_of(schema)
        return _Cleaner(self, definitions).clean(schema, 0)

    def name_for(self, wanted: str, source: Mapping[str, Any]) -> str:
        """A free component name near `wanted`."""
        stem = _COMPONENT_NAME.sub("_", wanted)[:80] or "Schema"
        name, number = stem, 1
        while name in self.components:
            number += 1
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

    def clean(self, schema: object, depth: int) -> Schema:
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return {}
        if "$ref" in schema:
            texts = {
                word: schema[word][:MAX_TEXT_CHARS] for word in _SAID if isinstance(schema.get(word), str)
            }
            return {**self._reference(schema["$ref"]), **texts}
        clean: Schema = {}
        kinds = _types_of(schema)
        if kinds:
            clean["type"] = kinds[0] if len(kinds) == 1 else kinds
        for word, value in schema.items():
            self._keep(clean, word, value, depth)
        if "integer" in kinds and not clean.keys() & {"format", "enum", "const"}:
            clean["format"] = "int64"  # what msgpack carries
        _repair_required(clean)
        _repair_default(clean)
        return clean

    def _reference(self, target: object) -> Schema:
        match = _REFERENCE.fullmatch(target) if isinstance(target, str) else None
        definition = self._definitions.get(match[1]) if match else None
        if match is None or definition is None:
            return {}
        name = self._moved.get(match[1])
        if name is None:
            name = self._moved[match[1]] = self._pool.name_for(match[1], definition)
            self._pool.components[name] = {}  # taken, before the definition names itself
            self._pool.components[name] = self.clean(definition, 1)
        return {"$ref": f"#/components/schemas/{name}"}

    def _keep(self, clean: Schema, word: object, value: Any, depth: int) -> None:
        if word in _TEXTS:
            if isinstance(value, str) and value:
                clean[str(word)] = value[:MAX_TEXT_CHARS]
        elif word in _CHOICES:
            options = [self.clean(option, depth + 1) for option in value] if isinstance(value, list) else []
            if options:
                clean[str(word)] = options
        elif word in ("properties", "items", "prefixItems", "additionalProperties"):
            self._keep_inner(clean, str(word), value, depth)
        elif word in ("enum", "examples"):
            values = [item for item in value if is_json(item)] if isinstance(value, list) else []
            if values:
                clean[str(word)] = _unique(values)
        elif word == "example" and is_json(value):
            clean.setdefault("examples", [value])
        elif word in ("const", "default", "required") and is_json(value):
            clean[str(word)] = value
        else:
            _keep_limit(clean, word, value)

    def _keep_inner(self, clean: Schema, word: str, value: Any, depth: int) -> None:
        if word == "properties" and isinstance(value, Mapping):
            clean[word] = {
                name: self.clean(item, depth + 1) for name, item in value.items() if isinstance(name, str)
            }
        elif word == "items" and isinstance(value, Mapping):
            clean[word] = self.clean(value, depth + 1)
        elif word == "prefixItems" and isinstance(value, list) and value:
            clean[word] = [self.clean(item, depth + 1) for item in value]
        elif word == "additionalProperties":
            clean[word] = value if isinstance(value, bool) else self.clean(value, depth + 1)


def _keep_limit(clean: Schema, word: object, value: Any) -> None:
    """Bounds and patterns, where they are what they must be."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if word in _BOUNDS and is_number:
        clean[str(word)] = value
    elif word in _COUNTS and isinstance(value, int) and is_number and value >= 0:
        clean[str(word)] = value
    elif word == "multipleOf" and is_number and value > 0:
        clean["multipleOf"] = value
    elif word in ("uniqueItems", "deprecated", "readOnly", "writeOnly") and isinstance(value, bool):
        clean[str(word)] = value
    elif word == "pattern" and isinstance(value, str) and _is_pattern(value):
        clean["pattern"] = value


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


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
    kept: list[Any] = []
    for value in values:
        if not any(value == other and type(value) is type(other) for other in kept):
            kept.append(value)
    return kept


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


def _repair_default(clean: Schema) -> None:
    """`null` as default means that null is taken; another default that does not fit is left out."""
    if "examples" in clean:
        clean["examples"] = [value for value in clean["examples"] if fits(value, clean)]
        if not clean["examples"]:
            del clean["examples"]
    if "default" not in clean or fits(clean["default"], clean):
        return
    kinds = clean.get("type")
    if clean["default"] is None and isinstance(kinds, str) and "enum" not in clean:
        clean["type"] = [kinds, "null"]
    else:
        del clean["default"]


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is one that the (cleaned) schema allows; formats and references are believed."""
    kinds = schema.get("type")
    if kinds and not any(_is_of(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    for word, enough in (("anyOf", any), ("oneOf", any), ("allOf", all)):
        options = schema.get(word)
        if options and not enough(fits(value, option) for option in options):
            return False
    if isinstance(value, list):
        return _within(len(value), schema, "minItems", "maxItems") and all(
            fits(item, schema.get("items", {})) for item in value
        )
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return all(name in value for name in schema.get("required", ())) and all(
            fits(item, known.get(name, {})) for name, item in value.items()
        )
    if isinstance(value, str):
        pattern = schema.get("pattern")
        matches = pattern is None or re.search(pattern, value) is not None
        return matches and _within(len(value), schema, "minLength", "maxLength")
    return isinstance(value, bool | None) or _is_in_bounds(value, schema)


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
