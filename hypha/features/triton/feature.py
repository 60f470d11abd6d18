"""Plugs the Triton servers into ours."""

from __future__ import annotations

from starlette.routing import Route

from hypha.features.base import Feature, FeatureContext
from hypha.features.triton.proxy import TritonProxy
from hypha.features.triton.servers import TritonServers
from hypha.features.triton.service import TritonService
from hypha.registry.schema import local_service


class TritonFeature(Feature):
    """`/triton/…` and the public service `triton-client`, where `--triton-servers` names servers."""

    name = "triton"

    def __init__(self) -> None:
        self._servers: TritonServers | None = None

    async def start(self, context: FeatureContext) -> None:
        """Offer both, if there are servers."""
        if not context.settings.triton_servers:
            return
        self._servers = servers = TritonServers(
            context.settings.triton_servers, context.settings.max_body_bytes
        )
        service = local_service(TritonService(servers), id="triton-client", name="Triton client")
        context.offer(service)
        proxy = TritonProxy(servers)
        context.routes.append(Route("/triton/{path:path}", proxy, methods=["GET", "POST"]))

    async def stop(self) -> None:
        """Close the connections to the servers."""
        if self._servers is not None:
            await self._servers.close()
