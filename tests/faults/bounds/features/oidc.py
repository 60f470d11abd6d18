"""Attacks on sign-ins with providers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import pytest

from hypha.errors import (
    BackendUnavailable,
)
from hypha.features.oidc import attempts as oidc_attempts
from hypha.features.oidc import web
from hypha.features.oidc.attempts import Attempt
from hypha.features.oidc.claims import MAX_ROLES, roles_of
from hypha.features.oidc.providers import Provider
from tests.faults.bounds.internal import PACE, SAME, WORDS
from tests.faults.bounds.kit import Kit

INTERNAL = {
    "hypha.features.oidc.claims.MAX_ID_CHARS": "longer ids of a provider are hashed",
    "hypha.features.oidc.claims._MAX_SHOWN": WORDS,
    "hypha.features.oidc.discovery.MAX_AGE_S": PACE,
    "hypha.features.oidc.forward.MAX_FORM_BYTES": SAME,
    "hypha.features.oidc.routes.MAX_CODE_CHARS": SAME,
}
"""Constants that look like bounds and stand in no row of the table, and why."""


async def provider_sign_ins(kit: Kit) -> None:
    kit.patch.setattr(oidc_attempts, "MAX_USED", 20)
    attempts = oidc_attempts.Attempts(secrets.token_bytes(32))
    for _ in range(100):
        attempt = Attempt.begin("lab", "", "")
        assert attempts.open(attempts.seal(attempt), "lab", attempt.state) is not None
    assert len(attempts._used) <= 20
    lab = Provider(id="lab", name="Lab", client_id="c", discovery_url="https://l/x", roles_claim="roles")
    assert len(roles_of(lab, {"roles": [f"r{number}" for number in range(1000)]})) <= MAX_ROLES

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(bytes(64 * 1024))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    kit.stack.callback(server.close)
    provider = web.ProviderWeb()
    kit.stack.push_async_callback(provider.close)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(BackendUnavailable):
        await provider.send("GET", f"http://127.0.0.1:{port}/keys")
