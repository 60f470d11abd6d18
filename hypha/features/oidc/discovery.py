"""What a provider says about itself: its endpoints, from the discovery document."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypha.errors import BackendUnavailable, HyphaError
from hypha.features.oidc.web import ProviderWeb, is_safe_url

logger = logging.getLogger(__name__)

MAX_AGE_S = 3600.0
PAUSE_AFTER_FAILURE_S = 2.0
WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where to send a person, exchange the code and find keys and profile; empty for none."""

    issuer: str
    authorization: str
    token: str
    keys: str = ""
    userinfo: str = ""
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)


class Discovery:
    """The endpoints of one provider, kept for an hour and beyond that while it does not answer."""

    def __init__(self, web: ProviderWeb, url: str, issuer: str = "") -> None:
        self._web = web
        self._url = url
        self._issuer = issuer or url.removesuffix(WELL_KNOWN)
        self._lock = asyncio.Lock()
        self._known: Endpoints | None = None
        self._ask_again_at = 0.0

    async def endpoints(self) -> Endpoints:
        """The present endpoints.

        Raises:
            BackendUnavailable: the provider does not answer, or with nonsense.
        """
        async with self._lock:
            if time.monotonic() >= self._ask_again_at:
                try:
                    self._known = self._read(await self._web.get_object(self._url))
                    self._ask_again_at = time.monotonic() + MAX_AGE_S
                except HyphaError:
                    self._ask_again_at = time.monotonic() + PAUSE_AFTER_FAILURE_S
                    if self._known is None:
                        raise
            if self._known is None:
                raise BackendUnavailable(
                    "The sign-in provider does not answer now. Try again in a few seconds."
                )
            return self._known

    async def fetch_keys(self) -> Mapping[str, Any]:
        """The provider's present key set."""
        return await self._web.get_object((await self.endpoints()).keys)

    def _read(self, document: Mapping[str, Any]) -> Endpoints:
        if not _is_same_issuer(document.get("issuer"), self._issuer):
            raise self._wrong(f"it names the issuer {document.get('issuer')!r}, expected {self._issuer!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_safe_url(document.get(name)):
                raise self._wrong(f"its {name} is missing or not https")
        userinfo = document.get("userinfo_endpoint")
        methods = document.get("token_endpoint_auth_methods_supported")
        return Endpoints(
            document["issuer"],
            document["authorization_endpoint"],
            document["token_endpoint"],
            document["jwks_uri"],
            str(userinfo) if is_safe_url(userinfo) else "",
            tuple(map(str, methods)) if isinstance(methods, list) else ("client_secret_basic",),
        )

    def _wrong(self, reason: str) -> BackendUnavailable:
        logger.error("the discovery document at %s is not usable: %s", self._url, reason)
        return BackendUnavailable(
            "The sign-in provider's description is not usable; the server's log says why."
        )


def _is_same_issuer(told: object, expected: str) -> bool:
    return isinstance(told, str) and told.rstrip("/") == expected.rstrip("/")
