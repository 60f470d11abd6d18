"""Keys of other issuers: when they are fetched, which ones count, and for which tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from hypha.auth.keysets import IssuerTokens, KeySet, read_keys
from hypha.auth.scopes import Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import User
from hypha.errors import BackendUnavailable, ConfigurationError, NotAuthenticated, TokenExpired

RSA_KEY = RSAKey.generate_key(2048)
NEW_RSA_KEY = RSAKey.generate_key(2048)
EC_KEY = ECKey.generate_key("P-256")


def published(key: Any, name: str | None, **more: Any) -> dict[str, Any]:
    found = {**key.as_dict(private=False), **more}
    return {**found, "kid": name} if name else found


class Issuer:
    """Publishes keys, counts who asks, and may be away."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.is_away = False
        self.now = 1000.0

    async def fetch(self) -> Mapping[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise BackendUnavailable("away")
        return {"keys": self.keys}

    def key_set(self) -> KeySet:
        return KeySet(self.fetch, pause_s=10, clock=lambda: self.now)


async def test_keys_are_fetched_once_for_all_who_wait() -> None:
    issuer = Issuer(published(RSA_KEY, "a"))
    keys = issuer.key_set()
    found = await asyncio.gather(*(keys.find("RS256", "a") for _ in range(20)))
    assert len({id(key) for key in found}) == 1 and issuer.asked == 1
    assert not found[0].is_private


async def test_an_unknown_key_is_looked_for_at_most_once_per_pause() -> None:
    issuer = Issuer(published(RSA_KEY, "a"))
    keys = issuer.key_set()
    await keys.find("RS256", "a")
    for _ in range(5):
        with pytest.raises(NotAuthenticated, match="Unable to find appropriate key"):
            await keys.find("RS256", "made-up")
    assert issuer.asked == 1
    issuer.now += 11
    results = await asyncio.gather(*(keys.find("RS256", f"b{n}") for n in range(20)), return_exceptions=True)
    assert issuer.asked == 2 and all(isinstance(each, NotAuthenticated) for each in results)


async def test_rotated_keys_replace_the_old_ones() -> None:
    issuer = Issuer(published(RSA_KEY, "a"))
    keys = issuer.key_set()
    await keys.find("RS256", "a")
    issuer.keys = [published(NEW_RSA_KEY, "b")]
    issuer.now += 11
    await keys.find("RS256", "b")
    with pytest.raises(NotAuthenticated):
        await keys.find("RS256", "a")


async def test_keys_are_asked_for_again_after_an_hour_and_kept_for_a_day() -> None:
    issuer = Issuer(published(RSA_KEY, "a"))
    keys = issuer.key_set()
    await keys.find("RS256", "a")
    issuer.is_away, issuer.now = True, issuer.now + 3601
    await keys.find("RS256", "a")
    assert issuer.asked == 2
    await keys.find("RS256", "a")
    assert issuer.asked == 2
    issuer.now += 24 * 3600
    with pytest.raises(BackendUnavailable):
        await keys.find("RS256", "a")
    issuer.is_away, issuer.now = False, issuer.now + 3
    await keys.find("RS256", "a")


async def test_an_issuer_that_is_away_gives_a_typed_error_and_is_asked_again_soon() -> None:
    issuer = Issuer(published(RSA_KEY, "a"))
    issuer.is_away = True
    keys = issuer.key_set()
    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            await keys.find("RS256", "a")
    assert issuer.asked == 1
    issuer.is_away, issuer.now = False, issuer.now + 2.5
    await keys.find("RS256", "a")


async def test_a_token_without_key_id_needs_a_single_key() -> None:
    one = Issuer(published(RSA_KEY, None), published(EC_KEY, None)).key_set()
    await one.find("RS256", None)
    await one.find("ES256", None)
    two = Issuer(published(RSA_KEY, "a"), published(NEW_RSA_KEY, "b")).key_set()
    with pytest.raises(NotAuthenticated):
        await two.find("RS256", None)


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_only_strong_public_signing_keys_count() -> None:
    usable = [published(RSA_KEY, "rsa", alg="RS256", use="sig"), published(EC_KEY, "ec")]
    useless: list[Any] = [
        published(RSA_KEY, "encrypts", use="enc"),
        published(RSA_KEY, "other algorithm", alg="RS512"),
        published(RSAKey.generate_key(1024), "weak"),
        published(ECKey.generate_key("P-384"), "curve"),
        OctKey.import_key("a secret that everybody knows by now").as_dict(private=True) | {"kid": "oct"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "RSA"},
        {},
        "a",
        None,
    ]
    keys = read_keys({"keys": [*useless, *usable]})
    assert {name: [kid for kid, _ in each] for name, each in keys.items()} == {
        "RS256": ["rsa"],
        "ES256": ["ec"],
    }


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}])
def test_a_document_without_keys_is_the_issuers_fault(document: dict[str, Any]) -> None:
    with pytest.raises(BackendUnavailable):
        read_keys(document)


