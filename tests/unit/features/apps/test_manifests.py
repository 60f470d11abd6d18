"""Manifests of apps: what one starts from, what is refused, what a look at it says."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import InvalidRequest
from hypha.features.apps.manifests import (
    check_app_id,
    check_installable,
    first_manifest,
    validate_app_manifest,
)

GOOD = {
    "name": "A", "type": "window", "version": "1", "entry_point": "index.html", "description": "d",
    "tags": ["t"],
}  # fmt: skip


@pytest.mark.spec("apps-12.1.6")
@pytest.mark.parametrize("app_id", ["a b", "a/b", "ä", "a.b", "a\n", "a" * 129, 5, ["a"]])
def test_an_app_id_of_other_characters_is_refused(app_id: object) -> None:
    with pytest.raises(ValueError, match="letters a-z, digits, hyphens and underscores"):
        check_app_id(app_id)


def test_an_app_id_may_be_left_to_the_server() -> None:
    assert check_app_id("My-app_2") == "My-app_2"
    assert check_app_id(None) is None and check_app_id("") is None


@pytest.mark.spec("apps-12.1.6")
def test_config_and_manifest_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="give one of them"):
        first_manifest({"name": "a"}, {"name": "b"})
    with pytest.raises(InvalidRequest, match="a map, not list"):
        first_manifest([])


def test_an_install_starts_from_a_copy_or_from_the_usual_manifest() -> None:
    given = {"name": "a", "startup_context": {"ws": "other", "user": {"id": "root"}}}
    assert first_manifest(given) == first_manifest(None, given) == {"name": "a"}
    assert "startup_context" in given
    assert first_manifest(None) == {"name": "Untitled App", "version": "0.1.0", "type": "hypha"}


@pytest.mark.spec("apps-12.1.6")
@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"type": "window", "services": []}, "services must not be"),
        ({"type": "window", "service_ids": ["a"]}, "service_ids must not be"),
        ({"type": "application"}, "needs a type"),
        ({"name": "a"}, "needs a type"),
        ({"type": 5}, "needs a type"),
        ({"type": "hypha"}, "needs a source"),
    ],
)
def test_a_manifest_that_cannot_be_installed_is_refused(manifest: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        check_installable(manifest, has_source=False)


def test_any_other_type_can_be_installed() -> None:
    assert check_installable({"type": "my-worker-type"}, has_source=False) == "my-worker-type"
    assert check_installable({"type": "hypha"}, has_source=True) == "hypha"


@pytest.mark.spec("apps-12.1.19")
def test_a_good_manifest_is_valid() -> None:
    found = validate_app_manifest(GOOD)
    assert found == {"valid": True, "errors": [], "warnings": [], "suggestions": []}


@pytest.mark.spec("apps-12.1.19")
@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"name": None}, "errors", "Missing required field: name"),
        ({"type": ""}, "errors", "Missing required field: type"),
        ({"version": 1.5}, "errors", "'version' must be a string, not 1.5"),
        ({"name": ["a"]}, "errors", "'name' must be a string, not list"),
        ({"type": {}}, "errors", "'type' must be a string"),
        ({"services": [1]}, "errors", "'services' is written by the server"),
        ({"entry_point": 7}, "errors", "'entry_point' must be a string"),
        ({"entry_point": "a.txt"}, "warnings", "'a.txt' is none of .html, .js, .py"),
        ({"type": "my-type"}, "warnings", "Unknown type 'my-type'"),
        ({"tags": []}, "suggestions", "'tags'"),
        ({"description": None}, "suggestions", "'description'"),
        ({"type": "mcp-server"}, "errors", "'mcpServers' must be a map that is not empty"),
        ({"type": "mcp-server", "mcpServers": {}}, "errors", "must be a map that is not empty"),
        ({"type": "mcp-server", "mcpServers": {"a": "b"}}, "errors", "'a' in 'mcpServers' must be a map"),
        ({"type": "mcp-server", "mcpServers": {"a": {"type": "sse"}}}, "errors", "'a' needs 'url'"),
        ({"type": "mcp-server", "mcpServers": {"a": {"url": "x"}}}, "errors", "'a' needs 'type'"),
        ({"type": "mcp-server", "mcpServers": {"a": {"url": "x", "type": "ws"}}}, "warnings", "'ws'"),
        ({"type": "a2a-agent"}, "errors", "'a2aAgents' must be a map that is not empty"),
        ({"type": "a2a-agent", "a2aAgents": {"a": {}}}, "errors", "'a' needs 'url'"),
        ({"type": "a2a-agent", "a2aAgents": {"a": {"url": "ftp://x"}}}, "warnings", "http:// or https://"),
        ({"type": "a2a-agent", "a2aAgents": {"a": {"url": "http://[x"}}}, "warnings", "http:// or https://"),
        (
            {"type": "a2a-agent", "a2aAgents": {"a": {"url": "https://x", "headers": "h"}}},
            "errors",
            "headers of A2A agent 'a' must be a map",
        ),
    ],
)  # fmt: skip
def test_a_look_at_a_manifest_says_what_is_wrong(change: dict[str, Any], kind: str, said: str) -> None:
    found = validate_app_manifest(GOOD | change)
    assert any(said in sentence for sentence in found[kind]), found
    assert found["valid"] is (kind != "errors")
    assert found["valid"] is (not found["errors"])


@pytest.mark.spec("apps-12.1.19")
def test_all_transports_and_types_that_are_known_are_right() -> None:
    for transport in ("streamable-http", "stdio", "sse"):
        servers = {"a": {"type": transport, "url": "http://x"}}
        found = validate_app_manifest(GOOD | {"type": "mcp-server", "mcpServers": servers})
        assert found["valid"] and not found["warnings"]
    assert not validate_app_manifest(GOOD | {"type": "mine"}, ["mine"])["warnings"]


@pytest.mark.spec("apps-12.1.19")
@pytest.mark.parametrize("given", [None, "text", 5, [], object(), {1: 2}, {"name": object()}])
def test_a_look_never_raises(given: object) -> None:
    found = validate_app_manifest(given)
    assert not found["valid"] and found["errors"]


def test_what_a_look_says_is_bounded() -> None:
    many = {"n" * 10_000 + str(n): 5 for n in range(1_000)}
    found = validate_app_manifest(GOOD | {"type": "mcp-server", "mcpServers": many})
    assert len(found["errors"]) == 50
    assert sum(map(len, found["errors"])) < 10_000
