"""Example values for schemas: the author's own where there are some, plain ones elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypha.gateways.http.openapi.schemas import fits

MAX_DEPTH = 6
MAX_PARTS = 500
_PLAIN: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
    "array": [],
    "object": {},
}
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "anna@example.org",
    "uri": "https://example.org",
    "uuid": "3f2b8a64-8b7a-4f0e-9d53-8a1c2f9f7e10",
}


def sample(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    """A value that fits the (cleaned) schema, as far as that can be told without a solver."""
    return _Sampler(components).value(schema, 0)


class _Sampler:
    """Makes one value, of a bounded number of parts."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components
        self._left = MAX_PARTS

    def value(self, schema: Mapping[str, Any], depth: int) -> Any:
        self._left -= 1
        is_deep = depth >= MAX_DEPTH or self._left < 0
        if "$ref" in schema:
            target = self._components.get(str(schema["$ref"]).rpartition("/")[2], {})
            return {} if is_deep else self.value(target, depth + 1)
        if schema.get("examples"):
            return schema["examples"][0]
        if schema.get("default") is not None:
            return schema["default"]
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for word in ("anyOf", "oneOf", "allOf"):
            options = schema.get(word)
            if options:
                return None if is_deep else self.value(options[0], depth + 1)
        return self._of_type(schema, depth, is_deep)

    def _of_type(self, schema: Mapping[str, Any], depth: int, is_deep: bool) -> Any:
        kinds = schema.get("type")
        kind = kinds[0] if isinstance(kinds, list) else kinds
        if kind == "object" and not is_deep:
            known, required = schema.get("properties", {}), set(schema.get("required", ()))
            return {name: self.value(item, depth + 1) for name, item in known.items() if name in required}
        if kind == "array" and not is_deep:
            items = schema.get("items")
            return [self.value(items, depth + 1)] if items else []
        if kind == "string":
            return _FORMATS.get(schema.get("format", ""), "text")
        value = _PLAIN.get(str(kind), "anything")
        if isinstance(value, int | float) and not fits(value, schema):
            value = schema.get("minimum", schema.get("maximum", value))
        return value
