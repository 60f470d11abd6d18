"""Who sent an HTTP request, and in which workspace it acts (docs/http.md#who-you-are)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import OUTSIDER_TEXT, Context, User
from hypha.errors import HyphaError, NotAuthenticated, PermissionDenied
from hypha.limits import BoundedMap
from hypha.web.arrival import Arrival, arrival_of, is_browser
from hypha.web.cookies import credential_cookie
from hypha.web.headers import headers_of
from hypha.web.origins import Origins
from hypha.web.scope import ARRIVAL, HEADERS, ON_APPS_ORIGIN, PATH, PERSONAL, TOKEN, USER
from hypha.web.signing_in import SESSION_COOKIE

ANONYMOUS_WORKSPACE = "ws-anonymous"
CONTEXTS_KEPT = 1000

Authenticate = Callable[[str], Awaitable[User]]
TokenSource = Callable[[Mapping[str, Any]], Awaitable[str | None]]


class WorkspaceRights(Protocol):
    """What is needed of the workspaces to know where a request may act."""

    def get(self, workspace_id: str) -> Any:
        """The record of a loaded workspace, or None."""

    async def load(self, workspace_id: str) -> Any:
        """The record of a workspace, loaded if need be, or None."""

    async def open(self, workspace_id: str, user: User) -> Any:
        """Load a workspace on behalf of a user; the user's own one is made if it isn't there."""

    def level_for(self, user: User, record: Any) -> Level:
        """What the user may do there: by token, by ownership, by role."""

    async def level_in(self, user: User, workspace: str) -> Level:
        """The same for a workspace that may have to be loaded, or isn't there yet."""


def http_anonymous_user(level: Level = Level.READ) -> User:
    """The one user that all requests without a credential share: it may read `ws-anonymous`.

    With the level NONE it is an outsider.
    """
    scope = Scope({ANONYMOUS_WORKSPACE: level}, ANONYMOUS_WORKSPACE)
    return User("anonymouz-http", ("anonymous",), True, scope=scope)


def explicit_token(headers: Mapping[bytes, bytes]) -> str | None:
    """The token in `Authorization`: `Bearer T`, `Basic base64(user:T)` or the bare token.

    A query parameter `token` is never looked at: addresses end in logs and histories.

    Raises:
        NotAuthenticated: there is a credential, but it cannot be read.
    """
    text = headers.get(b"authorization", b"").decode("latin-1").strip()
    word, space, rest = text.partition(" ")
    if not space:
        return word or None
    kind, rest = word.lower(), rest.strip()
    if kind == "bearer":
        return rest or None
    if kind == "basic":
        return _basic_token(rest)
    raise NotAuthenticated("Authentication error: send 'Authorization: Bearer <token>'")


def _basic_token(text: str) -> str:
    try:
        plain = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        raise NotAuthenticated("Authentication error: the Basic credential is not valid base64") from None
    token = plain.partition(":")[2].strip()
    if not token:
        raise NotAuthenticated("Authentication error: the Basic credential must be base64 of 'user:<token>'")
    return token


def _is_basic(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"authorization", b"")[:6].lower() == b"basic "


