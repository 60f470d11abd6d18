"""The example of docs/extending.md is short, and does what the page says."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypha.assembly.features import listed_features
from hypha.assembly.server import Server
from hypha.settings import Settings
from hypha.store.base import Base

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
EXAMPLE = re.compile(r"<!-- example: notes.py -->\n```python\n(.*?)```", re.S)
MOST_LINES = 60
IMPORTS = ("from ", "import ")
ROOT_TOKEN = "a-root-token-of-enough-letters-for-tests"


def example() -> str:
    (text,) = EXAMPLE.findall(PAGE.read_text())
    return str(text)


def test_the_example_is_short() -> None:
    lines = [line for line in example().splitlines() if line.strip() and not line.startswith(IMPORTS)]
    assert len(lines) < MOST_LINES


@pytest.fixture
async def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server with the example's feature."""
    (tmp_path / "notes_example.py").write_text(example())
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = importlib.import_module("notes_example")
    options = module.NoteOptions(max_note_chars=20)
    settings = Settings(data_dir=":memory:", root_token=ROOT_TOKEN, server_id="here", of_features=(options,))
    server = Server(settings, [*listed_features(), module.NotesFeature])
    await server.start()
    headers = {"authorization": f"Bearer {ROOT_TOKEN}"}
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        yield client
    await server.stop()
    Base.metadata.remove(Base.metadata.tables["notes"])
    del sys.modules["notes_example"]


async def test_the_feature_has_a_table_functions_a_route_and_an_option(http: httpx.AsyncClient) -> None:
    functions = "/public/services/notes"
    for text in ("first", "second"):
        assert (await http.post(f"{functions}/add", json={"text": text})).status_code == 200
    too_long = await http.post(f"{functions}/add", json={"text": "x" * 21})
    assert too_long.status_code == 400 and "20 characters" in too_long.text
    assert (await http.get(f"{functions}/all")).json() == ["first", "second"]
    assert (await http.get("/notes/public")).text == "first\nsecond"
    stranger = await http.get("/notes/public", headers={"authorization": ""})
    assert stranger.text == ""
