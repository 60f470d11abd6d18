"""Listing the services of apps that do not run."""

from __future__ import annotations

from typing import Any

from hypha.errors import PermissionDenied
from hypha.features.apps.grants import mark_of
from hypha.features.apps.lazy import LazyApps
from hypha.features.apps.records import Grant
from hypha.registry.index import ServiceFilter
from tests.unit.features.apps.lab import caller


def artifact(app_id: str, **more: Any) -> dict[str, Any]:
    services = [{"id": f"lab/*:{app_id}-service", "type": "generic"}, "nonsense"]
    manifest = {"services": services, **more}
    return {
        "alias": app_id,
        "revision": "0.0",
        "last_modified": 1,
        "versions": [],
        "file_count": 0,
        "manifest": manifest,
    }


class World:
    """Grants of two people, one of whom has lost the right; all apps as the artifacts tell them."""

    def __init__(self) -> None:
        self.kept = {f"app-{number}": artifact(f"app-{number}") for number in range(100)}
        self.kept["disabled"] = artifact("disabled", disabled=True)
        self.kept["changed"] = artifact("changed")
        self.grants = [
            Grant("lab", app_id, mark_of(each), False, {"id": "ann"}) for app_id, each in self.kept.items()
        ]
        self.grants.append(Grant("lab", "app-0", "", False, {"id": "gone"}))
        self.grants.append(Grant("lab", "missing", "", False, {"id": "ann"}))
        self.kept["changed"]["last_modified"] = 2
        self.asked = 0
        self.lazy = LazyApps(None, self, self, None, None, None)  # type: ignore[arg-type]

    def has_any(self, workspace: str) -> bool:
        return True

    async def of(self, workspace: str) -> list[Grant]:
        self.asked += 1
        return self.grants

    async def starter(self, grant: Grant) -> Any:
        if grant.starter["id"] == "gone":
            raise PermissionDenied("no")
        return caller()

    async def committed(self, context: Any) -> dict[str, Any]:
        self.asked += 1
        return self.kept


async def test_services_of_a_hundred_apps_take_one_look_at_them() -> None:
    world = World()
    found = await world.lazy.find(ServiceFilter("lab"))
    assert [record.id for record in found] == [f"lab/*:app-{number}-service" for number in range(100)]
    assert world.asked == 2
