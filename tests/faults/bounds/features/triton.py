"""Attacks on what leads to Triton servers."""

from __future__ import annotations

from typing import Any

import httpx2

from hypha.builtins.permission import permission_of
from hypha.features.triton.servers import MAX_CONNECTIONS, TritonServers
from hypha.features.triton.service import MAX_INPUT_BYTES, TritonService
from tests.faults.bounds.kit import Kit


async def triton(kit: Kit) -> None:
    row = permission_of(TritonService.execute)
    assert row is not None and row.takes_bytes == MAX_INPUT_BYTES
    most: list[int] = []
    limits = httpx2.Limits

    def noted(**given: int) -> Any:
        most.append(given["max_connections"])
        return limits(**given)

    kit.patch.setattr(httpx2, "Limits", noted)
    kit.stack.push_async_callback(TritonServers("http://127.0.0.1:9", 1000).client.aclose)
    assert most == [MAX_CONNECTIONS]
