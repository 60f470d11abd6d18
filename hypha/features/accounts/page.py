"""The login page and what it asks for: session cookie, approval of a waiting program.

See docs/accounts.md#the-page-in-your-own-site.

A token never stands in an address, and scripts never see the cookie. Every change is a POST with a
JSON body that comes from a page of this server.
"""

from __future__ import annotations

import html
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hypha.auth.users import User
from hypha.errors import (
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    UnsupportedContent,
)
from hypha.features.accounts.devices import LIFE_S
from hypha.web.bodies import read_whole
from hypha.web.destinations import REDIRECT_WORDS
from hypha.web.headers import headers_of
from hypha.web.signing_in import LOGIN_FUNCTIONS, LOGIN_PAGE, SESSION_COOKIE, SessionCookie

if TYPE_CHECKING:
    from hypha.auth.guard import Guard
    from hypha.auth.tokens import TokenAuthority
    from hypha.features.accounts.accounts import LocalAccounts
    from hypha.features.ports import HttpPort
    from hypha.features.sign_in import Login
    from hypha.settings import Settings
    from hypha.workspaces.lifecycle import Workspaces

STATIC_FOLDER = Path(__file__).parent / "static"
PATH = LOGIN_PAGE.rstrip("/")
OLD_COOKIE = "hypha_local_token"
PROGRAM_LIFE_S = 24 * 3600.0
MAX_BODY_BYTES = 64 * 1024
_FILES = {"login.js": "text/javascript", "login.css": "text/css"}


