"""The addresses of signing in with a provider.

GET /oidc/{provider}/start       sends the person to the provider (`key`, `redirect`)
GET /oidc/{provider}/callback    the person comes back: cookie, then the login page or `redirect`
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from hypha.errors import HyphaError, InvalidRequest, NotAuthenticated, NotFound, PermissionDenied
from hypha.features.oidc.attempts import LIFE_S, Attempt, Attempts, cookie_name
from hypha.features.oidc.claims import Person
from hypha.features.oidc.flow import SignIn
from hypha.web.arrival import is_browser
from hypha.web.cookies import credential_cookie
from hypha.web.destinations import Destinations
from hypha.web.headers import headers_of
from hypha.web.signing_in import LOGIN_PAGE, SessionCookie

logger = logging.getLogger(__name__)

MAX_CODE_CHARS = 8192
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}}</style>
<main><h1>Signing in did not work</h1><p role="alert">{text}</p>
<p><a href="{back}">Back to sign-in</a></p></main>
</html>"""

_QUESTION = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}}</style>
<main><h1>Sign in with {name}?</h1><p>A link wants to sign you in to this server.</p>
<p><a href="start{query}">Continue with {name}</a></p></main>
</html>"""

IssueToken = Callable[[Person], Awaitable[str]]


class OidcRoutes:
    """Starts and finishes sign-ins.

    `issue` makes our token for somebody who signed in; `base_url` is the address under which
    people see the server, `token_life_s` the life of the cookie; `note_refused` is told about answers
    of a provider that were not valid.
    """

    def __init__(
        self,
        sign_ins: Mapping[str, SignIn],
        attempts: Attempts,
        issue: IssueToken,
        base_url: str,
        token_life_s: float,
        destinations: Destinations,
        note_refused: Callable[[str, str], None] = lambda provider, reason: None,
    ) -> None:
        self._sign_ins = sign_ins
        self._attempts = attempts
        self._issue = issue
        self._base_url = base_url.rstrip("/")
        self._token_life_s = token_life_s
        self._destinations = destinations
        self._note_refused = note_refused
        parts = urlsplit(self._base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._cookie_path = "/" if parts.scheme == "https" else f"{parts.path}/oidc"
        self._session = SessionCookie(self._base_url)
        self._cookies: dict[str, Any] = {
            "httponly": True,
            "samesite": "lax",
            "secure": parts.scheme == "https",
        }

    def _cookie_name(self, state: str) -> str:
        return cookie_name(state, is_secure=self._cookies["secure"])

    def routes(self) -> list[Route]:
        """What to put before the core's routes."""
        return [
            Route("/oidc/{provider}/start", self._told(self._start), methods=["GET"]),
            Route("/oidc/{provider}/callback", self._told(self._callback), methods=["GET"]),
        ]

    def _told(self, answer: Callable[[Request], Awaitable[Response]]) -> Any:
        """Tell errors on a page where a person looks; programs get the usual body."""

        async def endpoint(request: Request) -> Response:
            try:
                return await answer(request)
            except HyphaError as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                text = html.escape(error.message.removeprefix("Authentication error: "))
                page = _PAGE.format(text=text, back=html.escape(self._base_url + LOGIN_PAGE))
                return HTMLResponse(page, error.status, _HEADERS)

        return endpoint

    def _sign_in(self, request: Request) -> SignIn:
        found = self._sign_ins.get(request.path_params["provider"])
        if found is None:
            raise NotFound("There is no such sign-in provider on this server.")
        return found

    async def _start(self, request: Request) -> Response:
        sign_in = self._sign_in(request)
        key = request.query_params.get("key", "")
        redirect = request.query_params.get("redirect", "")
        if key and not _KEY.fullmatch(key):
            raise InvalidRequest("Invalid login key.")
        goal = self._destinations.checked(redirect, request.scope, headers_of(request.scope))
        if goal and not goal.startswith("/"):
            raise InvalidRequest("Invalid redirect: it must be a path on this server, such as /public.")
        if not self._is_wanted(request):
            return self._asking(sign_in, key, goal)
        attempt = Attempt.begin(sign_in.provider.id, key, goal)
        answer = RedirectResponse(await sign_in.address(attempt), 302, _HEADERS)
        answer.set_cookie(
            self._cookie_name(attempt.state),
            self._attempts.seal(attempt),
            max_age=LIFE_S,
            path=self._cookie_path,
            **self._cookies,
        )
        return answer

    def _is_wanted(self, request: Request) -> bool:
        """Whether the person pressed a button of ours; a link from anywhere else has to ask first."""
        headers = headers_of(request.scope)
        return not is_browser(headers) or self._destinations.origins.is_from_here(request.scope, headers)

    def _asking(self, sign_in: SignIn, key: str, goal: str) -> Response:
        """A page with the button that somebody else's link has passed over."""
        words = urlencode({name: text for name, text in (("key", key), ("redirect", goal)) if text})
        page = _QUESTION.format(
            name=html.escape(sign_in.provider.name), query=html.escape(f"?{words}" if words else "")
        )
        return HTMLResponse(page, 200, _HEADERS)

    async def _callback(self, request: Request) -> Response:
        sign_in, query = self._sign_in(request), request.query_params
        state = query.get("state", "")
        name = self._cookie_name(state)
        sealed = credential_cookie(headers_of(request.scope), name.encode("latin-1", "replace")) or ""
        attempt = self._attempts.open(sealed, sign_in.provider.id, state) if state else None
        if attempt is None:
            raise NotAuthenticated(
                "Authentication error: This sign-in was not started in this browser, took too long or was "
                f"finished before. Start again at {self._base_url}{LOGIN_PAGE}"
            )
        if "error" in query:
            raise _refusal(query["error"])
        code = query.get("code", "")
        if not 0 < len(code) <= MAX_CODE_CHARS:
            raise InvalidRequest("The provider's answer has no code.")
        try:
            person = await sign_in.finish(attempt, code, query.get("iss"))
        except NotAuthenticated as error:
            self._note_refused(attempt.provider, error.message)
            raise
        token = await self._issue(person)
        answer = RedirectResponse(self._next(attempt), 303, _HEADERS)
        answer.delete_cookie(name, path=self._cookie_path, **self._cookies)
        self._session.set(answer, token, self._token_life_s)
        return answer

    def _next(self, attempt: Attempt) -> str:
        """Where the person goes: never a token or another host in the address.

        A waiting program gets its token on the login page only, when the person says so there: the
        link with its key may have been sent by anybody.
        """
        if attempt.redirect and not attempt.key:
            return self._origin + attempt.redirect
        words = {name: text for name, text in (("key", attempt.key), ("redirect", attempt.redirect)) if text}
        return f"{self._base_url}{LOGIN_PAGE}" + (f"?{urlencode(words)}" if words else "")


def _refusal(reason: str) -> HyphaError:
    """The error for a provider's refusal; its own words are not shown, anybody may have written them."""
    if reason in ("access_denied", "consent_required", "interaction_required", "login_required"):
        return PermissionDenied("The sign-in was cancelled at the provider.")
    logger.warning("a sign-in provider answered with an error: %.60r", reason)
    return NotAuthenticated("Authentication error: The provider did not complete the sign-in. Start again.")
