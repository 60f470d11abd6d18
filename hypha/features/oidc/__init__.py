"""Signing in with OpenID Connect providers, GitHub and Auth0."""
