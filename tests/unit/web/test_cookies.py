"""Cookies, read in one way everywhere."""

from __future__ import annotations

import pytest

from hypha.errors import NotAuthenticated
from hypha.web.cookies import cookies_of, credential_cookie


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"access_token=x", [(b"access_token", b"x")]),
        (b'a="1"; b=2;c=3', [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]),
        (b"=access_token=x", []),
        (b"access_token =x", []),
        (b"access token=x", []),
        (b"access_token", []),
        (b'"access_token"=x', []),
        (b"a=b=c; ; a=", [(b"a", b"b=c"), (b"a", b"")]),
        (b'a="; b="x', [(b"a", b'"'), (b"b", b'"x')]),
        (b"", []),
    ],
)
def test_cookies_are_read_by_their_grammar(header: bytes, found: list[tuple[bytes, bytes]]) -> None:
    assert cookies_of({b"cookie": header}) == found


def test_a_credential_that_comes_twice_and_differently_is_refused() -> None:
    assert credential_cookie({b"cookie": b"t=1; u=2; t=1; t="}, b"t") == "1"
    assert credential_cookie({b"cookie": b"u=2"}, b"t") is None
    with pytest.raises(NotAuthenticated, match="sign in again"):
        credential_cookie({b"cookie": b"t=1; t=2"}, b"t")


def test_a_long_header_of_many_cookies_is_read_in_one_go() -> None:
    assert len(cookies_of({b"cookie": b"a=1;" * 20_000})) == 20_000
    assert cookies_of({b"cookie": b";" * 50_000 + b"=" * 50_000}) == []
