"""Sources of apps are told apart, and make manifest and files."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from hypha.errors import InvalidRequest
from hypha.features.apps.manifests import first_manifest
from hypha.features.apps.sources import (
    Address,
    address_of,
    external,
    read_source,
    source_hash,
    with_hash,
)

YAML_APP = """<config lang="yaml">
name: Two files
type: window
startup_context: {ws: other}
</config>
<script lang="javascript">api.export({})</script>
<file name="a.txt">1 &lt; 2</file>
<file name="b.bin" format="base64">AAE=</file>
"""


def read(source: str, manifest: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """The manifest, and the content of files by their path."""
    found = read_source(first_manifest(manifest), [], source)
    return found.manifest, {file["path"]: file["content"] for file in found.files}


@pytest.mark.spec("apps-12.2.2")
def test_a_plugin_gives_manifest_script_and_files() -> None:
    manifest, files = read(YAML_APP, {"name": "other", "type": "hypha", "version": "7"})
    assert manifest == {
        "name": "Two files",
        "type": "window",
        "version": "7",
        "entry_point": "main.js",
        "source_hash": source_hash(YAML_APP),
    }
    assert files == {"main.js": "api.export({})", "a.txt": "1 < 2", "b.bin": "AAE=", "source": YAML_APP}


def test_a_plugin_for_other_workers_keeps_no_copy_of_its_source() -> None:
    _, files = read('<config>{"type": "python-eval"}</config><script lang="python">x</script>')
    assert files == {"main.py": "x"}


def test_a_plugin_without_a_script_keeps_the_rest() -> None:
    manifest, files = read("<div>text</div><config>{}</config>", {"type": "x", "entry_point": "notes.md"})
    assert manifest["entry_point"] == "notes.md" and files == {"notes.md": "<div>text</div>"}
    manifest, files = read("<config>{}</config>", {"type": "x"})
    assert "entry_point" not in manifest and files == {}


@pytest.mark.spec("apps-12.2.3")
@pytest.mark.parametrize(
    "source", ["<!DOCTYPE html>\n<p>&lt;", "<HTML><body></body></HTML>", "\n <html lang=en>"]
)
def test_a_page_is_kept_as_it_is(source: str) -> None:
    manifest, files = read(source)
    assert files == {"index.html": source}
    assert manifest == {
        "name": "Raw HTML App",
        "type": "window",
        "version": "0.1.0",
        "entry_point": "index.html",
        "source_hash": source_hash(source),
    }
    manifest, _ = read(source, {"name": "Mine", "type": "iframe"})
    assert (manifest["name"], manifest["type"]) == ("Mine", "iframe")


def test_other_texts_are_kept_whole() -> None:
    manifest, files = read(" print(1)\n", {"type": "python-eval", "entry_point": "run.py"})
    assert manifest["entry_point"] == "run.py" and files == {"run.py": " print(1)\n"}
    manifest, files = read("add()", {"type": "web-worker"})
    assert manifest["entry_point"] == "source" and files == {"source": "add()"}


def test_what_a_source_holds_takes_the_place_of_files_that_came_with_it() -> None:
    file = {"name": "a.txt", "path": "a.txt", "content": "old", "format": "text"}
    found = read_source({"type": "window"}, [file, file | {"name": "k", "path": "k"}], YAML_APP)
    assert {each["path"]: each["content"] for each in found.files} == {
        "a.txt": "1 < 2", "k": "old", "b.bin": "AAE=", "main.js": "api.export({})", "source": YAML_APP,
    }  # fmt: skip


def test_the_hash_is_a_multihash() -> None:
    number = int.from_bytes(b"\x12\x20" + hashlib.sha256(b"hello").digest(), "big")
    text = source_hash("hello")
    letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    assert sum(letters.index(letter) * 58**place for place, letter in enumerate(reversed(text))) == number
    assert text.startswith("Qm") and len(text) == 46
    assert source_hash("hello2") != text


@pytest.mark.spec("apps-12.2.6")
def test_another_source_than_the_hash_says_is_refused() -> None:
    manifest, _ = read("a", {"type": "x", "source_hash": source_hash("a")})
    assert manifest["source_hash"] == source_hash("a")
    for source in ("b", f'<config>{{"source_hash": "{source_hash("a")}"}}</config>'):
        with pytest.raises(InvalidRequest, match="not the one whose source_hash"):
            read(source, {"type": "x", "source_hash": source_hash("a")})


def test_a_source_that_cannot_be_hashed_or_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="half of a character"):
        read("\ud800")
    with pytest.raises(InvalidRequest, match="at most 16777216 characters"):
        with_hash({}, "a" * 16_777_217)
    with pytest.raises(InvalidRequest, match="path of a file"):
        read("a", {"type": "x", "entry_point": ["a"]})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://a.org/x/plugin.imjoy.html?v=1", True),
        ("HTTPS://a.org/plugin.Hypha.html", True),
        ("https://a.org/app/index.html?a=b#c", False),
        ("http://localhost:9000/plugin.imjoy.html", False),
        ("http://127.0.0.1/", False),
    ],
)
def test_an_address_is_of_a_plugin_or_of_the_app_itself(source: str, expected: bool) -> None:
    assert address_of(source) == Address(source, expected)


def test_a_program_is_no_address() -> None:
    for source in ("httpx.get(1)", "print('https://a.org')", "", "<html>", "http = 1  # ://"):
        assert address_of(source) is None


@pytest.mark.spec("apps-12.1.6")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("http://a.org/x", "Only secured https urls are allowed: http://a.org/x"),
        ("http://localhost.a.org/x", "Only secured https urls"),
        ("http://127.0.0.1.a.org", "Only secured https urls"),
        ("httpx://localhost/", "Only secured https urls"),
        ("http://localhost@a.org/", "no user name"),
        ("https://user:secret@a.org/", "no user name"),
        ("https://", "no address of an app"),
        ("https://[a", "no address of an app"),
        ("https://a.org:port/", "no address of an app"),
        ("https://a.org/\nimport x", "no address of an app"),
        ("https://a.org/" + "a" * 3_000, "no address of an app"),
    ],
)
def test_other_addresses_are_refused(source: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as told:
        address_of(source)
    assert "secret" not in str(told.value) and len(str(told.value)) < 400


def test_an_external_app_keeps_its_whole_address() -> None:
    address = Address("https://a.org/b/c.html?d=e", False)
    made = external({"type": "hypha", "name": "a"}, address)
    assert made == {"type": "web-app", "name": "a", "entry_point": address.url}
    assert external({"type": "window"}, address)["type"] == "window"
