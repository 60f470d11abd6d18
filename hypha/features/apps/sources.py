"""Sources of apps: what somebody gives to an install, told apart, and what manifest and files follow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hypha.errors import InvalidRequest
from hypha.features.apps.file_formats import AppFile
from hypha.features.apps.manifests import ANY_PAGE, BROWSER_TYPES, UNTITLED
from hypha.features.apps.plugin_format import parse_plugin

PAGE, USUAL_ENTRY, ORIGINAL = "index.html", "source", "source"
_RAW_NAME = "Raw HTML App"
_PAGE_STARTS = ("<!doctype html", "<html")
_PLUGIN_ENDINGS = (".imjoy.html", ".hypha.html")
_NEAR_HOSTS = ("localhost", "127.0.0.1")
MAX_SOURCE_CHARS = 16 * 1_048_576
MAX_ADDRESS_CHARS = 2_048
_SHOWN_CHARS = 200
_SHA2_256 = b"\x12\x20"
"""A multihash begins with its kind and its length in bytes."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Address:
    """A source that is an address: of a plugin that is to be fetched first, or of the app itself."""

    url: str
    is_plugin: bool


@dataclass(frozen=True, slots=True)
class ReadSource:
    """Manifest and files of an app, as its source and the arguments of an install make them."""

    manifest: dict[str, Any]
    files: list[AppFile]


def address_of(source: str) -> Address | None:
    """The address that a source is; None for a source that is the program.

    Raises:
        InvalidRequest: the address is not secured, and leads to another machine; it is too long or malformed.
    """
    text = source.strip()
    if not text[:4].lower() == "http" or "://" not in text[:10]:
        return None
    shown = text[:_SHOWN_CHARS]
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or len(text) > MAX_ADDRESS_CHARS or any(char.isspace() for char in text):
        raise InvalidRequest(f"The source is no address of an app: {shown}")
    if parts.username is not None:
        raise InvalidRequest("The address of an app must hold no user name or password: everybody reads it.")
    if parts.scheme == "https":
        return Address(text, parts.path.lower().endswith(_PLUGIN_ENDINGS))
    if parts.scheme != "http" or host not in _NEAR_HOSTS:
        raise InvalidRequest(f"Only secured https urls are allowed: {shown}")
    return Address(text, is_plugin=False)


def source_hash(source: str) -> str:
    """The multihash (sha2-256, base58) of a source: a text that begins with `Qm`.

    Raises:
        InvalidRequest: the source holds half of a character.
    """
    try:
        digest = _SHA2_256 + hashlib.sha256(source.encode()).digest()
    except UnicodeEncodeError:
        raise InvalidRequest("The source of the app holds half of a character.") from None
    number, letters = int.from_bytes(digest, "big"), ""
    while number:
        number, letter = divmod(number, 58)
        letters = _BASE58[letter] + letters
    return letters


def with_hash(manifest: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The manifest with the hash of the source in it.

    Raises:
        InvalidRequest: it holds another one; the source is too long.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise InvalidRequest(
            f"The source of an app has at most {MAX_SOURCE_CHARS} characters: give the rest as files."
        )
    found, expected = source_hash(source), manifest.get("source_hash")
    if expected and expected != found:
        raise InvalidRequest("The source is not the one whose source_hash stands in the manifest.")
    return {**manifest, "source_hash": found}


def external(manifest: Mapping[str, Any], address: Address) -> dict[str, Any]:
    """The manifest of an app that is somebody else's page."""
    made = {**manifest, "entry_point": address.url}
    if made.get("type") == ANY_PAGE:
        made["type"] = "web-app"
    return made


def read_source(manifest: Mapping[str, Any], files: Sequence[AppFile], source: str) -> ReadSource:
    """What a source that is the program makes of manifest and files. For a thread where it is large.

    Raises:
        InvalidRequest: its hash is another than the manifest says; it is too long, or cannot be read.
    """
    made = with_hash(manifest, source)
    start = source.lstrip()
    if start[:20].lower().startswith(_PAGE_STARTS):
        return _raw_page(made, files, source)
    if start.startswith("<"):
        return _plugin(made, files, source)
    return _with_entry(made, files, source)


def _raw_page(manifest: dict[str, Any], files: Sequence[AppFile], source: str) -> ReadSource:
    if manifest.get("type") == ANY_PAGE:
        manifest["type"] = "window"
    if manifest.get("name") in (None, "", UNTITLED):
        manifest["name"] = _RAW_NAME
    manifest["entry_point"] = PAGE
    return ReadSource(manifest, _put(files, _text(PAGE, source)))


def _plugin(manifest: dict[str, Any], files: Sequence[AppFile], source: str) -> ReadSource:
    plugin = parse_plugin(source)
    own = {
        key: value for key, value in plugin.config.items() if key not in ("source_hash", "startup_context")
    }
    manifest |= own
    files = _put(files, *plugin.files)
    if not plugin.script:
        return _with_entry(manifest, files, plugin.rest) if plugin.rest else ReadSource(manifest, files)
    manifest["entry_point"] = plugin.script_name
    files = _put(files, _text(plugin.script_name, plugin.script))
    if manifest.get("type") in BROWSER_TYPES:
        files = _put(files, _text(ORIGINAL, source))
    return ReadSource(manifest, files)


def _with_entry(manifest: dict[str, Any], files: Sequence[AppFile], text: str) -> ReadSource:
    entry = manifest.get("entry_point") or USUAL_ENTRY
    if not isinstance(entry, str):
        raise InvalidRequest("The entry_point of an app is the path of a file.")
    manifest["entry_point"] = entry
    return ReadSource(manifest, _put(files, _text(entry, text)))


def _put(files: Sequence[AppFile], *more: AppFile) -> list[AppFile]:
    """Files with others among them, which take the place of those with the same path."""
    return list(({file["path"]: file for file in files} | {file["path"]: file for file in more}).values())


def _text(path: str, content: str) -> AppFile:
    return {"name": path, "path": path, "content": content, "format": "text"}
