"""What the server keeps in the ASGI scope of a request, beside what ASGI has there: keys, types, meaning.

Code of others gets a scope without these keys (`Mount.plain_scope`, `hypha/features/login/custom.py`).
"""

from __future__ import annotations

OURS = "hypha."
"""With this all keys of ours begin."""

PATH = "hypha.path"
"""`str | None`: the path below the base path; None for one that is not below it. Set for every request."""
HEADERS = "hypha.headers"
"""`dict[bytes, bytes]`: the value of each header, repeated ones joined; see `headers_of`, which sets it."""
PREFIX = "hypha.prefix"
"""`str`: the path that a trusted proxy took away from the front of the address; absent without proxies."""
OUTSIDE = "hypha.outside"
"""`Outside`: what trusted proxies say of the client; absent without proxies."""
ON_APPS_ORIGIN = "hypha.on_apps_origin"
"""`True` for a request that was sent to the origin of applications; absent for others, as all marks are."""
BODY_IS_HERE = "hypha.body_is_here"
"""`True` for a request that our own HTTP protocol has read to its end."""
SIZE_IS_CHECKED = "hypha.size_is_checked"
"""`True` for a request whose head our own HTTP protocol has measured."""
PREFLIGHT = "hypha.preflight"
"""`True` for a browser's `OPTIONS` question that is passed on to an application."""
REQUEST_ID = "hypha.request_id"
"""`str`: its name in the log and in error answers; set by `request_id` at first need."""
ARRIVAL = "hypha.arrival"
"""`Arrival`: how the request came about; set by `Credentials.arrival` at first need."""
TOKEN = "hypha.token"
"""`str | None`: the credential that counts; set by `Credentials.user` at first need."""
USER = "hypha.user"
"""`User | HyphaError`: whose request it is, or why that is refused; set as `TOKEN` is."""
PERSONAL = "hypha.personal"
"""`True` for a request whose answer depends on who asks: no cache may give it to others."""
HOLDING = "hypha.holding"
"""`Holding`: the caller's account for work on large bodies; set for every request that is admitted."""

NAMED = "hypha.named_origin"
"""`bool`, in the start of an application's answer: it names the asking origin, with credentials."""
