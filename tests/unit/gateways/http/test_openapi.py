"""Descriptions made from schemas that strangers registered."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from hypha.gateways.http.openapi import DescribedService, service_document, workspace_document
from hypha.gateways.http.openapi.samples import sample
from hypha.gateways.http.openapi.schemas import SchemaPool, fits
from hypha.registry.described import functions_in, functions_of
from tests.unit.gateways.http.fakes import FakeServer, client_of, services_of


def described(schema: Any, **fields: Any) -> dict[str, Any]:
    info = {"id": "ws-user-anna/provider:demo", "name": "Demo", "service_schema": schema, **fields}
    services = services_of(FakeServer(), public_base_url="https://hub.example")
    functions = partial(functions_of, info)
    return service_document(services, DescribedService.of("ws-user-anna", "provider:demo", info, functions))


def function(parameters: Any, description: Any = "Do it.") -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": "f", "description": description, "parameters": parameters},
    }


def errors_in(document: dict[str, Any]) -> list[str]:
    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]


def test_a_function_is_described_for_get_and_post() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "How many"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "title": {"type": "string", "description": "", "default": "x"},
        },
        "required": ["n"],
    }
    document = described({"f": function(parameters)})
    assert errors_in(document) == []
    assert document["servers"] == [{"url": "https://hub.example"}]
    path = document["paths"]["/ws-user-anna/services/provider:demo/f"]
    n, tags, title = path["get"]["parameters"]
    assert (n["required"], n["schema"]["type"], n["description"]) == (True, "integer", "How many")
    assert tags["content"]["application/json"]["schema"]["type"] == "array"
    assert title["schema"]["default"] == "x"
    body = path["post"]["requestBody"]
    by_name, by_position = body["content"]["application/json"]["schema"]["oneOf"]
    assert body["required"] is True and by_name["required"] == ["n"]
    assert (by_position["minItems"], by_position["maxItems"]) == (1, 3)
    assert body["content"]["application/json"]["examples"]["by name"]["value"] == {"n": 1}
    assert body["content"]["application/json"]["examples"]["by position"]["value"] == [1]


def test_streams_and_errors_are_described() -> None:
    document = described({"f": function({})})
    responses = document["paths"]["/ws-user-anna/services/provider:demo/f"]["get"]["responses"]
    assert "[DONE]" in responses["200"]["content"]["text/event-stream"]["example"]
    refused = document["components"]["responses"][responses["404"]["$ref"].rpartition("/")[2]]
    assert refused["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    assert {"success", "detail", "code", "request_id"} == set(
        document["components"]["schemas"]["Error"]["required"]
    )
    assert "Retry-After" in document["components"]["responses"]["E429"]["headers"]


def test_nested_functions_have_dotted_paths() -> None:
    schema = {"group": {"f": function({}), "list": [function({})], "value": {"type": "number"}}}
    assert [path for path, _ in functions_in(schema)] == ["group.f", "group.list.0"]
    assert "/ws-user-anna/services/provider:demo/group.f" in described(schema)["paths"]


def test_names_that_no_address_can_hold_are_left_out() -> None:
    schema = {
        "a.b": function({}),
        "a/b": function({}),
        "": function({}),
        "_rintf": function({}),
        1: function({}),
    }
    assert described(schema)["paths"] == {}


def test_protected_services_ask_for_a_token_and_hide_the_context() -> None:
    schema = {"f": function({"type": "object", "properties": {"a": {}, "context": {}}})}
    config = {"visibility": "protected", "require_context": True}
    operation = described(schema, config=config)["paths"]["/ws-user-anna/services/provider:demo/f"]["get"]
    assert operation["security"] == [{"token": []}]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["a"]


def test_definitions_become_components_even_when_they_name_themselves() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    parameters = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node", "description": "Where to begin"}},
        "$defs": {"Node": node},
    }
    document = described({"f": function(parameters), "g": function(parameters)})
    assert errors_in(document) == []
    assert {"Node", "Node_2"} <= set(document["components"]["schemas"])
    path = next(path for path in document["paths"] if path.endswith("/f"))
    (parameter,) = [
        each for each in document["paths"][path]["get"]["parameters"] if each.get("name") == "root"
    ]
    assert parameter["description"] == "Where to begin"


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ({"type": "str"}, {"type": "string"}),
        ({"type": "numpy.ndarray"}, {}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "string", "default": None}, {"type": ["string", "null"], "default": None}),
        ({"type": "integer", "default": "many"}, {"type": "integer", "format": "int64"}),
        ({"type": "integer", "nullable": True}, {"type": ["integer", "null"], "format": "int64"}),
        ({"type": "string", "minLength": -1, "pattern": "("}, {"type": "string"}),
        ({"$ref": "file:///etc/passwd"}, {}),
        ({"enum": ["a", "a", "b"]}, {"enum": ["a", "b"]}),
        ({"type": "object", "required": ["a", 3, "a"], "properties": {"a": True}},
         {"type": "object", "properties": {"a": {}}, "required": ["a"]}),
        ({"type": "string", "default": b"raw", "examples": [b"x"]}, {"type": "string"}),
        ("text", {}),
        (None, {}),
    ],
)  # fmt: skip
def test_schemas_are_repaired(given: Any, clean: Any) -> None:
    assert SchemaPool().cleaned(given) == clean


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        "text",
        [],
        {"properties": []},
        {"properties": {"a": None, "b": 3, "c": {"type": {}}}},
        {"type": "array"},
        {"$ref": "#/$defs/X"},
        {"properties": {"a": {"anyOf": "x", "examples": {}, "items": 3, "additionalProperties": "no"}}},
        {"properties": {"a": {"type": "number", "minimum": float("inf")}}},
    ],
)
def test_every_schema_gives_a_valid_document(parameters: Any) -> None:
    document = described({"f": function(parameters, 17), "g": {"type": "function"}}, docs=3, description=None)
    assert errors_in(document) == []


def test_a_deep_schema_ends() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(500):
        schema = {"type": "array", "items": schema}
    assert errors_in(described({"f": function({"properties": {"a": schema}})})) == []


def test_samples_fit_their_schemas() -> None:
    schemas: list[dict[str, Any]] = [
        {"type": "integer", "minimum": 10},
        {"type": "string", "enum": ["a", "b"]},
        {"type": "string", "format": "date"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"type": ["integer", "null"], "default": None},
    ]
    for schema in schemas:
        assert fits(sample(schema, {}), schema), schema


async def test_documents_show_what_the_caller_may_see() -> None:
    server = FakeServer()
    server.add("demo", visibility="protected", hello=lambda name: name)
    async with client_of(server) as http:
        token = {"Authorization": "Bearer anna"}
        mine = await http.get("/ws-user-anna/services/demo/openapi.json", headers=token)
        assert "/ws-user-anna/services/demo/hello" in mine.json()["paths"]
        assert mine.json()["paths"]["/ws-user-anna/services/demo/hello"]["get"]["parameters"][-1] == {
            "$ref": "#/components/parameters/mode"
        }
        assert (await http.get("/ws-user-anna/services/demo/openapi.json")).status_code == 403
        assert (await http.get("/ws-user-anna/services/nope/openapi.json")).status_code == 404
        assert (await http.get("/ws-nope/openapi.json")).status_code == 404


async def test_the_manager_is_described_with_its_results() -> None:
    async with client_of(FakeServer()) as http:
        document = (await http.get("/ws-user-anna/services/~/openapi.json")).json()
        whole = (await http.get("/openapi.json")).json()
    assert errors_in(document) == errors_in(whole) == []
    assert "/ws-user-anna/services/ws/echo" in document["paths"]


CIRCLES: dict[str, Any] = {
    "itself": {"A": {"$ref": "#/$defs/A"}},
    "two": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
    "through choices": {"A": {"allOf": [{"anyOf": [{"$ref": "#/$defs/A"}, {"type": "string"}]}]}},
    "through each other's choices": {
        "A": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "integer"}]},
        "B": {"oneOf": [{"$ref": "#/$defs/A"}], "title": "b"},
    },
}


@pytest.mark.parametrize("definitions", CIRCLES.values(), ids=CIRCLES.keys())
def test_definitions_that_lead_in_circles_are_cut(definitions: dict[str, Any]) -> None:
    parameters = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "more": {"type": "array", "items": {"$ref": "#/$defs/A"}}},
        "required": ["a"],
        "$defs": definitions,
    }
    document = described({"f": function(parameters), "g": function({"type": "object"})})
    assert errors_in(document) == []
    assert len(document["paths"]) == 2

    def leads_back(name: str, seen: tuple[str, ...]) -> bool:
        schema = document["components"]["schemas"][name]
        waiting, places = [schema], []
        while waiting:
            item = waiting.pop()
            places += [item["$ref"].rpartition("/")[2]] if "$ref" in item else []
            waiting += [part for word in ("anyOf", "oneOf", "allOf") for part in item.get(word, ())]
        return any(place in seen or leads_back(place, (*seen, place)) for place in places)

    assert not any(leads_back(name, (name,)) for name in document["components"]["schemas"])


def test_thousands_of_definitions_may_refer_to_the_next_one() -> None:
    parts = {
        f"d{number}": {"type": "object", "properties": {"next": {"$ref": f"#/$defs/d{number + 1}"}}}
        for number in range(3000)
    }
    pool = SchemaPool()
    clean = pool.cleaned({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": parts})
    assert clean["properties"] == {"a": {"$ref": "#/components/schemas/d0"}}
    assert len(pool.components) == 3000
    assert pool.components["d7"]["properties"] == {"next": {"$ref": "#/components/schemas/d8"}}


def test_a_definition_may_hold_itself_as_a_part() -> None:
    tree = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    }
    parameters = {"properties": {"a": {"$ref": "#/$defs/Tree"}}, "$defs": {"Tree": tree}}
    document = described({"f": function(parameters)})
    assert errors_in(document) == []
    inner = document["components"]["schemas"]["Tree"]["properties"]["children"]["items"]
    assert inner == {"$ref": "#/components/schemas/Tree"}


def test_the_pattern_of_a_stranger_is_not_run() -> None:
    evil = {"type": "string", "pattern": "(a+)+$", "default": "a" * 60 + "!"}
    kept = SchemaPool().cleaned(evil)
    assert kept == {"type": "string", "pattern": "(a+)+$"}
    plain = {"type": "string", "pattern": "^[a-z]{0,9}$", "default": "abc"}
    assert SchemaPool().cleaned(plain) == plain
    assert "default" not in SchemaPool().cleaned({**plain, "default": "ABC"})


WIDE_SET = "[\u0100-\uffff]"


@pytest.mark.parametrize("pattern", [f"(?i){WIDE_SET}a", f"(?i:{WIDE_SET})", f"(?s-i:{WIDE_SET})"])
def test_patterns_with_flags_are_left_out(pattern: str) -> None:
    assert SchemaPool().cleaned({"type": "string", "pattern": pattern}) == {"type": "string"}


@pytest.mark.parametrize(
    ("pattern", "most"),
    [(WIDE_SET * 90, 1), (r"[\u0100-\uffff]" * 30, 2), ("[a-z]" * 90, 50), ("a" * 490, 50)],
    ids=["wide", "escaped", "narrow", "plain"],
)
def test_the_patterns_of_a_document_are_looked_at_up_to_a_bound(pattern: str, most: int) -> None:
    pool = SchemaPool()
    kept = [pool.cleaned({"pattern": f"{pattern}{number}"}) for number in range(60)]
    assert len([schema for schema in kept if schema]) <= most
    assert pool.cleaned({"pattern": "a" * 501}) == {}


def test_a_pattern_of_another_script_stays() -> None:
    schema = {"type": "string", "pattern": "^[\u0400-\u04ff]+(?:-[a-z]+)?$"}
    assert SchemaPool().cleaned(schema) == schema


def test_names_of_definitions_that_many_functions_share_are_numbered() -> None:
    pool = SchemaPool()
    for _ in range(5):
        pool.cleaned({"$ref": "#/$defs/M", "$defs": {"M": {"type": "string"}}})
    assert list(pool.components) == ["M", "M_2", "M_3", "M_4", "M_5"]


def test_a_document_of_a_workspace_ends_at_a_size() -> None:
    text = {"properties": {f"p{n}": {"type": "string", "description": "x" * 9000} for n in range(30)}}
    info = {"id": "w/c:s", "service_schema": {"f": function(text)}}
    services = services_of(FakeServer())
    functions = partial(functions_of, info)
    made = [partial(DescribedService.of, "w", f"c:s{number}", info, functions) for number in range(40)]
    document = workspace_document(services, "w", made)
    assert 5 < len(document["paths"]) < 40
    assert "more functions are described at their services only" in document["info"]["description"]
