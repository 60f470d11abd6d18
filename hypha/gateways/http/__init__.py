"""HTTP to services: routes, arguments, results, errors (docs/http.md)."""

from hypha.gateways.http.application import HttpApplication

__all__ = ["HttpApplication"]
