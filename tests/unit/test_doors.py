"""The names that startup files import."""

from __future__ import annotations

import pytest

import hypha.core
import hypha.core.auth as door
from hypha.auth.current import CURRENT
from hypha.auth.tokens import TokenAuthority
from hypha.errors import HyphaError, NotAuthenticated
from hypha.utils import random_id


def test_documented_names_are_there() -> None:
    assert {"UserInfo", "UserPermission"} <= set(hypha.core.__all__)
    assert len(random_id()) == 22
    assert len(random_id(readable=True).split("-")) == 3


async def test_functions_pass_the_call_on_to_their_server() -> None:
    mark = CURRENT.set(TokenAuthority("a-secret-that-is-long-enough-for-hs256"))
    try:
        user = hypha.core.UserInfo(id="ann", scope=door.create_scope({"ws-a": "rw"}))
        for token in (door._generate_presigned_token(user, 60), await door.generate_auth_token(user, 60)):
            assert door._parse_token(token).id == "ann"
            assert (await door.parse_auth_token(f"Bearer {token}")).scope == user.scope
            assert door.valid_token(token)["scope"] == "ws:ws-a#rw"
        with pytest.raises(NotAuthenticated):
            door._parse_token("junk")
    finally:
        CURRENT.reset(mark)
    anonymous = door.generate_anonymous_user()
    assert anonymous.is_anonymous
    assert door.generate_anonymous_user(door.ScopeInfo()).scope == door.ScopeInfo()


def test_without_a_server_they_say_so() -> None:
    with pytest.raises(HyphaError, match="running server"):
        door._parse_token("junk")
