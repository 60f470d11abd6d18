"""Configuration in the source of an app: plain values in JSON or YAML, within bounds."""

from __future__ import annotations

import pytest
import yaml

from hypha.errors import InvalidRequest
from hypha.features.apps import config_texts
from hypha.features.apps.config_texts import read_config
from tests.kit.linear_time import check_reader_of_texts

YAML = """
name: A thing   # for people
version: 0.1.0
tags: [a, 'yes', "1"]
daemon: yes
empty:
count: 12
part: 1.5
far: 1e999
day: 2026-01-02
time: 1:30:00
code: |
  def f():
    return 1
mcpServers:
  one: {type: sse, url: "http://x"}
1: one
"""


@pytest.fixture(params=["SafeLoader", "CSafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which YAML is read: in Python, and by a library where that is there."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML was built without its library")
    monkeypatch.setattr(config_texts, "_LOADER", getattr(yaml, request.param))


@pytest.mark.spec("apps-12.2.2")
@pytest.mark.usefixtures("loader")
def test_yaml_gives_plain_values() -> None:
    assert read_config(YAML, "yaml") == {
        "name": "A thing",
        "version": "0.1.0",
        "tags": ["a", "yes", "1"],
        "daemon": True,
        "empty": None,
        "count": 12,
        "part": 1.5,
        "far": "1e999",
        "day": "2026-01-02",
        "time": "1:30:00",
        "code": "def f():\n  return 1\n",
        "mcpServers": {"one": {"type": "sse", "url": "http://x"}},
        "1": "one",
    }


def test_json_gives_plain_values() -> None:
    assert read_config(' {"name": "x", "n": null, "l": [1, 2.5]} ', "JSON") == {
        "name": "x",
        "n": None,
        "l": [1, 2.5],
    }
    assert read_config(" \n", "json") == read_config("", "yaml") == read_config("# nothing", "yaml") == {}


BOMB = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}]\n" for n in range(20))


@pytest.mark.spec("apps-12.2.5")
@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "lang", "said"),
    [
        ("a = 1", "toml", "in json or yaml, not in 'toml'"),
        ("{", "json", "is no JSON"),
        ("[1]", "json", "a map"),
        ('{"a": 1, "a": 2}', "json", "is no JSON"),
        ('{"a": "\ud800"}', "json", "is no JSON"),
        ("a: [1", "yaml", "is no YAML"),
        ("a: \x00", "yaml", "is no YAML"),
        ("a: \ud800", "yaml", "half of a character|is no YAML"),
        ("- 1", "yaml", "a map"),
        ("a: !!python/object/apply:os.system [ls]", "yaml", r"tags \(!\) are not read \(line 1\)"),
        ("a: !!int '1:1'", "yaml", "tags"),
        (BOMB, "yaml", "references"),
        ("a: *a", "yaml", "references"),
        ("[1, 2]: 3", "yaml", "a name is a text"),
        ("a: 1\n---\nb: 1\n", "yaml", "a second document"),
        ("a: " + "[" * 60, "yaml", "more than 50 levels"),
        ("a: [" + "1," * 20_001 + "]", "yaml", "more than 20000 values"),
        ("#" * 300_000, "yaml", "at most 262144 bytes"),
        ("ä" * 200_000, "json", "at most 262144 bytes"),
    ],
    ids=lambda given: given[:12] if isinstance(given, str) else None,
)
def test_other_texts_are_refused(text: str, lang: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_config(text, lang)


@pytest.mark.parametrize("lang", ["json", "yaml"])
def test_reading_is_linear(lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_texts, "_LONGEST_BYTES", 10**9)
    monkeypatch.setattr(config_texts, "_VALUES", 10**9)
    check_reader_of_texts(lambda text: read_config(text, lang))