class Credentials:
    """Finds the user of a request and the context in which it acts.

    `authenticate` turns a token into a user or raises NotAuthenticated; sources of providers are asked for
    the token before the headers are. `check_user` raises PermissionDenied for users who are kept out.

    What a browser adds to requests by itself counts only as `hypha.web.arrival` says: cookies, and the
    password of Basic authentication; on an origin that applications have for themselves no cookie does.
    Otherwise it is as if it weren't there, for the sources of providers too. Without `serves_anonymous`
    anonymous users are outsiders, see `check_insider`.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        workspaces: WorkspaceRights,
        *,
        check_user: Callable[[User], None] = lambda _: None,
        origins: Origins | None = None,
        serves_anonymous: bool = True,
    ) -> None:
        self.serves_anonymous = serves_anonymous
        self._authenticate = authenticate
        self.origins = origins or Origins()
        self._headers: list[bytes] = []
        """Headers beside `Authorization` that may hold a token, in the order of their names."""
        self._places = frozenset({b"authorization", b"cookie"})
        """All headers that may hold one."""
        self._cookies: list[bytes] = [SESSION_COOKIE.encode()]
        """Cookies that may hold a token: others in the order of their names, then that of the session."""
        self._workspaces = workspaces
        self._sources: list[TokenSource] = []
        """Asked in this order, the one that came last first."""
        self._check_user = check_user
        self.anonymous = http_anonymous_user(Level.READ if serves_anonymous else Level.NONE)
        self._anonymous_context = Context(self.anonymous, ANONYMOUS_WORKSPACE, connection_type="http")
        self._contexts: BoundedMap[tuple[int, str, Level], tuple[User, Context]] = BoundedMap(CONTEXTS_KEPT)

    def accept_header(self, name: bytes) -> None:
        """Look for tokens in a header, where there is no `Authorization`."""
        self._headers = sorted({*self._headers, name})
        self._places |= {name}

    def accept_cookie(self, name: bytes) -> None:
        """Look for tokens in a cookie, before that of the session."""
        *others, of_session = self._cookies
        self._cookies = [*sorted({*others, name}), of_session]

    def ask_first(self, source: TokenSource) -> None:
        """Ask a source for the token of a request, before those that are there and all headers."""
        self._sources.insert(0, source)

    async def user(self, scope: MutableMapping[str, Any], *, allow_specialized: bool = False) -> User:
        """The user of a request; looked up once per request.

        Raises:
            NotAuthenticated: a credential was given and is not valid (never downgraded to anonymous).
            PermissionDenied: the token serves one purpose only, or its user is blocked.
        """
        found = scope.get(USER)
        if found is None:
            found = scope[USER] = await self._identify(scope)
        if found is not self.anonymous:
            scope[PERSONAL] = True
        if isinstance(found, HyphaError):
            raise found
        user: User = found
        if user.scope.is_specialized and not allow_specialized:
            raise PermissionDenied(
                f"Specialized token with scopes {sorted(user.scope.extra_scopes)} cannot be used for "
                "general workspace access; permission is limited to the endpoint it was made for"
            )
        return user

    async def check_insider(self, scope: MutableMapping[str, Any], *, as_visitor: bool = False) -> None:
        """Keep out who has no credential, where the server serves nobody without.

        With `as_visitor` the browser's session is enough, whoever caused the request: it is still for
        the route to let it do nothing more than any outsider could.

        Raises:
            NotAuthenticated: there is none, or it is not valid.
        """
        if self.serves_anonymous:
            return
        user = await self.user(scope, allow_specialized=True)
        if user.is_anonymous and as_visitor:
            user = await self._session(scope)
        if user.is_anonymous:
            raise NotAuthenticated(OUTSIDER_TEXT)

    async def verified_id(self, scope: MutableMapping[str, Any]) -> str | None:
        """Id of the user if a valid credential was given; None for strangers and forged tokens."""
        found = scope.get(USER)
        if found is None:
            found = scope[USER] = await self._identify(scope)
        if isinstance(found, HyphaError) or found is self.anonymous:
            return None
        user: User = found
        return None if user.is_anonymous else user.id

    async def _identify(self, scope: MutableMapping[str, Any]) -> User | HyphaError:
        try:
            has_none = not self._sources and self._places.isdisjoint(headers_of(scope))
            token = scope[TOKEN] = None if has_none else await self.token(scope)
            user = self.anonymous if token is None else await self._authenticate(token)
            self._check_user(user)
            return user
        except HyphaError as error:
            return error

    def arrival(self, scope: MutableMapping[str, Any]) -> Arrival:
        """How a request came; found out once per request."""
        found: Arrival | None = scope.get(ARRIVAL)
        if found is None:
            path = scope.get(PATH) or scope["path"]
            found = scope[ARRIVAL] = arrival_of(scope, headers_of(scope), self.origins, path)
        return found

    def may_act(self, scope: MutableMapping[str, Any]) -> bool:
        """Whether a request comes from a script of our own pages, or from no browser at all.

        What changes something for the person who is signed in needs that, whatever its credential. A
        page of this origin that shows a token of its own may as well.
        """
        headers = headers_of(scope)
        has_own = any(headers.get(name) for name in (b"authorization", *self._headers)) and not _is_basic(
            headers
        )
        return self.arrival(scope) in (Arrival.PAGE, Arrival.PROGRAM) or (
            has_own and self.origins.is_from_here(scope, headers)
        )

    async def token(self, scope: MutableMapping[str, Any], *, with_cookies: bool = True) -> str | None:
        """The token that a request shows, as far as it counts; None without one.

        Without `with_cookies` our own cookies are not looked at: streams take none, as WebSockets.

        Raises:
            InvalidRequest: lines of one header name several credentials.
            NotAuthenticated: there is a credential, but it cannot be read.
        """
        headers = headers_of(scope)
        cookies = self._cookies if with_cookies else []
        if b"cookie" not in headers and b"authorization" not in headers:
            return await self._token_in(scope, headers, cookies)
        hidden = set()
        if b"cookie" in headers and (ON_APPS_ORIGIN in scope or self.arrival(scope) is Arrival.OTHER):
            hidden.add(b"cookie")
        if _is_basic(headers) and is_browser(headers) and self.arrival(scope) is Arrival.OTHER:
            hidden.add(b"authorization")
        if not hidden:
            return await self._token_in(scope, headers, cookies)
        lines = [pair for pair in scope["headers"] if pair[0] not in hidden]
        shown = {name: value for name, value in headers.items() if name not in hidden}
        return await self._token_in({**scope, "headers": lines, HEADERS: shown}, shown, cookies)

    async def _token_in(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes], cookies: list[bytes]
    ) -> str | None:
        for source in self._sources:
            found = await source(scope)
            if found:
                return found
        if headers.get(b"authorization"):
            return explicit_token(headers)
        for name in self._headers:
            if given := headers.get(name, b"").strip():
                return given.decode("latin-1")
        if b"cookie" not in headers:
            return None
        values = (credential_cookie(headers, name) for name in cookies)
        return next((value for value in values if value is not None), None)

    async def visitor(self, scope: MutableMapping[str, Any]) -> User:
        """Whose session the browser has, whoever caused the request; the anonymous user without one.

        Good for choosing how a page is shown. Nothing may be run on its behalf: see `user`.
        """
        try:
            user = await self.user(scope)
            is_hidden = self.arrival(scope) is Arrival.OTHER and ON_APPS_ORIGIN not in scope
            if user is self.anonymous and is_hidden:
                user = await self._session(scope, keep=True)
        except HyphaError:
            return self.anonymous
        if user is not self.anonymous:
            scope[PERSONAL] = True
        return user

    async def _session(self, scope: MutableMapping[str, Any], *, keep: bool = False) -> User:
        """Whose session the cookie is, although the request may not act with it."""
        token = await self._token_in(scope, headers_of(scope), self._cookies)
        if keep:
            scope[TOKEN] = token
        user = self.anonymous if token is None else await self._authenticate(token)
        self._check_user(user)
        return user

    async def context(self, scope: MutableMapping[str, Any], workspace: str) -> Context:
        """On whose behalf a request to an address of `workspace` acts, and in which workspace.

        A token bound to a workspace always acts there. A generic token acts in the workspace of the
        address if it may read it, else in its user's own. Strangers act in `ws-anonymous`.
        """
        user = await self.user(scope)
        if user is self.anonymous:
            return self._anonymous_context
        return await self._context_of(user, workspace)

    async def payer(self, scope: MutableMapping[str, Any], workspace: str) -> Context | None:
        """Whose limits a request uses up: those of its user and of the workspace in which it acts.

        None for strangers and forged tokens. A workspace in which the caller may not read pays for
        nothing that is sent to it.
        """
        if await self.verified_id(scope) is None:
            return None
        return await self._context_of(scope[USER], workspace)

    async def _context_of(self, user: User, workspace: str) -> Context:
        bound = user.scope.current_workspace
        if bound and not user.is_root:
            return self._acting(user, bound, await self._level_in(user, bound))
        level = await self._level_in(user, workspace)
        if level >= Level.READ and self._workspaces.get(workspace) is not None:
            return self._acting(user, workspace, level)
        own = bound or user.own_workspace
        return self._acting(user, own, await self._level_in(user, own))

    async def _level_in(self, user: User, workspace: str) -> Level:
        record = self._workspaces.get(workspace)
        if record is not None:
            return self._workspaces.level_for(user, record)
        return await self._workspaces.level_in(user, workspace)

    def _acting(self, user: User, workspace: str, level: Level) -> Context:
        """The user acting in a workspace; one object per credential, so that others can cache by it."""
        key = (id(user), workspace, level)
        kept = self._contexts.get(key)
        if kept is not None and kept[0] is user:
            return kept[1]
        context = Context(user.within(workspace, None, level), workspace, connection_type="http")
        self._contexts.put(key, (user, context))
        return context
