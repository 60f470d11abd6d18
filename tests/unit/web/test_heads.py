"""The grammar of request heads."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from hypha.errors import InvalidRequest
from hypha.web import heads

KEY = b"MDEyMzQ1Njc4OWFiY2RlZg=="


@pytest.mark.parametrize(
    ("connection", "upgrade", "expected"),
    [
        ([b"Upgrade"], [b"websocket"], True),
        ([b"keep-alive, UPGRADE"], [b"WebSocket"], True),
        ([b"keep-alive", b" upgrade "], [b"h2c", b"websocket"], True),
        ([b"keep-alive"], [b"websocket"], False),
        ([b"upgraded"], [b"websocket"], False),
        ([b"Upgrade"], [b"h2c"], False),
        ([], [b"websocket"], False),
    ],
)
def test_an_offer_is_read_from_lists_over_several_lines(
    connection: list[bytes], upgrade: list[bytes], expected: bool
) -> None:
    pairs = [*((b"connection", line) for line in connection), *((b"upgrade", line) for line in upgrade)]
    assert heads.opens_websocket("GET", "1.1", pairs) is expected
    assert not heads.opens_websocket("POST", "1.1", pairs)
    assert not heads.opens_websocket("GET", "1.0", pairs)


def test_what_belongs_to_an_offer_is_taken_out_and_nothing_else() -> None:
    pairs = [
        (b"host", b"h"),
        (b"connection", b"close, Upgrade , HTTP2-Settings"),
        (b"connection", b"upgrade"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AA"),
        (b"x-upgrade", b"h2c"),
    ]
    assert heads.without_offer(pairs) == [(b"host", b"h"), (b"connection", b"close"), (b"x-upgrade", b"h2c")]


@pytest.mark.parametrize(
    ("hosts", "is_valid"),
    [
        ([b"example.org"], True),
        ([b"example.org:8080"], True),
        ([b"[::1]:9527"], True),
        ([b""], True),  # a target without a host has an empty one (RFC 9112, 3.2)
        ([b"a b"], False),
        ([b"a/b"], False),
        ([b"u@h"], False),
        ([b"h:80x"], False),
        ([b"[::1"], False),
        ([b"h", b"h"], False),
        ([], False),
    ],
)
def test_a_host_is_given_once_and_well_formed(hosts: list[bytes], is_valid: bool) -> None:
    pairs = [(b"host", host) for host in hosts]
    if is_valid:
        heads.check_host("1.1", pairs)
    else:
        with pytest.raises(InvalidRequest):
            heads.check_host("1.1", pairs)
    heads.check_host("1.0", [])


@pytest.mark.parametrize("key", [b"", b"c2hvcnQ=", KEY + b"\xff", b"!" * 24, KEY[:-1]])
def test_a_malformed_key_is_refused(key: bytes) -> None:
    pairs = [(b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)]
    with pytest.raises(InvalidRequest):
        heads.check_websocket(pairs)


def test_the_head_is_bounded_by_target_and_fields() -> None:
    heads.check_size(heads.MAX_TARGET_BYTES, [(b"a", b"b" * 1000)])
    with pytest.raises(HTTPException) as caught:
        heads.check_size(heads.MAX_TARGET_BYTES + 1, [])
    assert caught.value.status_code == 414
    with pytest.raises(HTTPException) as caught:
        heads.check_size(10, [(b"cookie", b"c" * heads.MAX_HEAD_BYTES)])
    assert caught.value.status_code == 431
    heads.check_size(10, [(b"x", b"y")] * heads.MAX_HEAD_FIELDS)
    with pytest.raises(HTTPException) as caught:
        heads.check_size(10, [(b"x", b"y")] * (heads.MAX_HEAD_FIELDS + 1))
    assert caught.value.status_code == 431


def test_offers_of_a_handshake_are_bounded() -> None:
    name, other = b"sec-websocket-protocol", b"sec-websocket-extensions"
    heads.check_offers([(name, b",".join([b"a"] * 50)), (other, b",".join([b"b"] * 50)), (b"x", b"," * 9000)])
    for pairs in (
        [(name, b",".join([b"a"] * 101))],
        [(name, b",".join([b"a"] * 60)), (other, b",".join([b"b"] * 60))],
        [(name, b"a")] * 101,
        [(name, b"a" * 4001)] * 2,
    ):
        with pytest.raises(HTTPException) as caught:
            heads.check_offers(pairs)
        assert caught.value.status_code == 431


def test_cookies_are_bounded_in_number() -> None:
    heads.check_cookies({b"cookie": b"; ".join([b"a=b"] * heads.MAX_COOKIES)})
    with pytest.raises(HTTPException) as caught:
        heads.check_cookies({b"cookie": b";".join([b"a=b"] * (heads.MAX_COOKIES + 1))})
    assert caught.value.status_code == 431
