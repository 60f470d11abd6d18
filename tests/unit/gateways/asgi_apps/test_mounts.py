"""Choosing functions, checking answers, and who may call a request's functions back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import User, root_user
from hypha.errors import FunctionNotFound, InvalidArguments, InvalidRequest, LimitReached, NotFound
from hypha.gateways.asgi_apps.answers import as_headers, mounted_location
from hypha.gateways.asgi_apps.cookies import AppCookies
from hypha.gateways.asgi_apps.functions import choose_function
from hypha.gateways.asgi_apps.mount import Visit, is_own, places_of, visit_of
from hypha.hub import callbacks
from hypha.hub.callbacks import Session, Sessions
from hypha.registry.records import ServiceRecord
from hypha.web.credentials import http_anonymous_user
from hypha.web.function_pages import as_status, is_answer

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


def test_headers_of_answers() -> None:
    assert as_headers({"X-A": 1, "X-B": ["1", b"2"]}) == [(b"x-a", b"1"), (b"x-b", b"1"), (b"x-b", b"2")]
    dropped = [["Connection", "close"], ["Access-Control-Allow-Origin", "*"], ["Content-Length", "5"]]
    assert as_headers(dropped) == []
    assert as_headers([[b"content-length", b"5"]], keep_length=True) == [(b"content-length", b"5")]
    assert as_headers([["content-length", "5,6"]], keep_length=True) == []
    for bad in (
        5,
        [["a"]],
        [["a", "b\r\nc: d"]],
        [["a\n", "b"]],
        [["set-cookie ", "a=b"]],
        [["a", "ü€"]],
        [["a", "b"]] * 201,
    ):
        with pytest.raises(InvalidRequest):
            as_headers(bad)


@pytest.mark.parametrize("status", [100, 199, 600, "200", True, None, 1e3])
def test_odd_statuses_are_refused(status: Any) -> None:
    with pytest.raises(InvalidRequest):
        as_status(status)


def test_other_values_than_answers_are_told_apart() -> None:
    assert not is_answer(5) and not is_answer({"other": 1}) and not is_answer({})
    assert is_answer({"status": 204}) and is_answer({"body": "x", "other": 1})


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


def test_the_paths_of_a_request_are_kept_as_they_were_sent() -> None:
    scope = {"raw_path": b"/base/w/apps/c%3As/a%2Fb/c?x=1"}
    places = places_of(scope, "/base/w/apps/c:s", "/a/b/c")
    assert places == (b"/base/w/apps/c%3As", b"/a%2Fb/c")
    assert places_of({}, "/w/apps/s", "/a b") == (b"/w/apps/s", b"/a%20b")


@pytest.mark.parametrize("raw", [b"/w%2Fapps%2Fs/x", b"/w/apps%2Fs/x/", b"/w/apps/s%2fx", b"/w/apps/s%2Fx/y"])
def test_an_address_that_browsers_read_otherwise_is_not_found(raw: bytes) -> None:
    with pytest.raises(NotFound):
        places_of({"raw_path": raw}, "/w/apps/s", "/x")


def record(user_id: str, workspace: str = "team") -> ServiceRecord:
    return ServiceRecord(workspace, "client", "web", user_id=user_id)


def test_code_is_of_who_registered_it_whatever_its_workspace() -> None:
    anna = User("anna", scope=Scope({"ws-user-anna": Level.ADMIN, "team": Level.ADMIN}))
    assert is_own(anna, record("anna"))
    assert is_own(anna, record("anna", "ws-user-bert"))
    assert not is_own(anna, record("bert"))
    assert not is_own(anna, record("bert", "ws-user-anna"))
    only_team = User("anna", scope=Scope({"team": Level.ADMIN}))
    assert not is_own(only_team, record("bert"))
    assert not is_own(User("child", parent="anna"), record("anna"))
    assert not is_own(anna, record("child"))
    assert not is_own(root_user(), record("anna"))
    assert not is_own(anna, record(""))
    assert not is_own(http_anonymous_user(), record(http_anonymous_user().id))


COOKIES = AppCookies.of("anna", "team", "web", b"/team/apps/web", b"/team/apps/web")
SID = (COOKIES.prefix + b"sid=1").decode()


def visit(headers: dict[str, str], *, own: bool = False, raw_path: bytes = b"/", **scope: Any) -> Visit:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    whole = {"headers": pairs, "hypha.headers": dict(pairs), "hypha.token": "secret-token-of-anna", **scope}
    return visit_of(whole, COOKIES, lambda text: False, is_own_code=own, raw_path=raw_path)


def test_only_own_code_sees_a_credential() -> None:
    headers = {
        "authorization": "Bearer secret-token-of-anna",
        "cookie": f"access_token=x; {SID}; mine=secret-token-of-anna; app-other-sid=2; theme=dark",
        "x-mine": "1",
    }
    query = {
        "query_string": b"token=secret-token-of-anna&a=1",
        "subprotocols": ["chat", "secret-token-of-anna"],
    }
    seen = visit(headers, own=True, **query)
    assert dict(seen.headers)[b"authorization"] == b"Bearer secret-token-of-anna"
    assert dict(seen.headers)[b"cookie"] == b"access_token=x; mine=secret-token-of-anna; theme=dark; sid=1"
    assert (seen.query_string, seen.subprotocols) == (query["query_string"], ("chat", "secret-token-of-anna"))
    seen = visit(headers, **query)
    assert dict(seen.headers) == {b"x-mine": b"1", b"cookie": b"theme=dark; sid=1"}
    assert (seen.query_string, seen.subprotocols) == (b"a=1", ("chat",))
    with pytest.raises(InvalidRequest, match="holds a token"):
        visit(headers, raw_path=b"/a/secret-token%2Dof-anna")


@pytest.mark.parametrize(
    "mark",
    [
        {"user-agent": "Mozilla/5.0"},
        {"origin": "https://x"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-mode": "cors"},
    ],
)
def test_a_browser_sends_an_application_only_what_it_set_itself(mark: dict[str, str]) -> None:
    seen = visit({"cookie": f"theme=dark; {SID}", **mark})
    assert dict(seen.headers)[b"cookie"] == b"sid=1"
    assert b"cookie" not in dict(visit({"cookie": "theme=dark", **mark}).headers)


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
