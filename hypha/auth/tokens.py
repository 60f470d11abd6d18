"""Tokens: signed sentences about who somebody is and what the holder may do (docs/spec/manager.md#tokens).

Signing and reading happen here and nowhere else. Tokens made by other tools with the same secret
are as good as ours, as long as algorithm, issuer, audience and expiry are right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.util import json_b64decode, to_bytes

from hypha.addresses import check_workspace_id
from hypha.auth.hooks import TokenHooks
from hypha.auth.revocation import Revocations
from hypha.auth.scopes import Scope
from hypha.auth.users import Descent, Grant, User, root_user
from hypha.errors import ConfigurationError, InvalidAddress, InvalidRequest, NotAuthenticated, TokenExpired
from hypha.ids import random_id
from hypha.limits import BoundedMap
from hypha.values import is_number

DEFAULT_ISSUER = "https://amun.ai/"
DEFAULT_AUDIENCE = "https://amun-ai.eu.auth0.com/api/v2/"
DEFAULT_NAMESPACE = "https://amun.ai/"
DEFAULT_RECONNECTION_LIFE_S = 2 * 24 * 3600.0
DEFAULT_MAX_LIFE_S = 10 * 365 * 24 * 3600.0

REVOKED_TEXT = "Token has been revoked"
REMOVED_TEXT = (
    "Authentication error: This client was removed by an administrator. Connect anew with your own token."
)
RECONNECTION_TEXT = (
    "Authentication error: This is a reconnection token, which is good for the reconnection of its client "
    "and for nothing else. Use the token with which the client connected."
)
EXPIRED_TEXT = "Authentication error: The token has expired. Please fetch a new one"
UNREADABLE_TEXT = "Authentication error: Error decoding token headers."

_ALGORITHM = "HS256"
_MAX_TOKEN_CHARS = 16 * 1024
_MAX_CACHED = 20_000
_MAX_CACHED_CHARS = 4096
"""A longer token is read anew each time: so many of them would take too much memory."""
_CLOCK_SKEW_S = 60.0
_OWN_CLAIMS = (
    "roles", "email", "parent", "credential", "incarnation", "minted_at", "grant", "until",
    "makers", "owner", "credentials",
)  # fmt: skip
_FOREIGN_RECHECK_S = 300.0


class ForeignTokens(Protocol):
    """Tokens signed by a provider that the operator trusts, with keys that are not ours."""

    algorithms: frozenset[str]
    """The values of the header `alg` that may be one of these tokens."""

    async def read(self, token: str) -> User:
        """Whose token this is.

        Raises:
            NotAuthenticated, TokenExpired: it is not valid.
            BackendUnavailable: the provider's keys cannot be had now.
        """


def fingerprint(token: str) -> str:
    """What a token is recognised by when it is revoked: a hash of its signed part.

    The signature is left out because the last character of its base64 form may be varied without
    making the token invalid.
    """
    signed = token.rpartition(".")[0] if token.count(".") == 2 else token
    return hashlib.sha256(_bytes(signed)).hexdigest()[:32]


class TokenAuthority:
    """Signs and reads tokens.

    Args:
        secret: the key of HS256, shared by all replicas and kept over restarts.
        issuer, audience: the claims `iss` and `aud` of our tokens, and the only ones accepted.
        namespace: prefix of the claims `roles`, `email` and `parent`.
        root_token: an opaque credential that is root's; None for none.
        max_life_s: longest life that may be asked for.
        reconnection_life_s: life of reconnection tokens.
        revocations: which tokens no longer count; by default it forgets them with the process.
        clock: Unix time in seconds.

    `used` collects when tokens were used, by fingerprint, for whoever writes that down.
    """

    def __init__(
        self,
        secret: str,
        *,
        issuer: str = DEFAULT_ISSUER,
        audience: str = DEFAULT_AUDIENCE,
        namespace: str = DEFAULT_NAMESPACE,
        root_token: str | None = None,
        max_life_s: float = DEFAULT_MAX_LIFE_S,
        reconnection_life_s: float = DEFAULT_RECONNECTION_LIFE_S,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.namespace = namespace
        self.max_life_s = max_life_s
        self.reconnection_life_s = reconnection_life_s
        self._key = OctKey.import_key(secret)
        self._root_token = _bytes(root_token) if root_token else None
        self._root = root_user()
        self.revocations = revocations or Revocations(clock=clock)
        self._is_revoked = self.revocations.is_revoked
        self._clock = clock
        self._foreign: ForeignTokens | None = None
        self.hooks = TokenHooks()
        self._cache: BoundedMap[bytes, tuple[User, str, float]] = BoundedMap(_MAX_CACHED)
        self.used: dict[str, float] = {}

    def accept_foreign(self, foreign: ForeignTokens) -> None:
        """Accept tokens of providers as well.

        Raises:
            ConfigurationError: somebody reads such tokens already.
        """
        if self._foreign is not None:
            raise ConfigurationError("Two features want to read the access tokens of providers.")
        self._foreign = foreign

    # -- reading ---------------------------------------------------------------------------------

    async def authenticate(self, token: str) -> User:
        """Whose token this is; what transports and gateways call.

        Raises:
            NotAuthenticated, TokenExpired: as `parse`; it is a reconnection token.
            BackendUnavailable: a provider signed it whose keys cannot be had now.
        """
        user = await self.read(token)
        if user.is_reconnection:
            raise NotAuthenticated(RECONNECTION_TEXT)
        return user

    async def read(self, token: str) -> User:
        """Whose token this is, whatever it is good for; raises as `authenticate`."""
        if self.hooks.reads and not self.is_root_token(token):
            user = await self._by_hook(token)
            if user is not None:
                return user
        foreign = self._foreign
        if foreign is not None and not self.is_root_token(token):
            key = hashlib.sha256(_bytes(token)).digest()
            if self._known(key) is None and unverified_header(token)["alg"] in foreign.algorithms:
                user = await foreign.read(token)
                self._cache.put(key, (user, fingerprint(token), self._clock() + _FOREIGN_RECHECK_S))
        return self.parse(token)

    async def _by_hook(self, token: str) -> User | None:
        """Whose token it is by the provider's hook, which is asked each time; None: not one of its own."""
        own = fingerprint(token)
        if self._is_revoked(own):
            raise NotAuthenticated(REVOKED_TEXT)
        user = await self.hooks.read(token)
        if user is not None and user.has_expired(self._clock()):
            raise TokenExpired(EXPIRED_TEXT)
        return None if user is None else replace(user, credential=own)

    def is_root_token(self, token: str) -> bool:
        """True for the root token, compared in constant time."""
        return self._root_token is not None and hmac.compare_digest(self._root_token, _bytes(token))

    def is_recognised(self, text: str) -> bool:
        """True for the root token, and for what calls itself a token of ours; nothing is verified."""
        if self.is_root_token(text):
            return True
        if text.count(".") != 2 or len(text) > _MAX_TOKEN_CHARS or not text.isascii():
            return False
        try:
            claims = json_b64decode(to_bytes(text.split(".")[1]))
        except (ValueError, TypeError, binascii.Error, RecursionError):
            return False
        return isinstance(claims, dict) and claims.get("iss") == self.issuer

    def parse(self, token: str) -> User:
        """Whose token this is, with the rights it gives; a provider's only once `authenticate` read it.

        Verified tokens are kept by their hash until they expire, so a known token costs a few
        microseconds; revocation and expiry are looked at every time.

        Raises:
            TokenExpired: it was valid once.
            NotAuthenticated: unreadable, wrongly signed, made for somebody else, or revoked.
        """
        if self.is_root_token(token):
            return self._root
        key = hashlib.sha256(_bytes(token)).digest()
        known = self._known(key)
        if known is None:
            known = self._verify(token), fingerprint(token), math.inf
            if len(token) <= _MAX_CACHED_CHARS:
                self._cache.put(key, known)
        user, own, _ = known
        now = self._clock()
        if user.has_expired(now):
            self._cache.pop(key)
            raise TokenExpired(EXPIRED_TEXT)
        if self._is_revoked(own) or self.revocations.ends(user):
            raise NotAuthenticated(REVOKED_TEXT)
        self.check_not_removed(user)
        self._note_use(user, user.credential or own)
        return user

    def check_not_removed(self, user: User) -> None:
        """Raise NotAuthenticated if the program that was given this reconnection token was removed."""
        if user.incarnation and self._is_revoked(user.incarnation):
            raise NotAuthenticated(REMOVED_TEXT)

    def _note_use(self, user: User, credential: str) -> None:
        if not user.is_anonymous and len(self.used) < _MAX_CACHED:
            self.used[credential] = self._clock()

    def _known(self, key: bytes) -> tuple[User, str, float] | None:
        """What was found out about a token; a provider's may lose its key, so it is asked again."""
        known = self._cache.get(key)
        if known is not None and known[2] != math.inf and known[2] <= self._clock():
            self._cache.pop(key)
            return None
        return known

    def _verify(self, token: str) -> User:
        _check_header(token)
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, RecursionError):
            raise NotAuthenticated("Authentication error: Signature verification failed.") from None
        return self._user_of(claims, fingerprint(token))

    def _user_of(self, claims: Mapping[str, Any], own_fingerprint: str) -> User:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.issuer or self.audience not in audiences:
            raise NotAuthenticated(
                "Authentication error: Incorrect claims, please check the audience and issuer"
            )
        not_before = claims.get("nbf")
        if not_before is not None and _seconds(not_before, "nbf") > self._clock() + _CLOCK_SKEW_S:
            raise NotAuthenticated("Authentication error: The token is not valid yet.")
        own = {name: claims.get(f"{self.namespace}{name}") for name in _OWN_CLAIMS}
        if isinstance(own["roles"], str):
            raise NotAuthenticated("Authentication error: The token's claim 'roles' must be a list.")
        names, minted_at = _words(own["roles"], "roles"), own["minted_at"]
        makers, ancestors = (_words(own[name] or None, name) for name in ("makers", "credentials"))
        return User(
            _subject(claims.get("sub")),
            names,
            "anonymous" in names,
            _text(own["email"], "email") if isinstance(own["email"], str) else None,
            _text(own["parent"], "parent"),
            _seconds(claims.get("exp"), "exp"),
            Scope.from_claim(" ".join(_words(claims.get("scope"), "scope"))),
            _text(own["credential"], "credential") or own_fingerprint,
            _text(own["incarnation"], "incarnation") or "",
            float(minted_at) if is_number(minted_at) else None,
            Descent(makers, _text(own["owner"], "owner"), ancestors),
            _grant(own["grant"], own["until"]),
        )

    async def revocable(self, token: str) -> tuple[str, float]:
        """By what a valid token is recognised, and until when, so that it can be revoked.

        Raises:
            NotAuthenticated, TokenExpired: as `parse`.
            InvalidRequest: the root token, which lives in the settings.
        """
        user = await self.read(token)
        if self.is_root_token(token):
            raise InvalidRequest("The root token cannot be revoked: change it in the server's settings.")
        until = self._clock() + self.max_life_s if user.expires_at is None else user.expires_at
        return fingerprint(token), until

    async def revoke(self, token: str) -> None:
        """Make a valid token invalid for good and end the connections that were made with it.

        Who may do that is for the caller to check. Raises as `revocable`.
        """
        await self.revocations.revoke(*await self.revocable(token))

    async def end_reconnections(self, user: User) -> None:
        """Refuse the reconnection tokens of one connected program for good; its own token stays valid.

        Raises:
            BackendUnavailable: it could not be written; they are refused until the next restart only.
        """
        if user.incarnation:
            await self.revocations.revoke(user.incarnation, self._clock() + self.reconnection_life_s)

    # -- making ----------------------------------------------------------------------------------

    async def issue(self, user: User, expires_in_s: float) -> str:
        """A token of `user`, made by the provider's hook where there is one."""
        return await self.hooks.make(user, expires_in_s) or self.mint(user, expires_in_s)

    def mint(self, user: User, expires_in_s: float) -> str:
        """A token of `user` with all rights that the record holds (docs/spec/manager.md#claims).

        A person's own tokens are told apart by `jti`, or two of one second would be the same one and
        be revoked together; those of generated users are by their user.
        """
        claims = self._claims(user, user.scope, expires_in_s)
        if user.parent is None:
            claims["jti"] = random_id()
        return self._sign(claims)

    def mint_reconnection(self, user: User, workspace: str, client_id: str) -> str:
        """The token with which one client comes back to one workspace (docs/spec/manager.md#reconnection).

        It names the credential with which the client first came: who revokes that one ends this too. It
        gives what that credential gives; what else the user had a right to is looked up again.
        """
        granted = user.granted
        level = user.level(workspace)
        rights = {**granted.workspaces, workspace: level} if level else granted.workspaces
        scope = Scope(rights, workspace, client_id, granted.extra_scopes)
        claims = self._claims(user, scope, self.reconnection_life_s)
        claims[f"{self.namespace}minted_at"] = self._clock()
        claims[f"{self.namespace}grant"] = granted.to_claim()
        claims[f"{self.namespace}until"] = user.lapses_at
        if user.credential:
            claims[f"{self.namespace}credential"] = user.credential
            self._note_use(user, user.credential)
        if user.incarnation:
            claims[f"{self.namespace}incarnation"] = user.incarnation
        return self._sign(claims)

    def check_life(self, expires_in: object, user: User | None = None) -> float:
        """Return a wanted life in seconds if it may be given, else raise InvalidRequest.

        What is made by an anonymous `user` is written down nowhere, and lives as long as reconnection
        tokens at most: so long a revoked token of its line is remembered.
        """
        most = self.reconnection_life_s if user is not None and user.is_anonymous else self.max_life_s
        if not is_number(expires_in):
            raise InvalidRequest(f"Invalid expires_in: {expires_in!r}, it must be a number of seconds.")
        if not math.isfinite(expires_in) or expires_in <= 0 or expires_in > most:
            whose = "" if most == self.max_life_s else " for anonymous users"
            raise InvalidRequest(
                f"Invalid expires_in: {expires_in!r}, it must be above 0 and at most "
                f"{most:.0f} seconds on this server{whose}."
            )
        return float(expires_in)

    def _claims(self, user: User, scope: Scope, expires_in_s: float) -> dict[str, Any]:
        now = self._clock()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": user.id,
            "aud": self.audience,
            "iat": int(now),
            "exp": int(now + expires_in_s),
            "scope": scope.to_claim(),
            "gty": "client-credentials",
            f"{self.namespace}roles": list(user.roles),
            f"{self.namespace}email": user.email,
        }
        if user.parent:
            claims[f"{self.namespace}parent"] = user.parent
        if user.descent.makers:
            claims[f"{self.namespace}makers"] = list(user.descent.makers)
        if user.descent.credentials:
            claims[f"{self.namespace}credentials"] = list(user.descent.credentials)
        if user.descent.owner:
            claims[f"{self.namespace}owner"] = user.descent.owner
        return claims

    def _sign(self, claims: dict[str, Any]) -> str:
        """The compact form (RFC 7515, 7.1); the library takes seven times as long, at every connect."""
        signed = b"%b.%b" % (_HEADER, _base64(orjson.dumps(claims)))
        signature = _base64(hmac.digest(self._key.raw_value, signed, "sha256"))
        return (signed + b"." + signature).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


