"""Signing in with one provider: authorization code with PKCE, state and nonce."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hypha.auth.keysets import IssuerTokens, KeySet
from hypha.errors import BackendUnavailable, NotAuthenticated
from hypha.features.oidc.attempts import Attempt
from hypha.features.oidc.claims import Person, person_of
from hypha.features.oidc.discovery import Discovery, Endpoints
from hypha.features.oidc.providers import Provider
from hypha.features.oidc.web import ProviderWeb, unreachable

logger = logging.getLogger(__name__)

REFUSED_TEXT = "Authentication error: The provider did not accept the sign-in. Start again."


class SignIn:
    """One provider: where a person is sent, and who comes back.

    `others` are the ids of all other providers, `redirect_uri` is where the person comes back to.
    """

    def __init__(
        self,
        provider: Provider,
        web: ProviderWeb,
        redirect_uri: str,
        *,
        others: tuple[str, ...] = (),
        key_pause_s: float = 10.0,
    ) -> None:
        self.provider = provider
        self.redirect_uri = redirect_uri
        self._web = web
        self._others = others
        self.discovery = (
            Discovery(web, provider.discovery_url, provider.issuer) if provider.discovery_url else None
        )
        self.keys = KeySet(self.discovery.fetch_keys, pause_s=key_pause_s) if self.discovery else None

    async def address(self, attempt: Attempt) -> str:
        """Where to send the person.

        Raises:
            BackendUnavailable: the provider does not answer.
        """
        endpoints = await self._endpoints()
        async with await self._client(endpoints) as client:
            extra = {"nonce": attempt.nonce} if self.discovery else {}
            url, _ = client.create_authorization_url(
                endpoints.authorization, state=attempt.state, code_verifier=attempt.verifier, **extra
            )
            return str(url)

    async def finish(self, attempt: Attempt, code: str, issuer: str | None = None) -> Person:
        """Exchange the code; returns who signed in. `issuer` is what the answer names as its sender.

        Raises:
            NotAuthenticated: the provider's answer is not valid.
            BackendUnavailable: the provider does not answer.
        """
        endpoints = await self._endpoints()
        if issuer is not None and self.discovery and issuer != endpoints.issuer:
            raise NotAuthenticated(REFUSED_TEXT)
        tokens = await self._exchange(endpoints, code, attempt.verifier)
        access = {"authorization": f"Bearer {tokens.get('access_token')}"}
        if self.keys is None:
            claims = await self._github_claims(access)
        else:
            claims = await self._claims(endpoints, self.keys, tokens, attempt.nonce)
            if "email" not in claims and endpoints.userinfo and tokens.get("access_token"):
                claims = await self._completed(endpoints, claims, access)
        return person_of(self.provider, claims, self._others)

    async def _endpoints(self) -> Endpoints:
        if self.discovery is not None:
            return await self.discovery.endpoints()
        declared = self.provider
        return Endpoints(
            "",
            declared.authorization_endpoint,
            declared.token_endpoint,
            token_auth_methods=("client_secret_post",),
        )

    async def _client(self, endpoints: Endpoints) -> Any:
        provider, methods = self.provider, endpoints.token_auth_methods
        if not provider.client_secret:
            method = "none"
        elif "client_secret_basic" in methods or "client_secret_post" not in methods:
            method = "client_secret_basic"
        else:
            method = "client_secret_post"
        return await self._web.oauth_client(
            client_id=provider.client_id,
            client_secret=provider.client_secret or None,
            token_endpoint_auth_method=method,
            scope=provider.scopes,
            redirect_uri=self.redirect_uri,
        )

    async def _exchange(self, endpoints: Endpoints, code: str, verifier: str) -> Mapping[str, Any]:
        import httpx2
        from authlib.common.errors import AuthlibBaseError

        async with await self._client(endpoints) as client:
            try:
                tokens = await client.fetch_token(
                    endpoints.token, code=code, code_verifier=verifier, grant_type="authorization_code"
                )
            except (AuthlibBaseError, ValueError) as error:
                reason = getattr(error, "error", "") or type(error).__name__
                logger.warning("provider %s refused a code: %s", self.provider.id, reason)
                raise NotAuthenticated(REFUSED_TEXT) from None
            except (httpx2.HTTPError, OSError):
                raise unreachable(self.provider.name) from None
        return tokens if isinstance(tokens, Mapping) else {}

    async def _claims(
        self, endpoints: Endpoints, keys: KeySet, tokens: Mapping[str, Any], nonce: str
    ) -> dict[str, Any]:
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise NotAuthenticated("Authentication error: The provider gave no id_token.")
        audience = self.provider.client_id
        claims = await IssuerTokens(keys=keys, issuer=endpoints.issuer, audience=audience).read(id_token)
        listed = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims.get("nonce") != nonce:
            raise NotAuthenticated("Authentication error: The provider's answer belongs to another sign-in.")
        if claims.get("azp", audience) != audience or (len(listed) > 1 and "azp" not in claims):
            raise NotAuthenticated(
                "Authentication error: Incorrect claims, please check the audience and issuer"
            )
        return claims

    async def _completed(
        self, endpoints: Endpoints, claims: dict[str, Any], access: Mapping[str, str]
    ) -> dict[str, Any]:
        """The claims with those of the user-info endpoint, which some providers keep apart."""
        try:
            told = await self._web.get_object(endpoints.userinfo, access)
        except BackendUnavailable:
            return claims
        if told.get("sub") != claims.get("sub"):
            return claims
        claims.pop("email_verified", None)  # of whichever address: it is about none of these claims
        return {**told, **claims}

    async def _github_claims(self, access: Mapping[str, str]) -> dict[str, Any]:
        """Who signed in where there is no id_token: the account, and its primary address if verified."""
        provider = self.provider
        account = await self._web.get_object(provider.userinfo_endpoint, access)
        number = account.get("id")
        claims: dict[str, Any] = {
            "sub": str(number) if isinstance(number, int) and not isinstance(number, bool) else number,
            "name": account.get("name"),
            "nickname": account.get("login"),
            "picture": account.get("avatar_url"),
        }
        if provider.emails_endpoint:
            emails = await self._web.get_json(provider.emails_endpoint, access)
            for each in emails if isinstance(emails, list) else []:
                if isinstance(each, dict) and each.get("primary") is True:
                    claims |= {"email": each.get("email"), "email_verified": each.get("verified")}
        return claims
