"""HTTP to services: routes, arguments, results, errors (docs/http.md)."""

from hypha.gateways.http.application import HttpApplication
from hypha.gateways.http.services import HttpServices

__all__ = ["HttpApplication", "HttpServices"]