_HEADER = _base64(orjson.dumps({"alg": _ALGORITHM, "typ": "JWT"}))


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "replace")


def _check_header(token: str) -> None:
    """Refuse what is no signed token, and every algorithm but our own, `none` above all."""
    if unverified_header(token)["alg"] != _ALGORITHM:
        raise NotAuthenticated(
            f"Authentication error: Unsupported token algorithm, this server accepts {_ALGORITHM} only."
        )


def unverified_header(token: str) -> dict[str, Any]:
    """The header of a signed token, in which only the text `alg` was looked at.

    Raises:
        NotAuthenticated: it is no signed token.
    """
    if len(token) > _MAX_TOKEN_CHARS or token.count(".") != 2 or not token.isascii():
        raise NotAuthenticated(UNREADABLE_TEXT)
    try:
        header = json_b64decode(to_bytes(token.partition(".")[0]))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise NotAuthenticated(UNREADABLE_TEXT) from None
    if not isinstance(header, dict) or not isinstance(header.get("alg"), str):
        raise NotAuthenticated(UNREADABLE_TEXT)
    return header


def _subject(value: object) -> str:
    """The user id, if a workspace can be named after it."""
    if not isinstance(value, str) or not value:
        raise NotAuthenticated("Authentication error: The token names no user (claim 'sub').")
    try:
        check_workspace_id(f"ws-user-{value}")
    except InvalidAddress:
        raise NotAuthenticated(
            "Authentication error: The user id of the token (claim 'sub') must be at most 120 letters, "
            "digits, '-', '_', '|', '.', '@'."
        ) from None
    return value


def _grant(scope: object, until: object) -> Grant | None:
    """What the credential gave with which a client came, in its reconnection token."""
    if not isinstance(scope, str):
        return None
    return Grant(Scope.from_claim(scope), None if until is None else _seconds(until, "until"))


def _seconds(value: object, claim: str) -> float:
    if not is_number(value) or not math.isfinite(value):
        raise NotAuthenticated(f"Authentication error: The token's claim '{claim}' must be a number.")
    return float(value)


def _text(value: object, claim: str) -> str | None:
    """A claim that is text or missing; an empty one is missing."""
    if value is None:
        return None
    if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
        raise NotAuthenticated(f"Authentication error: The token's claim '{claim}' must be text.")
    return value or None


def _words(value: object, claim: str) -> tuple[str, ...]:
    """A claim that is text, a list of texts, or missing."""
    listed = value if isinstance(value, list) else [value]
    return tuple(text for each in listed if (text := _text(each, claim)) is not None)
