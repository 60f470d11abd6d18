"""Where a person may be led after signing in: the one check for all ways of signing in.

A link with a destination may come from anybody, and the person follows it with a fresh session. So it
leads to pages alone: those of the console, folders of static files, front pages of applications.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from hypha.errors import InvalidRequest
from hypha.web.origins import Origins, origin_of

if TYPE_CHECKING:
    from hypha.settings import Settings

MAX_CHARS = 2000
REDIRECT_WORDS = ("redirect", "redirect_uri", "next")
"""Names in a query of a login page that mean a destination; the first that is given counts."""

PAGES = frozenset({"", "api-docs", "api-redoc"})
# slashes, backslashes, dots, percent signs and control characters, hidden by an encoding
_HIDDEN = re.compile(r"%(?:2f|5c|2e|25|[01][0-9a-f]|7f)", re.IGNORECASE)


def is_workspace_word(name: str) -> bool:
    """Names of pages have no hyphen, names of workspaces do; `public` is the exception."""
    return name == "public" or ("-" in name and name not in PAGES)


def friends_of(settings: Settings) -> frozenset[str]:
    """Origins that the operator has named in `--allow-origins`; `*` names none."""
    found = (origin_of(word.strip().rstrip("/")) for word in settings.allow_origins.split(","))
    return frozenset(origin for origin in found if origin is not None)


class Destinations:
    """Checks addresses that a link or a form names as the place to go to afterwards.

    `friends` are origins that the operator has named, `folders` the words of static mounts.
    """

    def __init__(
        self,
        origins: Origins,
        base_path: str = "",
        *,
        friends: Collection[str] = (),
        folders: Collection[str] = (),
    ) -> None:
        self.origins = origins
        self._base = base_path.rstrip("/")
        self.friends = frozenset(friends)
        self._folders = frozenset(folders)
        self.home = f"{self._base}/"

    @classmethod
    def from_settings(cls, settings: Settings, origins: Origins) -> Self:
        """What the operator has set."""
        folders = [mount.partition(":")[0].strip("/") for mount in settings.static_mounts]
        return cls(origins, settings.url_path, friends=friends_of(settings), folders=folders)

    def checked(self, target: str, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """A path of this server, or a URL of a friend; what is no page of ours becomes the front page.

        Raises:
            InvalidRequest: it leads to a site that we don't know, or hides where it leads.
        """
        if not target:
            return ""
        parts = _parsed(target)
        if parts is None or (not parts.netloc and not target.startswith("/")):
            raise InvalidRequest("This link wants to lead to a site that this server does not know.")
        if parts.netloc and not self.origins.is_own(target, scope, headers):
            if origin_of(target) not in self.friends:
                raise InvalidRequest("This link wants to lead to a site that this server does not know.")
            return target
        if "//" in parts.path or _HIDDEN.search(parts.path) or _climbs(parts.path):
            raise InvalidRequest("This link hides where it leads.")
        return self._page(parts)

    def opener(self, origin: str, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """The origin of a page that opened ours and is told when all is done: our own, or a friend's.

        Raises:
            InvalidRequest: it is another one, or no origin.
        """
        if not origin:
            return ""
        found = origin_of(origin)
        is_known = found in self.friends or self.origins.is_own(origin, scope, headers)
        if found is None or found != origin.lower() or not is_known:
            raise InvalidRequest("This page was opened from a site that this server does not know.")
        return found

    def _page(self, parts: SplitResult) -> str:
        path = parts.path or "/"
        if path != self._base and not path.startswith(f"{self._base}/"):
            return self.home
        words = path[len(self._base) :].split("/")[1:] or [""]
        rest = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
        first = unquote(words[0])
        if first in self._folders:
            return path + rest
        if len(words) == 1 and (first in PAGES or is_workspace_word(first)):
            return (path if first else self.home) + rest
        if is_workspace_word(first):
            if words[1:] == [""]:
                return path + rest
            if words[1] == "apps" and len(words) > 2 and words[2]:
                return f"{self._base}/{quote(first)}/apps/{quote(unquote(words[2]))}/"
        return self.home


def _parsed(target: str) -> SplitResult | None:
    """The parts of an address that all browsers read alike, else None."""
    if len(target) > MAX_CHARS or not target.isprintable() or target != target.strip() or "\\" in target:
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    is_path = not parts.scheme and not parts.netloc and not target.startswith("//")
    return parts if is_path or origin_of(target) is not None else None


def _climbs(path: str) -> bool:
    return any(word in (".", "..") for word in path.split("/"))
