"""No module imports, by way of others, itself; no package does either. Imports for type checkers count."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from tests.kit.imports import MODULES, imports, module_name, part_of

Graph = Mapping[str, Iterable[str]]


def imported_by() -> dict[str, set[str]]:
    """Every module and what it imports of ours, anywhere in its text."""
    found = {}
    for path in MODULES:
        module = module_name(path)
        names = {name for name, _ in imports(ast.parse(path.read_text()), with_typing=True)} - {module}
        found[module] = names
    return found


def circle_in(graph: Graph) -> list[str]:
    """The modules of one circle, in order; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def packages(graph: Graph) -> dict[str, set[str]]:
    """The same between the parts of the table of layers."""
    found: dict[str, set[str]] = {}
    for module, names in graph.items():
        found.setdefault(part_of(module), set()).update({part_of(name) for name in names} - {part_of(module)})
    return found


def test_no_module_stands_in_a_circle() -> None:
    assert circle_in(imported_by()) == []


def test_no_package_stands_in_a_circle() -> None:
    graph = packages(imported_by())
    graph.pop("hypha")  # it holds the version, which all may read
    assert circle_in(graph) == []


def test_a_circle_is_seen() -> None:
    assert circle_in({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) in (
        ["a", "b", "c", "a"],
        ["b", "c", "a", "b"],
        ["c", "a", "b", "c"],
    )
    assert circle_in({"a": ["b", "c"], "b": ["c"], "c": []}) == []
