"""Files that come with an app are named, and read as their format says."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hypha.errors import InvalidRequest
from hypha.features.apps.file_formats import checked_files, content_bytes

BINARY = bytes(range(256))
BASE64 = base64.b64encode(BINARY).decode()


def bytes_of(content: object, kind: str | None = None) -> bytes:
    file: dict[str, Any] = {"name": "f", "content": content}
    [checked] = checked_files([file | ({"format": kind} if kind else {})])
    return content_bytes(checked)


@pytest.mark.spec("apps-12.1.8")
@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        ("grüße\r\n", "text", "grüße\r\n".encode()),
        ("as it is", None, b"as it is"),
        (BINARY, None, BINARY),
        ({"a": [1, "ä"]}, "json", '{\n  "a": [\n    1,\n    "ä"\n  ]\n}'.encode()),
        ([], "json", b"[]"),
        ('{"a":1}', "json", b'{"a":1}'),
        (BASE64, "base64", BINARY),
        (f"\n{BASE64[:76]}\n{BASE64[76:]}\n", "base64", BINARY),
        (f"data:image/png;base64,{BASE64}", "base64", BINARY),
        (f"DATA:;BASE64,{BASE64}", "base64", BINARY),
        ("data:,a%20b%ff", "base64", b"a b\xff"),
        ("", "base64", b""),
    ],
)
def test_a_content_stands_for_its_bytes(content: object, kind: str | None, expected: bytes) -> None:
    assert bytes_of(content, kind) == expected


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ("{", "json", "is no JSON"),
        (1, "json", "a map, a list, or a text"),
        ({"a": {1, 2}}, "json", "cannot be written as JSON"),
        ("a*b=", "base64", "neither base64 nor a data URL"),
        ("ü", "base64", "neither base64 nor a data URL"),
        ("data:text/plain;base64", "base64", "no comma"),
        (5, "base64", "neither base64 nor a data URL"),
        ({"a": 1}, "text", "say format json"),
        ("\ud800", "text", "half of a character"),
    ],
)
def test_a_content_that_does_not_fit_is_refused(content: object, kind: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        bytes_of(content, kind)


def test_a_name_and_a_path_fill_each_other() -> None:
    files = checked_files([{"name": "a", "content": "1"}, {"path": "b/c", "content": "2", "format": "text"}])
    assert [(file["name"], file["path"]) for file in files] == [("a", "a"), ("b/c", "b/c")]
    assert checked_files(None) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": "b"}, "a list"),
        (["a"], "File 0 is no map"),
        ([{"content": "x"}], "File 0 needs a name or a path"),
        ([{"name": 5, "content": "x"}], "File 0 needs a name or a path"),
        ([{"name": "a"}], "has no content"),
        ([{"name": "a", "content": "x", "format": "hex"}], "text, json, base64"),
        ([{"name": "a", "content": "x", "format": ["text"]}], "text, json, base64"),
        ([{"name": "a", "content": ""}] * 5_001, "at most 5000 files"),
    ],
)
def test_files_that_cannot_be_are_refused(files: object, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        checked_files(files)


def test_a_refusal_shows_a_long_name_cut() -> None:
    with pytest.raises(InvalidRequest) as told:
        checked_files([{"name": "n" * 100_000, "content": "x", "format": "f" * 100_000}])
    assert len(str(told.value)) < 400
