"""The numbers that rows of the table name, looked up where they stand."""

from __future__ import annotations

import importlib
import re
from typing import Any

from hypha.configuration import all_options
from hypha.hub.shares import Room
from hypha.options import Option

KIB = 1024
_ZERO = re.compile(r"\b0(?:, and at most)?: ([^;]+)")
"""What the help of an option says of 0."""


class Numbers:
    """Looks up what the rows name."""

    def __init__(self) -> None:
        self.options: dict[str, Option] = {option.name: option for option in all_options()}

    def value(self, name: str) -> Any:
        """What an option is by default, or a constant is.

        Raises:
            LookupError: there is none of that name.
        """
        if "." not in name:
            return self.options[name].default
        module, _, constant = name.rpartition(".")
        return vars(importlib.import_module(module))[constant]

    def shown(self, name: str) -> str:
        """A number as people read it, with its unit."""
        value = self.value(name)
        option = self.options.get(name)
        if option is not None and not value and (zero := _ZERO.search(option.help)):
            return zero[1]
        if isinstance(value, Room):
            as_text = _size if "BYTES" in name else _number
            told = "; ".join(as_text(number) for number in (value.party, value.strangers, value.total))
            return f"{told}; each client {as_text(value.free)} besides"
        unit = option.unit if option is not None else ""
        if unit in ("/s", "bytes/s") or name.endswith("BYTES_PER_S"):
            return f"{_number(value) if unit == '/s' else _size(value)} per second"
        if unit == "bytes" or "BYTES" in name:
            return _size(value)
        if name.endswith("_PER_S"):
            return f"{_number(value)} per second"
        if unit == "s" or name.endswith("_S"):
            return _time(float(value))
        return f"{_number(value)}{' characters' if name.endswith(('CHARS', 'NAME')) else ''}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _size(value: float) -> str:
    for factor, unit in ((KIB**3, "GiB"), (KIB**2, "MiB"), (KIB, "KiB")):
        if value >= factor and round(value / factor, 1) * factor == value:
            return f"{value / factor:g} {unit}"
    return f"{_number(value)} bytes"


def _time(value: float) -> str:
    for factor, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if value >= 2 * factor and value % factor == 0:
            return f"{_number(value / factor)} {unit}"
    return f"{_number(value)} s"
