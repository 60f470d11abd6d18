"""One function as an OpenAPI path: GET with a query, POST with a body (docs/http.md)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hypha.gateways.http.openapi.samples import sample
from hypha.gateways.http.openapi.schemas import MAX_OPTIONS, MAX_TEXT_CHARS, SchemaPool
from hypha.gateways.http.openapi.services import DescribedService
from hypha.gateways.http.parameters import AUTOMATIC_KEYS, MODE_KEY
from hypha.registry.described import DescribedFunction

MAX_SUMMARY_CHARS = 120
MODES = ("random", "first", "last", "min_load", "exact")
_ERRORS = ("400", "401", "403", "404", "405", "409", "413", "415", "429", "500", "503", "504")
_GUESSED = "Plain numbers and JSON objects arrive as such, other text as text; POST is exact."
_STREAM_EXAMPLE = 'data: {"step": 1}\n\ndata: {"step": 2}\n\ndata: [DONE]\n\n'
_STREAM_TEXT = (
    "Instead of one value, a function that is a generator answers with server-sent events, one `data:` line "
    "with JSON for each item, each sent when it is made; the last is `data: [DONE]`. An error on the way "
    'comes as the item `{"error": …}`.'
)

Schema = dict[str, Any]


def path_of(service: DescribedService, function: str) -> str:
    """The path of a function below the server's URL."""
    words = (quote(word, safe="") for word in (service.workspace, service.address, function))
    return "/{}/services/{}/{}".format(*(word.replace("%3A", ":") for word in words))


def path_item(service: DescribedService, function: DescribedFunction, pool: SchemaPool) -> dict[str, Any]:
    """GET and POST of one function."""
    arguments = _arguments_schema(function, pool)
    shared = _shared(service, function, pool)
    prefix = f"{service.address}.{function.path}"
    get = {
        **shared,
        "operationId": f"{prefix}.get",
        "parameters": [*_query(function, arguments, pool), *_mode(service)],
    }
    post = {**shared, "operationId": f"{prefix}.post", "requestBody": _body(arguments, pool)}
    if mode := _mode(service):
        post["parameters"] = mode
    return {"get": get, "post": post}


def _arguments_schema(function: DescribedFunction, pool: SchemaPool) -> Schema:
    schema = pool.cleaned(function.parameters)
    if "$ref" in schema or schema.get("type", "object") != "object":
        schema = {}
    return {"type": "object", "properties": {}, "additionalProperties": False, **schema}


def _shared(service: DescribedService, function: DescribedFunction, pool: SchemaPool) -> dict[str, Any]:
    text = inspect.cleandoc(function.description[:MAX_TEXT_CHARS])
    summary = text.partition("\n")[0][:MAX_SUMMARY_CHARS] or function.path
    operation: dict[str, Any] = {
        "summary": summary,
        "tags": [service.address],
        "responses": _responses(function, pool),
    }
    if text and text != summary:
        operation["description"] = text
    if service.needs_token:
        operation["security"] = [{"token": []}]
    return operation


def _responses(function: DescribedFunction, pool: SchemaPool) -> dict[str, Any]:
    if function.result is None:
        content: dict[str, Any] = {
            "application/json": {"schema": {}},
            "application/msgpack": {},
            "text/event-stream": {"example": _STREAM_EXAMPLE},
        }
        answer = {"description": f"What the function returns. {_STREAM_TEXT}", "content": content}
    else:
        schema = pool.cleaned(function.result)
        content = {"application/json": {"schema": schema}, "application/msgpack": {}}
        answer = {"description": "What the function returns", "content": content}
    return {"200": answer, **{code: {"$ref": f"#/components/responses/E{code}"} for code in _ERRORS}}


def _query(function: DescribedFunction, arguments: Schema, pool: SchemaPool) -> list[dict[str, Any]]:
    required = set(arguments.get("required", ()))
    given = function.parameters.get("properties") or {}
    return [
        _query_parameter(name, schema, given.get(name), name in required, pool)
        for name, schema in arguments["properties"].items()
    ]


