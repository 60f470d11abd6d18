"""One request to a mounted application: what of it the application's code may see."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.types import Receive

from hypha.auth.users import Context, User
from hypha.errors import InvalidRequest, NotFound
from hypha.gateways.asgi_apps.cookies import MARK, AppCookies, is_reserved, pairs_of
from hypha.gateways.asgi_apps.outgoing import Outgoing
from hypha.registry.records import ServiceRecord
from hypha.web.arrival import is_browser
from hypha.web.credentials import http_anonymous_user
from hypha.web.headers import Headers
from hypha.web.redaction import IsToken, Redaction
from hypha.web.scope import HEADERS, TOKEN

SPEC_VERSION = "2.3"
"""From 2.4 on frameworks rely on an error from `send` when the client has left, which no call can raise."""
_PLAIN_KEYS = ("type", "http_version", "method", "scheme", "server", "client")
_PAGES = frozenset({b"origin", b"sec-fetch-site"})
_STRANGER = http_anonymous_user().id


@dataclass(frozen=True, slots=True)
class Visit:
    """What an application's code sees of a request besides its body."""

    headers: Headers
    query_string: bytes
    subprotocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """A service, the path at which it is mounted, and one request below it.

    `path` begins with a slash and is relative to the mount; `raw_path` is the same as it was sent.
    """

    record: ServiceRecord
    context: Context
    scope: MutableMapping[str, Any]
    receive: Receive
    send: Outgoing
    root_path: str
    path: str
    raw_path: bytes
    visit: Visit

    def plain_scope(self) -> dict[str, Any]:
        """The ASGI scope reduced to values that can be sent, paths relative to the mount."""
        scope = {key: self.scope[key] for key in _PLAIN_KEYS if key in self.scope}
        if "subprotocols" in self.scope:
            scope["subprotocols"] = list(self.visit.subprotocols)
        return {
            **scope,
            "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
            "path": self.path,
            "raw_path": self.raw_path,
            "root_path": self.root_path,
            "query_string": self.visit.query_string,
            "headers": [list(pair) for pair in self.visit.headers],
            "workspace": self.record.workspace,
            "service_id": f"{self.record.client_id}:{self.record.name}",
            "user": self.context.user.facts_for(self.record.workspace),
        }


def is_own(user: User, record: ServiceRecord) -> bool:
    """True if the visitor registered the service, so that its code may see the visitor's credential.

    Nobody else's code may, whatever the workspace; all callers without a credential share one user id. Nor
    may a program to which the person gave a token for one workspace: it would learn the one for all.
    """
    reaches_as_far = record.limit in (None, user.limit)
    return user.id == record.user_id and reaches_as_far and user.id != _STRANGER


def visit_of(
    scope: Mapping[str, Any],
    cookies: AppCookies,
    is_token: IsToken,
    *,
    is_own_code: bool,
    raw_path: bytes,
    may_use_cookies: bool = True,
) -> Visit:
    """What the code of an application may see of a request.

    `may_use_cookies` is false where the page of another origin opens a WebSocket, of which it reads all.

    Raises:
        InvalidRequest: the address below the mount holds a credential, which somebody else's code would see.
    """
    headers: Headers = [(name.lower(), value) for name, value in scope["headers"]]
    headers = [pair for pair in headers if not _is_of_proxies(pair[0])]
    redaction = Redaction(scope.get(TOKEN), is_token)
    sent = [pair for name, value in headers if name == b"cookie" for pair in pairs_of(value)]
    query = scope.get("query_string", b"")
    words = tuple(str(word) for word in scope.get("subprotocols", ()))
    if is_own_code:
        others = {name for name, _ in sent if not name.startswith(MARK)}
    else:
        if redaction.holds(raw_path):
            raise InvalidRequest(
                "The address holds a token, which an application of somebody else must not see: leave it out."
            )
        headers, query = redaction.headers(headers), redaction.query(query)
        words = tuple(word for word in words if not redaction.holds(word.encode("latin-1", "replace")))
        sent = [(name, value) for name, value in sent if not redaction.holds(value)]
        is_free = not is_browser(scope[HEADERS]) and _PAGES.isdisjoint(scope[HEADERS])
        others = {name for name, _ in sent if is_free and not is_reserved(name)}
    cookie = cookies.received(sent, others)
    headers = [pair for pair in headers if pair[0] != b"cookie"]
    if cookie and may_use_cookies:
        headers.append((b"cookie", cookie))
    return Visit(headers, query, words)


def _is_of_proxies(name: bytes) -> bool:
    """True for what tells of proxies: the scope says what is true of it, the rest may be anybody's words."""
    return name in (b"forwarded", b"x-real-ip") or name.startswith(b"x-forwarded-")


def is_cross_origin(headers: Mapping[bytes, bytes]) -> bool:
    """True if a page of another host, or one without an origin, made the request."""
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower()


def places_of(scope: Mapping[str, Any], root_path: str, path: str) -> tuple[bytes, bytes]:
    """The mount's path and the path below it as they were sent, or encoded where the server keeps neither.

    Raises:
        NotFound: a slash of the mount's path was sent in an encoded form, so that a browser counts its
            parts otherwise than the server does.
    """
    raw = scope.get("raw_path")
    if not isinstance(raw, bytes):
        return quote(root_path).encode(), quote(path).encode()
    words = raw.partition(b"?")[0].split(b"/")
    depth = root_path.count("/") + 1
    root = b"/".join(words[:depth])
    if unquote_to_bytes(root) != root_path.encode() or len(words) <= depth:
        raise NotFound("File not found: the address of an application is sent with plain slashes.")
    return root, b"/" + b"/".join(words[depth:])
