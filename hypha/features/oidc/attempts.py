"""A sign-in on its way: what we must find again when the person comes back from the provider.

It travels in a sealed cookie, so any replica can finish it and nobody else's browser can; each
attempt counts once.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from cryptography.fernet import Fernet, InvalidToken

from hypha.limits import BoundedMap

LIFE_S = 600
MAX_USED = 20_000
COOKIE_PREFIX = "hypha_oidc_"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in with one provider.

    `state` and `nonce` tie the provider's answer to it, `verifier` is the secret of PKCE. `key` is the
    login key that a program waits for, `redirect` the path to go to instead of the login page.
    """

    provider: str
    state: str
    nonce: str
    verifier: str
    key: str = ""
    redirect: str = ""

    @classmethod
    def begin(cls, provider: str, key: str, redirect: str) -> Attempt:
        """A new attempt with secrets of its own."""
        return cls(
            provider,
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(48),
            key,
            redirect,
        )


def cookie_name(state: str, *, is_secure: bool) -> str:
    """The cookie of an attempt; each has its own, so that two windows don't disturb each other.

    With HTTPS no other host of the domain can set one of that name, and so finish a sign-in of its own
    in this browser.
    """
    return ("__Host-" if is_secure else "") + COOKIE_PREFIX + state[:16]


class Attempts:
    """Seals attempts and opens each once.

    Args:
        secret: 32 bytes, the same on all replicas.
        clock: Unix time in seconds.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._seal = Fernet(base64.urlsafe_b64encode(secret))
        self._clock = clock
        self._used: BoundedMap[str, float] = BoundedMap(MAX_USED)

    def seal(self, attempt: Attempt) -> str:
        """The value of the cookie."""
        text = json.dumps(asdict(attempt)).encode()
        return self._seal.encrypt_at_time(text, int(self._clock())).decode()

    def open(self, sealed: str, provider: str, state: str) -> Attempt | None:
        """The attempt if this is its cookie, provider and state, it is young and wasn't opened before."""
        now = self._clock()
        try:
            text = self._seal.decrypt_at_time(sealed.encode(), LIFE_S, int(now))
        except (InvalidToken, ValueError):
            return None
        attempt = Attempt(**json.loads(text))
        is_its = secrets.compare_digest(attempt.state.encode(), state.encode("utf-8", "replace"))
        if not is_its or attempt.provider != provider or attempt.state in self._used:
            return None
        self._used.put(attempt.state, now)
        return attempt
