"""Who may use the Triton servers, and for what: running models and reading about them, not managing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from hypha.auth.scopes import Level
from hypha.auth.users import Context, User
from hypha.errors import InvalidRequest, NotFound, PermissionDenied

LevelIn = Callable[[User, str], Awaitable[Level]]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_VERSION = re.compile(r"[0-9]{1,20}")
_OF_SERVER = frozenset({(), ("health", "live"), ("health", "ready"), ("models", "stats")})
_OF_MODEL = {
    "GET": frozenset({(), ("ready",), ("config",), ("stats",)}),
    "POST": frozenset({("infer",), ("generate",), ("generate_stream",)}),
}


class TritonAccess:
    """The right to use the servers: read_write in one workspace, or everybody's.

    `level_in` gives the level of a user in a workspace, ownership included.
    """

    def __init__(self, workspace: str, *, is_public: bool, level_in: LevelIn) -> None:
        self.workspace = workspace
        self._is_public = is_public
        self._level_in = level_in

    async def check(self, context: Context) -> None:
        """Raise PermissionDenied unless the caller may use the servers."""
        if self._is_public or await self._level_in(context.user, self.workspace) >= Level.READ_WRITE:
            return
        raise PermissionDenied("Permission denied: the Triton servers are not open to this user.")


def checked_name(name: object) -> str:
    """A model's name, if it can be one.

    Raises:
        InvalidRequest: it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or set(name) == {"."}:
        raise InvalidRequest(f"Invalid model name: {str(name)[:80]!r}")
    return name


def checked_version(version: object) -> str:
    """A model's version, empty for the newest.

    Raises:
        InvalidRequest: it is not a number.
    """
    text = str(version or "")
    if text and not _VERSION.fullmatch(text):
        raise InvalidRequest("A model version is a number.")
    return text


def passed_path(method: str, raw_path: str) -> str:
    """The path on a Triton server for one below `/triton/`, written anew from its words.

    Only inference, metadata, health and statistics are passed on; all that loads, unloads, lists
    the repository, shares memory or sets logging and tracing is not there.

    Raises:
        NotFound: it is none of these, however it is encoded.
    """
    head, *words = (unquote(word) for word in raw_path.split("/"))
    method = "GET" if method == "HEAD" else method
    if head == "v2" and not any("%" in word for word in words):
        if method == "GET" and tuple(words) in _OF_SERVER:
            return "/".join((head, *words))
        if len(words) >= 2 and words[0] == "models" and _is_of_model(method, words[1:]):
            return "/".join((head, *words))
    raise NotFound("Not found: only inference, metadata, health and statistics of Triton are open here.")


def _is_of_model(method: str, words: list[str]) -> bool:
    name, *rest = words
    if not _NAME.fullmatch(name) or set(name) == {"."}:
        return False
    if rest[:1] == ["versions"]:
        if len(rest) < 2 or not _VERSION.fullmatch(rest[1]):
            return False
        rest = rest[2:]
    return tuple(rest) in _OF_MODEL.get(method, ())
