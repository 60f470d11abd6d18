"""The kit itself: a long turn of a server's event loop does not go unnoticed."""

from __future__ import annotations

import pytest
from hypha_rpc import connect_to_server

from hypha.testing import eventually
from hypha.testing.turns import LongTurn
from tests.kit.clients import StartServer
from tests.kit.long_turns import TURNS

BURN = """
import time
def burn_processor_time(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
burn_processor_time({seconds})
"""


async def test_a_long_turn_of_the_event_loop_is_reported_with_what_was_seen(
    start_server: StartServer, request: pytest.FixtureRequest
) -> None:
    server = await start_server(flags=["--enable-admin-terminal"])
    root = await connect_to_server({"server_url": server.url, "token": server.root_token})
    try:
        admin = await root.get_service("ws-user-root/admin-utils")
        await admin.execute_command(BURN.format(seconds=0.02))
        await admin.execute_command(BURN.format(seconds=0.5))
        found: list[LongTurn] = []

        def is_told() -> bool:
            found.extend(request.config.stash[TURNS].new())
            return bool(found)

        await eventually(is_told, within_s=10, what="the long turn to be told")
    finally:
        await root.disconnect()
    assert [turn for turn in found if 0.4 <= turn.cpu_s < 1.0]
    assert any(turn.is_in("burn_processor_time") for turn in found)
    assert "burn_processor_time" in "".join(map(str, found))
