"""Signing in with OpenID Connect providers, GitHub and Auth0."""

from hypha.features.oidc.feature import OidcFeature

__all__ = ["OidcFeature"]
