"""Header fields by the grammar of HTTP."""

from __future__ import annotations

import pytest

from hypha.errors import InvalidRequest
from hypha.web.headers import by_name, checked, fields_of, is_ours, is_token


def test_names_are_tokens() -> None:
    assert is_token(b"X-Any_1!#$%&'*+.^`|~")
    for name in (b"", b"a b", b"a:", b"set-cookie ", b" a", b"a\n", b"\xfc", b"a(b)", b'"a"', b"a\x00"):
        assert not is_token(name), name


def test_fields_of_others_are_checked_by_the_grammar() -> None:
    assert checked([(b"X-A", b" \t1\t2 "), (b"x-b", b"\xfc"), (b"x-c", b"")]) == [
        (b"x-a", b"1\t2"),
        (b"x-b", b"\xfc"),
        (b"x-c", b""),
    ]
    for name, value in (
        (b"set-cookie ", b"a=b"),
        (b"Set-Cookie\t", b"a=b"),
        (b"", b"x"),
        (b"x-a", b"1\r\nx-b: 2"),
        (b"x-a", b"1\x00"),
        (b"x-a", b"1\x7f"),
        (b"x-a", b"1\x0b"),
    ):
        with pytest.raises(ValueError, match="malformed"):
            checked([(name, value)])
    with pytest.raises(ValueError, match="more than 200"):
        checked([(b"a", b"b")] * 201)
    assert checked([(b"a", b"b" * 64_000), (b"c", b"d" * 64_000)])
    with pytest.raises(ValueError, match="longer than"):
        checked([(b"a", b"b" * 64_000), (b"c", b"d" * 68_000)])


def test_what_an_answer_has_behind_its_last_possible_field_is_not_looked_at() -> None:
    read = []

    class Field(str):
        def encode(self, *given: str) -> bytes:
            read.append(self)
            return super().encode(*given)

    for value in ([(Field("x"), "y")] * 10_000, {"x": [Field("y")] * 10_000}):
        read.clear()
        with pytest.raises(ValueError, match="more than 200"):
            fields_of(value)
        assert len(read) <= 201


def test_lists_and_maps_are_no_values_of_fields() -> None:
    assert fields_of({"x": 1, "y": ["a", b"b"], "z": None}) == [
        (b"x", b"1"),
        (b"y", b"a"),
        (b"y", b"b"),
        (b"z", b"None"),
    ]
    for value in ({"x": [["a"]]}, {"x": {"a": 1}}, [(["x"], "a")]):
        with pytest.raises(ValueError):
            fields_of(value)


@pytest.mark.parametrize(
    "name",
    [
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "sec-websocket-accept", "sec-websocket-extensions", "clear-site-data", "service-worker-allowed",
        "strict-transport-security", "alt-svc", "nel", "access-control-allow-origin",
        "access-control-allow-credentials", "x-accel-redirect", "x-sendfile", "proxy-authenticate",
        "set-cookie2", "set-login", "use-as-dictionary", "x-hypha-stream",
    ],
)  # fmt: skip
def test_fields_of_the_server_and_its_connections_are_its_own(name: str) -> None:
    assert is_ours(name.encode(), b"x")


def test_fields_of_a_page_are_the_pages() -> None:
    for name in (b"set-cookie", b"content-security-policy", b"location", b"x-accel-buffering", b"etag"):
        assert not is_ours(name, b"x")
    assert is_ours(b"www-authenticate", b'Bearer, BASIC realm="give me your password"')
    assert not is_ours(b"www-authenticate", b'Bearer realm="x"')


def test_equal_lines_are_one_list() -> None:
    assert by_name([(b"a", b"1"), (b"b", b"2")]) == {b"a": b"1", b"b": b"2"}
    lines = [
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"cookie", b"a=1"),
        (b"x-forwarded-for", b"2.2.2.2"),
        (b"cookie", b"b=2"),
    ]
    assert by_name(lines) == {b"x-forwarded-for": b"1.1.1.1, 2.2.2.2", b"cookie": b"a=1; b=2"}


def test_a_field_that_comes_once_may_not_come_twice() -> None:
    assert by_name([(b"authorization", b"a"), (b"authorization", b"a")]) == {b"authorization": b"a"}
    for name in (b"authorization", b"host", b"origin", b"content-type", b"content-length", b"sec-fetch-site"):
        with pytest.raises(InvalidRequest, match="came twice"):
            by_name([(name, b"a"), (name, b"b")])
