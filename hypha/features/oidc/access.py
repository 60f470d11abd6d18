"""Access tokens of providers as credentials of this server: Auth0's, and those of
providers with an `api_audience`.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.util import json_b64decode, to_bytes

from hypha.auth.keysets import ALGORITHMS, MAX_SKEW_S, IssuerTokens
from hypha.auth.scopes import Scope
from hypha.auth.tokens import UNREADABLE_TEXT, fingerprint
from hypha.auth.users import User
from hypha.errors import ConfigurationError, NotAuthenticated
from hypha.features.oidc.claims import roles_of, user_id, verified_email
from hypha.features.oidc.providers import Provider


@dataclass(frozen=True, slots=True)
class Source:
    """One issuer whose access tokens are accepted; `prefix` stands before `email` in its claims."""

    provider: Provider
    tokens: IssuerTokens
    prefix: str = ""
    others: tuple[str, ...] = ()

    def user(self, claims: Mapping[str, Any], token: str) -> User:
        """The user of verified claims.

        Words of the scope give no right here: those with a colon make the token one for a single
        purpose, as in our own tokens, and rights on workspaces are only given by this server.
        """
        scope = claims.get("scope") or ""
        words = " ".join(map(str, scope)) if isinstance(scope, list) else str(scope)
        email = verified_email(claims, self.prefix) or verified_email(claims)
        return User(
            user_id(self.provider, claims.get("sub"), self.others),
            roles_of(self.provider, claims),
            email=email,
            expires_at=float(claims["exp"]) + MAX_SKEW_S,
            scope=Scope(extra_scopes=tuple(words.split())),
            credential=fingerprint(token),
        )


class AccessTokens:
    """Reads the access tokens of all sources, found by their issuer."""

    algorithms = ALGORITHMS

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def add(self, source: Source) -> None:
        """Accept the tokens of an issuer.

        Raises:
            ConfigurationError: another source has it.
        """
        issuer = source.tokens.issuer
        if issuer in self._sources:
            raise ConfigurationError(f"The access tokens of {issuer} are accepted for two sign-in providers")
        self._sources[issuer] = source

    async def read(self, token: str) -> User:
        """Whose token this is; see `ForeignTokens`."""
        source = self._sources.get(_issuer(token))
        if source is None:
            raise NotAuthenticated(
                "Authentication error: Incorrect claims, please check the audience and issuer"
            )
        return source.user(await source.tokens.read(token), token)


def _issuer(token: str) -> str:
    try:
        claims = json_b64decode(to_bytes(token.split(".")[1]))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise NotAuthenticated(UNREADABLE_TEXT) from None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""
