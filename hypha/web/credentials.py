"""Who sent an HTTP request, and in which workspace it acts (core-api 4.4, 5.3)."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.errors import HyphaError, NotAuthenticated, PermissionDenied

ANONYMOUS_WORKSPACE = "ws-anonymous"
COOKIE_NAME = b"access_token"
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


def http_anonymous_user() -> User:
    """The one user that all requests without a credential share: it may read `ws-anonymous`."""
    scope = Scope({ANONYMOUS_WORKSPACE: Level.READ}, ANONYMOUS_WORKSPACE)
    return User("anonymouz-http", ("anonymous",), True, scope=scope)


def token_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The credential in a request's headers: `Authorization` first, then the same-origin cookie.

    `Authorization` may be `Bearer T`, `Basic base64(user:T)` or the bare token. A query parameter
    `token` is never looked at: addresses end in logs and histories.
    """
    authorization = headers.get(b"authorization")
    if authorization:
        return _from_authorization(authorization.decode("latin-1").strip())
    cookie = headers.get(b"cookie")
    if cookie and COOKIE_NAME in cookie and is_same_origin(headers):
        return _from_cookie(cookie)
    return None


def _from_authorization(text: str) -> str | None:
    word, space, rest = text.partition(" ")
    if not space:
        return word or None
    kind, rest = word.lower(), rest.strip()
    if kind == "bearer":
        return rest or None
    if kind == "basic":
        try:
            plain = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, ValueError):
            raise NotAuthenticated("Authentication error: the Basic credential is not valid base64") from None
        return plain.partition(":")[2] or None
    raise NotAuthenticated("Authentication error: send 'Authorization: Bearer <token>'")


def _from_cookie(cookie: bytes) -> str | None:
    for part in cookie.split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name == COOKIE_NAME and value:
            return value.strip(b'"').decode("latin-1")
    return None


def is_same_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request that carries a cookie was made by our own pages or by the person.

    Browsers say so themselves (`Sec-Fetch-Site`); where they don't, `Origin` or `Referer` must name
    this host. A request with none of them comes from no script of another site, but maybe from a link
    there that hides its origin: without HTTPS browsers don't tell of it. `Upgrade-Insecure-Requests`
    gives such a step from page to page away.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    source = headers.get(b"origin") or headers.get(b"referer")
    if not source:
        return b"upgrade-insecure-requests" not in headers
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return bool(host) and urlsplit(source.decode("latin-1")).netloc.lower() == host


class Credentials:
    """Finds the user of a request and the context in which it acts.

    `authenticate` turns a token into a user or raises NotAuthenticated; `token_source`, where a
    provider has set one, is asked for the token before the headers are. `check_user` raises
    PermissionDenied for users who are kept out.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        workspaces: WorkspaceRights,
        *,
        token_source: TokenSource | None = None,
        check_user: Callable[[User], None] = lambda _: None,
    ) -> None:
        self._authenticate = authenticate
        self._workspaces = workspaces
        self.token_source = token_source
        self._check_user = check_user
        self.anonymous = http_anonymous_user()
        self._anonymous_context = Context(self.anonymous, ANONYMOUS_WORKSPACE, connection_type="http")
        self._contexts: OrderedDict[tuple[int, str, Level], tuple[User, Context]] = OrderedDict()

    async def user(self, scope: MutableMapping[str, Any], *, allow_specialized: bool = False) -> User:
        """The user of a request; looked up once per request.

        Raises:
            NotAuthenticated: a credential was given and is not valid (never downgraded to anonymous).
            PermissionDenied: the token serves one purpose only, or its user is blocked.
        """
        found = scope.get("hypha.user")
        if found is None:
            found = scope["hypha.user"] = await self._identify(scope)
        if isinstance(found, HyphaError):
            raise found
        user: User = found
        if user.scope.is_specialized and not allow_specialized:
            raise PermissionDenied(
                f"Specialized token with scopes {sorted(user.scope.extra_scopes)} cannot be used for "
                "general workspace access; permission is limited to the endpoint it was made for"
            )
        return user

    async def verified_id(self, scope: MutableMapping[str, Any]) -> str | None:
        """Id of the user if a valid credential was given; None for strangers and forged tokens."""
        found = scope.get("hypha.user")
        if found is None:
            found = scope["hypha.user"] = await self._identify(scope)
        if isinstance(found, HyphaError) or found is self.anonymous:
            return None
        user: User = found
        return None if user.is_anonymous else user.id

    async def _identify(self, scope: MutableMapping[str, Any]) -> User | HyphaError:
        try:
            token = await self.token_source(scope) if self.token_source else None
            token = token or token_of(scope.get("hypha.headers") or dict(scope["headers"]))
            scope["hypha.token"] = token
            user = self.anonymous if token is None else await self._authenticate(token)
            self._check_user(user)
            return user
        except HyphaError as error:
            return error

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
        return await self._context_of(scope["hypha.user"], workspace)

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
        self._contexts[key] = (user, context)
        if len(self._contexts) > CONTEXTS_KEPT:
            self._contexts.popitem(last=False)
        return context
