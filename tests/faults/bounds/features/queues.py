"""Attacks on queues."""

from __future__ import annotations

import pytest

from hypha.errors import FrameTooLarge, InvalidRequest, QuotaExceeded
from hypha.features.queues import delivery as delivery_module
from hypha.features.queues.service import MAX_LEASE_S, MAX_PEEK, MAX_TIMEOUT_S
from tests.faults.bounds.kit import Kit
from tests.unit.features.queues.lab import Lab, caller


async def tasks(kit: Kit) -> None:
    lab = Lab(await kit.store())
    lab.quota = type(lab.quota)(3, 2000, "tasks", "")
    with pytest.raises(QuotaExceeded):
        for number in range(5):
            await lab.service.push("jobs", number, context=caller())
    with pytest.raises(QuotaExceeded):
        await lab.service.push("more", "x" * 3000, context=caller("w-2"))


async def one_task(kit: Kit) -> None:
    kit.patch.setattr(delivery_module, "MAX_TASK_BYTES", 1000)
    kit.patch.setattr(delivery_module, "MAX_PEEK_BYTES", 1500)
    lab, me = Lab(await kit.store()), caller()
    with pytest.raises(FrameTooLarge):
        await lab.service.push("jobs", "x" * 1001, context=me)
    for _ in range(4):
        await lab.service.push("jobs", "x" * 700, context=me)
    assert len(await lab.service.peek("jobs", 4, context=me)) == 2
    for call in (
        lab.service.peek("jobs", MAX_PEEK + 1, context=me),
        lab.service.pop("jobs", MAX_TIMEOUT_S + 1, context=me),
        lab.service.pop("jobs", 1, lease=MAX_LEASE_S + 1, context=me),
    ):
        with pytest.raises(InvalidRequest):
            await call
