"""The first message of a client."""

from __future__ import annotations

import orjson
import pytest

from hypha.wire.handshake import parse_first_message


@pytest.mark.parametrize("key", ["token", "reconnection_token"])
@pytest.mark.parametrize(
    ("given", "meant"),
    [("a.b.c\n", "a.b.c"), (" a.b.c\r\n", "a.b.c"), ("\n", "\n"), ("", None), (None, None)],
)
def test_a_token_with_a_line_end_is_meant_without_it(key: str, given: str | None, meant: str | None) -> None:
    first = parse_first_message(orjson.dumps({"client_id": "c", key: given}))
    assert getattr(first, key) == meant
