"""App ids of services: read from the provider, checked, and refused where no application has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hypha.errors import AppNotFound, BackendUnavailable, CallFailed, HyphaError, InvalidAddress
from hypha.registry.applications import Application
from hypha.workspaces.functions_services import ServiceFunctions
from hypha.workspaces.parts import Parts
from tests.kit.manager import FakeClient, FakeHub, info, refused


class Manifests:
    """The app ids that are known; with `hint` the workspace is known to have applications."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.hint = False
        self.asked: list[str] = []

    def has_any(self, workspace: str) -> bool:
        return self.hint

    async def find(self, workspace: str, app_id: str) -> Application | None:
        self.asked.append(app_id)
        await asyncio.sleep(0)
        return Application() if app_id in self.known else None


@pytest.fixture
def manifests(parts: Parts) -> Manifests:
    known = Manifests()
    parts.selection.sources.applications.ask(known)
    return known


@pytest.fixture
def services(parts: Parts, manifests: Manifests) -> ServiceFunctions:
    return ServiceFunctions(parts)


@pytest.fixture
def alice(hub: FakeHub) -> FakeClient:
    return hub.join("w/alice")


def carrying(app_ids: dict[str, Any]) -> Callable[[str, Sequence[Any]], Any]:
    """A client whose services carry app ids."""

    def answer(method: str, args: Sequence[Any]) -> Any:
        if isinstance(found := app_ids.get(args[0]), HyphaError):
            raise found
        return {"id": args[0], "app_id": found}

    return answer


async def register(services: ServiceFunctions, client: FakeClient, name: str, **more: Any) -> None:
    await services.register_service(info(client, name, **more), context=client.context)


async def found(services: ServiceFunctions, client: FakeClient) -> dict[str, str]:
    listed = await services.list_services(context=client.context)
    return {entry["id"].partition(":")[2]: entry["app_id"] for entry in listed}


async def settle(parts: Parts) -> None:
    async with asyncio.timeout(5):
        await parts.background.settled()


