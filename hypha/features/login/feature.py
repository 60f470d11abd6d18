"""Puts the login service, its page and its providers together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User
from hypha.builtins.service import BuiltinFunction, BuiltinService
from hypha.errors import HyphaError
from hypha.features.base import Feature, FeatureContext
from hypha.features.login.custom import ServerHooks
from hypha.features.login.functions_page import MAX_BODY_BYTES, event_of, response_of
from hypha.features.login.mistakes import Mistakes
from hypha.features.login.options import LoginOptions
from hypha.features.login.pending import PendingKeys
from hypha.features.login.records import PendingLogins
from hypha.features.login.service import Limits, LoginService
from hypha.features.login.shell import PageShell
from hypha.features.sign_in import Button, Handler, Login, LoginProvider, Page
from hypha.limits import Buckets
from hypha.web.client_address import throttled
from hypha.web.destinations import REDIRECT_WORDS
from hypha.web.headers import headers_of
from hypha.web.signing_in import LOGIN_PAGE, LOGIN_SERVICE, SessionCookie, to_login_page
from hypha.workspaces.lifecycle import Workspaces

FUNCTIONS = ("start", "check", "report", "index", "profile", "logout")
STARTS_PER_S, STARTS_AT_ONCE = 5.0, 200.0
MISTAKES_AT_ONCE, MISTAKE_EVERY_S = 100, 1.0


class LoginFeature(Feature):
    """The service `public/hypha-login`; providers find it as a `Login`."""

    name = "login"
    needs = (TokenAuthority, Workspaces, Guard)
    provides = (Login,)

    def __init__(self) -> None:
        self.buttons: list[Button] = []
        self.events: dict[str, Handler] = {}

    async def start(self, context: FeatureContext) -> None:
        """Offer the service and the page, and let providers plug in."""
        self._context = context
        settings, http, tokens = context.settings, context.http, context.get(TokenAuthority)
        self._shell = PageShell(settings.url_path, http.credentials, SessionCookie(context.base_url))
        self._page: Page = self._shell
        self._service = LoginService(
            PendingKeys(
                PendingLogins(context.data.connections), settings.of(LoginOptions).maximum_login_time_s
            ),
            tokens,
            context.get(Workspaces),
            context.base_url,
            Limits(Buckets(STARTS_PER_S, STARTS_AT_ONCE), Mistakes(MISTAKES_AT_ONCE, MISTAKE_EVERY_S)),
            self.origin_of,
            context.get(Guard),
        )
        self._local = BuiltinService.of(self._service, id=LOGIN_SERVICE, type="functions", only=FUNCTIONS)
        self._local = replace(self._local, name="Hypha Login", is_entrance=True)
        self._offer()
        http.add_routes(
            Route(LOGIN_PAGE.rstrip("/"), self._to_page, methods=["GET"]),
            Route(f"{LOGIN_PAGE}{{path:path}}", self._answer, methods=["GET", "POST"]),
            last=True,  # providers have routes of their own below it
        )
        context.provide(Login, self)
        context.services.extend_server_object(ServerHooks(self, tokens).items())

    # -- for providers ---------------------------------------------------------------------------

    def use(self, provider: LoginProvider) -> None:
        """Put a provider over those that are there."""
        if provider.page is not None:
            self._page = provider.page
        named = {name: getattr(provider, name) for name in FUNCTIONS}
        self.add_functions({**{name: f for name, f in named.items() if f is not None}, **provider.functions})
        http = self._context.http
        if provider.parse_token is not None:
            http.read_tokens_with(provider.parse_token)
        if provider.generate_token is not None:
            http.make_tokens_with(provider.generate_token)
        if provider.get_token is not None:
            http.add_token_source(provider.get_token)

    def add_button(self, button: Button) -> None:
        """Let the login page send people to a provider's own page."""
        self.buttons.append(button)

    def add_functions(self, functions: Mapping[str, Handler]) -> None:
        """Add functions to `hypha-login`, over RPC and HTTP; the same name replaces."""
        self.put({name: BuiltinFunction.of(function, name) for name, function in functions.items()})

    def put(self, functions: Mapping[str, BuiltinFunction]) -> None:
        """The same for functions that are described already."""
        if functions:
            self._local = replace(self._local, functions={**self._local.functions, **functions})
            self._offer()

    async def complete(
        self,
        key: str,
        token: str,
        *,
        workspace: str | None = None,
        expires_in: float | None = None,
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand a person's token to the program that waits for `key`; see `hypha.features.sign_in.Login`."""
        await self._service.complete(key, token, workspace=workspace, expires_in=expires_in, profile=profile)

    def origin_of(self, context: Context) -> str:
        """Where a call comes from: the network address if it is known, else the workspace."""
        address = context.network_address
        return throttled(address) if address else context.workspace

    def _offer(self) -> None:
        self._context.services.offer(self._local)

    # -- HTTP ------------------------------------------------------------------------------------

    async def _to_page(self, request: Request) -> Response:
        """Add the slash that the page's relative links need."""
        return to_login_page(request, self._context.settings.url_path)

    async def _answer(self, request: Request) -> Response:
        """A function that a provider wrote for requests, or the page."""
        path = request.path_params["path"].rstrip("/")
        handler = self.events.get(path or "index")
        if handler is None:
            if request.method == "POST" and path == "logout":
                return await self._shell.logout(request)
            if request.method == "POST":
                raise HTTPException(405, headers={"Allow": "GET"})
            return await self._page(request)
        query = self._corrected_query(request)
        if query is not None:
            return RedirectResponse(f"{request.url.path}?{query}", 307)
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise HTTPException(413)
        return response_of(await handler(await event_of(request, await self._visitor(request))))

    def _corrected_query(self, request: Request) -> str | None:
        """The query of a provider's page with pages for destinations; None where it is right.

        Raises:
            InvalidRequest: it names a destination on a site that we don't know.
        """
        given = request.query_params.multi_items()
        words, headers = frozenset(REDIRECT_WORDS), headers_of(request.scope)
        check = self._context.http.destinations.checked
        checked = [
            (name, check(text, request.scope, headers) if name in words else text) for name, text in given
        ]
        return None if checked == given else urlencode(checked)

    async def _visitor(self, request: Request) -> User:
        """The user of a request; a stale credential must not keep anybody from the login page."""
        try:
            return await self._context.http.credentials.user(request.scope)
        except HyphaError:
            return self._context.http.credentials.anonymous
