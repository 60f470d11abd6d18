"""Choosing functions, checking answers, and who may call a request's functions back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User, root_user
from hypha.errors import FunctionNotFound, InvalidArguments, InvalidRequest, LimitReached
from hypha.gateways.asgi_apps.answers import as_headers, as_status, mounted_location
from hypha.gateways.asgi_apps.functions import as_answer, choose_function, page_functions
from hypha.gateways.asgi_apps.mount import is_own, relative_raw_path
from hypha.hub import callbacks
from hypha.hub.callbacks import Session, Sessions
from hypha.registry.schema import local_service

FUNCTION = {"type": "function", "function": {}}
TREE = {
    "index": FUNCTION,
    "a": {"b": FUNCTION, "index": FUNCTION, "c": {"d": FUNCTION}},
    "answer": 42,
    "default": FUNCTION,
}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "index"),
        ("/a/b", "a.b"),
        ("/a", "a.index"),
        ("/a/", "a.index"),
        ("/a/c/d", "a.c.d"),
        ("/a/c", "default"),
        ("/answer", "default"),
        ("/a/b/c", "default"),
        ("/index", "index"),
    ],
)
def test_a_path_chooses_a_function(path: str, name: str) -> None:
    assert choose_function(TREE, path) == name


def test_without_a_default_nothing_is_chosen() -> None:
    assert choose_function({"f": FUNCTION}, "/g") is None
    assert choose_function({"f": FUNCTION}, "/") is None


def test_only_functions_that_take_an_event_are_pages_of_the_server() -> None:
    class Service:
        async def index(self, event: dict[str, Any], *, context: Context) -> None:
            """The page."""

        async def report(self, key: str, *, context: Context) -> None:
            """No page."""

    assert list(page_functions(local_service(Service(), id="x"))) == ["index"]


def test_headers_of_answers() -> None:
    assert as_headers({"X-A": 1, "X-B": ["1", b"2"]}) == [(b"x-a", b"1"), (b"x-b", b"1"), (b"x-b", b"2")]
    dropped = [["Connection", "close"], ["Access-Control-Allow-Origin", "*"], ["Content-Length", "5"]]
    assert as_headers(dropped) == []
    assert as_headers([[b"content-length", b"5"]], keep_length=True) == [(b"content-length", b"5")]
    assert as_headers([["content-length", "5,6"]], keep_length=True) == []
    assert as_headers([["Set-Cookie", " access_token=x"], ["set-cookie", "b=1"]]) == [(b"set-cookie", b"b=1")]
    for bad in (5, [["a"]], [["a", "b\r\nc: d"]], [["a\n", "b"]], [["a", "ü€"]], [["a", "b"]] * 201):
        with pytest.raises(InvalidRequest):
            as_headers(bad)


@pytest.mark.parametrize("status", [100, 199, 600, "200", True, None, 1e3])
def test_odd_statuses_are_refused(status: Any) -> None:
    with pytest.raises(InvalidRequest):
        as_status(status)


def test_plain_values_are_answered_as_json() -> None:
    assert as_answer(5)[2] == b"5"
    assert as_answer({"other": 1})[2] == b'{"other":1}'
    assert as_answer({"status": 204}) == (204, [], None)


def test_only_redirects_to_the_same_path_move_below_the_mount() -> None:
    scope = {"headers": [(b"host", b"here:1")]}
    for location, expected in (
        (b"http://here:1/x/?a=1", b"http://here:1/w/apps/s/x/?a=1"),
        (b"/x/", b"/w/apps/s/x/"),
        (b"/other", b"/other"),
        (b"http://there/x/", b"http://there/x/"),
    ):
        assert mounted_location([(b"location", location)], scope, "/w/apps/s", "/x") == [
            (b"location", expected)
        ]


def test_raw_paths_are_relative_to_the_mount() -> None:
    scope = {"raw_path": b"/base/w/apps/c%3As/a%2Fb/c?x=1"}
    assert relative_raw_path(scope, "/base/w/apps/c:s", "/a/b/c") == b"/a%2Fb/c"
    assert relative_raw_path({}, "/w/apps/s", "/a b") == b"/a%20b"


def test_whose_code_may_see_a_credential() -> None:
    def user(**levels: Level) -> User:
        return User("anna", scope=Scope({name.replace("_", "-"): level for name, level in levels.items()}))

    assert is_own(user(), "ws-user-anna")
    assert is_own(user(team_a=Level.READ), "team-a")
    assert not is_own(user(team_a=Level.READ, team_b=Level.ADMIN), "team-a")
    assert not is_own(user(), "ws-user-eve")
    assert not is_own(root_user(), "ws-user-eve")


@dataclass
class Lab:
    """One open session and what was called in it."""

    sessions: Sessions
    session: Session
    seen: list[Any]


@pytest.fixture
def lab() -> Lab:
    seen: list[Any] = []

    async def send(event: Any) -> str:
        seen.append(event)
        return "taken"

    sessions = Sessions()
    return Lab(sessions, Session(sessions, "w-1/app", "w-2/http", "http://x", {"send": send}), seen)


async def test_only_the_callee_may_call_back_and_only_while_the_call_runs(lab: Lab) -> None:
    assert lab.sessions.find(lab.session.id, "w-1/app") is None
    with lab.session:
        assert lab.sessions.find(lab.session.id, "w-1/app") is lab.session
        for other in ("w-1/other", "w-2/app", ""):
            assert lab.sessions.find(lab.session.id, other) is None
        assert await lab.session.call("send", ["x"], {}) == "taken"
        with pytest.raises(FunctionNotFound):
            await lab.session.call("other", [], {})
        with pytest.raises(InvalidArguments):
            await lab.session.call("send", ["x"], {"context": 1})
        with pytest.raises(InvalidArguments):
            await lab.session.call("send", ["x", "y"], {})
    assert lab.sessions.find(lab.session.id, "w-1/app") is None
    assert lab.seen == ["x"]


async def test_running_calls_of_a_session_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MAX_RUNNING_PER_SESSION", 0)
    with pytest.raises(LimitReached):
        await lab.session.call("send", ["x"], {})
