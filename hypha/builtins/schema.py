"""Type hints and docstrings as JSON schema: how built-in functions are described.

A docstring in the usual form (summary, then `Args:` with one entry per parameter) becomes the descriptions.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Example|Examples|Note):\s*$")
_ARGUMENT = re.compile(r"^\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def caller_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature as callers see it: without `context`."""
    signature = inspect.signature(function)
    visible = [parameter for name, parameter in signature.parameters.items() if name != "context"]
    return signature.replace(parameters=visible)


def function_schema(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """`{"name", "description", "parameters"}` of a function, `parameters` being a JSON schema."""
    description, arguments = parse_docstring(function.__doc__)
    hints = get_type_hints(function, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in caller_signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        schema = type_schema(hints.get(parameter.name, Any))
        if parameter.name in arguments:
            schema["description"] = arguments[parameter.name]
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        elif _is_plain(parameter.default):
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "parameters": parameters}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def type_schema(hint: Any) -> dict[str, Any]:
    """JSON schema of a type hint; an empty one, which allows everything, for what has none.

    `Annotated[str, {"pattern": "…"}]` adds keywords to the schema of the type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {**type_schema(arguments[0]), **arguments[1]}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _union_schema([argument for argument in arguments if argument is not type(None)], arguments)
    kind = origin or hint
    if not inspect.isclass(kind):
        return {}
    if issubclass(kind, Mapping):
        values = type_schema(arguments[1]) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if issubclass(kind, Sequence | set | frozenset) and not issubclass(kind, bytes):
        items = type_schema(arguments[0]) if arguments else {}
        return {"type": "array", **({"items": items} if items else {})}
    return {}


def _union_schema(options: Sequence[Any], all_options: Sequence[Any]) -> dict[str, Any]:
    """An optional plain type is written as that type: that is what existing callers read."""
    if len(options) == 1:
        return type_schema(options[0])
    schemas = [type_schema(option) for option in all_options]
    return {"anyOf": schemas} if all(schemas) else {}


def parse_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """The description and the text of each argument of a docstring.

    The description is what stands before the first section; line breaks inside a paragraph vanish.
    """
    lines = inspect.cleandoc(text or "").splitlines()
    head: list[str] = []
    arguments: dict[str, str] = {}
    section = current = ""
    for line in lines:
        heading = _SECTION.match(line)
        if heading:
            section, current = heading.group(1), ""
        elif not section:
            head.append(line)
        elif section == "Args" and line.strip():
            is_entry = len(line) - len(line.lstrip()) <= 4
            entry = _ARGUMENT.match(line.strip()) if is_entry else None
            if entry:
                current = entry.group(1)
                arguments[current] = entry.group(2)
            elif current:
                arguments[current] = f"{arguments[current]} {line.strip()}".strip()
    paragraphs = "\n".join(head).strip().split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in paragraphs), arguments
