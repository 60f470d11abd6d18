"""ARCHITECTURE.md: its words, functions, states and numbers are those of the source."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from hypha.hub.client import NEXT, Client, State
from tests.docs.pages import ROOT, bounds, code_in, in_source, section, tables

TEXT = (ROOT / "ARCHITECTURE.md").read_text()
WORDS = next(tables(section(TEXT, "words"))).rows
METHOD = re.compile(r"([A-Z]\w+)\.(\w+)")
MAX_WORDS = 4500


@cache
def methods() -> dict[str, set[str]]:
    """Class -> its functions, also those that it inherits by name."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "hypha").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                own = {
                    item.name
                    for item in node.body
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
                }
                found.setdefault(node.name, set()).update(own)
    return found


@pytest.mark.parametrize(("word", "files"), [(row[0], row[2]) for row in WORDS])
def test_each_word_is_used_in_the_file_that_is_named(word: str, files: str) -> None:
    stems = [re.sub(r"[\s_-]+", "[ _-]?", part.strip().removesuffix("s")) for part in word.split(",")]
    texts = [(ROOT / file).read_text().lower() for file in code_in(files)]
    assert texts
    for stem in stems:
        assert any(re.search(stem.lower(), text) for text in texts), f"{word} is not in {files}"


def test_words_are_sorted_and_not_explained_twice() -> None:
    first = [row[0].partition(",")[0] for row in WORDS]
    assert first == sorted(first)
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("part", ["life-of-a-call", "life-of-a-client"])
def test_the_functions_that_are_named_are_there(part: str) -> None:
    named = {found for text in code_in(section(TEXT, part)) for found in METHOD.findall(text)}
    assert len(named) > 8
    assert not [f"{kind}.{name}" for kind, name in named if name not in methods().get(kind, set())]


def test_states_are_told_by_attributes_that_clients_have() -> None:
    states, _ = tables(section(TEXT, "life-of-a-client"))
    assert [row[0] for row in states.rows] == [state.value for state in State]
    assert {name for row in states.rows for name in code_in(row[1])} <= set(Client.__slots__)


def test_the_transitions_are_those_that_clients_allow() -> None:
    _, transitions = tables(section(TEXT, "life-of-a-client"))
    told = {(before, row[1]) for row in transitions.rows for before in row[0].split(", ")}
    allowed = {(before.value, after.value) for before, then in NEXT.items() for after in then}
    assert told == allowed


@pytest.mark.parametrize(("what", "value", "where"), bounds(TEXT))
def test_the_bounds_are_those_of_the_source(what: str, value: float, where: str) -> None:
    assert in_source(where) == value, what


def test_it_is_read_in_a_quarter_of_an_hour() -> None:
    assert len(TEXT.split()) < MAX_WORDS
