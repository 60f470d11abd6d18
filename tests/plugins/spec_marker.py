"""The `spec` marker: which conformance items a test shows to hold.

`@pytest.mark.spec("wire-17.3", "core-L1")` puts the items into the result file, from which
`make spec` tells which items of the specification have a passing test.
"""

from __future__ import annotations

import re

import pytest

ITEM = re.compile(r"^(wire|core|artifacts|apps|resume|faults)-[A-Z]?\d+(\.\d+)*[a-z]?$")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Record each test's conformance items; refuse items that are not named in a known way."""
    for item in items:
        for marker in item.iter_markers("spec"):
            for name in marker.args:
                if not ITEM.match(name):
                    raise pytest.UsageError(f"{item.nodeid}: no conformance item is named like {name!r}")
                item.user_properties.append(("spec", name))
