"""A worker whose programs do what a test of the workspace page says."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.apps_lab import own_worker
from tests.kit.people import Person

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ATTACK = '<img src=x onerror="window.complaints.push(1)">'
APP = {"name": f"Leaves {ATTACK}", "type": "own", "version": "0.1.0", "description": f"Counts {ATTACK}"}


@dataclass
class Stage:
    """A worker in somebody's workspace whose programs do what the test says."""

    owner: Person
    client: Any
    apps: Any
    logs: list[dict[str, str]] = field(default_factory=list)
    failure: str = ""
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, config: Any, context: Any = None) -> None:
        await config["progress_callback"]({"type": "info", "message": f"Warming up {ATTACK}"})
        await asyncio.wait_for(self.hold.wait(), 30)
        if self.failure:
            raise RuntimeError(self.failure)

    def get_logs(
        self,
        session_id: str,
        type: str | None = None,
        offset: int = 0,
        limit: Any = None,
        context: Any = None,
    ) -> Any:
        return {"items": list(self.logs), "total": len(self.logs), "offset": 0, "limit": None}

    def picture(self, session_id: str, format: str = "png", context: Any = None) -> bytes:
        return PICTURE

    async def install(self, app_id: str, **manifest: Any) -> None:
        self.hold.set()
        await self.apps.install(
            source="x", manifest={**APP, **manifest}, app_id=app_id, wait_for_service=False
        )

    async def remove_all(self) -> None:
        self.hold.set()
        await self.apps.stop_all()
        for each in await self.apps.list_apps():
            await self.apps.uninstall(each["id"])


async def set_up(owner: Person, client: Any, **more: Any) -> Stage:
    """A stage with its worker, in the owner's workspace."""
    stage = Stage(owner, client, await client.get_service("public/server-apps"))
    functions = {"start": stage.start, "get_logs": stage.get_logs, "take_screenshot": stage.picture}
    await own_worker(client, [], **functions, **more)
    return stage
