"""Waiting for a program that starts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.errors import CallFailed, CallTimedOut
from hypha.features.apps.waiting import Waiting
from hypha.registry.records import ServiceRecord

WORKER = ServiceRecord("public", "w", "worker")


class Lab:
    """Programs, of which none is connected."""

    def __init__(self) -> None:
        self.known: list[ServiceRecord] = []
        hub: Any = SimpleNamespace(client=lambda *_: None)
        self.waiting = Waiting(self, hub)  # type: ignore[arg-type]

    def get(self, *key: str) -> ServiceRecord | None:
        return next((each for each in self.known if (each.workspace, each.client_id, each.name) == key), None)

    def wait(self, client_id: str = "c", timeout_s: float = 60.0) -> asyncio.Task[None]:
        return asyncio.create_task(self.waiting.until_offered("lab", client_id, "s", timeout_s, WORKER))


@pytest.fixture
def lab() -> Lab:
    return Lab()


async def test_it_ends_when_the_service_is_there_and_not_before(lab: Lab) -> None:
    waits = [lab.wait(), lab.wait(), lab.wait("other")]
    await asyncio.sleep(0)
    lab.waiting.service_added(ServiceRecord("lab", "c", "another"))
    lab.waiting.service_added(ServiceRecord("lab", "c", "s"))
    await asyncio.gather(*waits[:2])
    assert not waits[2].done()
    lab.known.append(ServiceRecord("lab", "other", "s"))
    await lab.wait("other")
    lab.waiting.service_added(lab.known[0])
    await waits[2]


@pytest.mark.parametrize(("gone", "who"), [(("lab", "c"), "The program"), (("public", "w"), "The worker")])
async def test_it_fails_when_the_program_or_its_worker_is_gone(lab: Lab, gone: Any, who: str) -> None:
    waits = lab.wait()
    await asyncio.sleep(0)
    lab.waiting.client_ended("lab", "somebody else")
    lab.waiting.client_ended(*gone)
    with pytest.raises(CallFailed, match=who):
        await waits
    lab.waiting.client_ended(*gone)  # nobody waits any more


async def test_it_has_an_end(lab: Lab) -> None:
    with pytest.raises(CallTimedOut, match="Application startup timed out"):
        await lab.wait(timeout_s=0.01)
