"""What a browser context is made with."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.workers.browser.options import context_options, cookies_of, storage_script


def test_the_operators_variables_are_read() -> None:
    options = context_options(
        {
            "PLAYWRIGHT_VIEWPORT_WIDTH": "800",
            "PLAYWRIGHT_PERMISSIONS": "camera, clipboard-read",
            "PLAYWRIGHT_GEOLOCATION_LATITUDE": "59.3",
            "PLAYWRIGHT_GEOLOCATION_LONGITUDE": "18",
            "PLAYWRIGHT_IS_MOBILE": "true",
            "PLAYWRIGHT_EXTRA_HTTP_HEADERS": '{"x-a": 1}',
            "PLAYWRIGHT_HTTP_USERNAME": "u",
        },
        {},
    )
    assert options == {
        "viewport": {"width": 800, "height": 720},
        "accept_downloads": False,
        "permissions": ["camera", "clipboard-read"],
        "is_mobile": True,
        "extra_http_headers": {"x-a": "1"},
        "geolocation": {"latitude": 59.3, "longitude": 18.0},
        "http_credentials": {"username": "u", "password": ""},
    }


def test_a_manifest_adds_to_what_the_operator_has_set() -> None:
    options = context_options(
        {"PLAYWRIGHT_EXTRA_HTTP_HEADERS": '{"x-a": "1"}'},
        {"extra_http_headers": {"x-b": 2}, "bypass_csp": True, "ignore_https_errors": "yes"},
    )
    assert options["extra_http_headers"] == {"x-a": "1", "x-b": "2"}
    assert options["bypass_csp"] is True and "ignore_https_errors" not in options


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("VIEWPORT_WIDTH", "wide"),
        ("IS_MOBILE", "perhaps"),
        ("EXTRA_HTTP_HEADERS", "[]"),
        ("EXTRA_HTTP_HEADERS", "{"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"PLAYWRIGHT_{name}"):
        context_options({f"PLAYWRIGHT_{name}": text}, {})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"a": 1}, [{"name": "a", "value": "1", "domain": "h.org", "path": "/"}]),
        (
            [{"name": "a", "value": "b", "domain": "x.org", "path": "/p", "secure": True, "odd": 1}],
            [{"name": "a", "value": "b", "domain": "x.org", "path": "/p", "secure": True}],
        ),
        (None, []),
    ],
)
def test_cookies_are_for_the_host_that_is_opened_unless_they_name_another(asked: Any, found: Any) -> None:
    assert cookies_of({"cookies": asked}, "https://h.org/x") == found


@pytest.mark.parametrize("asked", ["a=b", [1], [{"value": "no name"}]])
def test_odd_cookies_are_refused(asked: Any) -> None:
    with pytest.raises(ValueError, match="cookies is"):
        cookies_of({"cookies": asked}, "https://h.org")


def test_storages_are_filled_on_one_origin_alone() -> None:
    script = storage_script({"local_storage": {"a": "</x>"}}, "https://h.org/page?x#y")
    assert script is not None and 'new URL("https://h.org").origin' in script and '"</x>"' in script
    assert storage_script({}, "https://h.org") is None
    with pytest.raises(ValueError, match="session_storage"):
        storage_script({"session_storage": ["a"]}, "https://h.org")
