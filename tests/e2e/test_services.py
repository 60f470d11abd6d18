"""Registering, finding and choosing services (docs/spec/manager.md#services)."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from hypha_rpc.utils.schema import schema_function
from pydantic import BaseModel, Field

from hypha.testing import RawCallError, ServerProcess, eventually
from tests.e2e.lab import hello, ids, service
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person

# --- finding -----------------------------------------------------------------------------------


@pytest.mark.spec("wire-34", "core-R1")
async def test_every_short_form_resolves_to_the_same_service(connect: Connect, alice: Person) -> None:
    provider, caller = await connect(alice, client_id="provider"), await connect(alice)
    await provider.register_service(service())
    forms = [
        "svc",
        "{ws}/svc",
        "provider:svc",
        "{ws}/provider:svc",
        "*:svc",
        "{ws}/*:svc",
        "svc@*",
        "{ws}/provider:svc@*",
    ]
    for form in forms:
        found = await caller.get_service(form.format(ws=alice.workspace))
        assert found.id == f"{alice.workspace}/provider:svc", form
        assert await found.hello("Eve") == "hello Eve"
        info = await caller.get_service_info(form.format(ws=alice.workspace))
        assert info["id"] == f"{alice.workspace}/provider:svc", form


@pytest.mark.spec("wire-34", "core-M16")
@pytest.mark.parametrize("form", ["~", "{ws}/~"])
async def test_tilde_is_the_workspace_manager(connect: Connect, form: str) -> None:
    client = await connect()
    manager = await client.get_service(form.format(ws=client.config.workspace))
    assert isinstance(await manager.list_services(), list)
    assert isinstance(await manager.generate_token(), str)


@pytest.mark.spec("wire-34")
async def test_app_part_selects_the_providing_app(connect: Connect, alice: Person) -> None:
    one = await connect(alice, client_id="one", app_id="app-one")
    two = await connect(alice, client_id="two", app_id="app-two")
    await one.register_service(service(answer="from one", skip_app_id_validation=True))
    await two.register_service(service(answer="from two", skip_app_id_validation=True))
    assert await (await one.get_service("svc@app-two")).hello() == "from two"
    assert await (await two.get_service("svc@app-one")).hello() == "from one"


@pytest.mark.spec("core-R2")
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("a/b/c", "Service id must contain at most one '/'"),
        ("a:b:c", "Service id must contain at most one ':'"),
        ("a@b@c", "Service id must contain at most one '@'"),
        ("*/svc", "You must specify a workspace for the service query"),
        ("*", "cannot be a wildcard"),
        ("none-such", r"Service not found: .+/\*:none-such@\*"),
        ("ghost:svc", r"Service not found: .+/ghost:svc@\*"),
    ],
)
async def test_wrong_service_ids_say_what_is_wrong(connect: Connect, form: str, text: str) -> None:
    client = await connect()
    with pytest.raises(Exception, match=text):
        await client.get_service(form)


@pytest.mark.spec("core-11.1.10")
@pytest.mark.parametrize(
    "form", ["ws-user-*/*:hidden", "{ws}/*:hid*", "{ws}/*:hidde?", "{ws}/[abc]*:hidden", "{ws}/p*:hidden"]
)
async def test_patterns_in_ids_find_nothing(connect: Connect, alice: Person, bob: Person, form: str) -> None:
    provider, stranger = await connect(alice, client_id="provider"), await connect(bob)
    await provider.register_service(service("hidden", visibility="unlisted"))
    with pytest.raises(
        Exception, match=r"Service not found|Permission denied|Invalid|AssertionError|does not exist"
    ):
        await stranger.get_service(form.format(ws=alice.workspace))


# --- visibility --------------------------------------------------------------------------------


async def _http_status(server: ServerProcess, path: str, token: str | None = None) -> int:
    def get() -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{server.url}{path}", headers=headers)
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return await asyncio.to_thread(get)


@pytest.mark.spec("wire-35", "core-R3")
@pytest.mark.parametrize("visibility", ["public", "protected", "unlisted"])
async def test_who_may_look_up_list_and_call(
    connect: Connect,
    connect_raw: ConnectRaw,
    server: ServerProcess,
    alice: Person,
    bob: Person,
    visibility: str,
) -> None:
    provider = await connect(alice, client_id="provider")
    await provider.register_service(service(visibility=visibility))
    member, stranger, raw = await connect(alice), await connect(bob), await connect_raw(bob)
    full_id = f"{alice.workspace}/provider:svc"
    assert await (await member.get_service(full_id)).hello() == "hello you"
    is_reachable = visibility != "protected"
    if is_reachable:
        assert await (await stranger.get_service(full_id)).hello() == "hello you"
        call = await raw.call(f"{alice.workspace}/provider", "services.svc.hello", "raw")
        assert call == "hello raw"
    else:
        text = f"Permission denied for non-public service in workspace {alice.workspace}"
        with pytest.raises(Exception, match=text):
            await stranger.get_service(full_id)
        with pytest.raises(RawCallError, match=r"Permission denied for getting protected service: svc"):
            await raw.call(f"{alice.workspace}/provider", "services.built-in.get_service", "svc")
        with pytest.raises(RawCallError, match=r"Permission denied for invoking protected method"):
            await raw.call(f"{alice.workspace}/provider", "services.svc.hello", "raw")
    assert (full_id in ids(await stranger.list_services(alice.workspace))) == (visibility == "public")
    assert (full_id in ids(await member.list_services())) == (visibility != "unlisted")
    with_unlisted = await member.list_services({"workspace": alice.workspace}, include_unlisted=True)
    assert full_id in ids(with_unlisted)
    status = await _http_status(server, f"/{alice.workspace}/services/provider:svc/hello")
    assert (status == 200) == is_reachable
    assert await _http_status(server, f"/{alice.workspace}/services/provider:svc/hello", alice.token) == 200


@pytest.mark.spec("wire-35")
async def test_authorized_workspaces_admit_exactly_those(
    connect: Connect, alice: Person, bob: Person
) -> None:
    provider, guest, other = await connect(alice), await connect(bob), await connect()
    await provider.register_service(service(visibility="protected", authorized_workspaces=[bob.workspace]))
    found = await guest.get_service(f"{alice.workspace}/svc")
    assert await found.hello() == "hello you"
    assert not found.config.get("authorized_workspaces")
    with pytest.raises(Exception, match=r"Permission denied|not found"):
        await other.get_service(f"{alice.workspace}/svc")


@pytest.mark.spec("core-R3")
async def test_authorized_workspace_may_look_up_call_and_list(
    connect: Connect, connect_raw: ConnectRaw, server: ServerProcess, alice: Person, bob: Person
) -> None:
    provider, raw = await connect(alice, client_id="provider"), await connect_raw(bob)
    await provider.register_service(service(visibility="protected", authorized_workspaces=[bob.workspace]))
    full_id = f"{alice.workspace}/provider:svc"
    assert (await raw.call_manager("get_service_info", full_id))["id"] == full_id
    assert await raw.call(f"{alice.workspace}/provider", "services.svc.hello", "raw") == "hello raw"
    assert full_id in ids(await raw.call_manager("list_services", alice.workspace))
    path = f"/{alice.workspace}/services/provider:svc/hello"
    assert await _http_status(server, path, bob.token) == 200
    assert await _http_status(server, path) == 403


@pytest.mark.spec("core-R3", "wire-16.10")
async def test_authorized_workspaces_are_shown_to_members_only(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    provider, guest = await connect(alice), await connect_raw(bob)
    await provider.register_service(service(visibility="protected", authorized_workspaces=[bob.workspace]))
    own = await provider.get_service_info("svc")
    assert own["config"]["authorized_workspaces"] == [bob.workspace]
    for entry in await guest.call_manager("list_services", {"workspace": alice.workspace}):
        assert not entry["config"].get("authorized_workspaces")


@pytest.mark.spec("core-R3")
async def test_authorized_workspaces_need_protected_visibility(
    connect_raw: ConnectRaw, alice: Person
) -> None:
    raw = await connect_raw(alice)
    text = "authorized_workspaces can only be set when visibility is 'protected', got visibility='public'"
    with pytest.raises(RawCallError, match=text):
        await raw.offer("svc", visibility="public", authorized_workspaces=["ws-x"])


@pytest.mark.spec("core-R4")
async def test_service_info_does_not_reveal_unlisted_services_by_pattern(
    connect: Connect, connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    provider, stranger = await connect(alice), await connect_raw(bob)
    await provider.register_service(service("hidden", visibility="unlisted"))
    for query in (f"{alice.workspace}/*:h*", f"{alice.workspace}/*:*"):
        with pytest.raises(RawCallError):
            await stranger.call_manager("get_service_info", query)


# --- registering -------------------------------------------------------------------------------


@pytest.mark.spec("wire-30")
async def test_unregistered_service_is_gone(connect: Connect, connect_raw: ConnectRaw, alice: Person) -> None:
    provider, caller = await connect(alice), await connect(alice)
    listener = await connect_raw(alice)
    await listener.call_manager("subscribe", ["service_removed"])
    info = await provider.register_service(service())
    await provider.unregister_service(info)
    assert (await listener.wait_event("service_removed")).main["data"]["id"] == info["id"]
    with pytest.raises(Exception, match=r"Service not found"):
        await caller.get_service("svc")


@pytest.mark.spec("wire-31", "core-R5")
async def test_same_id_twice_needs_overwrite(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    provider, caller = await connect(alice, client_id="provider"), await connect(alice)
    listener = await connect_raw(alice)
    await provider.register_service(service(answer="old"))
    await listener.call_manager("subscribe", ["service_removed", "service_added"])
    with pytest.raises(Exception, match=r"Service already exists: svc"):
        await provider.register_service(service(answer="new"))
    assert await (await caller.get_service("svc")).hello() == "old"
    await provider.register_service({**service(answer="new"), "description": "changed"}, {"overwrite": True})
    assert await (await caller.get_service("svc")).hello() == "new"
    await listener.wait_event("service_added")
    kinds = [frame.main["type"] for frame in listener.frames if frame.main["type"].startswith("service_")]
    assert kinds == ["service_removed", "service_added"]


@pytest.mark.spec("wire-32", "core-R6")
@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
async def test_singleton_has_one_holder(connect: Connect, alice: Person, first: bool, second: bool) -> None:
    one, two = await connect(alice), await connect(alice)
    await one.register_service(service(singleton=first))
    with pytest.raises(Exception, match=r"A singleton service with the same name"):
        await two.register_service(service(singleton=second))
    await one.register_service(service(singleton=first), {"overwrite": True})
    await one.unregister_service("svc")
    await two.register_service(service(singleton=second), {"overwrite": True})


@pytest.mark.spec("wire-33", "core-R7")
async def test_two_providers_of_one_name(connect: Connect, alice: Person) -> None:
    one, two = await connect(alice, client_id="one"), await connect(alice, client_id="two")
    await one.register_service({**service(answer="one"), "load": lambda: 9})
    await two.register_service({**service(answer="two"), "load": lambda: 1})
    caller = await connect(alice)
    with pytest.raises(
        Exception, match=rf"Multiple services found for {alice.workspace}/\*:svc, e\.g\."
    ) as failure:
        await caller.get_service("svc")
    assert "mode" in str(failure.value)
    with pytest.raises(Exception, match=r"Multiple services found"):
        await caller.get_service("svc", mode="exact")

    async def chosen(mode: str) -> str:
        return str((await caller.get_service("svc", mode=mode)).id).split("/")[1].split(":")[0]

    assert await chosen("first") == "one"
    assert await chosen("last") == "two"
    assert {await chosen("random") for _ in range(40)} == {"one", "two"}
    assert await chosen("native:random") in ("one", "two")
    assert await chosen("min_load") in ("one", "two")
    assert await chosen("select:min:load") == "two"
    assert await chosen("select:max:load") == "one"
    assert await chosen("select:first_success:load") in ("one", "two")
    assert await chosen("select:min:no_such_function") in ("one", "two")


@pytest.mark.spec("wire-33", "core-R7")
async def test_min_load_chooses_the_measured_client_with_the_fewest_calls(
    connect: Connect, alice: Person
) -> None:
    for client_id in ("busy__rlb", "idle__rlb"):
        await (await connect(alice, client_id=client_id)).register_service(service())
    caller = await connect(alice)
    for _ in range(2):
        busy = await caller.get_service("busy__rlb:svc")
        await asyncio.gather(*(busy.hello() for _ in range(50)))
        found = [await caller.get_service("svc", mode="min_load") for _ in range(5)]
        assert {each.id for each in found} == {f"{alice.workspace}/idle__rlb:svc"}


@pytest.mark.spec("core-R7")
@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("best", "Invalid mode: best"),
        ("select:min", "Invalid select mode format: select:min"),
        ("select:fastest:load", "Unknown selection criteria: fastest"),
    ],
)
async def test_unknown_selection_modes_are_named(
    connect: Connect, alice: Person, mode: str, text: str
) -> None:
    for client_id in ("one", "two"):
        await (await connect(alice, client_id=client_id)).register_service({**service(), "load": lambda: 1})
    caller = await connect(alice)
    with pytest.raises(Exception, match=text):
        await caller.get_service("svc", mode=mode)


@pytest.mark.spec("wire-33")
async def test_public_workspace_chooses_at_random_by_default(
    connect: Connect, root: Person, server: ServerProcess
) -> None:
    for client_id in ("pub-one", "pub-two"):
        # the client insists on the workspace it asked for: the token must be bound to `public`
        token = root.token_for("rw", "public", user_id="root", parent=None)
        provider = await connect(token=token, client_id=client_id, workspace="public")
        await provider.register_service(service("shared-tool", visibility="public"), {"overwrite": True})
    caller = await connect()
    found = {(await caller.get_service("public/shared-tool")).id for _ in range(40)}
    assert found == {"public/pub-one:shared-tool", "public/pub-two:shared-tool"}


@pytest.mark.spec("core-R9", "core-R8")
async def test_schema_describes_annotated_functions_and_hides_the_context(
    connect: Connect, alice: Person
) -> None:
    def measure(sample: str, count: int = 3, context: Any = None) -> float:
        """Measure a sample."""
        return 1.0

    measure.__annotations__ = {"sample": str, "count": int, "return": float}
    provider = await connect(alice)
    await provider.register_service({"id": "svc", "config": {"require_context": True}, "measure": measure})
    info = await provider.get_service_info("svc")
    schema = info["service_schema"]["measure"]
    assert schema["type"] == "function"
    function = schema["function"]
    assert function["name"] == "measure" and "Measure a sample" in function["description"]
    properties = function["parameters"]["properties"]
    assert set(properties) == {"sample", "count"}
    assert properties["count"]["type"] == "integer"


class Sample(BaseModel):
    """What is weighed."""

    mass: float = Field(..., description="in grams")
    label: str = "none"


@pytest.mark.spec("core-R9")
async def test_schemas_of_plain_and_pydantic_functions_are_those_of_the_client(
    connect: Connect, alice: Person
) -> None:
    def plain(a, b=2):  # type: ignore[no-untyped-def]
        return a

    def unwrapped(sample: Sample, times: int = Field(3, description="repetitions")) -> float:
        """Weigh a sample."""
        return sample.mass * times

    unwrapped.__annotations__ = {
        "sample": Sample,
        "times": int,
        "return": float,
    }  # no text, as the client needs
    weigh = schema_function(unwrapped)
    provider = await connect(alice)
    await provider.register_service({"id": "svc", "weigh": weigh, "plain": plain, "nested": {"plain": plain}})
    schema = (await provider.get_service_info("svc"))["service_schema"]
    assert schema["weigh"] == {"type": "function", "function": weigh.__schema__}
    parameters = schema["weigh"]["function"]["parameters"]
    assert parameters["properties"]["times"]["description"] == "repetitions"
    assert "mass" in json.dumps(parameters) and parameters["required"] == ["sample"]
    assert schema["nested"]["plain"] == schema["plain"]
    text = {"type": "string", "description": ""}
    assert schema["plain"]["function"]["parameters"]["properties"] == {"a": text, "b": text}
    assert schema["plain"]["function"]["parameters"]["required"] == ["a"]
    found = await provider.get_service("svc")
    assert await found.weigh({"mass": 2.0}, 4) == 8.0


@pytest.mark.spec("core-R10")
async def test_case_conversion_renames_functions(connect: Connect, alice: Person) -> None:
    provider, caller = await connect(alice), await connect(alice)
    await provider.register_service({"id": "svc", "say_hello": hello, "sayBye": lambda: "bye"})
    camel = await caller.get_service("svc", {"case_conversion": "camel"})
    assert await camel["sayHello"]("you") == "hello you"
    snake = await caller.get_service("svc", {"case_conversion": "snake"})
    assert await snake["say_bye"]() == "bye"


@pytest.mark.spec("core-R11", "wire-52", "wire-16.9", "core-11.1.8")
async def test_registering_under_foreign_ids_is_refused(
    connect_raw: ConnectRaw, alice: Person, bob: Person
) -> None:
    victim, neighbour, stranger = await connect_raw(alice, client_id="victim"), await connect_raw(alice), None
    await victim.offer("svc", {"hello": lambda: "genuine"})
    stranger = await connect_raw(bob)
    await stranger.offer("own")
    await neighbour.offer("own")
    for raw in (neighbour, stranger):
        config = {"visibility": "public", "workspace": alice.workspace}
        info = {"id": f"{alice.workspace}/victim:svc", "name": "svc", "type": "generic", "config": config}
        with pytest.raises(RawCallError, match=r"(?i)permission|does not match"):
            await raw.call_manager("register_service", info)
    with pytest.raises(RawCallError, match=r"does not match the current workspace"):
        info = {"id": f"{alice.workspace}/{stranger.info['client_id']}:svc", "name": "svc", "config": {}}
        await stranger.call_manager("register_service", info)
    found = await neighbour.call_manager("get_service_info", "svc")
    assert found["config"]["visibility"] == "protected"


@pytest.mark.spec("core-R13", "core-11.1.8")
async def test_unregistering_another_clients_service_is_refused_unless_admin(
    connect: Connect, connect_raw: ConnectRaw, alice: Person
) -> None:
    victim = await connect(alice, client_id="victim")
    await victim.register_service(service())
    thief = await connect_raw(token=alice.token_for("rw"))
    with pytest.raises(RawCallError, match=r"(?i)permission"):
        await thief.call_manager("unregister_service", f"{alice.workspace}/victim:svc")
    assert await (await victim.get_service("svc")).hello() == "hello you"
    admin = await connect_raw(alice)
    await admin.call_manager("unregister_service", f"{alice.workspace}/victim:svc")
    with pytest.raises(Exception, match=r"Service not found"):
        await victim.get_service("svc")


@pytest.mark.spec("core-R15")
async def test_description_over_1024_characters_is_refused(connect: Connect, alice: Person) -> None:
    provider = await connect(alice)
    with pytest.raises(Exception, match=r"(?i)description|1024"):
        await provider.register_service({**service(), "description": "d" * 1025})
    await provider.register_service({**service("short"), "description": "d" * 1024})


@pytest.mark.spec("wire-16.13")
@pytest.mark.timeout(120)
async def test_one_thousand_and_first_service_is_refused(connect_raw: ConnectRaw, alice: Person) -> None:
    raw = await connect_raw(alice)
    await raw.offer("svc-0")

    def info(number: int) -> dict[str, Any]:
        return {"id": f"{raw.address}:svc-{number}", "name": f"svc-{number}", "type": "generic", "config": {}}

    with pytest.raises(RawCallError, match=r"Service quota exceeded: client .* already has \d+ services"):
        for number in range(1, 1002):
            await raw.call_manager("register_service", info(number))
    await raw.call_manager("unregister_service", f"{raw.address}:svc-1")
    await raw.call_manager("register_service", info(1))


@pytest.mark.spec("wire-9.4")
@pytest.mark.parametrize("name", ["_rintf_abc", "local"])
async def test_local_only_services_are_dropped_silently(
    connect_raw: ConnectRaw, alice: Person, name: str
) -> None:
    raw = await connect_raw(alice)
    await raw.offer("svc")
    config = {"_local_only": True} if name == "local" else {}
    info = {"id": f"{raw.address}:{name}", "name": name, "type": "generic", "config": config}
    assert await raw.call_manager("register_service", info) is None
    assert f"{raw.address}:{name}" not in ids(await raw.call_manager("list_services"))


@pytest.mark.spec("wire-9.4")
@pytest.mark.parametrize("name", ["a/b", "a:b:c", "*", "a b", "", "x" * 10_000, "a\x00b"])
async def test_service_names_with_separators_are_refused(
    connect_raw: ConnectRaw, alice: Person, name: str
) -> None:
    raw = await connect_raw(alice)
    await raw.offer("svc")
    info = {"id": f"{raw.address}:{name}", "name": "n", "type": "generic", "config": {}}
    with pytest.raises(RawCallError):
        await raw.call_manager("register_service", info)


@pytest.mark.spec("wire-36")
async def test_exported_default_service_is_found_as_an_app(connect: Connect, alice: Person) -> None:
    setups: list[int] = []
    provider, caller = await connect(alice, client_id="app-client"), await connect(alice)

    async def setup() -> None:
        setups.append(1)

    await provider.export({"setup": setup, "hello": hello})
    app = await caller.get_app("app-client")
    assert await app.hello("app") == "hello app"
    assert ids(await caller.list_apps()) == [f"{alice.workspace}/app-client:default"]
    await eventually(lambda: setups == [1], what="setup to be called once")
