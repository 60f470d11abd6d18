"""The providers that the operator configured, with presets for well-known ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypha.errors import ConfigurationError
from hypha.features.oidc.discovery import WELL_KNOWN
from hypha.features.oidc.options import OidcOptions
from hypha.features.oidc.web import is_safe_url

if TYPE_CHECKING:
    from hypha.settings import Settings

AUTH0 = "auth0"
DEFAULT_SCOPES = "openid profile email"
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_PRESETS: dict[str, dict[str, Any]] = {
    "google": {
        "name": "Google",
        "discovery_url": "https://accounts.google.com" + WELL_KNOWN,
    },
    "github": {
        "name": "GitHub",
        "scopes": "read:user user:email",
        "authorization_endpoint": "https://github.com/login/oauth/authorize",
        "token_endpoint": "https://github.com/login/oauth/access_token",
        "userinfo_endpoint": "https://api.github.com/user",
        "emails_endpoint": "https://api.github.com/user/emails",
    },
    "keycloak": {"name": "Keycloak", "roles_claim": "realm_access.roles"},
    "auth0": {"name": "Auth0", "keeps_subject": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One way to sign in.

    `id` becomes part of the user ids (`<id>|<subject>`), so it must not change later; with
    `keeps_subject` the subject is the user id as it is. With `discovery_url` it is OpenID Connect;
    without, OAuth with a user-info endpoint, as GitHub. `roles_claim` names the claim with the
    person's roles (`realm_access.roles` looks into a map), `admin_role` the one among them that makes an
    administrator of this server. With `api_audience` its access tokens for that audience are
    accepted as tokens of the server.
    """

    id: str
    name: str
    client_id: str
    client_secret: str = ""
    discovery_url: str = ""
    issuer: str = ""
    scopes: str = DEFAULT_SCOPES
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    emails_endpoint: str = ""
    roles_claim: str = ""
    admin_role: str = ""
    keeps_subject: bool = False
    api_audience: str = ""

    @classmethod
    def read(cls, declared: object) -> Provider:
        """Check one declaration, completing it from its preset.

        Raises:
            ConfigurationError: something is missing or not understood.
        """
        if not isinstance(declared, Mapping):
            raise ConfigurationError("A sign-in provider must be a JSON object with an id and a client_id")
        values = dict(declared)
        preset = values.pop("preset", None)
        if preset is not None and preset not in _PRESETS:
            raise ConfigurationError(
                f"Unknown preset {preset!r} of a sign-in provider: use one of {', '.join(_PRESETS)}"
            )
        values = {"id": preset, **_PRESETS.get(preset or "", {}), **values}
        shown = f"Sign-in provider {values.get('id')!r}"
        types = {each.name: bool if each.name == "keeps_subject" else str for each in fields(cls)}
        for name, value in values.items():
            if name not in types:
                raise ConfigurationError(f"{shown} has an unknown setting {name!r}")
            if not isinstance(value, types[name]):
                raise ConfigurationError(f"{shown}: {name} must be a {types[name].__name__}")
        values.setdefault("name", _name_of(values))
        if not _ID.fullmatch(values["id"]) or not values.get("client_id"):
            raise ConfigurationError(
                f"{shown} needs a client_id, and an id of at most 32 small letters, digits and '-'"
            )
        provider = cls(**values)
        provider._check_urls(shown)
        return provider

    def _check_urls(self, shown: str) -> None:
        if not self.discovery_url and not self.authorization_endpoint:
            raise ConfigurationError(f"{shown} needs a discovery_url")
        urls = ("discovery_url",) if self.discovery_url else _OAUTH_URLS
        for name in urls:
            if not is_safe_url(getattr(self, name)):
                raise ConfigurationError(f"{shown}: {name} must be an https:// address")


_OAUTH_URLS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")


def _name_of(values: Mapping[str, Any]) -> str:
    host = urlsplit(str(values.get("discovery_url", ""))).hostname
    return host or str(values.get("id"))


def auth0_url(domain: str) -> str:
    """The address of an Auth0 tenant, without a slash at the end.

    A domain may be written as an address; http is allowed on this machine only, for tests.

    Raises:
        ConfigurationError: it is no domain.
    """
    url = (domain if "://" in domain else f"https://{domain}").rstrip("/")
    if not is_safe_url(url) or urlsplit(url).path:
        raise ConfigurationError(
            f"AUTH0_DOMAIN must be a domain such as my-tenant.eu.auth0.com, not {domain!r}"
        )
    return url


def configured_providers(settings: Settings) -> tuple[Provider, ...]:
    """All providers of the settings, in the order in which they are shown.

    Raises:
        ConfigurationError: one is not understood, or two have the same id.
    """
    options, found = settings.of(OidcOptions), []
    if options.oidc_discovery_url or options.oidc_client_id:
        declared = {
            "id": options.oidc_provider_id,
            "discovery_url": options.oidc_discovery_url,
            "client_id": options.oidc_client_id,
            "client_secret": options.oidc_client_secret or "",
            "scopes": options.oidc_scopes,
            "roles_claim": options.oidc_roles_claim,
            "admin_role": options.oidc_admin_role,
            **({"name": options.oidc_name} if options.oidc_name else {}),
        }
        found.append(Provider.read(declared))
    found += [Provider.read(each) for each in _listed(options.oidc_providers)]
    if settings.auth0_domain and settings.auth0_client_id:
        declared = {
            "preset": AUTH0,
            "discovery_url": auth0_url(settings.auth0_domain) + WELL_KNOWN,
            "client_id": settings.auth0_client_id,
            "client_secret": options.auth0_client_secret or "",
            "roles_claim": f"{settings.auth0_namespace}roles",
            "admin_role": options.auth0_admin_role,
        }
        found.append(Provider.read(declared))
    ids = [provider.id for provider in found]
    for each in ids:
        if ids.count(each) > 1:
            raise ConfigurationError(f"Two sign-in providers have the id {each!r}: give each its own")
    return tuple(found)


def _listed(text: str | None) -> list[Any]:
    """The declarations in a JSON text, or in the file that it names."""
    if not text:
        return []
    try:
        if not text.lstrip().startswith(("[", "{")):
            text = Path(text).expanduser().read_text()
        declared = json.loads(text)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise ConfigurationError(f"The file of sign-in providers cannot be used: {reason}") from None
    except ValueError:
        raise ConfigurationError("HYPHA_OIDC_PROVIDERS must be JSON, or the name of a JSON file") from None
    return declared if isinstance(declared, list) else [declared]
