"""The page that is shown as long as no provider brings a better one: paste a token."""

from __future__ import annotations

import html
import secrets
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hypha.errors import PermissionDenied
from hypha.web.credentials import Credentials
from hypha.web.signing_in import SessionCookie

PAGE = Path(__file__).parent / "page.html"


class PageShell:
    """A page without accounts, for servers whose people have tokens already."""

    def __init__(self, base_path: str, credentials: Credentials, cookie: SessionCookie) -> None:
        self._cookie = cookie
        self._credentials = credentials
        self._text = PAGE.read_text("utf-8").replace("__BASE_PATH__", html.escape(base_path))

    async def __call__(self, request: Request) -> Response:
        """Answer a GET below `/public/apps/hypha-login/`."""
        if request.path_params.get("path"):
            raise HTTPException(404)
        nonce = secrets.token_urlsafe(12)
        response = Response(self._text.replace("__NONCE__", nonce), media_type="text/html")
        response.headers["cache-control"] = "no-store"
        response.headers["referrer-policy"] = "same-origin"
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["content-security-policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
        return response

    async def logout(self, request: Request) -> Response:
        """Forget the session of this browser, when a script of the page or a program asks for it."""
        if not self._credentials.may_act(request.scope):
            raise PermissionDenied("This request came from another site, or from no page of this server.")
        response = Response(status_code=204)
        self._cookie.delete(response)
        return response