# -- claims --------------------------------------------------------------------------------------


def reader(issuer: Issuer, now: float = 10_000.0) -> IssuerTokens:
    return IssuerTokens(keys=issuer.key_set(), issuer="https://i/", audience="me", clock=lambda: now)


def signed(key: Any = RSA_KEY, alg: str = "RS256", **claims: Any) -> str:
    body = {"iss": "https://i/", "aud": "me", "sub": "x", "exp": 10_600, "iat": 9_990, **claims}
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": "a"}, body, key, algorithms=[alg])


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": 9_941},
        {"iat": 10_059, "nbf": 10_059},
        {"iat": None},
        {"aud": ["them", "me"]},
    ],
)
async def test_valid_claims(claims: dict[str, Any]) -> None:
    assert (await reader(Issuer(published(RSA_KEY, "a"))).read(signed(**claims)))["sub"] == "x"


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": 9_940}, TokenExpired),
        ({"exp": None}, NotAuthenticated),
        ({"exp": "10600"}, NotAuthenticated),
        ({"exp": True}, NotAuthenticated),
        ({"iat": 10_061}, NotAuthenticated),
        ({"nbf": 10_061}, NotAuthenticated),
        ({"aud": "them"}, NotAuthenticated),
        ({"aud": None}, NotAuthenticated),
        ({"iss": "https://i"}, NotAuthenticated),
        ({"iss": None}, NotAuthenticated),
    ],
)
async def test_wrong_claims(claims: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        await reader(Issuer(published(RSA_KEY, "a"))).read(signed(**claims))


async def test_an_es256_key_does_not_answer_for_rs256() -> None:
    tokens = reader(Issuer(published(EC_KEY, "a")))
    await tokens.read(signed(EC_KEY, "ES256"))
    with pytest.raises(NotAuthenticated):
        await tokens.read(signed(RSA_KEY, "RS256"))


# -- beside our own tokens -----------------------------------------------------------------------


class Foreign:
    """Reads every RS256 token as the same user."""

    algorithms = frozenset({"RS256"})

    def __init__(self) -> None:
        self.asked = 0

    async def read(self, token: str) -> User:
        self.asked += 1
        return User("auth0|x", expires_at=9e9, scope=Scope(), credential="c")


async def test_a_foreign_token_is_kept_for_minutes_and_our_own_never_asks() -> None:
    now = [1_000_000.0]
    authority = TokenAuthority("s" * 48, clock=lambda: now[0])
    token = signed()
    with pytest.raises(NotAuthenticated, match="accepts HS256 only"):
        await authority.authenticate(token)
    foreign = Foreign()
    authority.accept_foreign(foreign)
    with pytest.raises(ConfigurationError, match="Two features"):
        authority.accept_foreign(foreign)
    own = authority.mint(User("ann"), 10_000)
    assert (await authority.authenticate(own)).id == "ann" and foreign.asked == 0
    for _ in range(3):
        assert (await authority.authenticate(token)).id == "auth0|x"
    assert foreign.asked == 1 and authority.parse(token).id == "auth0|x"
    now[0] += 301
    await authority.authenticate(token)
    assert foreign.asked == 2
    await authority.revoke(token)
    with pytest.raises(NotAuthenticated, match="revoked"):
        await authority.authenticate(token)
