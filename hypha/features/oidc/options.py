"""Providers with which people sign in."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, variable


@dataclass(frozen=True, kw_only=True, repr=False)
class OidcOptions(FeatureOptions):
    """Signing in with providers."""

    auth0_client_secret: str | None = variable(None, "Secret of that client, if any", "AUTH0_CLIENT_SECRET")
    auth0_admin_role: str = variable("", "Auth0 role of administrators here", "HYPHA_AUTH0_ADMIN_ROLE")
    oidc_discovery_url: str = variable("", "Discovery document of a provider", "HYPHA_OIDC_DISCOVERY_URL")
    oidc_client_id: str = variable("", "Client id there", "HYPHA_OIDC_CLIENT_ID")
    oidc_client_secret: str | None = variable(None, "Client secret there, if any", "HYPHA_OIDC_CLIENT_SECRET")
    oidc_scopes: str = variable("openid profile email", "Scopes to ask for", "HYPHA_OIDC_SCOPES")
    oidc_name: str = variable("", "Name on the sign-in button; the host when empty", "HYPHA_OIDC_NAME")
    oidc_provider_id: str = variable(
        "oidc", "Begins its users' ids; never change it", "HYPHA_OIDC_PROVIDER_ID"
    )
    oidc_roles_claim: str = variable("", "Claim with roles: realm_access.roles", "HYPHA_OIDC_ROLES_CLAIM")
    oidc_admin_role: str = variable("", "Role there that makes administrators here", "HYPHA_OIDC_ADMIN_ROLE")
    oidc_providers: str | None = variable(
        None, "Several providers, as JSON or the name of a JSON file", "HYPHA_OIDC_PROVIDERS", secret=True
    )
    oidc_token_life_s: float = variable(
        86400.0, "Life of the token that a sign-in with a provider gives", "HYPHA_OIDC_TOKEN_LIFE", unit="s"
    )
    oidc_key_pause_s: float = variable(
        10.0, "Least pause between two fetches of a provider's keys", "HYPHA_OIDC_REFETCH_PAUSE", unit="s"
    )

    @property
    def lets_sign_in(self) -> bool:
        """Whether a provider is named."""
        return bool(self.oidc_providers or self.oidc_discovery_url)
