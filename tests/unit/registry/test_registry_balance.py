"""Choosing one of several services, and fetching it from its provider."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hypha.addresses import ServiceQuery
from hypha.auth.users import Context
from hypha.errors import (
    CallFailed,
    CallTimedOut,
    HyphaError,
    InvalidRequest,
    PermissionDenied,
    ServiceNotFound,
)
from hypha.registry.balance import MAX_ASKED_AT_ONCE, Selection
from hypha.registry.calling import Calling
from hypha.registry.directory import Directory, LookupOptions
from hypha.registry.index import Registry
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from tests.kit.registry import Register


@dataclass
class FakeClient:
    is_live: bool = True
    load_per_min: float = 0.0


@dataclass
class FakeHub:
    """Clients by address, and what they answer to calls."""

    clients: dict[str, FakeClient] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, str, Context | None]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    def client(self, workspace: str, client_id: str) -> FakeClient | None:
        return self.clients.get(f"{workspace}/{client_id}")

    async def call(
        self,
        target: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        context: Context | None = None,
    ) -> Any:
        self.calls.append((target, method, context))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            answer = self.answers.get(target)
            if isinstance(answer, HyphaError):
                raise answer
            if answer == "never":
                await asyncio.sleep(60)
            return answer
        finally:
            self.running -= 1


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def selection(registry: Registry, hub: FakeHub) -> Selection:
    return Selection(Sources(registry), LocalRoster(hub), hub)  # type: ignore[arg-type]


@pytest.fixture
def three(register: Register, hub: FakeHub) -> None:
    """Three providers of `w/*:s`, with loads 5, 1 and 3."""
    for client, load in (("a", 5.0), ("b", 1.0), ("c", 3.0)):
        register(f"w/{client}:s", config={"visibility": "public"}, service_schema={"get_load": {}})
        hub.clients[f"w/{client}"] = FakeClient(load_per_min=load)


async def chosen(
    selection: Selection, context: Context, text: str, mode: Any = None, timeout_s: float = 2.0
) -> str:
    query = ServiceQuery.parse(text, context.workspace)
    return (await selection.choose(query, context, mode, timeout_s)).client_id


async def refusal(selection: Selection, context: Context, text: str, mode: Any = None) -> str:
    with pytest.raises(HyphaError) as caught:
        await chosen(selection, context, text, mode)
    return caught.value.rpc_text


@pytest.mark.spec("core-R2")
@pytest.mark.parametrize("text", ["x", "w/x", "w/*:x", "*:x"])
async def test_missing_service_is_named_in_full(selection: Selection, member: Context, text: str) -> None:
    assert await refusal(selection, member, text) == "KeyError: Service not found: w/*:x@*"


@pytest.mark.spec("core-R2")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b/c", "AssertionError: Service id must contain at most one '/'"),
        ("a:b:c", "AssertionError: Service id must contain at most one ':'"),
        ("a@b@c", "AssertionError: Service id must contain at most one '@'"),
        ("*/x", "AssertionError: You must specify a workspace for the service query"),
        ("*", "AssertionError: Service id cannot be a wildcard"),
    ],
)
async def test_wrong_forms_are_refused(
    selection: Selection, member: Context, text: str, expected: str
) -> None:
    assert (await refusal(selection, member, text)).startswith(expected)


@pytest.mark.spec("core-R3", "wire-35")
async def test_protected_service_is_refused_to_strangers(
    selection: Selection, register: Register, stranger: Context
) -> None:
    register("w/a:inner")
    text = await refusal(selection, stranger, "w/inner")
    assert text == "PermissionError: Permission denied for non-public service in workspace w"


async def test_a_stranger_gets_the_visible_one_of_several(
    selection: Selection, register: Register, stranger: Context
) -> None:
    register("w/a:s")
    register("w/b:s", config={"visibility": "public"})
    assert await chosen(selection, stranger, "w/s") == "b"


@pytest.mark.spec("core-R7", "wire-33")
async def test_several_without_mode_are_ambiguous(selection: Selection, member: Context, three: None) -> None:
    text = await refusal(selection, member, "s")
    assert text.startswith(
        "AssertionError: Multiple services found for w/*:s, e.g. ['w/a:s', 'w/b:s', 'w/c:s']"
    )
    assert "'random'" in text and "'first'" in text


async def test_ambiguity_reveals_no_unlisted_service(
    selection: Selection, register: Register, stranger: Context
) -> None:
    for client in ("a", "b"):
        register(f"w/{client}:s", config={"visibility": "unlisted"})
        register(f"w/{client}:built-in", config={"visibility": "public"})
    for name in ("s", "built-in"):
        text = await refusal(selection, stranger, f"w/{name}")
        assert "e.g. []" in text


@pytest.mark.spec("core-R7", "wire-33")
async def test_modes(selection: Selection, member: Context, three: None) -> None:
    assert await chosen(selection, member, "s", "first") == "a"
    assert await chosen(selection, member, "s", "last") == "c"
    assert await chosen(selection, member, "s", "min_load") == "b"
    assert {await chosen(selection, member, "s", "random") for _ in range(100)} == {"a", "b", "c"}
    assert await chosen(selection, member, "s", "native:random") in {"a", "b", "c"}
    assert await chosen(selection, member, "b:s", "exact") == "b"


async def test_public_is_random_by_default(selection: Selection, register: Register, member: Context) -> None:
    for client in ("a", "b"):
        register(f"public/{client}:s", config={"visibility": "public"})
    assert {await chosen(selection, member, "public/s") for _ in range(50)} == {"a", "b"}


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("fastest", "ValueError: Invalid mode: fastest. Mode must be 'random', 'first'"),
        (
            "select:min",
            "ValueError: Invalid select mode format: select:min. Expected 'select:criteria:function'",
        ),
        ("select", "ValueError: Invalid select mode format: select."),
        ("select:best:f", "ValueError: Unknown selection criteria: best"),
        ("select:min:f.__globals__.exit", "ValueError: No function has a path with a name that begins"),
        ("select:min:__init__", "ValueError: No function has a path with a name that begins"),
        (5, "ValueError: Invalid mode: 5"),
    ],
)
async def test_unknown_modes_are_refused(
    selection: Selection, member: Context, three: None, mode: Any, text: str
) -> None:
    assert (await refusal(selection, member, "s", mode)).startswith(text)


async def test_live_clients_win_over_held_ones(
    selection: Selection, hub: FakeHub, member: Context, three: None
) -> None:
    hub.clients["w/a"].is_live = hub.clients["w/b"].is_live = False
    for mode in (None, "first", "random", "min_load"):
        assert await chosen(selection, member, "s", mode) == "c"
    hub.clients["w/c"].is_live = False
    assert await chosen(selection, member, "s", "first") == "a"


class SlowRoster:
    """Clients of other replicas, too: it has to ask."""

    def __init__(self, clients: Mapping[tuple[str, str], FakeClient]) -> None:
        self.clients = clients
        self.asked = 0

    async def of(self, workspace: str) -> Sequence[Any]:
        raise AssertionError("whoever chooses asks for the clients that it has to choose from")

    async def find(self, clients: Sequence[tuple[str, str]]) -> Sequence[Any]:
        self.asked += 1
        await asyncio.sleep(0)
        return [self.clients.get(client) for client in clients]


async def test_clients_of_other_replicas_are_chosen_like_others(
    registry: Registry, member: Context, three: None
) -> None:
    roster = SlowRoster({
        ("w", "a"): FakeClient(is_live=False),
        ("w", "b"): FakeClient(load_per_min=7.0),
        ("w", "c"): FakeClient(load_per_min=3.0),
    })  # fmt: skip
    unused: Any = None
    selection = Selection(Sources(registry), roster, unused)
    assert await chosen(selection, member, "s", "first") == "b"
    assert await chosen(selection, member, "s", "min_load") == "c"
    assert roster.asked == 3, "once for who is live, once for the loads"
    roster.asked = 0
    assert await chosen(selection, member, "a:s") == "a"
    assert roster.asked == 0, "where there is no choice nobody is asked"


@pytest.mark.spec("core-R7")
@pytest.mark.parametrize(
    ("mode", "answers", "expected"),
    [
        ("select:min:get_load", {"w/a": 3, "w/b": 1.5, "w/c": 2}, "b"),
        ("select:max:get_load", {"w/a": 3, "w/b": 1.5, "w/c": 2}, "a"),
        ("select:min:get_load", {"w/a": 3, "w/b": "text", "w/c": float("nan")}, "a"),
        ("select:min:get_load", {"w/a": CallFailed("no"), "w/b": True, "w/c": 9}, "c"),
        ("select:first_success:get_load", {"w/a": CallFailed("no"), "w/b": "never", "w/c": None}, "c"),
    ],
)
async def test_select_asks_the_candidates(
    selection: Selection, hub: FakeHub, member: Context, three: None, mode: str, answers: Any, expected: str
) -> None:
    hub.answers = answers
    assert await chosen(selection, member, "s", mode) == expected
    assert {call[1] for call in hub.calls} == {"services.s.get_load"}
    assert all(call[2] is member for call in hub.calls), "asked with the caller's rights, not the server's"
    assert hub.running == 0


async def test_select_falls_back_when_none_answers(
    selection: Selection, hub: FakeHub, member: Context, three: None
) -> None:
    hub.answers = dict.fromkeys(("w/a", "w/b", "w/c"), "never")
    async with asyncio.timeout(2):
        assert await chosen(selection, member, "s", "select:min:get_load", 0.05) in {"a", "b", "c"}
    assert hub.running == 0


async def test_select_skips_those_without_the_function(
    selection: Selection, hub: FakeHub, member: Context, three: None
) -> None:
    assert await chosen(selection, member, "s", "select:min:other") in {"a", "b", "c"}
    assert hub.calls == []


async def test_select_asks_many_with_a_bound(
    selection: Selection, hub: FakeHub, register: Register, member: Context
) -> None:
    for number in range(200):
        register(f"w/c{number}:s")
        hub.answers[f"w/c{number}"] = number
    await chosen(selection, member, "s", "select:min:load")
    assert len(hub.calls) == 64
    assert hub.most_running <= MAX_ASKED_AT_ONCE


def described() -> dict[str, Any]:
    def method(name: str) -> dict[str, Any]:
        return {"_rtype": "method", "_rtarget": "w/a", "_rname": name, "_rschema": {"name": name}}

    return {
        "id": "svc_one",
        "name": "svc_one",
        "config": {
            "visibility": "protected",
            "authorized_workspaces": ["elsewhere"],
            "require_context": True,
        },
        "do_it": method("do_it"),
        "inner": {"doMore": method("doMore")},
    }


@pytest.fixture
def directory(registry: Registry, selection: Selection, hub: FakeHub) -> Directory:
    manager = {
        "id": "default",
        "name": "Workspace manager",
        "config": {},
        "list_services": {"_rtype": "method"},
    }
    unused: Any = None
    calling = Calling(registry, selection, unused, hub, "http://host:1")
    return Directory(calling, "http://host:1", lambda: manager)


@pytest.mark.spec("wire-14")
async def test_get_service_completes_what_the_provider_says(
    directory: Directory, hub: FakeHub, register: Register, member: Context
) -> None:
    register("w/a:svc_one", config={"authorized_workspaces": ["elsewhere"]})
    hub.answers["w/a"] = described()
    service = await directory.get_service("svc_one", member, LookupOptions())
    assert service["id"] == "w/a:svc_one"
    assert service["config"] == {
        "visibility": "protected",
        "authorized_workspaces": ["elsewhere"],
        "require_context": True,
        "workspace": "w",
        "url": "http://host:1/w/services/a:svc_one",
    }
    assert hub.calls == [("w/a", "services.built-in.get_service", None)]


async def test_authorized_workspaces_are_not_shown_to_guests(
    directory: Directory, hub: FakeHub, register: Register, stranger: Context
) -> None:
    register("w/a:svc_one", config={"authorized_workspaces": ["elsewhere"]})
    hub.answers["w/a"] = described()
    service = await directory.get_service("w/svc_one", stranger, LookupOptions())
    assert "authorized_workspaces" not in service["config"]


@pytest.mark.spec("core-R10")
@pytest.mark.parametrize(("case", "names"), [("camel", ("doIt", "doMore")), ("snake", ("do_it", "do_more"))])
async def test_case_conversion_renames_functions(
    directory: Directory, hub: FakeHub, register: Register, member: Context, case: str, names: tuple[str, str]
) -> None:
    register("w/a:svc_one")
    hub.answers["w/a"] = described()
    options = LookupOptions.parse({"case_conversion": case})
    service = await directory.get_service("svc_one", member, options)
    assert service[names[0]]["_rname"] == service[names[0]]["_rschema"]["name"] == names[0]
    assert service["inner"][names[1]]["_rname"] == names[1]
    assert "require_context" in service["config"] and service["name"] == "svc_one"


class Watched(dict[str, Any]):
    """Notes which thread looks at it."""

    thread = 0

    def items(self) -> Any:
        self.thread = threading.get_ident()
        return super().items()


@pytest.mark.parametrize("count", [10, 10_000])
async def test_many_functions_are_renamed_beside_the_event_loop(
    directory: Directory, hub: FakeHub, register: Register, member: Context, count: int
) -> None:
    register("w/a:svc_one")
    inner = Watched(do_it=1)
    hub.answers["w/a"] = {**described(), "watched": inner, "many": {f"do_{n}": {} for n in range(count)}}
    service = await directory.get_service("svc_one", member, LookupOptions(case_conversion="camel"))
    assert len(service["many"]) == count and "do9" in service["many"]
    assert (inner.thread == threading.get_ident()) is (count < 1000)


@pytest.mark.spec("core-M16", "wire-34")
@pytest.mark.parametrize("text", ["~", "w/~", "elsewhere/~"])
async def test_tilde_is_the_manager(directory: Directory, member: Context, text: str) -> None:
    assert "list_services" in await directory.get_service(text, member, LookupOptions())
    info = await directory.get_service_info(text, member, LookupOptions())
    assert info["id"] == "~" and "list_services" in info["service_schema"]


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (CallTimedOut("x"), CallTimedOut, "TimeoutError: w/a did not hand over its service s within 10 s"),
        (
            CallFailed("KeyError: 'Service not found: s'"),
            ServiceNotFound,
            "KeyError: Service not found: w/a:s@*",
        ),
        (CallFailed("Boom"), CallFailed, "RemoteException: Boom"),
        ("text", CallFailed, "RemoteException: w/a gave something that is no service"),
        (None, CallFailed, "RemoteException: w/a gave something"),
    ],
)
async def test_providers_that_fail(
    directory: Directory, hub: FakeHub, register: Register, member: Context, answer: Any, kind: Any, text: str
) -> None:
    register("w/a:s")
    hub.answers["w/a"] = answer
    with pytest.raises(kind) as caught:
        await directory.get_service("s", member, LookupOptions())
    assert caught.value.rpc_text.startswith(text)
    assert not any(
        word in text for word in ("Peer", "Method not found", "Session not found", "Connection was")
    )


async def test_protected_service_is_not_even_asked_for(
    directory: Directory, hub: FakeHub, register: Register, stranger: Context
) -> None:
    register("w/a:s")
    with pytest.raises(PermissionDenied):
        await directory.get_service("w/a:s", stranger, LookupOptions())
    with pytest.raises(PermissionDenied):
        await directory.get_service_info("w/a:s", stranger, LookupOptions())
    assert hub.calls == []


@pytest.mark.parametrize(
    "config",
    ["x", {"mode": 5}, {"timeout": 0}, {"timeout": "5"}, {"timeout": float("inf")}, {"select_timeout": -1},
     {"case_conversion": "kebab"}],
)  # fmt: skip
def test_wrong_options_are_refused(config: Any) -> None:
    with pytest.raises(InvalidRequest):
        LookupOptions.parse(config)


def test_keywords_complete_the_config() -> None:
    options = LookupOptions.parse({"mode": "first", "webrtc": True}, {"timeout": 3, "mode": None})
    assert options == LookupOptions("first", 3.0)
