"""The operator's declarations, sign-ins on their way, and where they may end."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.features.oidc.attempts import LIFE_S, Attempt, Attempts
from hypha.features.oidc.claims import verified_email
from hypha.features.oidc.discovery import Discovery
from hypha.features.oidc.flow import SignIn
from hypha.features.oidc.options import OidcOptions
from hypha.features.oidc.providers import Provider, auth0_url, configured_providers
from hypha.features.oidc.web import is_safe_url
from hypha.settings import Settings

URL = "https://login.example/.well-known/openid-configuration"


def settings(auth0_domain: str = "", auth0_client_id: str = "", **options: Any) -> Settings:
    """What the operator configured."""
    return Settings(
        auth0_domain=auth0_domain, auth0_client_id=auth0_client_id, of_features=(OidcOptions(**options),)
    )


def test_one_provider_from_variables() -> None:
    given = settings(oidc_discovery_url=URL, oidc_client_id="c", oidc_client_secret="s")
    (found,) = configured_providers(given)
    assert (found.id, found.name, found.client_secret) == ("oidc", "login.example", "s")
    assert found.scopes == "openid profile email" and not found.admin_role


def test_several_from_json_or_a_file(tmp_path: Path) -> None:
    declared = [
        {"preset": "google", "client_id": "g"},
        {"preset": "github", "client_id": "h", "client_secret": "s"},
        {"preset": "keycloak", "id": "sso", "discovery_url": URL, "client_id": "k"},
    ]
    file = tmp_path / "providers.json"
    file.write_text(json.dumps(declared))
    for text in (json.dumps(declared), str(file)):
        found = configured_providers(settings(oidc_providers=text))
        assert [each.id for each in found] == ["google", "github", "sso"]
        assert found[0].discovery_url.startswith("https://accounts.google.com/")
        assert found[1].emails_endpoint and not found[1].discovery_url
        assert found[2].roles_claim == "realm_access.roles"


def test_auth0_from_its_variables() -> None:
    given = settings("lab.eu.auth0.com", "c")
    (found,) = configured_providers(given)
    assert found.keeps_subject and found.discovery_url.startswith("https://lab.eu.auth0.com/.well-known/")
    assert configured_providers(settings("lab.eu.auth0.com")) == ()
    assert configured_providers(Settings()) == ()


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("[", "must be JSON"),
        ("no-such-file.json", "cannot be used"),
        ([7], "JSON object"),
        ([{"preset": "nobody", "client_id": "c"}], "Unknown preset"),
        ([{"id": "a", "client_id": "c"}], "needs a discovery_url"),
        ([{"id": "a", "discovery_url": "http://login.example/", "client_id": "c"}], "https://"),
        ([{"id": "a", "discovery_url": URL}], "needs a client_id"),
        ([{"id": "a|b", "discovery_url": URL, "client_id": "c"}], "small letters"),
        ([{"id": "a", "discovery_url": URL, "client_id": "c", "secrt": "x"}], "unknown setting"),
        ([{"id": "a", "discovery_url": URL, "client_id": 7}], "must be a str"),
        ([{"preset": "google", "client_id": "c"}] * 2, "Two sign-in providers"),
    ],
)
def test_mistakes_are_told_at_start(declared: Any, reason: str) -> None:
    text = declared if isinstance(declared, str) else json.dumps(declared)
    with pytest.raises(ConfigurationError, match=reason):
        configured_providers(settings(oidc_providers=text))


def test_the_documented_example_and_keys_are_true() -> None:
    page = (Path(__file__).parents[4] / "docs" / "providers.md").read_text()
    example = page.partition("```json")[2].partition("```")[0]
    assert [each.id for each in configured_providers(settings(oidc_providers=example))] == [
        "google",
        "github",
        "keycloak",
    ]
    own = {"keeps_subject"}
    assert not [
        each.name for each in fields(Provider) if f"`{each.name}`" not in page and each.name not in own
    ]


@pytest.mark.parametrize("domain", ["lab.example/path", "http://lab.example", "a b", "https://"])
def test_a_domain_that_is_none_is_told(domain: str) -> None:
    with pytest.raises(ConfigurationError):
        auth0_url(domain)


@pytest.mark.parametrize("url", ["https://a/", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/"])
def test_addresses_that_may_get_secrets(url: str) -> None:
    assert is_safe_url(url)


@pytest.mark.parametrize(
    "url", ["http://a/", "http://127.0.0.1.evil.example/", "ftp://a/", "https://", "", None, "https://a\n/"]
)
def test_addresses_that_may_not(url: object) -> None:
    assert not is_safe_url(url)


# -- attempts ------------------------------------------------------------------------------------


def test_an_attempt_is_opened_once_in_time_by_its_own_state() -> None:
    now = [1000.0]
    attempts = Attempts(b"k" * 32, lambda: now[0])
    attempt = Attempt.begin("lab", "key", "/public")
    sealed = attempts.seal(attempt)
    assert attempt.verifier not in sealed and attempt.nonce not in sealed
    assert attempts.open(sealed, "lab", "x") is None
    assert attempts.open(sealed, "other", attempt.state) is None
    assert attempts.open(sealed[:-4], "lab", attempt.state) is None
    assert attempts.open("", "lab", attempt.state) is None
    assert Attempts(b"j" * 32, lambda: now[0]).open(sealed, "lab", attempt.state) is None
    assert attempts.open(sealed, "lab", attempt.state) == attempt
    assert attempts.open(sealed, "lab", attempt.state) is None
    late = Attempt.begin("lab", "", "")
    sealed = attempts.seal(late)
    now[0] += LIFE_S + 1
    assert attempts.open(sealed, "lab", late.state) is None


def test_another_replica_finishes_what_one_began() -> None:
    one, other = Attempts(b"k" * 32), Attempts(b"k" * 32)
    attempt = Attempt.begin("lab", "", "")
    assert other.open(one.seal(attempt), "lab", attempt.state) == attempt


# -- what providers answer -----------------------------------------------------------------------


class Web:
    """Answers of providers by address."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    async def get_json(self, url: str, headers: Any = None) -> Any:
        return self.answers[url.rpartition("/")[2]]

    get_object = get_json


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "http://login.example/keys"},
        {"token_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
async def test_a_description_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    good = {
        "issuer": "https://login.example",
        "authorization_endpoint": "https://login.example/a",
        "token_endpoint": "https://login.example/t",
        "jwks_uri": "https://login.example/k",
    }
    web: Any = Web(**{"openid-configuration": good})
    assert (await Discovery(web, URL).endpoints()).keys == "https://login.example/k"
    web = Web(**{"openid-configuration": {**good, **change}})
    with pytest.raises(BackendUnavailable):
        await Discovery(web, URL).endpoints()


async def test_github_accounts_are_known_by_number_and_verified_primary_address() -> None:
    github = Provider.read({"preset": "github", "client_id": "c"})
    emails = [
        {"email": "old@x.example", "primary": False, "verified": True},
        {"email": "ann@x.example", "primary": True, "verified": True},
    ]
    web: Any = Web(user={"id": 583231, "login": "ann", "email": "shown@x.example"}, emails=emails)
    claims = await SignIn(github, web, "https://h/oidc/github/callback")._github_claims({})
    assert claims["sub"] == "583231" and claims["nickname"] == "ann"
    assert claims["email"] == "ann@x.example" and claims["email_verified"] is True
    web = Web(user={"id": True}, emails={"message": "no"})
    claims = await SignIn(replace(github), web, "https://h/")._github_claims({})
    assert "email" not in claims and claims["sub"] is True


async def test_an_address_told_apart_needs_its_own_proof() -> None:
    lab = Provider.read({"id": "lab", "client_id": "c", "discovery_url": URL})
    told = {"sub": "ann", "email": "boss@x.example"}
    endpoints: Any = SimpleNamespace(userinfo="https://login.example/userinfo")
    for proof, email in (({}, None), ({"email_verified": True}, "boss@x.example")):
        web: Any = Web(userinfo={**told, **proof})
        sign_in = SignIn(lab, web, "https://h/")
        claims = await sign_in._completed(endpoints, {"sub": "ann", "email_verified": True}, {})
        assert verified_email(claims) == email
