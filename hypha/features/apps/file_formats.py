"""Files that come with an app: how they are named, and what bytes their content stands for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from hypha.errors import InvalidRequest
from hypha.wire import json_text
from hypha.wire.bounded import ValueLimit

FORMATS = ("text", "json", "base64")
MAX_FILES = 5_000
_SHOWN_CHARS = 100
_DATA_URL = "data:"

AppFile = dict[str, Any]
"""`name` and `path`, which are the same, `content` and `format`."""


def checked_files(given: object) -> list[AppFile]:
    """Files as an install gives them, each with a name, a path and a format; None means none.

    Raises:
        InvalidRequest: one has neither name nor path, or a format or content that it cannot have; there are
            too many.
    """
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise InvalidRequest("Files are a list of maps with name, content and format.")
    if len(given) > MAX_FILES:
        raise InvalidRequest(f"An app is installed with at most {MAX_FILES} files: put more into it later.")
    return [_checked(file, position) for position, file in enumerate(given)]


def _checked(file: object, position: int) -> AppFile:
    if not isinstance(file, Mapping):
        raise InvalidRequest(f"File {position} is no map with name, content and format.")
    name, path = file.get("name"), file.get("path")
    name, path = name or path, path or name
    if not isinstance(name, str) or not isinstance(path, str):
        raise InvalidRequest(f"File {position} needs a name or a path, as a text.")
    if file.get("content") is None:
        raise InvalidRequest(f"The file {_shown(path)} has no content.")
    kind = file.get("format", "text")
    if kind not in FORMATS:
        raise InvalidRequest(
            f"The file {_shown(path)} has the format {_shown(kind)}: it may be one of {', '.join(FORMATS)}."
        )
    return {"name": name, "path": path, "content": file["content"], "format": kind}


def content_bytes(file: Mapping[str, Any]) -> bytes:
    """The bytes of a file that `checked_files` gave. For a thread where the content is large.

    `text` is UTF-8, `json` a text of it, or a map or list that becomes one, `base64` also a data URL. Bytes
    that came as `text` stay as they are.

    Raises:
        InvalidRequest: the content does not fit its format.
    """
    kind, content, shown = file["format"], file["content"], _shown(file["path"])
    if kind == "json":
        return _json_bytes(content, shown)
    if kind == "base64":
        return _binary(content, shown)
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if not isinstance(content, str):
        raise InvalidRequest(f"The content of {shown} has to be a text: for maps and lists say format json.")
    return _utf8(content, shown)


def _json_bytes(content: object, shown: str) -> bytes:
    if isinstance(content, dict | list | tuple):
        try:
            return orjson.dumps(content, option=orjson.OPT_INDENT_2)
        except TypeError as error:
            raise InvalidRequest(f"The content of {shown} cannot be written as JSON: {error}.") from None
    if not isinstance(content, str):
        raise InvalidRequest(f"The content of {shown} has to be a map, a list, or a text that is JSON.")
    data = _utf8(content, shown)
    try:
        json_text.loads(data)
    except json_text.Inexact:
        pass  # it is stored as it came, and others may read it
    except (json_text.NotJson, ValueLimit) as error:
        raise InvalidRequest(f"The content of {shown} is no JSON: {error}") from None
    return data


def _binary(content: object, shown: str) -> bytes:
    if isinstance(content, str):
        text = content.strip()
        if text[: len(_DATA_URL)].lower() == _DATA_URL:
            head, comma, text = text.partition(",")
            if not comma:
                raise InvalidRequest(f"The data URL of {shown} has no comma before its data.")
            if not head.lower().endswith(";base64"):
                return unquote_to_bytes(text)
        try:
            return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            pass
    raise InvalidRequest(f"The content of {shown} is neither base64 nor a data URL.")


def _utf8(text: str, shown: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"The content of {shown} holds half of a character.") from None


def _shown(value: object) -> str:
    return repr(value[:_SHOWN_CHARS]) if isinstance(value, str) else f"of type {type(value).__name__}"
