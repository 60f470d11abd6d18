"""Tokens that others signed: their published keys (JWKS) and the claims that must hold.

Only asymmetric algorithms are known here. A key is chosen by us, by id and algorithm; what a token
says about where its key may be found is never followed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from hypha.auth.tokens import EXPIRED_TEXT, unverified_header
from hypha.errors import BackendUnavailable, HyphaError, NotAuthenticated, TokenExpired
from hypha.values import is_number

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256"})
MAX_SKEW_S = 60.0
REFETCH_PAUSE_S = 10.0
RETRY_PAUSE_S = 2.0
MAX_AGE_S = 3600.0
MAX_STALE_S = 24 * 3600.0
_MAX_KEYS = 100
_MIN_RSA_BITS = 2048

Key = RSAKey | ECKey
FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class KeySet:
    """The public keys of one issuer, fetched when needed and kept.

    An unknown key id makes them be fetched again (keys rotate), at most once per `pause_s` however
    many tokens ask; callers with a known key never wait for that. When the issuer does not answer,
    the keys that are there go on counting for a day.
    """

    def __init__(
        self,
        fetch: FetchKeys,
        *,
        pause_s: float = REFETCH_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._pause_s = pause_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: dict[str, list[tuple[str | None, Key]]] = {}
        self._fetched_at = -math.inf
        self._next_fetch = -math.inf

    async def find(self, algorithm: str, key_id: str | None) -> Key:
        """The key with which a token must have been signed.

        Raises:
            NotAuthenticated: the issuer has no such key.
            BackendUnavailable: its keys cannot be had.
        """
        found = self._find(algorithm, key_id)
        age_s = self._clock() - self._fetched_at
        if found is None or age_s > MAX_AGE_S:
            await self._refresh()
            found = self._find(algorithm, key_id)
            age_s = self._clock() - self._fetched_at
        if age_s > MAX_STALE_S:
            raise BackendUnavailable(
                "The sign-in provider's keys cannot be fetched now. Try again in a few seconds."
            )
        if found is None:
            raise NotAuthenticated("Authentication error: Unable to find appropriate key")
        return found

    def _find(self, algorithm: str, key_id: str | None) -> Key | None:
        keys = self._keys.get(algorithm, [])
        if key_id is None:
            return keys[0][1] if len(keys) == 1 else None
        return next((key for name, key in keys if name == key_id), None)

    async def _refresh(self) -> None:
        """Fetch the keys, unless that was tried a moment ago; failing leaves those that are there."""
        async with self._lock:
            if self._clock() < self._next_fetch:
                return
            self._next_fetch = self._clock() + self._pause_s
            try:
                self._keys = read_keys(await self._fetch())
            except HyphaError as error:
                self._next_fetch = self._clock() + min(self._pause_s, RETRY_PAUSE_S)
                logger.warning("the keys of a sign-in provider could not be fetched: %s", error)
                return
            self._fetched_at = self._clock()


def read_keys(document: Mapping[str, Any]) -> dict[str, list[tuple[str | None, Key]]]:
    """Algorithm -> its usable keys with their ids; others, symmetric and weak ones are left out."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise BackendUnavailable("The sign-in provider's key set has no list of keys.")
    keys: dict[str, list[tuple[str | None, Key]]] = {}
    for each in listed[:_MAX_KEYS]:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        algorithm, key = _read_key(each)
        if key is not None and each.get("alg", algorithm) == algorithm:
            key_id = each.get("kid")
            keys.setdefault(algorithm, []).append((key_id if isinstance(key_id, str) else None, key))
    return keys


def _read_key(public: dict[str, Any]) -> tuple[str, Key | None]:
    try:
        if public.get("kty") == "RSA":
            rsa = RSAKey.import_key({name: public[name] for name in ("kty", "n", "e")})
            return "RS256", rsa if rsa.public_key.key_size >= _MIN_RSA_BITS else None
        if public.get("kty") == "EC" and public.get("crv") == "P-256":
            return "ES256", ECKey.import_key({name: public[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, ValueError, KeyError, TypeError):
        logger.warning("a key of a sign-in provider is malformed and left out")
    return "", None


@dataclass(frozen=True, kw_only=True)
class IssuerTokens:
    """Reads the tokens of one issuer for one audience.

    `skew_s` is how far the issuer's clock may be off; `clock` is Unix time in seconds.
    """

    keys: KeySet
    issuer: str
    audience: str
    algorithms: frozenset[str] = ALGORITHMS
    skew_s: float = MAX_SKEW_S
    clock: Callable[[], float] = time.time

    async def read(self, token: str) -> dict[str, Any]:
        """The claims of a valid token.

        Raises:
            TokenExpired: it was valid once.
            NotAuthenticated: unreadable, wrongly signed, of another issuer or for somebody else.
            BackendUnavailable: the issuer's keys cannot be had.
        """
        header = unverified_header(token)
        algorithm, key_id = header["alg"], header.get("kid")
        if algorithm not in self.algorithms:
            raise NotAuthenticated(
                "Authentication error: Unsupported token algorithm, accepted here: "
                f"{', '.join(sorted(self.algorithms))}."
            )
        key = await self.keys.find(algorithm, key_id if isinstance(key_id, str) else None)
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm]).claims
        except (JoseError, ValueError, RecursionError):
            raise NotAuthenticated("Authentication error: Signature verification failed.") from None
        self._check(claims)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.issuer or self.audience not in audiences:
            raise NotAuthenticated(
                "Authentication error: Incorrect claims, please check the audience and issuer"
            )
        now = self.clock()
        if _seconds(claims, "exp") + self.skew_s <= now:
            raise TokenExpired(EXPIRED_TEXT)
        for name in ("nbf", "iat"):
            if name in claims and _seconds(claims, name) > now + self.skew_s:
                raise NotAuthenticated("Authentication error: The token is not valid yet.")


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not is_number(value) or not math.isfinite(value):
        raise NotAuthenticated(f"Authentication error: The token's claim '{name}' must be a number.")
    return float(value)
