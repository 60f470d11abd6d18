"""Schemas of collections: none takes long to check, however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import InvalidRequest
from hypha.features.artifacts.patterns import TOO_MUCH, work_of
from hypha.features.artifacts.schemas import check_against, check_schema
from tests.kit.quick import least_cpu_s

LETTERS = "ab" * 400_000


def doubling(name: str) -> dict[str, Any]:
    """A schema of which each part names the next one twice, by a name that is spelled in another way."""
    parts: dict[str, Any] = {
        f"a {number}": {"allOf": [{"$ref": f"#/$defs/{name}{number + 1}"}] * 2} for number in range(40)
    }
    return {"$defs": {**parts, "a 40": {}}, "$ref": f"#/$defs/{name}0"}


def deep_parts() -> dict[str, Any]:
    """A schema of parts, each of which names the next one at its deepest level."""
    parts: dict[str, Any] = {"40": {}}
    for number in range(40):
        part: dict[str, Any] = {"$ref": f"#/$defs/{number + 1}"}
        for _ in range(90):
            part = {"not": part}
        parts[str(number)] = part
    return {"$defs": parts, "$ref": "#/$defs/0"}


@pytest.mark.parametrize(
    "schema",
    [
        doubling("a%20"),
        {"x": [{"allOf": [{"$ref": f"#/x/{n + 1}"}] * 2} for n in range(40)] + [{}], "$ref": "#/x/0"},
        {"allOf": [{"not": {"$ref": "#/allOf/0"}}]},
        {"$ref": "#/$defs/none"},
        {"properties": {"x": {"$id": "http://a.example/b", "$ref": "#/$defs/c", "$defs": {"c": {}}}}},
        {"properties": {"x": {"allOf": [{"pattern": f"^(a|b|[{n}])*$"} for n in range(6000)]}}},
        {"patternProperties": {f"^[ab]*{n}$": {} for n in range(6000)}},
        deep_parts(),
    ],
)
def test_a_schema_that_grows_by_what_it_refers_to_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        check_schema(schema)


@pytest.mark.parametrize(
    "part",
    [
        {"pattern": "^[ab]*a[ab]{3000}a[ab]{3000}b[ab]*$"},
        {"allOf": [{"pattern": f"^(a|b|[{n % 10}])*$"} for n in range(200)]},
        {"anyOf": [{"const": n} for n in range(8000)]},
    ],
)
def test_a_long_manifest_is_not_checked_against_a_large_schema(part: dict[str, Any]) -> None:
    schema = {"properties": {"x": part}}
    check_schema(schema)

    def refused() -> None:
        with pytest.raises(InvalidRequest, match="ValidationError: a manifest of"):
            check_against(schema, {"x": LETTERS})

    assert least_cpu_s(refused) < 2


def test_ordinary_schemas_and_manifests_pass() -> None:
    uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    schema = {
        "$defs": {"id": {"type": "string", "pattern": uuid}},
        "properties": {"x": {"$ref": "#/$defs/id"}},
    }
    check_schema(schema)
    check_against(schema, {"x": "01234567-0123-0123-0123-0123456789ab", "text": "word " * 50_000})
    with pytest.raises(InvalidRequest, match="at x"):
        check_against(schema, {"x": "none"})


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("abc", 12, 12),
        ("[ab]{3000}", 12_000, 12_100),
        (r"[\w]{100}", 8000, 8100),
        ("((a{9}){9}){9}", 4 * 729, 8 * 729),
        ("([(]a{100}){100}", 40_000, 60_000),
        (r"(\[a{100}){100}", 40_000, 60_000),
        ("(a{999999999}){999999999}", TOO_MUCH, TOO_MUCH),
        ("(?ix)a # [", TOO_MUCH, TOO_MUCH),
        ("[](]", TOO_MUCH, TOO_MUCH),
        ("[a[b](]", TOO_MUCH, TOO_MUCH),
    ],
)
def test_a_pattern_counts_as_many_steps_as_it_has_states(pattern: str, least: int, most: int) -> None:
    assert least <= work_of(pattern) <= most


@pytest.mark.parametrize("piece", ["[", "(", "\\[", "(a{9}", "{9}", "{", "[a"])
def test_a_pattern_is_counted_in_linear_time(piece: str) -> None:
    assert least_cpu_s(lambda: work_of(piece * 20_000)) < 1
