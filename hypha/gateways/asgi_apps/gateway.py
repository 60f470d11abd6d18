"""Plugs the applications of clients into the web application."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from hypha.gateways.asgi_apps.routes import AppRoutes
from hypha.gateways.base import Gateway


class AppsGateway(Gateway):
    """`/{workspace}/apps/{service}/`."""

    name = "asgi_apps"
    is_for_applications = True

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of all applications."""
        return AppRoutes(self.context).routes()
