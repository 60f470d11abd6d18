"""docs/limits.md: every bound of the server, from `hypha.bounds`."""

from __future__ import annotations

from hypha.bounds import SECTIONS, Bound, Numbers

HEAD = """# Limits

<!-- Written by `make docs` from hypha/bounds/ and the bounds.py of each feature: change it there. -->

Every store, list, answer, body and wait of the server has a bound. `tests/faults/bounds/` attacks each row.

- Several numbers of a row, and whose they are, stand in the same order.
- *raised by*: the [options](options.md) with which the operator sets the numbers, in their order. Where none
  is named, the number is fixed.
- *person or address*: a signed-in user counts by the user, everybody else by the network address (IPv6: the
  /64 network).
"""


def limits_page() -> str:
    """The text of the page."""
    lines, numbers = [HEAD], Numbers()
    for title, bounds in SECTIONS.items():
        lines += [f"## {title}", "", "| what | bound | whose | when it is reached | raised by |"]
        lines += ["|---|---|---|---|---|", *(_row(bound, numbers) for bound in bounds), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(bound: Bound, numbers: Numbers) -> str:
    shown = "; ".join(numbers.shown(name) for name in bound.at)
    options = (numbers.options[name] for name in bound.options)
    names = ", ".join(f"`{each.flag if each.is_flag else each.variables[0]}`" for each in options) or "–"
    return f"| {bound.resource} | {shown} | {bound.each} | {bound.then} | {names} |"
