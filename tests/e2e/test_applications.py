"""App ids of unmodified clients are checked; services are chosen by the manifest of their application."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from hypha.testing import NodeWorker, ServerProcess, eventually
from tests.e2e.lab import service
from tests.kit.clients import Connect
from tests.kit.people import Person

pytestmark = pytest.mark.timeout(60)

WORK = {"services": [{"id": "work", "type": "compute"}]}


def instance(name: str, app_id: str, **config: Any) -> dict[str, Any]:
    """A service that carries an app id and answers with its name."""
    return {**service(name, answer=name, **config), "app_id": app_id, "get_load": lambda: len(name)}


async def create(client: Any, alias: str, **manifest: Any) -> None:
    manager = await client.get_service("public/artifact-manager")
    await manager.create(alias, type="application", manifest={"name": alias, **WORK, **manifest})


@pytest.mark.spec("apps-8.1.3", "apps-12.8.2")
async def test_an_unknown_app_id_is_refused_where_there_are_applications(
    connect: Connect, alice: Person
) -> None:
    client = await connect(alice)
    await create(client, "app")
    await client.register_service(instance("work-1", "app"))
    for app_id, text in (("ap", "Application id 'ap' not found"), ("ws/app", "must not contain '/'")):
        with pytest.raises(Exception, match=text):
            await client.register_service(instance("work-2", app_id), overwrite=True)
    with pytest.raises(Exception, match="Application id 'none' not found"):
        await (await connect(alice, app_id="none")).register_service(service("work-3"))
    listed = await client.list_services({"type": "generic"})
    assert [(each["name"], each["app_id"]) for each in listed] == [("work-1", "app")]


@pytest.mark.spec("apps-8.1.3", "apps-12.8.2")
async def test_where_there_are_none_the_service_is_removed_and_the_program_told(
    connect: Connect, bob: Person, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(bob)
    with caplog.at_level(logging.ERROR):
        await client.register_service(instance("work-1", "none"))
        await eventually(lambda: "Application id 'none' not found in the workspace" in caplog.text)
    assert await client.list_services({"type": "generic"}) == []
    await client.register_service(instance("work-2", "none", skip_app_id_validation=True))
    await eventually(lambda: client.list_services({"app_id": "none"}))
    assert await (await client.get_service("work-2@none")).hello() == "work-2"
    await create(client, "none")
    await client.register_service(instance("work-1", "none"), overwrite=True)
    assert (await client.get_service("work-1@none"))["id"].endswith(":work-1")


@pytest.mark.spec("apps-8.1.3", "apps-12.8.2")
async def test_programs_in_javascript_are_refused_and_told_too(
    node: NodeWorker, server: ServerProcess, bob: Person
) -> None:
    code = """
      const logged = new Promise((resolve) => {
        console.error = (event) => event.service_id && resolve(event.message);
      });
      const server = await connect({server_url: args.url, token: args.token});
      const service = {id: "work-1", app_id: "none", config: {}, hello: () => "hello"};
      await server.registerService(service);
      const told = await logged;
      const manager = await server.getService("public/artifact-manager");
      await manager.create({alias: "app", type: "application", manifest: {name: "app"}, _rkwargs: true});
      try {
        await server.registerService({...service, id: "work-2"});
      } catch (error) {
        return [told, `${error}`];
      }
    """
    told, refused = await node.run(code, url=server.url, token=bob.token)
    assert "The service" in told and "was removed. Application id 'none' not found" in told
    assert "Application id 'none' not found in the workspace" in refused


@pytest.mark.spec("apps-8.1.5", "apps-8.1.6", "apps-8.1.7", "apps-12.8.3")
async def test_modes_of_callers_and_manifest_by_rpc_and_http(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    client = await connect(alice)
    await create(client, "modes", service_selection_mode="last")
    for name in ("work-1", "work-22", "work-333"):
        await client.register_service(instance(name, "modes"))

    async def chosen(mode: str | None = None) -> str:
        return str((await client.get_service("work@modes", {"mode": mode}))["id"]).partition(":")[2]

    async with httpx.AsyncClient(
        base_url=f"{server.url}/{alice.workspace}/services",
        headers={"Authorization": f"Bearer {alice.token}"},
    ) as http:

        async def by_http(**query: str) -> Any:
            return (await http.get("/work@modes/hello", params=query)).json()

        assert await chosen() == await by_http() == "work-333"
        expected = {"first": "work-1", "last": "work-333", "select:max:get_load": "work-333"}
        for mode, name in ({**expected, "select:min:get_load": "work-1"}).items():
            assert await chosen(mode) == await by_http(_mode=mode) == name, mode
        for mode in ("random", "native:random", "min_load", "select:first_success:get_load"):
            assert (await chosen(mode)).startswith("work-"), mode
        assert "Multiple services found" in (await by_http(_mode="exact"))["detail"]
        assert (await by_http(_mode="best"))["detail"].startswith("Invalid mode: best. Mode must be 'random'")
        info = (await http.get("/work@modes", params={"_mode": "first"})).json()
        assert info["id"].endswith(":work-1")
