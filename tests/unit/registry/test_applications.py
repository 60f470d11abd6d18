"""A service of an application is found by what its manifest says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context
from hypha.errors import (
    AmbiguousService,
    AppNotFound,
    ConfigurationError,
    InvalidRequest,
    PermissionDenied,
    ServiceNotFound,
)
from hypha.registry.applications import MAX_DECLARED, Application, Applications
from hypha.registry.balance import Selection
from hypha.registry.index import Registry
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from tests.kit.registry import Register

WORKERS = {"id": "work", "type": "compute"}
STORES = {"id": "w/*:store", "type": "storage"}


def test_programs_are_retired_until_they_are_forgotten() -> None:
    applications = Applications()
    applications.retire_program("w", "c")
    assert not applications.is_retired("w", "c"), "nobody started it here"
    applications.note_program("w", "c", "app")
    applications.retire_program("w", "c")
    assert applications.is_retired("w", "c")
    applications.forget_program("w", "c")
    assert not applications.is_retired("w", "c")


def test_one_of_several_instances_of_a_scaled_application_is_chosen_at_random() -> None:
    scaled = {"autoscaling": {"enabled": True}}
    assert Application.parse(scaled).mode == "random"
    assert Application.parse({**scaled, "service_selection_mode": "min_load"}).mode == "min_load"
    assert Application.parse({"autoscaling": {"enabled": False}}).mode == ""


class Manifests:
    """Applications of the workspace `w`, by their ids."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.asked = 0

    def has_any(self, workspace: str) -> bool:
        return workspace == "w" and bool(self.kept)

    async def find(self, workspace: str, app_id: str) -> Application | None:
        self.asked += 1
        known = workspace == "w" and app_id in self.kept
        return Application.parse(self.kept[app_id]) if known else None


@pytest.fixture
def manifests() -> Manifests:
    return Manifests()


@pytest.fixture
def selection(registry: Registry, manifests: Manifests) -> Selection:
    applications = Applications()
    applications.ask(manifests)
    unused: Any = None
    no_clients: Any = SimpleNamespace(client=lambda workspace, client_id: None)
    return Selection(Sources(registry, applications), LocalRoster(no_clients), unused)


async def chosen(selection: Selection, context: Context, name: str, mode: str | None = None) -> str:
    return (await selection.choose(ServiceQuery.parse(name, "w"), context, mode)).id


