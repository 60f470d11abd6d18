"""One request to a mounted application: what of it the application's code may see."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.types import Receive, Send

from hypha.auth.users import Context, User
from hypha.gateways.asgi_apps.browsers import without_credentials
from hypha.gateways.http.services import FoundService

_PLAIN_KEYS = ("type", "http_version", "method", "scheme", "server", "client", "subprotocols")


@dataclass(frozen=True, slots=True)
class Mount:
    """A service, the path at which it is mounted, and one request below it.

    `path` begins with a slash and is relative to the mount; `raw_path` is the same as it was sent.
    """

    record: FoundService
    context: Context
    scope: MutableMapping[str, Any]
    receive: Receive
    send: Send
    root_path: str
    path: str
    raw_path: bytes

    @property
    def target(self) -> str:
        """Address of the client that serves the application."""
        return f"{self.record.workspace}/{self.record.client_id}"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The request's headers; credentials only where the code is the caller's own (core-api 11.1)."""
        headers: list[tuple[bytes, bytes]] = [(name.lower(), value) for name, value in self.scope["headers"]]
        if is_own(self.context.user, self.record.workspace):
            return headers
        return without_credentials(headers, self.scope.get("hypha.token"))

    def plain_scope(self) -> dict[str, Any]:
        """The ASGI scope reduced to values that can be sent, paths relative to the mount."""
        scope = {key: self.scope[key] for key in _PLAIN_KEYS if key in self.scope}
        asgi = self.scope.get("asgi", {})
        return {
            **scope,
            "asgi": {"version": "3.0", "spec_version": str(asgi.get("spec_version", "2.3"))},
            "path": self.path,
            "raw_path": self.raw_path,
            "root_path": self.root_path,
            "query_string": self.scope.get("query_string", b""),
            "headers": [list(pair) for pair in self.headers],
            "workspace": self.record.workspace,
            "service_id": f"{self.record.client_id}:{self.record.name}",
        }


def is_own(user: User, workspace: str) -> bool:
    """True if code of this workspace may see the user's credential.

    That is the user's own workspace, or the only one for which the credential is good.
    """
    return workspace == user.own_workspace or set(user.scope.workspaces) == {workspace}


def relative_raw_path(scope: Mapping[str, Any], root_path: str, path: str) -> bytes:
    """The path below the mount as it was sent, or an encoding of it where the server keeps none."""
    raw = scope.get("raw_path")
    if isinstance(raw, bytes):
        words = raw.partition(b"?")[0].split(b"/")
        depth = root_path.count("/") + 1
        if len(words) > depth:
            return b"/" + b"/".join(words[depth:])
    return quote(path).encode()