class LoginPage:
    """Answers below `/public/apps/hypha-login/`."""

    def __init__(
        self,
        settings: Settings,
        base_url: str,
        http: HttpPort,
        tokens: TokenAuthority,
        guard: Guard,
        workspaces: Workspaces,
        login: Login,
        accounts: LocalAccounts | None,
    ) -> None:
        self._credentials = http.credentials
        self._destinations = http.destinations
        self._tokens = tokens
        self._guard = guard
        self._workspaces = workspaces
        self._login = login
        self._accounts = accounts
        self._sign_up = accounts is not None and accounts.admittance.is_open
        parts = urlsplit(base_url)
        self._base_path = parts.path.rstrip("/")
        self._is_secure = parts.scheme == "https"
        self._cookie = SessionCookie(base_url)
        self._files = {name: (STATIC_FOLDER / name).read_bytes() for name in _FILES}
        self._html = (STATIC_FOLDER / "login.html").read_text("utf-8")

    def routes(self) -> list[Route]:
        """What is posted; the GETs come through `answer`."""
        posts = {"session": self.open_session, "logout": self.logout, "approve": self.approve}
        return [Route(f"{PATH}/{name}", answer, methods=["POST"]) for name, answer in posts.items()]

    async def answer(self, request: Request) -> Response:
        """Every GET: the page, its files, and who is signed in."""
        name = request.url.path.partition(PATH)[2].strip("/")
        if name in self._files:
            headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
            return Response(self._files[name], headers=headers, media_type=_FILES[name])
        if name == "session":
            return await self._session(request)
        if name not in ("", "index.html"):
            raise NotFound("Not found: the login page has no such part.")
        return self._page(request)

    # -- the page --------------------------------------------------------------------------------

    def _page(self, request: Request) -> Response:
        query, scope, headers = request.query_params, request.scope, headers_of(request.scope)
        try:
            redirect = next((query[word] for word in REDIRECT_WORDS if query.get(word)), "")
            facts = {
                "redirect": self._destinations.checked(redirect, scope, headers),
                "opener": self._destinations.opener(query.get("origin", ""), scope, headers),
                "problem": "",
            }
        except InvalidRequest as error:
            facts = {"redirect": "", "opener": "", "problem": error.message}
        facts["session"] = f"{self._base_path}{PATH}/"
        facts["home"] = f"{self._base_path}/"
        text = self._html.replace("__BASE__", html.escape(f"{self._base_path}{PATH}"))
        text = text.replace("__FACTS__", html.escape(json.dumps(facts)))
        return Response(text, 400 if facts["problem"] else 200, self._page_headers(), media_type="text/html")

    def _page_headers(self) -> dict[str, str]:
        ancestors = " ".join(["'self'", *sorted(self._destinations.friends)])
        return {
            "cache-control": "no-store",
            "content-security-policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                "connect-src 'self'; form-action 'none'; base-uri 'none'; object-src 'none'; "
                f"frame-ancestors {ancestors}"
            ),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
        }

    # -- session ---------------------------------------------------------------------------------

    async def _session(self, request: Request) -> Response:
        user = await self._person_or_nobody(request)
        body: dict[str, Any] = {
            "local": self._accounts is not None,
            "sign_up": self._sign_up,
            "domains": list(self._accounts.admittance.domains) if self._accounts else [],
            "invites": self._accounts is not None and self._accounts.admittance.mode != "closed",
            "mail": self._accounts is not None and self._accounts.mail is not None,
            "providers": [asdict(button) for button in self._login.buttons],
            "user": None if user is None else await self._person(user),
        }
        return _json(body)

    async def _person(self, user: User) -> dict[str, Any]:
        account = await self._accounts.account_of(user) if self._accounts else None
        return {
            "id": user.id,
            "name": account.name if account else (user.email or user.id),
            "email": account.email if account else user.email,
            "email_verified": account.is_proven if account else None,
            "is_local": account is not None,
            "is_admin": user.is_admin,
            "workspace": user.scope.current_workspace or user.own_workspace,
            "expires_at": user.expires_at,
        }

    async def _user(self, request: Request) -> User | None:
        user = await self._credentials.user(request.scope)
        return None if user.is_anonymous else user

    async def _person_or_nobody(self, request: Request) -> User | None:
        try:
            return await self._user(request)
        except (NotAuthenticated, PermissionDenied):
            return None

    async def _signed_in(self, request: Request) -> User:
        user = await self._user(request)
        if user is None:
            raise NotAuthenticated("Please sign in first.")
        return user

    async def open_session(self, request: Request) -> Response:
        """Turn the token in `Authorization` into the cookie of this browser."""
        await self._body(request)
        user = await self._signed_in(request)
        token = _bearer(request)
        life_s = PROGRAM_LIFE_S if user.expires_at is None else max(0.0, user.expires_at - time.time())
        if self._tokens.is_root_token(token):
            raise PermissionDenied("The root token is not for browsers.")
        if user.scope.current_workspace in (None, user.own_workspace):
            await self._workspaces.open(user.own_workspace, user)
        response = _json({"user": await self._person(user)})
        self._cookie.set(response, token, life_s)
        await self._know_device(response, user)
        return response

    async def _know_device(self, response: Response, user: User) -> None:
        """Let this browser be known when its person signs in again; the cookie goes to sign-ins alone."""
        account = await self._accounts.account_of(user) if self._accounts else None
        if account is None or self._accounts is None:
            return
        name, value = self._accounts.devices.cookie(account.folded)
        path = f"{self._base_path}{LOGIN_FUNCTIONS}"
        response.set_cookie(
            name, value, max_age=int(LIFE_S), path=path, samesite="lax", secure=self._is_secure, httponly=True
        )

    async def logout(self, request: Request) -> Response:
        """Forget the session of this browser, and make its token invalid."""
        await self._body(request)
        user = await self._person_or_nobody(request)
        if user is not None and self._guard.issued is not None:
            await self._guard.issued.end_session(user.credential)
        response = _json({})
        for name in (SESSION_COOKIE, OLD_COOKIE):
            for path in {"/", self._base_path or "/"}:
                self._cookie.delete(response, name=name, path=path)
        return response

    # -- approval --------------------------------------------------------------------------------

    async def approve(self, request: Request) -> Response:
        """Give the program that waits for `key` a token of the signed-in person.

        Body: `key`, and optionally `workspace` to limit the token and `expires_in` (seconds).
        """
        body = await self._body(request)
        user = await self._signed_in(request)
        if user.id == "root":
            raise PermissionDenied("The root token is not for browsers.")
        key, workspace = body.get("key"), body.get("workspace") or None
        if not isinstance(key, str) or not isinstance(workspace, str | None):
            raise InvalidRequest("Invalid login key")
        expires_in = body.get("expires_in")
        life_s = None if expires_in in (None, "") else self._tokens.check_life(expires_in)
        person = await self._person(user)
        profile = {
            "email": person["email"],
            "email_verified": person["email_verified"],
            "name": person["name"],
            "nickname": person["name"],
            "user_id": user.id,
        }
        token_life_s = min(life_s or PROGRAM_LIFE_S, PROGRAM_LIFE_S)
        if workspace is None:
            token = await self._guard.issue_token(
                self._tokens, user, token_life_s, maker=user, name="login", kind="login"
            )
        else:
            token = await self._tokens.issue(user, token_life_s)  # the service makes the one that lasts
        await self._login.complete(key, token, workspace=workspace, expires_in=life_s, profile=profile)
        return _json({})

    async def _body(self, request: Request) -> Mapping[str, Any]:
        """The JSON object of a POST of our own page, else an error: nobody else can send one.

        Raises:
            PermissionDenied: neither a script of our page sent it nor a program.
            UnsupportedContent, FrameTooLarge, InvalidRequest: it is no such object.
        """
        if not self._credentials.may_act(request.scope):
            raise PermissionDenied("This request came from another site, or from no page of this server.")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedContent("Send JSON (application/json).")
        text = f"The body is larger than {MAX_BODY_BYTES} bytes."
        data = await read_whole(request.receive, MAX_BODY_BYTES, text)
        try:
            body = json.loads(data or b"{}")
        except (ValueError, RecursionError):
            raise InvalidRequest("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise InvalidRequest("The body must be a JSON object.")
        return body


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("Send the token as 'Authorization: Bearer <token>'.")
    return token.strip()


def _json(body: Mapping[str, Any]) -> JSONResponse:
    return JSONResponse({"success": True, **body}, headers={"cache-control": "no-store"})
