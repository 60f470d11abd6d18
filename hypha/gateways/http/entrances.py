"""What a server shows to all that serves nobody without a credential: its pages, and the way to sign in."""

from __future__ import annotations

from collections.abc import Iterable

from hypha.web.signing_in import LOGIN_FUNCTIONS, LOGIN_PAGE

OPEN_WORDS = frozenset(
    {"login", "static", "assets", "health", "metrics", "oidc", "oauth", "rpc", "s3", "ws", "openapi.json"}
)
"""First words of paths that lead to nobody's services. Clients prove themselves behind `rpc` and `ws`, and
what is behind `s3` is open to signed addresses alone."""

_SIGN_IN = (LOGIN_PAGE.rstrip("/"), LOGIN_FUNCTIONS)


def is_for_all(path: str, mounts: Iterable[str] = ()) -> bool:
    """Whether a path below the base path is open to outsiders; pages without content of anybody are.

    `mounts` are where the operator's own files are.
    """
    first, _, rest = path[1:].partition("/")
    if not rest or first in OPEN_WORDS:
        return True
    return any(path == way or path.startswith(way + "/") for way in (*_SIGN_IN, *mounts))
