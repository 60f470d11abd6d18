"""The format in which an app is one file (`.imjoy.html`, `.hypha.html`): elements, read as lenient HTML.

An element that is known here is text up to its end tag, whatever stands in it: a page inside `<file>` keeps
its own scripts. Everything is read once from front to back, so the time is in proportion to the length.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypha.errors import InvalidRequest
from hypha.features.apps.config_texts import read_config
from hypha.features.apps.file_formats import AppFile, checked_files

_ELEMENTS = ("config", "manifest", "script", "file", "link", "window", "style", "docs", "attachment")
_EMPTY = frozenset({"link"})
"""Elements without an end tag."""
_AS_WRITTEN = frozenset({"script", "style", "window"})
"""Elements in which `&lt;` means `&lt;`."""
_ELEMENTS_READ, _ATTRIBUTES_READ = 10_000, 50
_START = re.compile(rf"<!--|<({'|'.join(_ELEMENTS)})(?=[\s/>])", re.IGNORECASE)
_ENDS = {name: re.compile(rf"</{name}\s*+>", re.IGNORECASE) for name in _ELEMENTS}
_ATTRIBUTE = re.compile(
    r"""[\s/"'=]*+(?:([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?+)?+"""
)
_SCRIPT_NAMES = {"python": "main.py", "javascript": "main.js", "js": "main.js"}
_OTHER_SCRIPT = "main.txt"
_TAGGED = (
    "env", "requirements", "dependencies", "icon", "ui", "type", "flags", "labels", "cover", "base_frame",
    "base_worker", "passive",
)  # fmt: skip
"""Keys whose value may be a map from a tag to the value that holds under it."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its name, its attributes, and the text in it, without spaces around."""

    name: str
    attributes: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """What the source of an app says."""

    config: dict[str, Any]
    """All keys of its configs, with what the first tag chooses."""
    script: str
    """Empty if there is none."""
    script_name: str
    files: list[AppFile]
    rest: str
    """What stands beside the elements."""
    parts: list[Element] = field(default_factory=list)
    """Its links, windows, styles and attachments."""


def parse_plugin(source: str) -> Plugin:
    """Take the source of an app apart. For a thread where it is large.

    Raises:
        InvalidRequest: a config cannot be read; a file has no name or an unknown format; there are too many
            elements or attributes.
    """
    elements, rest = _elements(source)
    of = {name: [each for each in elements if each.name == name] for name in _ELEMENTS}
    config: dict[str, Any] = {}
    for each in (*of["manifest"], *of["config"]):
        config.update(read_config(each.text, each.attributes.get("lang") or "json"))
    if of["docs"] and not config.get("docs"):
        config["docs"] = of["docs"][0].text
    tag = _choose(config)
    script = _script(of["script"], tag)
    parts = [each for name in ("link", "window", "style", "attachment") for each in of[name]]
    return Plugin(
        config=config,
        script=script.text if script else "",
        script_name=_script_name(script, config.get("lang")) if script else "",
        files=_files(of["file"]),
        rest=rest,
        parts=parts,
    )


def _elements(source: str) -> tuple[list[Element], str]:
    """The elements in their order, and the text that none of them holds."""
    found: list[Element] = []
    rest: list[str] = []
    done = 0
    while start := _START.search(source, done):
        rest.append(source[done : start.start()])
        if start[1] is None:
            end = source.find("-->", start.end())
            done = len(source) if end < 0 else end + 3
            rest.append(source[start.start() : done])
            continue
        element, done = _element(source, start[1].lower(), start.end())
        found.append(element)
        if len(found) > _ELEMENTS_READ:
            raise InvalidRequest(f"The source of an app has at most {_ELEMENTS_READ} elements.")
    rest.append(source[done:])
    return found, "".join(rest).strip()


def _element(source: str, name: str, position: int) -> tuple[Element, int]:
    """The element whose name ends at a position, and where it ends itself."""
    attributes: dict[str, str] = {}
    while found := _ATTRIBUTE.match(source, position):
        position = found.end()
        if found[1] is None:
            break
        value = next((each for each in found.groups()[1:] if each is not None), "")
        attributes.setdefault(found[1].lower(), _decoded(value))
        if len(attributes) > _ATTRIBUTES_READ:
            raise InvalidRequest(f"An element <{name}> has at most {_ATTRIBUTES_READ} attributes.")
    is_empty = name in _EMPTY or source[position - 1] == "/"
    position += 1  # over its `>`, if the text does not end before
    if is_empty:
        return Element(name, attributes, ""), position
    end = _ENDS[name].search(source, position)
    text = source[position : end.start() if end else len(source)].strip()
    if name not in _AS_WRITTEN:
        text = _decoded(text)
    return Element(name, attributes, text), end.end() if end else len(source)


def _decoded(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a number that Python does not read
        raise InvalidRequest("The source of the app holds a character with too large a number.") from None


def _choose(config: dict[str, Any]) -> str | None:
    """Put in what the first of the tags chooses; that tag."""
    given = config.get("tags")
    tags = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
    if not tags:
        return None
    for key in _TAGGED:
        value = config.get(key)
        if isinstance(value, dict) and value and value.keys() <= set(tags):
            config[key] = value.get(tags[0])
    return tags[0]


def _script(scripts: list[Element], tag: str | None) -> Element | None:
    """The first script that holds something: of those with the tag, else of those without any."""
    filled = [script for script in scripts if script.text]
    if tag is None:
        return filled[0] if filled else None
    for wanted in (tag, None):
        for script in filled:
            if script.attributes.get("tag") == wanted:
                return script
    return None


def _script_name(script: Element, usual: object) -> str:
    lang = script.attributes.get("lang") or (usual if isinstance(usual, str) and usual else "javascript")
    return _SCRIPT_NAMES.get(lang.strip().lower(), _OTHER_SCRIPT)


def _files(elements: list[Element]) -> list[AppFile]:
    """The files, of several with one name the last."""
    named = [
        {
            "name": each.attributes.get("name") or each.attributes.get("path"),
            "content": each.text,
            "format": each.attributes.get("format") or "text",
        }
        for each in elements
    ]
    return list({file["path"]: file for file in checked_files(named)}.values())
