"""Plugs the providers into the server: buttons for the login page, routes, access tokens."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.errors import ConfigurationError
from hypha.features.base import Feature, FeatureContext
from hypha.features.oidc.forward import Auth0Doors
from hypha.features.oidc.providers import auth0_url, configured_providers
from hypha.features.oidc.web import ProviderWeb, require_packages
from hypha.features.sign_in import Login
from hypha.findings import Findings, refusals

if TYPE_CHECKING:
    from hypha.settings import Settings


class OidcFeature(Feature):
    """Providers from the settings; without any, only the empty doors of Auth0."""

    name = "oidc"
    needs = (TokenAuthority, Guard)
    uses = (Login,)
    words = ("oidc", "oauth")

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
        from hypha.features.oidc.setup import accept_access_tokens, offer_sign_in  # few servers need it

        offer_sign_in(context, self._web, providers)
        accept_access_tokens(context, self._web, providers, tenant)

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


def _check(settings: Settings) -> None:
    if configured_providers(settings):
        require_packages()
