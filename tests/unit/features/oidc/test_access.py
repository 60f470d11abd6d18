"""Access tokens of providers with an `api_audience`, and the settings around them."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.errors import ConfigurationError, NotAuthenticated
from hypha.features.oidc.feature import OidcFeature
from hypha.features.oidc.options import OidcOptions
from hypha.features.ports import HttpPort
from hypha.features.sign_in import Button, Login
from hypha.settings import Settings
from hypha.web.destinations import Destinations
from hypha.web.origins import Origins

KEY = ECKey.generate_key("P-256")
URL = "https://login.example/.well-known/openid-configuration"
LAB = {"id": "lab", "discovery_url": URL, "client_id": "c", "api_audience": "api", "roles_claim": "roles"}
PROVIDERS = json.dumps([LAB])


class Web:
    """A provider's documents."""

    async def get_object(self, url: str, headers: Any = None) -> dict[str, Any]:
        if url == "https://login.example/k":
            return {"keys": [{**KEY.as_dict(private=False), "kid": "k"}]}
        return {
            "issuer": "https://login.example/",
            "authorization_endpoint": "https://login.example/a",
            "token_endpoint": "https://login.example/t",
            "jwks_uri": "https://login.example/k",
        }


class Page:
    """The login service, as far as providers put buttons on its page."""

    def __init__(self) -> None:
        self.buttons: list[Button] = []
        self.add_button = self.buttons.append


async def start(settings: Settings) -> Any:
    """The context of a started feature, with `tokens` and the login `page`."""
    tokens, origins, page = TokenAuthority("s" * 48), Origins("https://hypha.example"), Page()
    objects: dict[type, Any] = {TokenAuthority: tokens, Guard: Guard(), Login: page}
    context = SimpleNamespace(
        settings=settings,
        base_url="https://hypha.example",
        http=HttpPort(SimpleNamespace(origins=origins), Destinations(origins), tokens),  # type: ignore[arg-type]
        data=SimpleNamespace(secret=lambda name: "s" * 48),
        get=objects.__getitem__,
        find=objects.get,
        tokens=tokens,
        page=page,
    )
    feature = OidcFeature()
    feature._web = Web()  # type: ignore[assignment]
    await feature.start(context)  # type: ignore[arg-type]
    return context


def signed(**claims: Any) -> str:
    body = {
        "iss": "https://login.example/",
        "aud": "api",
        "sub": "ann",
        "exp": int(time.time()) + 60,
        **claims,
    }
    return jwt.encode({"alg": "ES256", "kid": "k"}, body, KEY, algorithms=["ES256"])


async def test_access_tokens_with_the_named_audience_are_accepted() -> None:
    context = await start(Settings(of_features=(OidcOptions(oidc_providers=PROVIDERS),)))
    user = await context.tokens.authenticate(signed(roles=["a", "admin"], scope="openid ws:*#a"))
    assert (user.id, user.roles) == ("lab|ann", ("a",))
    assert user.scope.is_specialized and not user.scope.workspaces
    for wrong in ({"aud": "c"}, {"iss": "https://login.example/x"}, {"iss": 7}, {"iss": None}):
        with pytest.raises(NotAuthenticated):
            await context.tokens.authenticate(signed(**wrong))


async def test_without_an_audience_a_provider_signs_nobody_in_by_its_tokens() -> None:
    context = await start(Settings(of_features=(OidcOptions(oidc_discovery_url=URL, oidc_client_id="c"),)))
    with pytest.raises(NotAuthenticated, match="HS256 only"):
        await context.tokens.authenticate(signed())


async def test_the_login_page_is_told_of_each_provider() -> None:
    context = await start(Settings(of_features=(OidcOptions(oidc_providers=PROVIDERS),)))
    assert context.page.buttons == [Button("lab", "login.example", "https://hypha.example/oidc/lab/start")]
    paths = [route.path for route in context.http.routes]
    assert "/oidc/{provider}/start" in paths and "/oauth/token" in paths


async def test_nothing_is_offered_without_providers() -> None:
    context = await start(Settings())
    assert not context.page.buttons
    with pytest.raises(NotAuthenticated, match="HS256 only"):
        await context.tokens.authenticate(signed())
    assert [route.path for route in context.http.routes] == ["/oauth/authorize", "/oauth/token"]


async def test_one_issuer_belongs_to_one_provider() -> None:
    twice = json.dumps([LAB, {**LAB, "id": "two"}])
    with pytest.raises(ConfigurationError, match="two sign-in providers"):
        await start(Settings(of_features=(OidcOptions(oidc_providers=twice),)))
