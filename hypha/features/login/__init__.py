"""Signing in: the service `public/hypha-login` and the providers behind it."""
