"""Whatever a provider claims, nobody becomes somebody else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypha.addresses import check_workspace_id
from hypha.errors import NotAuthenticated
from hypha.features.oidc.claims import person_of, roles_of, user_id, verified_email
from hypha.features.oidc.providers import Provider

LAB = Provider(
    id="lab", name="Lab", client_id="c", discovery_url="https://l/.well-known/openid-configuration"
)
AUTH0 = Provider(id="auth0", name="Auth0", client_id="c", keeps_subject=True)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("1234567", "lab|1234567"),
        ("f:5e:ann@x.example", None),
        ("ann", "lab|ann"),
        ("root", "lab|root"),
        ("anonymouz-http", "lab|anonymouz-http"),
        ("auth0|5f1e", "lab|auth0|5f1e"),
        ("../../etc", None),
        ("Änne", None),
        ("a" * 255, None),
        ("a b", None),
        ("*", None),
    ],
)
def test_ids_are_stable_and_fit_for_a_workspace(subject: str, expected: str | None) -> None:
    found = user_id(LAB, subject)
    assert found == user_id(LAB, subject)
    check_workspace_id(f"ws-user-{found}")
    if expected is None:
        assert found.startswith("lab|h-") and len(found) == 46
    else:
        assert found == expected


@pytest.mark.parametrize("subject", [None, "", 7, True, ["ann"], "a" * 256])
def test_claims_without_a_user_are_refused(subject: object) -> None:
    with pytest.raises(NotAuthenticated):
        user_id(LAB, subject)
    with pytest.raises(NotAuthenticated):
        user_id(AUTH0, subject)


@given(st.text(min_size=1, max_size=255), st.text(min_size=1, max_size=255))
def test_two_subjects_are_two_users(one: str, other: str) -> None:
    first, second = user_id(LAB, one), user_id(LAB, other)
    assert (first == second) == (one == other)
    check_workspace_id(f"ws-user-{first}")


def test_a_subject_that_looks_like_a_hash_is_hashed() -> None:
    hashed = user_id(LAB, "ä").removeprefix("lab|")
    assert user_id(LAB, hashed) != f"lab|{hashed}"


@pytest.mark.parametrize("subject", ["auth0|5f1e", "google-oauth2|1", "abc@clients", "samlp|lab|ann@x.org"])
def test_auth0_subjects_are_kept(subject: str) -> None:
    assert user_id(AUTH0, subject, ("lab",)) == subject


@pytest.mark.parametrize(
    "subject",
    ["root", "ann", "anonymouz-http", "lab|ann", "|ann", "auth0|", "auth0|a b", "auth0|" + "a" * 120],
)
def test_other_subjects_of_auth0_are_refused(subject: str) -> None:
    with pytest.raises(NotAuthenticated):
        user_id(AUTH0, subject, ("lab",))


@pytest.mark.parametrize("verified", [True, "true"])
def test_a_verified_address_counts(verified: object) -> None:
    assert verified_email({"email": "ann@x.example", "email_verified": verified}) == "ann@x.example"


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "ann@x.example"},
        {"email": "ann@x.example", "email_verified": False},
        {"email": "ann@x.example", "email_verified": "false"},
        {"email": "ann@x.example", "email_verified": 1},
        {"email": ["ann@x.example"], "email_verified": True},
        {"email": "no address", "email_verified": True},
        {"email": "ann@x.example, eve@x.example", "email_verified": True},
        {"email": "", "email_verified": True},
    ],
)
def test_other_addresses_do_not(claims: dict[str, Any]) -> None:
    assert verified_email(claims) is None
    assert person_of(LAB, {"sub": "ann", **claims}).user.email is None


def test_the_namespaced_verdict_wins() -> None:
    claims = {"n/email": "a@x.example", "n/email_verified": False, "email_verified": True}
    assert verified_email(claims, "n/") is None


def with_roles(claim: str, admin: str = "") -> Provider:
    return Provider(id="lab", name="Lab", client_id="c", roles_claim=claim, admin_role=admin)


def test_roles_are_found_by_name_or_path() -> None:
    assert roles_of(with_roles("roles"), {"roles": ["a", "b", "a", 7, ""]}) == ("a", "b")
    assert roles_of(with_roles("realm_access.roles"), {"realm_access": {"roles": ["a"]}}) == ("a",)
    assert roles_of(with_roles("https://x.y/roles"), {"https://x.y/roles": "one"}) == ("one",)
    assert roles_of(with_roles("a.b.c"), {"a": {"b": ["c"]}}) == ()
    assert roles_of(LAB, {"roles": ["a"]}) == ()


def test_reserved_roles_are_dropped_and_admin_only_as_configured() -> None:
    told = {"roles": ["admin", "Admin", "root", "anonymous", "boss"]}
    assert roles_of(with_roles("roles"), told) == ("boss",)
    assert roles_of(with_roles("roles", "boss"), told) == ("boss", "admin")
    assert roles_of(with_roles("roles", "admin"), told) == ("boss", "admin")
    assert roles_of(with_roles("roles", "chief"), told) == ("boss",)
    assert not person_of(with_roles("roles"), {"sub": "x", **told}).user.is_admin


def test_what_is_shown_of_a_person_is_harmless() -> None:
    claims = {"sub": "x", "name": " Ann\x00\n ", "nickname": 7, "picture": "javascript:alert(1)"}
    profile = person_of(LAB, claims).profile
    assert (profile["name"], profile["nickname"], profile["picture"]) == ("Ann", None, None)
    user = person_of(LAB, {**claims, "scope": "ws:*#a", "parent": "root", "is_anonymous": True}).user
    assert not user.scope.workspaces and user.parent is None and not user.is_anonymous


def test_what_is_said_of_one_address_counts_for_no_other() -> None:
    claims = {"n/email": "boss@x.example", "email": "ann@x.example", "email_verified": True}
    assert verified_email(claims, "n/") is None
    assert verified_email(claims) == "ann@x.example"
    assert verified_email({**claims, "n/email": "ann@x.example"}, "n/") == "ann@x.example"