@pytest.mark.spec("apps-8.1.5")
async def test_a_declared_name_means_its_instances(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    manifests.kept["app"] = {"services": [WORKERS, STORES]}
    register("w/a:work-1", app_id="app")
    register("w/b:workshop", app_id="app")
    register("w/c:work-2", app_id="other")
    register("w/d:store-eu", app_id="app")
    assert await chosen(selection, member, "work@app") == "w/a:work-1"
    assert await chosen(selection, member, "w/*:work@app") == "w/a:work-1"
    assert await chosen(selection, member, "a:work@app") == "w/a:work-1"
    assert await chosen(selection, member, "store@app") == "w/d:store-eu"
    for missing in ("b:work@app", "work@other", "work", "shop@app", "work@none"):
        with pytest.raises(ServiceNotFound):
            await chosen(selection, member, missing)


@pytest.mark.spec("apps-8.1.5")
async def test_the_name_itself_comes_before_its_instances_and_they_before_the_type(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    manifests.kept["app"] = {"services": [WORKERS, STORES]}
    register("w/a:anything", type="compute", app_id="app")
    assert await chosen(selection, member, "work@app") == "w/a:anything"
    register("w/b:work-1", app_id="app")
    assert await chosen(selection, member, "work@app") == "w/b:work-1"
    register("w/c:work", app_id="app")
    assert await chosen(selection, member, "work@app") == "w/c:work"
    register("w/d:work", app_id="elsewhere")
    assert await chosen(selection, member, "work@app") == "w/c:work"


@pytest.mark.spec("apps-8.1.5")
async def test_a_type_that_two_declarations_have_names_none(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    manifests.kept["app"] = {"services": [WORKERS, {**STORES, "type": "compute"}, {"id": "bare"}]}
    register("w/a:anything", type="compute", app_id="app")
    for name in ("work@app", "bare@app"):
        with pytest.raises(ServiceNotFound):
            await chosen(selection, member, name)


async def test_the_endpoint_of_a_client_is_no_instance(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    manifests.kept["app"] = {"services": [{"id": "built", "type": "built-in"}]}
    register("w/a:built-in", type="built-in", app_id="app")
    with pytest.raises(ServiceNotFound):
        await chosen(selection, member, "built@app")


async def test_instances_are_for_those_who_may_use_them(
    selection: Selection, manifests: Manifests, register: Register, stranger: Context
) -> None:
    manifests.kept["app"] = {"services": [WORKERS]}
    register("w/a:work-1", app_id="app")
    with pytest.raises(PermissionDenied):
        await chosen(selection, stranger, "w/work@app")
    register("w/b:work-2", app_id="app", config={"visibility": "public"})
    assert await chosen(selection, stranger, "w/work@app") == "w/b:work-2"


@pytest.mark.spec("apps-8.1.6", "apps-12.8.3")
async def test_the_callers_mode_comes_before_that_of_the_manifest(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    manifests.kept["app"] = {"services": [WORKERS], "service_selection_mode": "last"}
    for client in ("a", "b", "c"):
        register(f"w/{client}:work-1", app_id="app")
    assert await chosen(selection, member, "work@app") == "w/c:work-1"
    assert await chosen(selection, member, "work-1@app") == "w/c:work-1"
    assert await chosen(selection, member, "work@app", "first") == "w/a:work-1"
    assert {await chosen(selection, member, "work@app", "random") for _ in range(60)} == {
        f"w/{client}:work-1" for client in ("a", "b", "c")
    }
    with pytest.raises(AmbiguousService):
        await chosen(selection, member, "work-1")
    del manifests.kept["app"]["service_selection_mode"]
    with pytest.raises(AmbiguousService):
        await chosen(selection, member, "work@app")


@pytest.mark.spec("apps-8.1.6")
async def test_a_wrong_mode_of_a_manifest_is_said_to_be_the_manifests(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    register("w/a:work-1", app_id="app")
    register("w/b:work-1", app_id="app")
    for mode, text in (
        ("fastest", "the service_selection_mode of the application app"),
        ("select:x", "format"),
    ):
        manifests.kept["app"] = {"service_selection_mode": mode}
        with pytest.raises(InvalidRequest, match=text) as caught:
            await chosen(selection, member, "work-1@app")
        assert caught.value.rpc_text.startswith("ValueError: Invalid ")
        assert await chosen(selection, member, "work-1@app", "first") == "w/a:work-1"


async def test_without_an_app_id_no_manifest_is_looked_for(
    selection: Selection, manifests: Manifests, register: Register, member: Context
) -> None:
    register("w/a:s", app_id="app")
    register("w/b:s")
    assert await chosen(selection, member, "s", "first") == "w/a:s"
    assert await chosen(selection, member, "s@app") == "w/a:s"
    for name in ("s", "missing"):
        with pytest.raises((AmbiguousService, ServiceNotFound)):
            await chosen(selection, member, name)
    assert manifests.asked == 0


@pytest.mark.parametrize(
    "manifest",
    [
        None, [], "text", {"services": "work"}, {"services": {"id": "work"}}, {"services": [None, 3, "work"]},
        {"services": [{"id": 7}, {"id": ""}, {"type": "t"}, {"id": "x" * 300}], "service_selection_mode": 5},
        {"services": [], "service_selection_mode": "x" * 300},
    ],
)  # fmt: skip
def test_what_is_malformed_in_a_manifest_is_not_said(manifest: Any) -> None:
    assert Application.parse(manifest) == Application()


def test_a_manifest_counts_up_to_a_number_of_services() -> None:
    services = [{"id": f"s{number}", "type": "t"} for number in range(MAX_DECLARED + 1)]
    application = Application.parse({"services": services})
    assert application.declares(f"s{MAX_DECLARED - 1}") and not application.declares(f"s{MAX_DECLARED}")


async def test_app_ids_are_checked_where_somebody_knows_them(manifests: Manifests) -> None:
    applications = Applications()
    await applications.check("w", "any")
    assert not applications.has_any("w") and await applications.find("w", "any") is None
    applications.ask(manifests)
    manifests.kept["app"] = {}
    await applications.check("w", "app")
    await applications.check("w", "*")
    for workspace, app_id in (("w", "any"), ("other", "app")):
        with pytest.raises(AppNotFound, match=f"Application id '{app_id}' not found in the workspace"):
            await applications.check(workspace, app_id)
    with pytest.raises(ConfigurationError):
        applications.ask(manifests)
