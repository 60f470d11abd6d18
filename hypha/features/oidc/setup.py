"""Sets up what providers need: routes and buttons to sign in with, and the reading of their access tokens."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from hypha.auth.guard import Guard
from hypha.auth.keysets import IssuerTokens, KeySet
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.features.base import FeatureContext
from hypha.features.oidc.access import AccessTokens, Source
from hypha.features.oidc.attempts import Attempts
from hypha.features.oidc.claims import Person
from hypha.features.oidc.discovery import WELL_KNOWN, Discovery
from hypha.features.oidc.flow import SignIn
from hypha.features.oidc.options import OidcOptions
from hypha.features.oidc.providers import AUTH0, Provider
from hypha.features.oidc.routes import OidcRoutes
from hypha.features.oidc.web import ProviderWeb
from hypha.features.sign_in import Button, Login


def offer_sign_in(context: FeatureContext, web: ProviderWeb, providers: tuple[Provider, ...]) -> None:
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
            web,
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


def accept_access_tokens(
    context: FeatureContext, web: ProviderWeb, providers: tuple[Provider, ...], tenant: str
) -> None:
    accepted = AccessTokens()
    if tenant:
        accepted.add(_auth0_source(context, web, providers, tenant))
    for each in providers:
        if each.api_audience and each.discovery_url:
            for source in _api_sources(context, web, providers, each):
                accepted.add(source)
    if tenant or any(each.api_audience for each in providers):
        context.http.accept_foreign_tokens(accepted)


def _api_sources(
    context: FeatureContext, web: ProviderWeb, providers: tuple[Provider, ...], provider: Provider
) -> list[Source]:
    """A provider's access tokens; some issuers' names end in a slash that their address lacks."""
    discovery = Discovery(web, provider.discovery_url, provider.issuer)
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


def _auth0_source(
    context: FeatureContext, web: ProviderWeb, providers: tuple[Provider, ...], tenant: str
) -> Source:
    settings, options = context.settings, context.settings.of(OidcOptions)
    provider = Provider(
        id=AUTH0,
        name="Auth0",
        client_id=settings.auth0_client_id,
        roles_claim=f"{settings.auth0_namespace}roles",
        admin_role=options.auth0_admin_role,
        keeps_subject=True,
    )
    keys = KeySet(lambda: web.get_object(f"{tenant}/.well-known/jwks.json"), pause_s=options.oidc_key_pause_s)
    tokens = IssuerTokens(keys=keys, issuer=f"{tenant}/", audience=settings.auth0_audience)
    return Source(provider, tokens, settings.auth0_namespace, _others(provider, providers))


def _others(provider: Provider, providers: tuple[Provider, ...]) -> tuple[str, ...]:
    """Ids under which other providers' users live; one that keeps its subjects must not use them."""
    return tuple(each.id for each in providers if each.id != provider.id)
