"""From a provider's claims to our user. Whatever the claims say, nobody becomes somebody else.

A user id is `<provider>|<subject>`, so two providers never meet, nor does a provider's user meet root,
an anonymous or a local one. The e-mail address counts only when the provider verified it: it may
make its holder owner of a workspace.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hypha.auth.users import User
from hypha.errors import NotAuthenticated
from hypha.features.oidc.providers import Provider

MAX_ID_CHARS = 120
MAX_ROLES = 100
RESERVED_ROLES = frozenset({"admin", "anonymous", "root"})
_SAFE_SUBJECT = re.compile(r"[A-Za-z0-9_|.@-]+")
_HASHED = re.compile(r"h-[0-9a-f]{40}")
_EMAIL = re.compile(r"[^\s@<>,;\"\x00-\x1f]{1,64}@[^\s@<>,;\"\x00-\x1f]{1,189}")
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in where: the user, and what may be shown of them."""

    provider: str
    user: User
    profile: Mapping[str, Any]


def user_id(provider: Provider, subject: object, others: Iterable[str] = ()) -> str:
    """The id of a provider's user: stable, and fit for the name of a workspace.

    A subject with other characters, or too long, is replaced by its hash. `others` are the ids of
    the other providers, as which no kept subject may begin.

    Raises:
        NotAuthenticated: the claims name nobody.
    """
    if not isinstance(subject, str) or not subject or len(subject) > 255:
        raise NotAuthenticated("Authentication error: The provider names no user (claim 'sub').")
    if provider.keeps_subject:
        return _kept(subject, others)
    name = f"{provider.id}|{subject}"
    if len(name) > MAX_ID_CHARS or not _SAFE_SUBJECT.fullmatch(subject) or _HASHED.fullmatch(subject):
        return f"{provider.id}|h-{hashlib.sha256(subject.encode('utf-8', 'replace')).hexdigest()[:40]}"
    return name


def _kept(subject: str, others: Iterable[str]) -> str:
    kind, bar, rest = subject.partition("|")
    is_program = not bar and subject.endswith("@clients")
    is_person = bool(bar and kind and rest) and kind not in others
    if not (is_program or is_person) or len(subject) > MAX_ID_CHARS or not _SAFE_SUBJECT.fullmatch(subject):
        raise NotAuthenticated(
            "Authentication error: The user id of the token (claim 'sub') is not one of the provider's, such "
            "as auth0|1a2b3c."
        )
    return subject


def verified_email(claims: Mapping[str, Any], prefix: str = "") -> str | None:
    """The e-mail address if the provider says that it belongs to the person.

    What it says of one address counts for no other: `email_verified` without the prefix is about
    `email` without it, where there is one.
    """
    email = claims.get(f"{prefix}email")
    is_about_it = claims.get("email", email) == email
    verified = claims.get(f"{prefix}email_verified", claims.get("email_verified") if is_about_it else None)
    is_verified = verified is True or verified == "true"
    return email if is_verified and isinstance(email, str) and _EMAIL.fullmatch(email) else None


def roles_of(provider: Provider, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The person's roles; `admin` only by the role that the operator named for it."""
    found: object = claims.get(provider.roles_claim) if provider.roles_claim else None
    if found is None and provider.roles_claim:
        found = claims
        for word in provider.roles_claim.split("."):
            found = found.get(word) if isinstance(found, Mapping) else None
    told = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    names = [name for name in told[:MAX_ROLES] if isinstance(name, str) and 0 < len(name) <= _MAX_SHOWN]
    roles = tuple(dict.fromkeys(name for name in names if name.lower() not in RESERVED_ROLES))
    is_admin = bool(provider.admin_role) and provider.admin_role in names
    return (*roles, "admin") if is_admin else roles


def person_of(provider: Provider, claims: Mapping[str, Any], others: Iterable[str] = ()) -> Person:
    """The user that verified claims describe.

    Raises:
        NotAuthenticated: they name nobody.
    """
    email = verified_email(claims)
    user = User(user_id(provider, claims.get("sub"), others), roles_of(provider, claims), email=email)
    profile = {
        "email": email,
        "email_verified": email is not None,
        "user_id": user.id,
        "name": _text(claims.get("name")),
        "nickname": _text(claims.get("nickname") or claims.get("preferred_username")),
        "picture": _picture(claims.get("picture")),
    }
    return Person(provider.id, user, profile)


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    shown = "".join(c for c in value if c.isprintable())[:_MAX_SHOWN].strip()
    return shown or None


def _picture(value: object) -> str | None:
    is_address = isinstance(value, str) and value.startswith("https://") and value.isprintable()
    return str(value) if is_address and len(str(value)) <= 2000 else None
