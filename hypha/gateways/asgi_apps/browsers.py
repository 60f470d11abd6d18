"""What keeps applications apart in a browser, to which all of them are one web site.

Two dangers: the page of one application acts with the session that its visitor has with this
server, and applications read each other's cookies. Against the first, pages of other people's
applications are put in a sandbox; against the second, cookies are confined to their mount.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Message, Send

Headers = list[tuple[bytes, bytes]]

SECRET_HEADERS = frozenset({b"authorization", b"proxy-authorization", b"x-local-auth"})
# of sessions, of other places of a token, of sign-in attempts, of streams
SECRET_COOKIES = (b"access_token", b"hypha_")
SANDBOX = b"sandbox " + b" ".join(
    (
        b"allow-downloads", b"allow-forms", b"allow-modals", b"allow-orientation-lock", b"allow-pointer-lock",
        b"allow-popups", b"allow-popups-to-escape-sandbox", b"allow-presentation", b"allow-scripts",
    )
)  # fmt: skip


def without_credentials(headers: Headers, token: str | None) -> Headers:
    """A request's headers without what shows who the caller is, `token` included wherever it stands."""
    secret = (token or "").encode("latin-1", "replace")
    kept = []
    for name, value in headers:
        if name == b"cookie":
            value = b"; ".join(_other_cookies(value, secret))
            if not value:
                continue
        if name not in SECRET_HEADERS and not (secret and secret in value):
            kept.append((name, value))
    return kept


def _other_cookies(value: bytes, secret: bytes) -> Iterable[bytes]:
    for part in value.split(b";"):
        part = part.strip()
        if part and not part.startswith(SECRET_COOKIES) and not (secret and secret in part):
            yield part


def confining(send: Send, root_path: str, *, sandboxed: bool) -> Send:
    """`send` for an application at `root_path`: its cookies stay there, its pages if `sandboxed`."""
    root = root_path.encode()
    extra = [(b"content-security-policy", SANDBOX)] if sandboxed else []

    async def confined_send(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers = [_confined(name, value, root) for name, value in message.get("headers", ())]
            message = {**message, "headers": [*headers, *extra]}
        await send(message)

    return confined_send


def _confined(name: bytes, value: bytes, root: bytes) -> tuple[bytes, bytes]:
    """A header as it is, but a cookie without `Domain` and with its `Path` below the mount."""
    if name != b"set-cookie":
        return name, value
    parts: list[bytes] = []
    for part in value.split(b";"):
        key, _, given = part.strip().partition(b"=")
        if key.lower() == b"domain":
            continue
        if key.lower() == b"path" and parts:
            path = given if given.startswith(b"/") else b"/"
            is_below = path == root or path.startswith(root + b"/")
            part = b" Path=" + (path if is_below else root + path)
        parts.append(part)
    return name, b";".join(parts)
