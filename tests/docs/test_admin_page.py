"""docs/spec/wire-protocol.md: clients that an administrator keeps out are refused as it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, mint_token
from tests.docs.refusals import check_refusal
from tests.kit.clients import ConnectRaw

BLOCKED_ADDRESS = "127.0.0.7"
Admin = Callable[..., Awaitable[Any]]
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def admin(server: ServerProcess, connect_raw: ConnectRaw) -> Admin:
    """Calls functions of `admin-utils`."""
    root = await connect_raw(token=server.root_token)
    server_id = (await root.call_manager("get_service_info", "~"))["config"]["server_id"]

    async def call(function: str, *args: Any) -> Any:
        return await root.call(f"ws-user-root/{server_id}", f"services.admin-utils.{function}", *args)

    return call


async def test_a_client_that_was_removed(admin: Admin, connect_raw: ConnectRaw) -> None:
    removed = await connect_raw(client_id="removed")
    await admin("kickout_client", removed.workspace, "removed")
    token = removed.info["reconnection_token"]
    attempt = connect_raw(client_id="removed", reconnection_token=token)
    await check_refusal("removed by an administrator", attempt)


async def test_a_blocked_user(admin: Admin, connect_raw: ConnectRaw, server: ServerProcess) -> None:
    await admin("block_user", "unwanted")
    await check_refusal("blocked user", connect_raw(token=mint_token(server.secret or "", "unwanted")))


async def test_a_blocked_address(admin: Admin, connect_raw: ConnectRaw) -> None:
    await admin("block_ip", BLOCKED_ADDRESS)
    try:
        await check_refusal("blocked address", connect_raw(local_address=BLOCKED_ADDRESS))
    finally:
        await admin("unblock_ip", BLOCKED_ADDRESS)
