"""Tokens minted by the kit can be read back, and by an independent library."""

from __future__ import annotations

import time

from joserfc import jwt
from joserfc.jwk import OctKey

from hypha.testing import mint_token
from hypha.testing.tokens import AUDIENCE, read_claims

SECRET = "a-secret-that-is-long-enough-for-hs256-signing"


def test_minted_token_verifies_with_the_secret() -> None:
    token = mint_token(
        SECRET, "eve", workspaces={"ws-a": "rw"}, current="ws-a", client_id="c", extra_scopes=["x:y"]
    )
    claims = jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"]).claims
    assert claims == read_claims(token)
    assert claims["sub"] == "eve" and claims["aud"] == AUDIENCE
    assert claims["scope"] == "ws:ws-a#rw cid:c wid:ws-a x:y"


def test_default_is_admin_of_the_own_workspace() -> None:
    assert read_claims(mint_token(SECRET, "eve"))["scope"] == "ws:ws-user-eve#a"


def test_negative_life_is_an_expired_token() -> None:
    claims = read_claims(mint_token(SECRET, "eve", life_s=-10))
    assert claims["iat"] < claims["exp"] < time.time()
