"""Every bound of the server in one table: `docs/limits.md` and a test of each are made from it.

A constant stands where it is used, an option in `hypha.settings`; the rows here say whose numbers they are
and what happens when they are reached. Features have their rows in the `bounds.py` of their folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from hypha.bounds.connections import CONNECTIONS
from hypha.bounds.messages import MESSAGES
from hypha.bounds.numbers import Numbers
from hypha.bounds.people import PEOPLE
from hypha.bounds.requests import REQUESTS
from hypha.bounds.stored import STORED
from hypha.features import modules_of
from hypha.limits.bound import Bound, Section

_OF_THE_CORE: Mapping[Section, tuple[Bound, ...]] = {
    Section.CONNECTIONS: CONNECTIONS,
    Section.MESSAGES: MESSAGES,
    Section.REQUESTS: REQUESTS,
    Section.STORED: STORED,
    Section.PEOPLE: PEOPLE,
}


def _with_features(section: Section, rows: tuple[Bound, ...]) -> tuple[Bound, ...]:
    """The rows of a section, those of features after the core's."""
    for module in modules_of("bounds"):
        rows += import_module(module).BOUNDS.get(section, ())
    return rows


SECTIONS = {section: _with_features(section, rows) for section, rows in _OF_THE_CORE.items()}
BOUNDS = tuple(bound for rows in SECTIONS.values() for bound in rows)

__all__ = ["BOUNDS", "SECTIONS", "Bound", "Numbers"]
