"""Who may come in, and how those who no longer may are sent away."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from hypha.auth.blocklist import Blocked, Blocklist
from hypha.auth.expected import ExpectedClients
from hypha.auth.guard import Guard
from hypha.auth.revocation import Revocations, line_of
from hypha.auth.tokens import EXPIRED_TEXT, REVOKED_TEXT, TokenAuthority
from hypha.errors import NotAuthenticated, PermissionDenied, TokenExpired

if TYPE_CHECKING:
    from hypha.auth.users import Context, User
    from hypha.datafolder import DataFolder
    from hypha.hub.hub import Hub
    from hypha.settings import Settings
    from hypha.store import Store
    from hypha.workspaces.lifecycle import Workspaces


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
    return guard


def check_http_user(blocklist: Blocklist, hub: Hub, expected: ExpectedClients, user: User) -> None:
    """Refuse an HTTP request of somebody who is kept out, or of a token for a client that isn't there.

    Raises:
        Blocked: the user, or one from whom it descends, is kept out.
        PermissionDenied: the token is bound to a client id, and that client is neither connected with it, nor
            a program that the server is starting now, whose files are fetched before it connects.
    """
    blocklist.check_user(user)
    client_id = user.scope.client_id
    if client_id is None:
        return
    workspace = user.scope.current_workspace or user.own_workspace
    client = hub.client(workspace, client_id)
    if (client is None or client.user.id != user.id) and not expected.has(workspace, client_id, user.id):
        raise PermissionDenied(
            f"Permission denied: this token is restricted to the client {client_id}, which is not connected "
            "with it. Connect that client first, or use another token."
        )


async def check_standing(
    guard: Guard,
    tokens: TokenAuthority,
    workspaces: Workspaces,
    hub: Hub,
    expected: ExpectedClients,
    context: Context,
) -> None:
    """See that whoever a lasting HTTP answer is for may still do what it could when it asked.

    Raises:
        NotAuthenticated, TokenExpired: the token was revoked, or is over.
        PermissionDenied: the user is blocked, or has lost the right to the workspace.
    """
    user = context.user
    check_http_user(guard.blocklist, hub, expected, user)
    if user.credential is None:
        return
    if tokens.revocations.ends(user):
        raise NotAuthenticated(REVOKED_TEXT)
    if user.lapses_at is not None and user.lapses_at <= time.time():
        raise TokenExpired(EXPIRED_TEXT)
    if await workspaces.level_in(user, context.workspace) < context.level():
        raise PermissionDenied(f"Permission denied for workspace {context.workspace}")


def end_clients_with(hub: Hub, credentials: Collection[str]) -> None:
    """Tokens were revoked: end the connections that came with them, or with tokens of their lines."""
    for client in hub.clients.all():
        user = client.user
        lines = (line_of(mark) in credentials for mark in user.descent.credentials)
        if user.credential in credentials or any(lines):
            hub.kick(client, 1008, "Token has been revoked")


def end_blocked(hub: Hub, blocklist: Blocklist) -> None:
    """Somebody was blocked: end the connections, the held ones too."""
    for client in hub.clients.all():
        try:
            blocklist.check(client.user, client.peer_address)
        except Blocked as error:
            hub.kick(client, 1008, error.message)


def end_clients_of(hub: Hub, workspace: str, stays: str = "") -> None:
    """A workspace was deleted or overwritten under its clients; `stays` is the address of one that may."""
    for client in hub.clients.of(workspace):
        if client.address == stays:
            continue
        hub.kick(client, 1001, f"Workspace unloaded: {workspace}")
