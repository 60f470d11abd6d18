"""`/oauth/authorize` and `/oauth/token`: the doors of the configured Auth0 tenant.

See docs/http.md#addresses.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hypha.errors import NotFound, UnsupportedContent
from hypha.features.oidc.web import ProviderWeb
from hypha.web.bodies import read_whole

MAX_FORM_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"
_PASSED_TYPES = ("application/json",)


class Auth0Doors:
    """Passes requests to the tenant at `url`; without one both addresses do not exist."""

    def __init__(self, web: ProviderWeb, url: str) -> None:
        self._web = web
        self._url = url

    def routes(self) -> list[Route]:
        """What to put before the core's routes."""
        return [
            Route("/oauth/authorize", self._authorize, methods=["GET"]),
            Route("/oauth/token", self._token, methods=["POST"]),
        ]

    def _require(self) -> None:
        if not self._url:
            raise NotFound("Not found: no Auth0 tenant is configured on this server (AUTH0_DOMAIN).")

    async def _authorize(self, request: Request) -> Response:
        self._require()
        query = request.scope["query_string"].decode("latin-1")
        return RedirectResponse(f"{self._url}/authorize" + (f"?{query}" if query else ""), 307)

    async def _token(self, request: Request) -> Response:
        self._require()
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise UnsupportedContent(f"Send a form ({_FORM}).")
        text = f"The form is larger than {MAX_FORM_BYTES} bytes."
        body = await read_whole(request.receive, MAX_FORM_BYTES, text)
        headers = {"content-type": _FORM, "accept": "application/json"}
        if basic := request.headers.get("authorization", ""):
            headers |= {"authorization": basic} if basic.lower().startswith("basic ") else {}
        url = f"{self._url}/oauth/token"
        status, kind, answer = await self._web.send("POST", url, content=body, headers=headers)
        is_json = kind.partition(";")[0].strip().lower() in _PASSED_TYPES
        return Response(
            answer if is_json else b"{}",
            status,
            {"cache-control": "no-store", "x-content-type-options": "nosniff"},
            media_type="application/json",
        )
