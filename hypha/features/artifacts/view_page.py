"""The server's own page of an artifact, to be sent to somebody: what it says of itself, and its files."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from hypha.errors import InvalidKey
from hypha.features.artifacts.artifact import Artifact, Version
from hypha.features.artifacts.paths import joined
from hypha.objects.paths import check_path

_STYLE = Path(__file__).with_name("view_page.css").read_text("utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src 'self' https: http:; form-action 'none'; "
    "base-uri 'none'; sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox"
).encode()
MAX_TEXT_CHARS = 20_000
MAX_ITEMS = 50
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows.

    Attributes:
        folder: the one whose files are listed, below `root`. kept: of the query, for links.
        base: the address of the workspace; empty where links may be relative. version: as it was asked for.
    """

    artifact: Artifact
    folder: str
    root: str
    files: Sequence[Mapping[str, Any]]
    kept: Sequence[tuple[str, str]]
    base: str
    version: str | int | None

    def link(self, *words: str, **query: str) -> str:
        """An address below that of the artifact's data, as it stands in HTML."""
        base = self.base or "../.."
        way = "/".join(quote(word) for word in ("artifacts", self.artifact.alias, *words))
        return self._with_query(f"{base}/{way}", query)

    def here(self, **query: str) -> str:
        """An address of this page, as it stands in HTML."""
        return self._with_query("./", query)

    def at(self, version: Version) -> str:
        """The address of the page of another version, as it stands in HTML."""
        pairs = [(name, value) for name, value in self.kept if name == "token"]
        return escape(f"./?{urlencode([*pairs, ('version', version.name)])}")

    def file(self, path: str) -> str:
        """The address of a file, as it stands in HTML."""
        return self.link("files", *path.split("/"))

    def _with_query(self, address: str, query: Mapping[str, str]) -> str:
        pairs = [*self.kept, *query.items()]
        return escape(address + (f"?{urlencode(pairs)}" if pairs else ""))


def page_of(shown: Shown) -> str:
    """The page, as HTML."""
    manifest = shown.artifact.manifest if isinstance(shown.artifact.manifest, Mapping) else {}
    name = _text(manifest.get("name")) or escape(shown.artifact.alias)
    said = _text(manifest.get("description"))
    return "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n",
            f'<h1>{name}</h1>\n<p class="soft">{escape(shown.artifact.full_id)}</p>\n',
            _cover(shown, manifest),
            f'<p class="said">{said}</p>\n' if said else "",
            _tags(manifest.get("tags")),
            _facts(shown, manifest),
            _files(shown),
            "</main>\n</body>\n</html>\n",
        )
    )


def size_text(size: float) -> str:
    """A size as people read it."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.0f} {_UNITS[unit]}" if unit == 0 else f"{size:,.1f} {_UNITS[unit]}"


def _text(value: object) -> str:
    return escape(value[:MAX_TEXT_CHARS].strip()) if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value[:MAX_ITEMS] if isinstance(value, list) else []


def _cover(shown: Shown, manifest: Mapping[str, Any]) -> str:
    address = next(filter(None, (_address(shown, cover) for cover in _list(manifest.get("covers")))), "")
    return f'<img class="cover" src="{address}" alt="">\n' if address else ""


def _address(shown: Shown, value: object) -> str:
    """The address of what a manifest names: a file of the artifact, or something elsewhere on the web."""
    if not isinstance(value, str) or not value:
        return ""
    try:
        if urlsplit(value).scheme in ("http", "https"):
            return escape(value)
        return shown.file(check_path(value))
    except (ValueError, InvalidKey):
        return ""


def _tags(value: object) -> str:
    tags = [text for text in map(_text, _list(value)) if text]
    items = "".join(f"<li>{tag}</li>" for tag in tags)
    return f'<ul class="tags" aria-label="Tags">{items}</ul>\n' if tags else ""


def _facts(shown: Shown, manifest: Mapping[str, Any]) -> str:
    artifact, version = shown.artifact, _version(shown)
    authors = [
        _text(each.get("name")) for each in _list(manifest.get("authors")) if isinstance(each, Mapping)
    ]
    rows = [
        ("Type", escape(artifact.type)),
        ("Authors", ", ".join(filter(None, authors))),
        ("License", _text(manifest.get("license"))),
        (
            "Documentation",
            _link(_address(shown, manifest.get("documentation")), manifest.get("documentation")),
        ),
        ("Source", _link(_web(manifest.get("git_repo")), manifest.get("git_repo"))),
    ]
    if version is not None:
        made = time.strftime("%d %B %Y", time.gmtime(version.created_at))
        rows.append(("Version", f"{escape(version.name)}, {made}{_others(shown, version)}"))
        rows.append(("Files", f"{version.file_count:,}"))
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows if value)}</dl>\n"


def _version(shown: Shown) -> Version | None:
    if not shown.artifact.is_committed or shown.version == "stage":
        return None
    return shown.artifact.version(shown.version)


def _others(shown: Shown, seen: Version) -> str:
    others = [version for version in reversed(shown.artifact.versions) if version is not seen][:MAX_ITEMS]
    links = (f'<a href="{shown.at(version)}">{escape(version.name)}</a>' for version in others)
    return f" (others: {', '.join(links)})" if others else ""


def _web(value: object) -> str:
    is_address = isinstance(value, str) and value.startswith(("https://", "http://"))
    return escape(str(value)) if is_address else ""


def _link(address: str, text: object) -> str:
    return f'<a href="{address}" rel="noopener nofollow">{_text(text)}</a>' if address else ""


def _files(shown: Shown) -> str:
    if not shown.files:
        return '<h2>Files</h2>\n<p class="soft">There are none.</p>\n'
    place = f" in {escape(shown.folder)}" if shown.folder else ""
    rows = "".join(_rows(shown))
    zipped = "" if ("stage", "true") in shown.kept else _zip(shown)
    return f"<h2>Files{place}</h2>\n{zipped}<table>{rows}</table>\n"


def _zip(shown: Shown) -> str:
    return f'<a class="zip" href="{shown.link("create-zip-file")}">Download all as a zip</a>\n'


def _rows(shown: Shown) -> Iterable[str]:
    if shown.folder:
        upper = shown.folder.rpartition("/")[0]
        address = shown.here(folder=upper) if upper else shown.here()
        yield f'<tr><td><a href="{address}">..</a></td><td></td></tr>'
    for entry in shown.files:
        name = str(entry["name"])
        path = joined(shown.folder, name)
        if entry["type"] == "directory":
            address, size, label = shown.here(folder=path), "", f"{name}/"
        else:
            address, label = shown.file(joined(shown.root, path)), name
            size = size_text(float(entry["size"]))
        yield f'<tr><td><a href="{address}">{escape(label)}</a></td><td class="size">{size}</td></tr>'
