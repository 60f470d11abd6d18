"""The pages of documentation as tests read them: headings, tables, blocks, links."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypha.configuration import all_options

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "docs" / "spec"

_HEADING = re.compile(r"^#{1,6} (.+)$", re.M)
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
_CODE = re.compile(r"``\s?(.+?)\s?``|`([^`]+)`")
_UNITS = {"": 1, "s": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


@dataclass(frozen=True)
class Table:
    """One table: the names of its columns, and its rows as texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def without_blocks(text: str) -> str:
    """A page without what is fenced."""
    return _FENCE.sub("", text)


def prose(text: str) -> str:
    """A page without code."""
    return _CODE.sub("", without_blocks(text))


def slug(heading: str) -> str:
    """The anchor that a heading gets where the repository is read."""
    words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return words.replace(" ", "-")


def anchors(text: str) -> list[str]:
    """The anchors of a page, in order."""
    return [slug(heading) for heading in _HEADING.findall(without_blocks(text))]


def section(text: str, anchor: str) -> str:
    """The part of a page below one heading, deeper headings included."""
    found = next(match for match in _HEADING.finditer(text) if slug(match[1]) == anchor)
    depth = found[0].index(" ")
    end = re.compile(rf"^#{{1,{depth}}} ", re.M).search(text, found.end())
    return text[found.end() : end.start() if end else len(text)]


def tables(text: str) -> Iterator[Table]:
    """The tables of a page or of a part of it."""
    lines = without_blocks(text).splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\|[\s|:-]+\|", line) and number:
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            yield Table(_cells(lines[number - 1]), tuple(rows))


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|")))


def code_in(text: str) -> list[str]:
    """What stands in backticks."""
    return [double or single for double, single in _CODE.findall(without_blocks(text))]


def blocks(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a kind: what else their first line says, and their text."""
    for info, body in _FENCE.findall(text):
        word, _, rest = info.partition(" ")
        if word == kind:
            yield rest, body


def is_like(pattern: str, text: str) -> bool:
    """Whether a text is the one on the page, where `…` stands for anything."""
    parts = (re.escape(part) for part in pattern.split("…"))
    return re.fullmatch(".*".join(parts), text, re.S) is not None


def bounds(text: str) -> list[tuple[str, float, str]]:
    """Rows of the tables `what | value | from`: what, the number, and where the source has it."""
    found = []
    for table in tables(text):
        if table.columns == ("what", "value", "from"):
            found += [(what, number(value), code_in(where)[0]) for what, value, where in table.rows]
    return found


def number(text: str) -> float:
    """`16 MiB`, `1,000`, `0.25 s` as numbers, in bytes and seconds."""
    value, _, unit = text.partition(" ")
    return float(value.replace(",", "")) * _UNITS[unit]


def in_source(where: str) -> float:
    """The value of `module:CONSTANT` (or `module:Class.attribute`), or the default of a variable."""
    if ":" in where:
        module, _, path = where.partition(":")
        value: object = importlib.import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
    else:
        value = next(option.default for option in all_options() if where in option.variables)
    assert isinstance(value, int | float)
    return float(value)


@cache
def source_texts() -> tuple[str, ...]:
    """Every text in the source; what is filled in stands as `…`."""
    found = []
    for path in sorted((ROOT / "hypha").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return tuple(found)


def is_said(text: str) -> bool:
    """Whether some text in the source has these words; `…` stands for what is filled in."""
    pattern = re.compile(".*?".join(re.escape(part) for part in text.split("…") if part.strip()), re.S)
    return any(pattern.search(known) for known in source_texts())
