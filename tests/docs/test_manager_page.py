"""docs/spec/manager.md: its functions, texts and numbers are those of the source."""

from __future__ import annotations

import inspect

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User
from hypha.builtins.permission import permission_of
from hypha.registry.query import QUERY_KEYS
from hypha.registry.records import Registrant, parse_registration
from hypha.store.records import WorkspaceRecord
from hypha.testing.tokens import NAMESPACE, read_claims
from hypha.workspaces.records import to_info
from hypha.workspaces.service import FUNCTIONS, WorkspaceManager
from tests.docs.pages import SPEC, bounds, code_in, in_source, is_said, section, tables

TEXT = (SPEC / "manager.md").read_text()
TEXTS = sorted({text for row in next(tables(section(TEXT, "error-texts"))).rows for text in code_in(row[0])})


def signature(name: str) -> str:
    """A function as its callers see it."""
    shown = []
    for parameter in inspect.signature(getattr(WorkspaceManager, name)).parameters.values():
        if parameter.name not in ("self", "context"):
            has_default = parameter.default is not parameter.empty
            shown.append(f"{parameter.name}={parameter.default!r}" if has_default else parameter.name)
    return f"{name}({', '.join(shown)})"


def test_every_function_is_there_with_its_parameters() -> None:
    described = [code_in(row[0])[0] for row in next(tables(section(TEXT, "functions"))).rows]
    assert sorted(described) == sorted(map(signature, FUNCTIONS))


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_errors_are_said(text: str) -> None:
    assert is_said(text)


@pytest.mark.parametrize(("what", "value", "where"), bounds(TEXT))
def test_the_limits_are_those_of_the_source(what: str, value: float, where: str) -> None:
    assert in_source(where) == value, what


def test_what_an_expired_token_leaves_is_what_the_functions_declare() -> None:
    rows = {name: permission_of(getattr(WorkspaceManager, name)) for name in FUNCTIONS}
    left = {name for name, row in rows.items() if row is not None and row.by_lapsed}
    assert set(code_in(section(TEXT, "expiry"))) == left


def test_the_claims_are_those_of_our_tokens() -> None:
    tokens = TokenAuthority("a secret of sufficient length for signing")
    user = User("ann", scope=Scope({"ws-user-ann": Level.ADMIN}), incarnation="x")
    child = User("kid", parent="ann", credential="y", scope=user.scope)
    claims: set[str] = set()
    for token in (tokens.mint(user, 60), tokens.mint(child, 60), tokens.mint_reconnection(user, "w", "c")):
        claims |= set(read_claims(token))
    named = {name for row in next(tables(section(TEXT, "claims"))).rows for name in code_in(row[0])}
    assert {name.replace(NAMESPACE, "<ns>") for name in claims} <= named


def test_infos_have_the_keys_of_the_page() -> None:
    registrant = Registrant("w", "c", "ann")
    info = parse_registration({"id": "w/c:lamp"}, registrant).to_info(Context(User("bob"), "other"))
    shown = next(text for text in code_in(section(TEXT, "services")) if text.startswith("{id"))
    assert {part.partition(":")[0] for part in shown.strip("{}").split(", ")} == set(info)
    assert "created_by" not in info["config"]
    workspace = to_info(WorkspaceRecord("my-lab"))
    shown = next(text for text in code_in(section(TEXT, "workspaces")) if text.startswith("{type"))
    assert [part.partition(":")[0] for part in shown.strip("{}").split(", ")] == list(workspace)


def test_the_keys_of_a_query_are_those_of_the_page() -> None:
    listed = section(TEXT, "listing").partition("with some of")[2].partition(". ")[0]
    assert set(code_in(listed)) == QUERY_KEYS
