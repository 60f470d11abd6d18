"""Plugs the providers into the server: buttons for the login page, routes, access tokens."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

from hypha.auth.guard import Guard
from hypha.auth.keysets import IssuerTokens, KeySet
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.errors import ConfigurationError
from hypha.features.base import Feature, FeatureContext
from hypha.features.oidc.access import AccessTokens, Source
from hypha.features.oidc.attempts import Attempts
from hypha.features.oidc.claims import Person
from hypha.features.oidc.discovery import WELL_KNOWN, Discovery
from hypha.features.oidc.flow import SignIn
from hypha.features.oidc.forward import Auth0Doors
from hypha.features.oidc.options import OidcOptions
from hypha.features.oidc.providers import AUTH0, Provider, auth0_url, configured_providers
from hypha.features.oidc.routes import OidcRoutes
from hypha.features.oidc.web import ProviderWeb, require_packages
from hypha.features.sign_in import Button, Login
from hypha.findings import Findings, refusals

if TYPE_CHECKING:
    from hypha.settings import Settings


class OidcFeature(Feature):
    """Providers from the settings; without any, only the empty doors of Auth0."""

    name = "oidc"
    needs = (TokenAuthority, Guard)
    uses = (Login,)

    def __init__(self) -> None:
        self._web = ProviderWeb()

    async def start(self, context: FeatureContext) -> None:
        """Read the settings; no provider is asked before somebody signs in.

        Raises:
            ConfigurationError: a provider is not understood, or packages are missing.
        """
        settings = context.settings
        tenant = auth0_url(settings.auth0_domain) if settings.auth0_domain else ""
        context.http.add_routes(*Auth0Doors(self._web, tenant).routes())
        providers = configured_providers(settings)
        if not providers and not tenant:
            return
        require_packages()
        self._offer_sign_in(context, providers)
        self._accept_access_tokens(context, providers, tenant)

    def _offer_sign_in(self, context: FeatureContext, providers: tuple[Provider, ...]) -> None:
        settings, base_url = context.settings, context.base_url.rstrip("/")
        options = settings.of(OidcOptions)
        guard, tokens = context.get(Guard), context.get(TokenAuthority)
        life_s = min(options.oidc_token_life_s, settings.max_token_life_time_s)

        async def issue(person: Person) -> str:
            user = replace(person.user, scope=Scope({person.user.own_workspace: Level.ADMIN}))
            guard.blocklist.check_user(user)
            guard.audit.note("signed_in", user.id, user.own_workspace, detail={"provider": person.provider})
            return await guard.issue_token(tokens, user, life_s, maker=user, name="sign-in", kind="session")

        def note_refused(provider: str, reason: str) -> None:
            detail = {"provider": provider, "reason": reason}
            guard.audit.note("sign_in_refused", detail=detail, is_stranger=True)

        sign_ins = {
            each.id: SignIn(
                each,
                self._web,
                f"{base_url}/oidc/{each.id}/callback",
                others=_others(each, providers),
                key_pause_s=options.oidc_key_pause_s,
            )
            for each in providers
        }
        secret = (settings.jwt_secret or context.data.secret("jwt")).encode()
        attempts = Attempts(hmac.new(secret, b"sign-ins with providers", hashlib.sha256).digest())
        destinations = context.http.destinations
        routes = OidcRoutes(sign_ins, attempts, issue, base_url, life_s, destinations, note_refused)
        context.http.add_routes(*routes.routes())
        login = context.find(Login)
        if login is not None:
            for each in providers:
                login.add_button(Button(each.id, each.name, f"{base_url}/oidc/{each.id}/start"))

    def _accept_access_tokens(
        self, context: FeatureContext, providers: tuple[Provider, ...], tenant: str
    ) -> None:
        accepted = AccessTokens()
        if tenant:
            accepted.add(self._auth0_source(context, providers, tenant))
        for each in providers:
            if each.api_audience and each.discovery_url:
                for source in self._api_sources(context, providers, each):
                    accepted.add(source)
        if tenant or any(each.api_audience for each in providers):
            context.http.accept_foreign_tokens(accepted)

    def _api_sources(
        self, context: FeatureContext, providers: tuple[Provider, ...], provider: Provider
    ) -> list[Source]:
        """A provider's access tokens; some issuers' names end in a slash that their address lacks."""
        discovery = Discovery(self._web, provider.discovery_url, provider.issuer)
        keys = KeySet(discovery.fetch_keys, pause_s=context.settings.of(OidcOptions).oidc_key_pause_s)
        address = (provider.issuer or provider.discovery_url.removesuffix(WELL_KNOWN)).rstrip("/")
        return [
            Source(
                provider,
                IssuerTokens(keys=keys, issuer=issuer, audience=provider.api_audience),
                others=_others(provider, providers),
            )
            for issuer in (address, f"{address}/")
        ]

    def _auth0_source(self, context: FeatureContext, providers: tuple[Provider, ...], tenant: str) -> Source:
        settings, options = context.settings, context.settings.of(OidcOptions)
        provider = Provider(
            id=AUTH0,
            name="Auth0",
            client_id=settings.auth0_client_id,
            roles_claim=f"{settings.auth0_namespace}roles",
            admin_role=options.auth0_admin_role,
            keeps_subject=True,
        )
        keys = KeySet(
            lambda: self._web.get_object(f"{tenant}/.well-known/jwks.json"), pause_s=options.oidc_key_pause_s
        )
        tokens = IssuerTokens(keys=keys, issuer=f"{tenant}/", audience=settings.auth0_audience)
        return Source(provider, tokens, settings.auth0_namespace, _others(provider, providers))

    @classmethod
    def examine(cls, settings: Settings) -> Findings:
        """What `doctor` says of the providers."""
        return refusals(lambda: _check(settings))

    @classmethod
    def makes_administrators(cls, settings: Settings) -> bool:
        """Whether a role at a provider makes administrators here."""
        with contextlib.suppress(ConfigurationError):
            return any(provider.admin_role for provider in configured_providers(settings))
        return False

    async def stop(self) -> None:
        """Close the connections to providers."""
        await self._web.close()


def _others(provider: Provider, providers: tuple[Provider, ...]) -> tuple[str, ...]:
    """Ids under which other providers' users live; one that keeps its subjects must not use them."""
    return tuple(each.id for each in providers if each.id != provider.id)


def _check(settings: Settings) -> None:
    if configured_providers(settings):
        require_packages()
