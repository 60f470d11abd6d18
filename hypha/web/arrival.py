"""How a request came: by a script of ours, by a program, by a page that it belongs to, or anyhow.

Browsers add what they keep for a site (cookies, a Basic password) to every request for it, whoever
caused it: a link in a letter, an image on another site, a form, a redirect. So what comes by itself
says who sends a request only where the request shows that nobody else caused it (`Arrival`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import unquote, urlsplit

from hypha.web.origins import Origins
from hypha.web.scope import PREFIX

PAGE_HEADER = b"x-hypha-page"
"""`1` from the scripts of our own pages. No preflight allows it, so no other origin can send it."""

APPS = "apps"
_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_AGENTS = (b"mozilla/", b"opera/")
_SCRIPT_MODES = (b"cors", b"same-origin")
_PREFETCH = frozenset({b"purpose", b"sec-purpose", b"x-moz", b"x-purpose"})
_SOURCES = frozenset({b"sec-fetch-site", b"origin", b"referer"})


class Arrival(Enum):
    """How a request came; all but OTHER make what a browser adds by itself count."""

    PAGE = "a script of one of the server's own pages"
    PROGRAM = "a program"
    APP = "a page of the same application"
    FRONT = "a person, to the front page of an application"
    OTHER = "anything else: a link, an address that was typed, an image, a form, a frame, another site"


def arrival_of(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], origins: Origins, path: str
) -> Arrival:
    """How a request came; `path` is the one below the base path.

    HEAD counts as GET. A request that asks to be taken for one of another method is OTHER.
    """
    if not _OVERRIDES.isdisjoint(headers):
        return Arrival.OTHER
    is_from_here = origins.is_from_here(scope, headers)
    if is_program(headers) and (is_from_here or _SOURCES.isdisjoint(headers)):
        return Arrival.PROGRAM
    mount = mount_of(path)
    if scope["type"] == "websocket":
        is_app = mount is not None and is_from_here and b"origin" in headers
        return Arrival.APP if is_app else Arrival.OTHER
    if is_from_here and _is_of_script(scope["method"], headers):
        return Arrival.PAGE
    if mount is None:
        return Arrival.OTHER
    base = scope.get(PREFIX, "") + scope.get("root_path", "")
    if is_from_here and _is_below(headers.get(b"referer"), base, mount):
        return Arrival.APP
    return Arrival.FRONT if _opens_front(scope, headers, path, mount) else Arrival.OTHER


def is_program(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request lacks all that a page in a browser cannot leave out.

    What browsers accept for pages, images and styles is a list; one type alone is a program's.
    """
    accept = headers.get(b"accept", b"*/*")
    return (
        not is_browser(headers)
        and b"accept-language" not in headers
        and (accept in (b"*/*", b"text/html") or accept.startswith(b"application/"))
    )


def is_browser(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request bears marks of a browser; `Accept-Language` is none, git sends it."""
    return (
        headers.get(b"user-agent", b"").lower().startswith(_AGENTS)
        or b"upgrade-insecure-requests" in headers
        or any(name.startswith(b"sec-") and not _is_of_programs(name) for name in headers)
    )


def _is_of_programs(name: bytes) -> bool:
    """`Sec-Fetch-Site` without its companions comes from no browser; it is looked at elsewhere."""
    return name == b"sec-fetch-site" or name.startswith(b"sec-websocket-")


def _is_of_script(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a script made a request of this origin: `fetch`, not a navigation, an image or a frame.

    A header that only scripts of this origin can send shows it. For all but GET and HEAD it may be
    missing where the browser tells the mode: no markup makes it send others so, but `<link
    rel="preload" as="fetch">` makes it send a GET that looks like a script's.
    """
    mode, destination = headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest", b"empty")
    if destination != b"empty" or not _PREFETCH.isdisjoint(headers):
        return False
    if headers.get(PAGE_HEADER) == b"1":
        return mode is None or mode in _SCRIPT_MODES
    return mode in _SCRIPT_MODES and method not in ("GET", "HEAD")


def is_navigation(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a person's browser opens the address as a page of its own."""
    mode = headers.get(b"sec-fetch-mode")
    if mode is None:
        return is_browser(headers) and b"upgrade-insecure-requests" in headers
    return mode == b"navigate" and headers.get(b"sec-fetch-dest", b"document") == b"document"


def mount_of(path: str) -> str | None:
    """`/{workspace}/apps/{service}/` if the path is at or below an application's mount."""
    words = path.split("/", 4)
    is_mount = len(words) == 5 and words[2] == APPS and words[1] and words[3]
    return "/".join(words[:4]) + "/" if is_mount else None


def _opens_front(scope: Mapping[str, Any], headers: Mapping[bytes, bytes], path: str, mount: str) -> bool:
    """Whether a person opens the front page of an application: by address, bookmark or a link of ours."""
    return (
        path == mount
        and scope["method"] in ("GET", "HEAD")
        and not scope.get("query_string")
        and headers.get(b"sec-fetch-mode") == b"navigate"
        and headers.get(b"sec-fetch-dest") == b"document"
        and headers.get(b"sec-fetch-site") in (b"same-origin", b"none")
        and _PREFETCH.isdisjoint(headers)
    )


def _is_below(referer: bytes | None, base: str, mount: str) -> bool:
    """Whether the page that made a request belongs to the application at `mount`."""
    if referer is None:
        return False
    try:
        path = urlsplit(referer.decode("latin-1")).path
    except ValueError:
        return False
    words, wanted = [unquote(word) for word in path.split("/")], f"{base}{mount}".split("/")[:-1]
    return len(words) > len(wanted) and words[: len(wanted)] == wanted and ".." not in words
