"""The variables that the server and its image read."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def known_variables() -> set[str]:
    """Every `HYPHA_…` of docs/options.md, which is written from the declarations, flags as their twins."""
    page = (ROOT / "docs" / "options.md").read_text()
    named = set(re.findall(r"`(HYPHA_[A-Z0-9_]+)`", page))
    flags = re.findall(r"^\| `--([a-z0-9-]+)`", page, re.MULTILINE)
    return named | {"HYPHA_" + flag.upper().replace("-", "_") for flag in flags}
