"""Where people may be led after signing in."""

from __future__ import annotations

import pytest

from hypha.errors import InvalidRequest
from hypha.settings import Settings
from hypha.web.destinations import Destinations, is_workspace_word
from hypha.web.origins import Origins

SCOPE = {"type": "http", "scheme": "http"}
HEADERS = {b"host": b"hub.example:8000"}


def checked(target: str, **options: str) -> str:
    settings = Settings(**options)  # type: ignore[arg-type]
    destinations = Destinations.from_settings(settings, Origins("https://hub.example"))
    return destinations.checked(target, SCOPE, HEADERS)


def opener(origin: str) -> str:
    settings = Settings(allow_origins="https://lab.example,*")
    destinations = Destinations.from_settings(settings, Origins("https://hub.example"))
    return destinations.opener(origin, SCOPE, HEADERS)


@pytest.mark.parametrize(
    ("target", "goal"),
    [
        ("", ""),
        ("/", "/"),
        ("/api-docs", "/api-docs"),
        ("/public", "/public"),
        ("/ws-user-ann/", "/ws-user-ann/"),
        ("/ws-user-lab%7Cann?tab=tokens", "/ws-user-lab%7Cann?tab=tokens"),
        ("/ws-user-ann/#services/c:s/f", "/ws-user-ann/#services/c:s/f"),
        ("/ws-user-ann/apps/dash/", "/ws-user-ann/apps/dash/"),
        ("/ws-user-ann/apps/dash", "/ws-user-ann/apps/dash/"),
        ("http://hub.example:8000/public/", "/public/"),
        ("https://hub.example/public/", "/public/"),
        ("https://HUB.example:443/public/", "/public/"),
    ],
)
def test_pages_are_destinations(target: str, goal: str) -> None:
    assert checked(target) == goal


@pytest.mark.parametrize(
    "target",
    [
        "/ws-user-ann/services/ws/create_workspace?overwrite=true",
        "/ws-user-ann/services/ws/get_env",
        "/ws-user-ann/services/",
        "/ws-user-ann/info",
        "/public/services/hypha-login/logout",
        "/rpc?client_id=x",
        "/ws",
        "/oauth/authorize?client_id=x",
        "/oidc/lab/start",
        "/s3/bucket/",
        "/triton/v2/repository/index",
        "/health",
        "/assets/config.json",
        "/login?redirect=/public",
        "/ws-user-ann/apps",
        "http://hub.example:8000/ws-user-ann/services/ws/get_env",
    ],
)
def test_what_is_no_page_becomes_the_front_page(target: str) -> None:
    assert checked(target) == "/"


def test_an_application_is_entered_by_its_front_page_only() -> None:
    for inside in ("run?cmd=wipe", "?cmd=wipe", "#wipe", "a/b/c"):
        assert checked(f"/ws-user-ann/apps/my%20dash/{inside}") == "/ws-user-ann/apps/my%20dash/"
    assert checked("/public/apps/hypha-login/?logout=1") == "/public/apps/hypha-login/"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "http://hub.example/",
        "http://hub.example:8001/",
        "https://hub.example.evil/",
        "https://hub.example@evil.example/",
        "https://evil.example\\@hub.example/",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "http:/evil.example",
        "http:evil.example",
        "https:///evil.example",
        "javascript:alert(1)",
        "JaVaScRiPt://hub.example/%0aalert(1)",
        "data:text/html,x",
        "public",
        "../ws-user-ann/services/ws/get_env",
        "?redirect=x",
        "/ws-user-ann%2Fservices%2Fws%2Fget_env",
        "/ws-user-ann/%5Cservices",
        "/ws-user-ann%252Fservices",
        "/%2F%2Fevil.example",
        "/public/../ws-user-ann/services/ws/get_env",
        "/public/%2e%2e/ws-user-ann",
        "/public//evil.example",
        "/%0d%0aX-Header: y",
        "/%0d%0aX-Header: y\r\n",
        "/" * 2001,
        "/" + "a" * 2001,
        "http://[::1",
    ],
)
def test_what_leads_elsewhere_or_hides_where_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequest):
        checked(target)


def test_friends_and_folders_of_the_operator_are_destinations() -> None:
    origins = {"allow_origins": "https://lab.example/,*"}
    assert checked("https://lab.example/next?a=1", **origins) == "https://lab.example/next?a=1"
    for wrong in ("http://lab.example/", "https://lab.example.evil/", "https://lab.example@evil/"):
        with pytest.raises(InvalidRequest):
            checked(wrong, **origins)
    mounts = {"static_mounts": ("/tools:./webtools",)}
    assert checked("/tools/viewer.html?a=1", **mounts) == "/tools/viewer.html?a=1"  # type: ignore[arg-type]
    assert checked("/other/viewer.html") == "/"


@pytest.mark.parametrize(
    "origin", ["", "https://hub.example", "http://hub.example:8000", "https://Lab.example"]
)
def test_pages_of_this_server_and_of_friends_may_open_ours(origin: str) -> None:
    assert opener(origin) == origin.lower()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://hub.example.evil",
        "https://hub.example@evil.example",
        "https://lab.example/",
        "https://lab.example:443",
        "http://lab.example",
        "//lab.example",
        "null",
        "*",
        " https://lab.example",
    ],
)
def test_pages_of_others_are_not_told_anything(origin: str) -> None:
    with pytest.raises(InvalidRequest, match="does not know"):
        opener(origin)


def test_what_is_outside_of_the_base_path_is_no_page_of_ours() -> None:
    base = {"base_path": "/my/hub"}
    assert checked("/my/hub/public/", **base) == "/my/hub/public/"
    assert checked("/my/hub", **base) == "/my/hub/"
    for other in ("/public/", "/my/hub2/public", "/my/hub/ws-a-b/services/x/y"):
        assert checked(other, **base) == "/my/hub/"


def test_which_words_are_workspaces() -> None:
    assert [
        word for word in ("public", "ws-user-a", "api-docs", "rpc", "", "login") if is_workspace_word(word)
    ] == [
        "public",
        "ws-user-a",
    ]
