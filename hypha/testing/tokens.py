"""Mint tokens with the shared secret, without asking the server (docs/spec/manager.md#claims).

Written apart from the server's own code on purpose: existing tools mint tokens like this.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

ISSUER = "https://amun.ai/"
AUDIENCE = "https://amun-ai.eu.auth0.com/api/v2/"
NAMESPACE = "https://amun.ai/"


def _part(value: Mapping[str, Any]) -> str:
    raw = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def mint_token(
    secret: str,
    user_id: str,
    *,
    workspaces: Mapping[str, str] | None = None,
    current: str | None = None,
    client_id: str | None = None,
    extra_scopes: Sequence[str] = (),
    roles: Sequence[str] = (),
    email: str | None = None,
    parent: str | None = None,
    life_s: float = 3600.0,
    header: Mapping[str, Any] | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Return a signed token of a user.

    `workspaces` maps workspace ids to `r`, `rw` or `a`; default: admin of `ws-user-<user_id>`.
    `current` becomes `wid`, `client_id` becomes `cid`. A negative `life_s` makes an expired token.
    `header` and `claims` replace single fields, for tokens that are wrong on purpose.
    """
    rights = {f"ws-user-{user_id}": "a"} if workspaces is None else dict(workspaces)
    words = [f"ws:{name}#{level}" for name, level in rights.items()]
    words += [f"cid:{client_id}"] if client_id else []
    words += [f"wid:{current}"] if current else []
    now = int(time.time())
    body: dict[str, Any] = {
        "iss": ISSUER,
        "sub": user_id,
        "aud": AUDIENCE,
        "iat": now - (0 if life_s > 0 else 7200),
        "exp": int(now + life_s),
        "scope": " ".join([*words, *extra_scopes]),
        "gty": "client-credentials",
        f"{NAMESPACE}roles": list(roles),
        f"{NAMESPACE}email": email,
    }
    if parent:
        body[f"{NAMESPACE}parent"] = parent
    body.update(claims or {})
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', **(header or {})})}.{_part(body)}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def read_claims(token: str) -> dict[str, Any]:
    """Return the claims of a token without checking its signature."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(claims, dict)
    return claims
