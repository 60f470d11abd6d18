"""Finding the credential of a request."""

from __future__ import annotations

import base64

import pytest

from hypha.errors import NotAuthenticated
from hypha.web.credentials import is_same_origin, token_of


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({b"authorization": b"Bearer abc"}, "abc"),
        ({b"authorization": b"bearer   abc "}, "abc"),
        ({b"authorization": b"abc"}, "abc"),
        ({b"authorization": b"Basic " + base64.b64encode(b"u:abc")}, "abc"),
        ({b"authorization": b"Basic " + base64.b64encode(b"abc")}, None),
        ({b"authorization": b"Bearer "}, "Bearer"),
        ({b"cookie": b"access_token=abc"}, "abc"),
        ({b"cookie": b'x=1; access_token="abc"'}, "abc"),
        ({b"cookie": b"not_access_token=abc"}, None),
        ({b"cookie": b"access_token="}, None),
        ({b"authorization": b"Bearer one", b"cookie": b"access_token=two"}, "one"),
        ({}, None),
    ],
)
def test_where_a_token_is_found(headers: dict[bytes, bytes], token: str | None) -> None:
    assert token_of(headers) == token


@pytest.mark.parametrize("value", [b"Digest abc", b"Basic !!!", b"Basic " + base64.b64encode(b"\xff\xfe:x")])
def test_a_malformed_credential_is_refused(value: bytes) -> None:
    with pytest.raises(NotAuthenticated):
        token_of({b"authorization": value})


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({b"sec-fetch-site": b"same-origin"}, True),
        ({b"sec-fetch-site": b"none"}, True),
        ({b"sec-fetch-site": b"cross-site"}, False),
        ({b"sec-fetch-site": b"same-site"}, False),
        ({b"origin": b"http://h:1", b"host": b"h:1"}, True),
        ({b"origin": b"http://h:2", b"host": b"h:1"}, False),
        ({b"origin": b"null", b"host": b"h:1"}, False),
        ({b"referer": b"http://H:1/page", b"host": b"h:1"}, True),
        ({b"referer": b"http://evil/h:1", b"host": b"h:1"}, False),
        ({b"origin": b"http://h:1"}, False),
        ({}, True),
        ({b"upgrade-insecure-requests": b"1"}, False),
        ({b"upgrade-insecure-requests": b"1", b"sec-fetch-site": b"none"}, True),
        ({b"upgrade-insecure-requests": b"1", b"referer": b"http://h:1/page", b"host": b"h:1"}, True),
        ({b"upgrade-insecure-requests": b"1", b"referer": b"http://evil/", b"host": b"h:1"}, False),
    ],
)
def test_which_requests_come_from_our_own_pages(headers: dict[bytes, bytes], same: bool) -> None:
    assert is_same_origin(headers) is same
