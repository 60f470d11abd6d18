"""Who may speak for an HTTP stream: its POSTs are requests of their own (docs/security.md#http-streams).

A stream that was opened with a token takes POSTs with a token of the same user. An anonymous one has a
secret, which its first answer brings as a cookie and as a header. Clients that keep no cookies, such as
the JavaScript library in Node, know neither; for them the address may do, where no one shares it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypha.networks import is_loopback
from hypha.web.cookies import credential_cookie
from hypha.web.headers import headers_of
from hypha.web.origins import Origins

if TYPE_CHECKING:
    from hypha.auth.users import User
    from hypha.settings import Settings

SECRET_HEADER = b"x-hypha-stream"
_SOURCES = frozenset({b"origin", b"referer", b"sec-fetch-site"})
_PROXIES = frozenset(
    {
        b"via", b"forwarded", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"client-ip",
        b"true-client-ip", b"cf-connecting-ip", b"cf-ray", b"fastly-client-ip", b"x-envoy-external-address",
        b"x-original-host", b"x-request-start", b"x-arr-log-id", b"cdn-loop",
    }
)  # fmt: skip


@dataclass(slots=True)
class StreamKey:
    """What a POST must show to speak for a stream: its user's token, or the secret."""

    user_id: str
    is_anonymous: bool
    secret: str
    peer_address: str
    """Empty where the address doesn't do instead."""


class StreamSecrets:
    """Decides whether a POST may speak for a stream.

    With `by_address` an anonymous client that shows no secret is known by its address; with
    `loopback_only` just where both ends of the connection are on this machine.
    """

    def __init__(self, origins: Origins, *, by_address: bool = False, loopback_only: bool = True) -> None:
        self._origins = origins
        self._by_address = by_address
        self._loopback_only = loopback_only

    @classmethod
    def from_settings(cls, settings: Settings, origins: Origins) -> StreamSecrets:
        """What the operator has set."""
        choice = settings.streams_by_address
        by_address = choice == "on" or (choice == "auto" and is_loopback(settings.host))
        return cls(origins, by_address=by_address, loopback_only=choice != "on")

    def address_for(self, scope: MutableMapping[str, Any], peer_address: str) -> str:
        """The address by which the client of a request may be known; empty where it must not be.

        Behind a proxy, and in a browser, others share it.
        """
        headers = headers_of(scope)
        if not self._by_address or _is_shared(headers):
            return ""
        ends = [end[0] for end in (scope.get("client"), scope.get("server")) if end]
        if self._loopback_only and not (len(ends) == 2 and all(is_loopback(end) for end in ends)):
            return ""
        return peer_address

    def may_speak(
        self, key: StreamKey, user: User | None, scope: MutableMapping[str, Any], cookie: str, address: str
    ) -> bool:
        """Whether a POST shows what its stream asks for.

        `cookie` is the name of the stream's cookie, `address` where the POST came from. A cookie that a
        page of another origin made the browser add is not looked at.

        Raises:
            NotAuthenticated: several cookies of that name differ.
        """
        if not key.is_anonymous or user is not None:
            return user is not None and user.id == key.user_id
        headers = headers_of(scope)
        shown = headers.get(SECRET_HEADER, b"").decode("latin-1") or None
        if shown is None and self._is_own(scope, headers):
            shown = credential_cookie(headers, cookie.encode())
        if shown is not None:
            return hmac.compare_digest(shown.encode(), key.secret.encode())
        known = self.address_for(scope, address)
        return bool(known) and known == key.peer_address

    def _is_own(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
        return _SOURCES.isdisjoint(headers) or self._origins.is_from_here(scope, headers)


def _is_shared(headers: Mapping[bytes, bytes]) -> bool:
    """Whether others may send from the same address: people behind a proxy, pages in one browser.

    Node's `fetch` names its mode as browsers do, and nothing else of what they tell.
    """
    marks = {
        name
        for name in headers
        if name in _PROXIES or name in _SOURCES or name.startswith((b"x-forwarded", b"sec-"))
    }
    if headers.get(b"user-agent") in (b"node", b"undici"):
        marks.discard(b"sec-fetch-mode")
    return bool(marks)
