"""What is known of a service's functions, by the schema that it registered or by the server's own code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from hypha.builtins.schema import type_schema
from hypha.builtins.service import BuiltinFunction, BuiltinService
from hypha.wire.values import is_hidden

MAX_DEPTH = 8
_UNKNOWN: Mapping[str, Any] = {"type": "function"}


@dataclass(frozen=True, slots=True)
class DescribedFunction:
    """One callable function: its dotted path and what is known of it.

    `result` is the schema of the answer, None where it is not known (then it may also be a stream).
    """

    path: str
    description: str
    parameters: Mapping[str, Any]
    result: Mapping[str, Any] | None = None


def functions_of(info: Mapping[str, Any]) -> tuple[DescribedFunction, ...]:
    """The functions in a service info map."""
    config = info.get("config") or {}
    hidden = {"context"} if config.get("require_context") else set()
    return tuple(
        _described(path, schema, hidden) for path, schema in functions_in(info.get("service_schema"))
    )


def functions_of_builtin(service: BuiltinService) -> tuple[DescribedFunction, ...]:
    """The functions of a service of the server itself, whose results are known too."""
    return tuple(_described_builtin(function) for function in service.functions.values())


def functions_in(schema: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted path and schema of every function that a path can name."""
    if depth > MAX_DEPTH:
        return
    if isinstance(schema, list):
        parts: Any = ((str(index), part) for index, part in enumerate(schema))
    elif isinstance(schema, Mapping):
        parts = schema.items()
    else:
        return
    for name, part in parts:
        if not isinstance(name, str) or not name or set(name) & set("./") or name.startswith("_"):
            continue
        if isinstance(part, Mapping) and part.get("type") == "function":
            inner = part.get("function")
            yield prefix + name, inner if isinstance(inner, Mapping) else {}
        else:
            yield from functions_in(part, f"{prefix}{name}.", depth + 1)


def function_at(schema: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any] | None:
    """The function at a path of a service schema; None if there is another thing, or nothing.

    Where nothing was registered, every path may be that of a function.
    """
    if not schema:
        return None if is_hidden(".".join(path)) else _UNKNOWN
    found = schema_at(schema, path)
    return found if is_function(found) else None


def schema_at(schema: Any, path: Sequence[str]) -> Any:
    """What a service schema says at a path; None where it says nothing."""
    for word in path:
        if isinstance(schema, dict):
            schema = schema.get(word)
        elif isinstance(schema, list) and is_index(word, schema):
            schema = schema[int(word)]
        else:
            return None
    return schema


def is_index(word: str, items: list[Any]) -> bool:
    """True for the plain number of an item; some digits are no decimal ones, and some numbers endless."""
    return word.isascii() and word.isdigit() and len(word) < 10 and int(word) < len(items)


def is_function(schema: Any) -> bool:
    """True for the schema of a function (and not of a nested group of functions)."""
    return isinstance(schema, dict) and schema.get("type") == "function"


def schema_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a service that its provider sent, as far as its functions go."""
    if value.get("_rtype") == "method":
        return {"type": "function", "function": {}}
    return {key: schema_of(item) for key, item in value.items() if isinstance(item, dict)}


def _described(path: str, schema: Mapping[str, Any], hidden: set[str]) -> DescribedFunction:
    parameters = schema.get("parameters")
    parameters = dict(parameters) if isinstance(parameters, Mapping) else {}
    properties = parameters.get("properties")
    if hidden and isinstance(properties, Mapping):
        parameters["properties"] = {name: item for name, item in properties.items() if name not in hidden}
    description = schema.get("description")
    return DescribedFunction(path, description.strip() if isinstance(description, str) else "", parameters)


def _described_builtin(function: BuiltinFunction) -> DescribedFunction:
    parameters = dict(function.schema.get("parameters") or {})
    kinds = {parameter.kind for parameter in function.signature.parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        parameters["additionalProperties"] = False
    try:
        result = type_schema(get_type_hints(function.call).get("return", Any))
    except (TypeError, NameError):
        result = {}
    return DescribedFunction(function.name, function.description, parameters, result)
