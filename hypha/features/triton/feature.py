"""Plugs the Triton servers into ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.routing import Route

from hypha.addresses import check_workspace_id
from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.builtins.service import BuiltinService
from hypha.errors import ConfigurationError, InvalidAddress
from hypha.features.base import Feature, FeatureContext
from hypha.features.triton.options import TritonOptions
from hypha.findings import Findings, refusals, risky
from hypha.workspaces.lifecycle import Workspaces

if TYPE_CHECKING:
    from hypha.features.triton.servers import TritonServers
    from hypha.settings import Settings


class TritonFeature(Feature):
    """`/triton/…` and the public service `triton-client`, where `--triton-servers` names servers."""

    name = "triton"
    needs = (Workspaces, TokenAuthority, Guard)
    words = ("triton",)

    def __init__(self) -> None:
        self._servers: TritonServers | None = None

    async def start(self, context: FeatureContext) -> None:
        """Offer both, if there are servers."""
        options = context.settings.of(TritonOptions)
        if not options.triton_servers:
            return
        from hypha.features.triton.access import TritonAccess  # few servers need all this
        from hypha.features.triton.proxy import TritonProxy
        from hypha.features.triton.servers import TritonServers
        from hypha.features.triton.service import TritonService

        servers = self._servers = TritonServers(options.triton_servers, context.settings.max_body_bytes)
        access = TritonAccess(
            _checked_workspace(options.triton_workspace),
            is_public=options.triton_public,
            level_in=context.get(Workspaces).level_in,
        )
        service = BuiltinService.of(TritonService(servers, access), id="triton-client", name="Triton client")
        context.services.offer(service)
        is_token, on_refused = context.get(TokenAuthority).is_recognised, context.get(Guard).note_refused
        proxy = TritonProxy(servers, access, context.http.credentials, is_token, on_refused)
        context.http.add_routes(Route("/triton/{path:path}", proxy, methods=["GET", "POST"]))

    @classmethod
    def examine(cls, settings: Settings) -> Findings:
        """What `doctor` says of the addresses, and of who may use the servers."""
        options = settings.of(TritonOptions)
        if not options.triton_servers:
            return
        servers = options.triton_servers
        if options.triton_public:
            yield risky(
                "--triton-public: strangers run models on your Triton servers; leave it out, and give those "
                "who may read_write on --triton-workspace"
            )
        yield from refusals(lambda: asyncio.run(_try_servers(servers)))

    async def stop(self) -> None:
        """Close the connections to the servers."""
        if self._servers is not None:
            await self._servers.close()


def _checked_workspace(workspace: str) -> str:
    try:
        return check_workspace_id(workspace)
    except InvalidAddress as error:
        raise ConfigurationError(f"--triton-workspace: {error.message}") from None


async def _try_servers(addresses: str) -> None:
    from hypha.features.triton.servers import TritonServers

    await TritonServers(addresses, 0).close()