def _query_parameter(
    name: str, schema: Schema, given: object, is_required: bool, pool: SchemaPool
) -> dict[str, Any]:
    """One argument in the query: values of one word as text, maps and lists as JSON."""
    parameter: dict[str, Any] = {"name": name, "in": "query"}
    description = schema.get("description", "")
    is_guessed = isinstance(given, Mapping) and [*given] == AUTOMATIC_KEYS and schema.get("type") == "string"
    kinds = _kinds(schema, pool)
    if is_guessed or not kinds:
        description = f"{description} {_GUESSED}".strip()
    if description:
        parameter["description"] = description
    if is_required:
        parameter["required"] = True
    if kinds and kinds <= {"object", "array"}:
        parameter["content"] = {"application/json": {"schema": _without_null(schema)}}
    else:
        parameter["schema"] = _without_null(schema) if kinds else {"type": "string"}
    return parameter


def _kinds(schema: Schema, pool: SchemaPool) -> set[str]:
    """Types that a schema allows besides null, as far as few alternatives say; none if it does not say."""
    found: set[str] = set()
    waiting, seen = [schema], 0
    while waiting and seen < MAX_OPTIONS:
        seen += 1
        option = waiting.pop()
        if "$ref" in option:
            waiting.append(pool.components.get(option["$ref"].rpartition("/")[2], {}))
            continue
        kinds = option.get("type", [])
        said = {kinds} if isinstance(kinds, str) else set(kinds)
        inner = [part for word in ("anyOf", "oneOf", "allOf") for part in option.get(word, ())]
        waiting += inner
        if not said and not inner:
            said.update(filter(None, map(_type_name, option.get("enum", ()))))
        found |= said
    return found - {"null"}


def _type_name(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "")


def _without_null(schema: Schema) -> Schema:
    """A query has no null: the argument is left out instead."""
    schema = dict(schema)
    kinds = schema.get("type")
    if isinstance(kinds, list):
        rest = [kind for kind in kinds if kind != "null"]
        schema["type"] = rest[0] if len(rest) == 1 else rest
    for word in ("anyOf", "oneOf"):
        if word in schema:
            schema[word] = [option for option in schema[word] if option.get("type") != "null"]
    if schema.get("default", "") is None:
        del schema["default"]
    return schema


def _mode(service: DescribedService) -> list[dict[str, Any]]:
    """How to choose among several providers, where the address does not name one."""
    if ":" in service.address or service.address == "ws":
        return []
    return [{"$ref": "#/components/parameters/mode"}]


def mode_parameter() -> dict[str, Any]:
    """The parameter that chooses among several providers of one name."""
    return {
        "name": MODE_KEY,
        "in": "query",
        "description": "Which of several providers answers, e.g. `random`, `first`, `min_load`",
        "schema": {"type": "string", "enum": list(MODES)},
    }


def _body(arguments: Schema, pool: SchemaPool) -> dict[str, Any]:
    """By name as an object, or by position as an array."""
    properties = arguments["properties"]
    required = arguments.get("required", [])
    by_name = sample(arguments, pool.components)
    schema: Schema = {"oneOf": [arguments, _positional(properties, set(required))]}
    examples = {"by name": {"summary": "Arguments by name", "value": by_name}}
    if required:
        names = list(properties)[: _last_required(properties, set(required))]
        values = [by_name.get(name, sample(properties[name], pool.components)) for name in names]
        examples["by position"] = {"summary": "Arguments by position", "value": values}
    content = {"application/json": {"schema": schema, "examples": examples}, "application/msgpack": {}}
    return {"required": bool(required), "content": content}


def _positional(properties: Mapping[str, Schema], required: set[str]) -> Schema:
    schema: Schema = {"type": "array", "description": "Arguments by position", "maxItems": len(properties)}
    if properties:
        schema["prefixItems"] = list(properties.values())
        schema["minItems"] = _last_required(properties, required)
    return schema


def _last_required(properties: Mapping[str, Schema], required: set[str]) -> int:
    return max((index for index, name in enumerate(properties, 1) if name in required), default=0)
