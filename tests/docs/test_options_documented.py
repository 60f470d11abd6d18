"""Every option is in docs/options.md, as the source declares it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_options_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("write_docs", ROOT / "tools" / "write_docs.py")
    assert spec and spec.loader
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    for name, page in writer.PAGES.items():
        written = (ROOT / "docs" / name).read_text()
        assert written == page(), f"docs/{name} is stale: run `make docs`"
