"""The configuration that stands in the source of an app: JSON or YAML, read within bounds.

YAML is read from its events, without the objects, references and merging that it knows beside: what stands
in a manifest is plain values, and a few lines with references can stand for any number of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from hypha.errors import InvalidRequest
from hypha.wire import json_text
from hypha.wire.bounded import ValueLimit

_LONGEST_BYTES = 256 * 1024
_DEEPEST = 50
_VALUES = 20_000
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?[0-9]{1,50}(?:\.[0-9]{0,50})?(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
"""Words that mean something else than themselves where they stand without quotes."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_config(text: str, lang: str) -> dict[str, Any]:
    """The map that a text holds; empty for a text of spaces.

    Raises:
        InvalidRequest: the language is none of json, yaml; the text is too long or cannot be read; it holds
            something else than a map with plain values.
    """
    readers: dict[str, Callable[[str], object]] = {"json": _json, "yaml": _yaml, "yml": _yaml}
    reader = readers.get(lang.strip().lower())
    if reader is None:
        raise InvalidRequest(f"The config of an app is in json or yaml, not in {lang[:50]!r}.")
    if len(text.encode(errors="replace")) > _LONGEST_BYTES:
        raise InvalidRequest(f"The config of an app has at most {_LONGEST_BYTES} bytes.")
    found = reader(text) if text.strip() else None
    if found is None:  # nothing, or nothing but comments
        return {}
    if not isinstance(found, dict):
        raise InvalidRequest("The config of an app is a map: names and their values.")
    return found


def _json(text: str) -> object:
    try:
        return json_text.loads(text.encode(), _VALUES)
    except (json_text.NotJson, ValueLimit, UnicodeEncodeError) as error:
        raise InvalidRequest(f"The config of the app is no JSON: {error}") from None


def _yaml(text: str) -> object:
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.add(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        what = str(getattr(error, "problem", None) or "it cannot be read")[:200]
        raise InvalidRequest(f"The config of the app is no YAML: {what}{where}.") from None
    except UnicodeEncodeError:
        raise InvalidRequest("The config of the app holds half of a character.") from None
    return builder.value


class _Builder:
    """Puts a value together as its events come, and stops at what it does not take."""

    def __init__(self) -> None:
        self.value: object = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []
        """For each open container the key that waits for its value."""
        self._count = 0
        self._is_done = False

    def add(self, event: Any) -> None:
        """Take one event.

        Raises:
            InvalidRequest: it is none of a plain value, or one too many.
        """
        if getattr(event, "anchor", None):
            raise _refused("references (& and *) are not read", event)
        if getattr(event, "tag", None):
            raise _refused("tags (!) are not read", event)
        if isinstance(event, yaml.ScalarEvent):
            self._put(_scalar(event.value) if event.implicit[0] else event.value, event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._enter({}, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._enter([], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()

    def _enter(self, container: dict[str, Any] | list[Any], event: Any) -> None:
        self._put(container, event)
        self._open.append(container)
        self._keys.append(None)
        if len(self._open) > _DEEPEST:
            raise _refused(f"there are more than {_DEEPEST} levels", event)

    def _put(self, value: object, event: Any) -> None:
        self._count += 1
        if self._count > _VALUES:
            raise _refused(f"there are more than {_VALUES} values", event)
        if not self._open:
            if self._is_done:
                raise _refused("there is a second document", event)
            self.value, self._is_done = value, True
            return
        inside = self._open[-1]
        if isinstance(inside, list):
            inside.append(value)
        elif (key := self._keys[-1]) is None:
            self._keys[-1] = _key(value, event)
        else:
            inside[key] = value
            self._keys[-1] = None


def _key(value: object, event: Any) -> str:
    """A name: a word or number without quotes is one, too."""
    if isinstance(value, dict | list):
        raise _refused("a name is a text", event)
    return str(event.value)


def _scalar(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return int(text)
    if _FRACTION.fullmatch(text) and not text.isdigit():
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _refused(what: str, event: Any) -> InvalidRequest:
    return InvalidRequest(f"In the config of the app {what} (line {event.start_mark.line + 1}).")
