"""Function values in frames between clients with different rights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgpack
import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import User, anonymous_user
from hypha.hub.client import Client
from hypha.wire.frames import encode, payload
from tests.kit.clock import Clock
from tests.kit.world import FakeLink, World

MAIN = {"type": "method", "to": "w/b", "method": "services.s.f", "session": "S"}


def function(target: Any, name: str = "session.f", **more: Any) -> dict[str, Any]:
    return {"_rtype": "method", "_rtarget": target, "_rmethod": name, **more}


def send(world: World, sender: Client, value: Any, **main: Any) -> None:
    world.send(sender, {"from": sender.address, **MAIN, **main}, {"args": [value], "promise": "*"})


@pytest.mark.parametrize("target", ["x", "other/x"])
async def test_a_sender_may_name_itself(world: World, target: str) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    send(world, x, [function(target), {"deep": function(target)}])
    assert len(lb.frames) == 1
    assert lx.frames == []


@pytest.mark.parametrize(
    "value",
    [
        function("w/b", "services.s.secret"), function("w/c"), function("*/manager-x"), function("c"),
        function("other/c"), function("other"), function(""), function(None), {"_rtype": "method"},
        function("b"), {"_rmethod": "services.x.y"}, function("other/x\0"), function("OTHER/x"),
        [function("x"), function("w/c")], function("other/b", "services.s.f"),
    ],
)  # fmt: skip
async def test_a_sender_of_another_workspace_may_name_nobody_else(world: World, value: Any) -> None:
    x, lx = world.join("x", "other")
    world.join("c", "other")
    _, lb = world.join("b")
    # what has no target is no function to a library; it is only found beside one that has
    send(world, x, [value, function("nobody/at-all")])
    assert lb.frames == []
    assert (lx.frames[0]["method"], lx.frames[0]["from"]) == ("S.reject", "w/b")
    assert lx.frames[0]["args"][0]["_rvalue"].startswith("PermissionError: ")


async def test_a_workspace_named_like_a_client_of_the_receiver_names_nobody(world: World) -> None:
    x, _ = world.join("lab", "lab")
    world.join("lab")
    _, lb = world.join("b")
    send(world, x, function("lab"))
    assert lb.frames == []
    send(world, x, function("lab/lab"))
    assert len(lb.frames) == 1


async def test_a_callback_of_the_receiver_may_go_back_to_it_but_no_service(world: World) -> None:
    x, _ = world.join("x", "other")
    _, lb = world.join("b")
    send(world, x, function("w/b", "its-secret.callback"))
    assert len(lb.frames) == 1
    send(world, x, function("w/b", "its-secret.callback", _rclose_method="services.s.secret"))
    assert len(lb.frames) == 1


def packed_key(form: str) -> bytes:
    return {
        "fixstr": b"\xa8", "str8": b"\xd9\x08", "str16": b"\xda\x00\x08", "str32": b"\xdb\x00\x00\x00\x08"
    }[form] + b"_rtarget"  # fmt: skip


@pytest.mark.parametrize("form", ["fixstr", "str8", "str16", "str32"])
@pytest.mark.parametrize("size", [0, 10_000, 300_000])
async def test_however_the_key_is_packed_and_however_large_the_frame(
    world: World, form: str, size: int
) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    pad = msgpack.packb(bytes(size))
    main = msgpack.packb({"from": x.address, **MAIN})
    for target in ("other/c", "other/x"):
        value = b"\x82" + msgpack.packb("_rmethod") + msgpack.packb("a.b")
        value += packed_key(form) + msgpack.packb(target)
        body = b"\x81" + msgpack.packb("args") + b"\x92" + pad + value
        data = memoryview(main + body)
        world.hub.route(x, data)
        assert len(lb.frames) == (0 if target == "other/c" else 1)
    assert [frame["method"] for frame in lx.frames] == ["S.reject"]


async def test_text_and_bytes_that_only_look_like_functions_pass(world: World) -> None:
    x, _ = world.join("x", "other")
    _, lb = world.join("b")
    dump = msgpack.packb(function("w/c", "services.s.f"))
    for value in ("_rtarget", b"_rtarget\xa3w/c", dump, ["_rtarget", "w/c"], {"a": "_rtarget"}):
        send(world, x, value)
    assert len(lb.frames) == 5


async def test_what_cannot_be_read_is_refused_with_the_reason(world: World) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    send(world, x, [function("w/c"), [[]] * 20_000])
    assert "more than 20,000 values" in lx.frames[0]["args"][0]["_rvalue"]
    deep: Any = function("w/c")
    for _ in range(150):
        deep = [deep]
    send(world, x, deep)
    assert "nested deeper" in lx.frames[1]["args"][0]["_rvalue"]
    send(world, x, [[[]] * 20_000, function("other/x")])
    assert len(lb.frames) == 1, "its own is found without unpacking the rest"


async def test_members_of_a_workspace_name_each_other_but_neither_the_server_nor_others(world: World) -> None:
    a, la = world.join("a")
    world.join("c")
    _, lb = world.join("b")
    send(
        world, a, [function("w/c", "services.s.f"), function("b", "s.f"), function("w/gone", "services.x.y")]
    )
    assert len(lb.frames) == 1
    world.hub.peers.add_everywhere("http-1", SimpleNamespace())
    world.hub.peers.add(SimpleNamespace(address="w/srv"))
    for target in ("*/manager-x", "other/c", "w/http-1", "srv", "w/srv"):
        send(world, a, function(target, "services.s.f"))
    assert len(lb.frames) == 1
    assert [frame["method"] for frame in la.frames] == ["S.reject"] * 5


async def test_an_answer_with_a_foreign_function_ends_the_call_with_the_reason(world: World) -> None:
    a, la = world.join("a")
    x, _ = world.join("x", "other")
    world.call(a, "other/x")
    main = {"type": "method", "from": "other/x", "to": "w/a", "method": "S.resolve"}
    world.send(x, main, {"args": [function("w/c", "services.s.wipe")]})
    assert (la.frames[0]["method"], la.frames[0]["from"]) == ("S.reject", "other/x")
    assert not x.pending


async def test_a_callback_with_a_foreign_function_is_refused_to_its_caller(world: World) -> None:
    _, la = world.join("a")
    x, lx = world.join("x", "other")
    send(world, x, function("w/c", "services.s.wipe"), to="w/a", method="P.progress")
    assert la.frames == []
    assert lx.frames[0]["method"] == "S.reject"


async def test_a_call_without_session_gets_one_when_it_comes_from_somebody_else(world: World) -> None:
    """So that what the receiver calls on its behalf can be told from what it calls by itself."""
    x, _ = world.join("x", "other")
    b, lb = world.join("b")
    main = {key: value for key, value in MAIN.items() if key != "session"}
    for sender in (x, twin_of(world, b, "b2")):
        world.send(sender, {"from": sender.address, **main}, {"args": [1]})
    assert lb.frames[0]["session"]
    assert lb.frames[0]["from"] == "other/x"
    assert "session" not in lb.frames[1]
    assert not b.pending


def twin_of(world: World, client: Client, client_id: str) -> Client:
    twin: Client = world.hub.join(client.workspace, client_id, client.user, None, FakeLink())
    world.hub.resume.open(twin)
    return twin


async def test_clients_with_the_same_rights_are_not_looked_into(world: World) -> None:
    b, lb = world.join("b")
    twin = twin_of(world, b, "b2")
    assert twin.rights is b.rights
    send(world, twin, function("*/manager-x", "services.default.echo"))
    assert len(lb.frames) == 1


def test_rights_differ_by_workspace_person_role_and_level() -> None:
    user = anonymous_user()
    seen = set()
    for workspace in ("v", "w"):
        for level in (1, 2, 3):
            acting = user.within("w", "c", Level(level))
            seen.add(Client(Clock(), workspace, "c", acting, None).rights)
    assert len(seen) == 6


@pytest.mark.parametrize("form", ["small", "large", "dense"])
@pytest.mark.parametrize("key", ["_rmethod", "_rclose_method"])
async def test_nobody_has_an_answer_sent_to_a_service(world: World, key: str, form: str) -> None:
    a, la = world.join("a")
    _, lb = world.join("b")
    good = {"resolve": function("w/a", "S.resolve"), "interval": 1.0}
    padding = {"small": 1, "large": bytes(10_000), "dense": [1] * 10_000}[form]
    for promise in ({"resolve": {**good["resolve"], key: "services.default.echo"}}, good):  # type: ignore[dict-item]
        frame = encode({"from": "w/a", **MAIN}, {"args": [padding], "promise": promise})
        world.hub.route(a, bytes(payload(frame)))
    assert len(lb.frames) == 1
    assert "an answer goes to a session" in la.frames[0]["args"][0]["_rvalue"]


async def test_a_member_names_no_built_in_function_of_a_neighbour(world: World) -> None:
    x, lx = world.join("x")
    world.join("c")
    _, lb = world.join("b")
    send(world, x, function("w/c", "services.instrument.run"))
    send(world, x, function("w/c", "services.built-in.message_cache.set"))
    assert (len(lb.frames), lx.methods()) == (1, ["S.reject"])


async def test_a_persons_limited_token_is_not_trusted_like_their_own(world: World) -> None:
    full, limited = (
        User("p", scope=Scope({"w": Level.ADMIN}, current)).within("w", "x", Level.ADMIN)
        for current in (None, "w")
    )
    clients = [
        world.hub.join("w", name, user, None, FakeLink()) for name, user in (("f", full), ("l", limited))
    ]
    assert clients[0].rights is not clients[1].rights


@pytest.mark.parametrize("spelling", [b"\xc1\x9frtarget", b"_\xe0\x81\xb2target", b"_rtarge\xf0\x80\x81\xb4"])
@pytest.mark.parametrize("beside", [b"", bytes(300_000), [[]] * 30_000])
async def test_a_key_that_is_longer_than_it_must_be_is_refused(
    world: World, spelling: bytes, beside: Any
) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    mark = b"@" * len(spelling)
    frame = msgpack.packb({"from": x.address, **MAIN})
    frame += msgpack.packb({"args": [beside, {mark.decode(): "w/c"}]})
    world.hub.route(x, frame.replace(mark, spelling))
    assert (lb.frames, lx.methods()) == ([], ["S.reject"])


PROTO = {"__proto__": {"a": 1}}


async def test_what_the_receivers_library_cannot_read_ends_the_call_alone(world: World) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    for value in (PROTO, [{"a": PROTO}], {b"k": 1}, {None: 1}):
        send(world, x, value)
    assert lb.frames == []
    assert [frame["method"] for frame in lx.frames] == ["S.reject"] * 4
    assert "'__proto__'" in lx.frames[0]["args"][0]["_rvalue"]
    send(world, x, {"still": "fine"})
    assert len(lb.frames) == 1


async def test_an_answer_that_cannot_be_read_ends_the_call_with_the_reason(world: World) -> None:
    a, la = world.join("a")
    x, _ = world.join("x", "other")
    world.call(a, "other/x")
    main = {"type": "method", "from": "other/x", "to": "w/a", "method": "S.resolve"}
    world.send(x, main, {"args": [PROTO]})
    assert (la.frames[0]["method"], la.frames[0]["from"]) == ("S.reject", "other/x")
    assert "cannot be read" in la.frames[0]["args"][0]["_rvalue"]
    assert not x.pending


@pytest.mark.parametrize(
    "body",
    [
        {"data": 2**32, "_enc": {"v": 2, "pub": bytes(32), "nonce": bytes(24)}},
        {"data": {"length": 2**32}, "_enc": {"v": 2, "pub": bytes(32), "nonce": bytes(24)}},
        {"data": b"x", "_enc": {"v": 2, "pub": 2**32, "nonce": bytes(24)}},
        {"data": b"x", "_enc": {"v": 2, "pub": bytes(32)}},
    ],
)  # fmt: skip
async def test_what_is_encrypted_is_bytes(world: World, body: dict[str, Any]) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    world.send(x, {"from": x.address, **MAIN}, body)
    assert lb.frames == []
    assert lx.frames[0]["method"] == "S.reject"
    sealed = {"_enc": {"v": 2, "pub": bytes(32), "nonce": bytes(24)}, "data": bytes(60)}
    world.send(x, {"from": x.address, **MAIN}, sealed)
    assert len(lb.frames) == 1


async def test_a_promise_that_cannot_be_read_is_refused_in_calls_of_the_message_cache_too(
    world: World,
) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    main = {"from": x.address, **MAIN, "method": "services.built-in.message_cache.create"}
    world.send(x, main, {"args": ["key", False], "promise": PROTO})
    assert lb.frames == []
    assert lx.frames[0]["method"] == "S.reject"


@pytest.mark.parametrize("key", ["session", "parent"])
@pytest.mark.parametrize("name", ["__proto__", "constructor.prototype._rtype", "services", "message_cache.x"])
async def test_no_session_leads_out_of_the_receivers_store(world: World, key: str, name: str) -> None:
    x, lx = world.join("x", "other")
    _, lb = world.join("b")
    for method in ("services.s.f", "S.resolve", "P.progress", "services.built-in.message_cache.create"):
        send(world, x, 1, **{key: name, "method": method})
    assert lb.frames == []
    assert len(lx.frames) == 3, "an answer to nobody is dropped"


@pytest.mark.parametrize("to", ["*", "b"])
async def test_an_event_that_others_cannot_read_reaches_nobody(world: World, to: str) -> None:
    a, la = world.join("a")
    b, lb = world.join("b")
    world.hub.events.subscribe(b, ["news", "constructor"])
    for main, body in (
        ({"data": PROTO}, None), ({"data": {b"k": 1}}, {"more": 1}), ({}, {"data": PROTO}),
        ({"session": "services"}, {}),
    ):  # fmt: skip
        world.send(a, {"type": "news", "from": a.address, "to": to, **main}, body)
    world.send(a, {"type": "constructor", "from": a.address, "to": to, "session": "S"})
    assert lb.frames == []
    assert la.frames[-1]["method"] == "S.reject"
    world.send(a, {"type": "news", "from": a.address, "to": to, "data": {"fine": [1, {"a": None}]}})
    assert len(lb.frames) == 1
