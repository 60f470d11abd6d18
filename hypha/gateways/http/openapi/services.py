"""What is described: services of connected clients, and those of the server itself, in one shape."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from hypha.builtins.schema import type_schema
from hypha.builtins.service import BuiltinFunction, BuiltinService

MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class DescribedFunction:
    """One callable function: its dotted path and what is known of it.

    `result` is the schema of the answer, None where it is not known (then it may also be a stream).
    """

    path: str
    description: str
    parameters: Mapping[str, Any]
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DescribedService:
    """One service under the address by which its functions are called."""

    workspace: str
    address: str
    title: str
    description: str = ""
    docs: str = ""
    needs_token: bool = False
    functions: tuple[DescribedFunction, ...] = field(default=())

    @classmethod
    def of_info(cls, workspace: str, address: str, info: Mapping[str, Any]) -> DescribedService:
        """From a service info map; `address` is what stands between `/services/` and the function."""
        config = info.get("config") or {}
        hidden = {"context"} if config.get("require_context") else set()
        found = functions_in(info.get("service_schema"))
        return cls(
            workspace,
            address,
            _text(info.get("name")) or address,
            _text(info.get("description")),
            _text(info.get("docs")),
            config.get("visibility") == "protected",
            tuple(_described(path, schema, hidden) for path, schema in found),
        )

    @classmethod
    def of_local(cls, workspace: str, address: str, service: BuiltinService) -> DescribedService:
        """From a service of the server itself, whose results are known too."""
        functions = tuple(_own_function(function) for function in service.functions.values())
        return cls(
            workspace,
            address,
            service.name or service.id,
            service.description,
            service.docs or "",
            service.config.get("visibility") == "protected",
            functions,
        )


def functions_in(schema: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted path and schema of every function that HTTP can name."""
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


def _described(path: str, schema: Mapping[str, Any], hidden: set[str]) -> DescribedFunction:
    parameters = schema.get("parameters")
    parameters = dict(parameters) if isinstance(parameters, Mapping) else {}
    properties = parameters.get("properties")
    if hidden and isinstance(properties, Mapping):
        parameters["properties"] = {name: item for name, item in properties.items() if name not in hidden}
    return DescribedFunction(path, _text(schema.get("description")), parameters)


def _own_function(function: BuiltinFunction) -> DescribedFunction:
    parameters = dict(function.schema.get("parameters") or {})
    kinds = {parameter.kind for parameter in function.signature.parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        parameters["additionalProperties"] = False
    try:
        result = type_schema(get_type_hints(function.call).get("return", Any))
    except (TypeError, NameError):
        result = {}
    return DescribedFunction(function.name, function.description, parameters, result)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
