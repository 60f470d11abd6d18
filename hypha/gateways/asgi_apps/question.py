"""The page that asks a signed-in person before an application learns who opened it.

A link into an application may come from anybody, and may do something as soon as it is opened. So it
is opened with the session only after the person has pressed a button on a page that nobody can frame.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import MutableMapping
from typing import Any

from starlette.types import Send

from hypha.auth.users import User
from hypha.web.arrival import is_navigation
from hypha.web.headers import headers_of

MAX_SHOWN = 300
PAUSE_MS = 500
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Open with your session?</title>
<style nonce="{nonce}">
body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; }}
code {{ overflow-wrap: anywhere; }}
button {{ font: inherit; padding: .5rem 1.2rem; }}
</style>
</head>
<body>
<main>
<h1>Open this with your session?</h1>
<p>A link or an address leads into the application <strong>{service}</strong> of the workspace
<strong>{workspace}</strong>:</p>
<p><code>{path}</code></p>
<p>The application will see that you are <strong>{person}</strong>, and may do at once what the link
asks of it. Go on only if you know where the link comes from.</p>
<p><button id="open" type="button" disabled data-front="{front}">Open as {person}</button></p>
<noscript><p>This page needs JavaScript.</p></noscript>
</main>
<script nonce="{nonce}">
const button = document.getElementById("open");
button.addEventListener("click", () => {{
  const target = location.href;
  // the request that follows comes from a page of the application's mount, as the server asks for
  history.replaceState(null, "", button.dataset.front);
  location.replace(target);
}});
// not by the second half of a double click that began on another page
setTimeout(() => (button.disabled = false), {pause_ms});
</script>
</body>
</html>
"""


def may_ask(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request opens a page in a tab of a browser: only there a person sees the question."""
    return scope["method"] in ("GET", "HEAD") and is_navigation(headers_of(scope))


async def send_question(
    scope: MutableMapping[str, Any], send: Send, visitor: User, front: str, names: tuple[str, str]
) -> None:
    """Answer with the page; `front` is the path of the application's mount, `names` its workspace and id."""
    nonce = secrets.token_urlsafe(12)
    query: bytes = scope["query_string"]
    path = scope["path"] + (f"?{query.decode('latin-1')}" if query else "")
    text = _PAGE.format(
        nonce=nonce,
        workspace=html.escape(names[0]),
        service=html.escape(names[1][:MAX_SHOWN]),
        path=html.escape(path[:MAX_SHOWN]),
        person=html.escape(visitor.email or visitor.id),
        front=html.escape(front),
        pause_ms=PAUSE_MS,
    )
    body = text.encode("utf-8", "replace")
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"same-origin"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"content-security-policy", _policy(nonce)),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _policy(nonce: str) -> bytes:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ).encode()
