"""Workers that everybody may use: nobody has all of their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hypha.workers.base import WorkerError
from hypha.workers.options import Connection
from hypha.workers.serving import ConnectedWorker


class Rooms(ConnectedWorker):
    """A worker whose sessions are nothing."""

    supported_types = ("room",)  # type: ignore[assignment]
    name = description = "Rooms"  # type: ignore[assignment]

    async def _start_session(self, config: Any) -> None:
        if config.entry_point == "fail":
            raise WorkerError("it fails")

    async def _stop_session(self, session_id: str) -> None:
        pass


class Server:
    """Registers services in a workspace."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace

    async def register_service(self, service: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": f"{self._workspace}/client:{service['id']}"}


async def rooms(workspace: str, most: int = 4) -> Rooms:
    worker = Rooms(Connection(), most)
    await worker.register_worker_service(Server(workspace))
    return worker


async def start(worker: Rooms, number: int, person: str, entry: str = "", **user: Any) -> str:
    workspace = f"ws-{number % 2}"  # who has several workspaces has no more places
    config = {
        "id": f"{workspace}/{number}", "app_id": "app", "workspace": workspace, "client_id": str(number),
        "server_url": "http://here", "artifact_id": f"{workspace}/app", "manifest": {}, "entry_point": entry,
    }  # fmt: skip
    return await worker.start(config, {"from": "*/server", "user": {"id": person, **user}})


async def test_one_person_has_half_of_the_places_of_a_worker_for_all() -> None:
    worker = await rooms("public")
    await start(worker, 1, "eve")
    await start(worker, 2, "eve-program", parent="eve")
    for person, more in (("eve", {}), ("another-program", {"parent": "eve"})):
        with pytest.raises(WorkerError, match="You have 2 sessions of this worker"):
            await start(worker, 3, person, **more)
    for number in (4, 5):
        await start(worker, number, "ann")
    await worker.stop("ws-1/1")
    await start(worker, 6, "eve")


async def test_sessions_that_failed_to_start_take_no_place() -> None:
    worker = await rooms("public", 2)
    for number in range(3):
        with pytest.raises(WorkerError, match="it fails"):
            await start(worker, number, "eve", "fail")
    await start(worker, 4, "eve")
    with pytest.raises(WorkerError, match="You have 1 sessions"):
        await start(worker, 5, "eve")


async def test_a_worker_of_ones_own_workspace_is_not_shared_out() -> None:
    worker = await rooms("ws-1")
    for number in range(4):
        await start(worker, number, "ann")