@pytest.mark.spec("apps-8.1.2", "apps-8.1.3", "apps-12.8.2")
async def test_where_there_are_applications_a_registration_waits_for_its_app_id(
    services: ServiceFunctions, parts: Parts, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    manifests.hint, manifests.known = True, {"app"}
    hub.answers["w/alice"] = carrying({"s": "app", "wrong": "ap", "odd": "a/b", "failing": CallFailed("no")})
    await register(services, alice, "s")
    await register(services, alice, "plain")
    await register(services, alice, "failing")
    assert await found(services, alice) == {"s": "app", "plain": "*", "failing": "*"}
    published = [data["app_id"] for _, kind, data in hub.events.published if kind == "service_added"]
    assert published == ["app", "*", "*"]
    with pytest.raises(AppNotFound) as caught:
        await register(services, alice, "wrong")
    assert refused(caught).startswith("KeyError: Application id 'ap' not found in the workspace w")
    with pytest.raises(InvalidAddress, match="App id info must not contain '/'"):
        await register(services, alice, "odd")
    await settle(parts)
    assert await found(services, alice) == {"s": "app", "plain": "*", "failing": "*"}
    assert len(hub.calls) == 5 and alice.told == []


@pytest.mark.spec("apps-8.1.3", "apps-12.8.2")
async def test_elsewhere_a_service_with_an_unknown_app_id_is_removed_and_its_client_told(
    services: ServiceFunctions, parts: Parts, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    hub.answers["w/alice"] = carrying({"s": "app", "odd": "a/b"})
    for name in ("s", "odd", "plain"):
        await register(services, alice, name)
    assert hub.calls == [], "no registration waits"
    await settle(parts)
    assert await found(services, alice) == {"plain": "*"}
    assert [told["type"] for told in alice.told] == ["error", "error"]
    assert [told["service_id"] for told in alice.told] == ["w/alice:s", "w/alice:odd"]
    text = alice.told[0]["message"]
    assert text.startswith("The service w/alice:s was removed. Application id 'app' not found")
    removed = [data["id"] for _, kind, data in hub.events.published if kind == "service_removed"]
    assert removed == ["w/alice:s", "w/alice:odd"]


@pytest.mark.spec("apps-8.1.3")
async def test_the_app_id_of_a_connection_is_checked_too(
    services: ServiceFunctions, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    manifests.known = {"app"}
    await register(services, alice, "built-in", type="built-in", app_id="none")
    await register(services, alice, "s", app_id="app")
    with pytest.raises(AppNotFound):
        await register(services, alice, "wrong", app_id="none")
    assert await found(services, alice) == {"built-in": "none", "s": "app"} and hub.calls == []


@pytest.mark.spec("apps-8.1.3")
@pytest.mark.parametrize("hint", [True, False])
async def test_the_check_can_be_left_out(
    services: ServiceFunctions,
    parts: Parts,
    manifests: Manifests,
    hub: FakeHub,
    alice: FakeClient,
    hint: bool,
) -> None:
    manifests.hint = hint
    hub.answers["w/alice"] = carrying({"s": "later"})
    skip = {"skip_app_id_validation": True}
    await register(services, alice, "s", config=skip)
    await services.register_service(info(alice, "t", app_id="soon"), skip, context=alice.context)
    await settle(parts)
    assert await found(services, alice) == {"s": "later", "t": "soon"} and manifests.asked == []
    for wrong in ({"skip_app_id_validation": "no"}, {}):
        with pytest.raises(AppNotFound):
            await register(services, alice, "u", app_id="soon", config=wrong)


async def test_a_client_that_does_not_answer_holds_up_one_registration_only(
    parts: Parts, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    manifests.hint = True
    parts.app_ids._deadline_s = 0.01
    services = ServiceFunctions(parts)
    for number in range(4):
        await register(services, alice, f"s{number}")
    await settle(parts)
    assert list((await found(services, alice)).values()) == ["*"] * 4
    assert len(hub.calls) == 2, "once by the first registration, once in the background for all"


@pytest.mark.parametrize("hint", [True, False])
async def test_a_service_that_is_registered_anew_may_change_its_app(
    services: ServiceFunctions,
    parts: Parts,
    manifests: Manifests,
    hub: FakeHub,
    alice: FakeClient,
    hint: bool,
) -> None:
    manifests.hint, manifests.known = hint, {"one", "two"}
    carried = {"s": "one"}
    hub.answers["w/alice"] = carrying(carried)
    for app_id in ("one", "two"):
        carried["s"] = app_id
        await register(services, alice, "s")
        await settle(parts)
        assert await found(services, alice) == {"s": app_id}


async def test_a_client_that_resumed_is_neither_asked_nor_refused(
    services: ServiceFunctions, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    manifests.hint, manifests.known = True, {"app"}
    hub.answers["w/alice"] = carrying({"s": "app"})
    await register(services, alice, "s")
    await register(services, alice, "t", app_id="app")
    hub.calls.clear()
    manifests.known.clear()  # deleted meanwhile
    alice.generation = 2
    await register(services, alice, "s")
    await register(services, alice, "t", app_id="app")
    assert await found(services, alice) == {"s": "app", "t": "app"} and hub.calls == []


async def test_what_a_client_registers_in_its_last_moment_is_not_kept(
    services: ServiceFunctions, parts: Parts, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    manifests.hint = True

    def leave(method: str, args: Sequence[Any]) -> Any:
        alice.ended = True
        return {}

    hub.answers["w/alice"] = leave
    await register(services, alice, "s")
    assert parts.registry.get("w", "alice", "s") is None


class Slow(Manifests):
    """Knows every app id, once it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on, self.is_asked = asyncio.Event(), asyncio.Event()

    async def find(self, workspace: str, app_id: str) -> Application | None:
        self.is_asked.set()
        await (self.go_on.wait() if app_id == "slow" else asyncio.sleep(0))
        return Application()


@pytest.mark.parametrize("then", ["registered anew", "unregistered"])
async def test_of_a_service_the_last_word_counts_however_long_an_earlier_one_waited(
    parts: Parts, alice: FakeClient, then: str
) -> None:
    slow = Slow()
    parts.selection.sources.applications.ask(slow)
    services = ServiceFunctions(parts)
    waiting = asyncio.ensure_future(register(services, alice, "s", app_id="slow", description="old"))
    await slow.is_asked.wait()
    if then == "unregistered":
        await services.unregister_service("s", context=alice.context)
    else:
        await register(services, alice, "s", app_id="quick", description="new")
    slow.go_on.set()
    await waiting
    listed = await services.list_services(context=alice.context)
    assert [entry["description"] for entry in listed] == ([] if then == "unregistered" else ["new"])


async def test_what_cannot_be_looked_for_keeps_nobody_from_looking_for_the_rest(
    services: ServiceFunctions, parts: Parts, manifests: Manifests, hub: FakeHub, alice: FakeClient
) -> None:
    manifests.known = {"app"}
    hub.answers["w/alice"] = carrying({"a": "broken", "b": "app"})
    find = manifests.find

    async def failing(workspace: str, app_id: str) -> Application | None:
        if app_id == "broken":
            raise BackendUnavailable("The database does not answer.")
        return await find(workspace, app_id)

    manifests.find = failing  # type: ignore[method-assign]
    await register(services, alice, "a")
    await register(services, alice, "b")
    await settle(parts)
    assert await found(services, alice) == {"a": "*", "b": "app"}
