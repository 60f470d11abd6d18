"""Who may come in, and how those who no longer may are sent away."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from hypha.auth.blocklist import Blocked, Blocklist
from hypha.auth.guard import Guard
from hypha.auth.revocation import Revocations
from hypha.auth.tokens import TokenAuthority

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.datafolder import DataFolder
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.store import Store


async def open_tokens(settings: Settings, folder: DataFolder, store: Store, hub: Hub) -> TokenAuthority:
    """Who signs and reads tokens; the connections of one that is revoked end at once."""
    revocations = Revocations(
        store.revoked_tokens,
        partial(end_clients_with, hub),
        outlive_s=settings.reconnection_token_life_time_s,
    )
    await revocations.load()
    return TokenAuthority(
        settings.jwt_secret or folder.secret("jwt"),
        issuer=settings.auth0_issuer,
        audience=settings.auth0_audience,
        namespace=settings.auth0_namespace,
        root_token=settings.root_token,
        max_life_s=settings.max_token_life_time_s,
        reconnection_life_s=settings.reconnection_token_life_time_s,
        revocations=revocations,
    )


async def open_guard(settings: Settings, store: Store, tokens: TokenAuthority, hub: Hub) -> Guard:
    """Who is kept out, and where that is noted; the connections of whom is blocked end at once."""
    guard = await Guard.open(store, tokens, settings, lambda _: end_blocked(hub, guard.blocklist))
    guard.address_of = partial(network_address, hub)
    return guard


def network_address(hub: Hub, context: Context) -> str:
    """Where a caller is, whichever way the call came; empty if that isn't known."""
    address = context.details.get("address")
    if not address:
        client = hub.clients.get(context.address)
        address = client.connection.peer_address if client is not None and client.connection else ""
    return str(address or "")


def end_clients_with(hub: Hub, credentials: Collection[str]) -> None:
    """Tokens were revoked: end the connections that came with them (DESIGN 4)."""
    for client in list(hub.clients.values()):
        if client.user.credential in credentials:
            hub.kick(client, 1008, "Token has been revoked")


def end_blocked(hub: Hub, blocklist: Blocklist) -> None:
    """Somebody was blocked: end the connections, the held ones too."""
    for client in list(hub.clients.values()):
        try:
            address = client.connection.peer_address if client.connection else ""
            blocklist.check(client.user, address)
        except Blocked as error:
            hub.kick(client, 1008, error.message)


def end_clients_of(hub: Hub, workspace: str) -> None:
    """A workspace was deleted under its clients."""
    for client in hub.clients_of(workspace):
        hub.kick(client, 1001, f"Workspace unloaded: {workspace}")
