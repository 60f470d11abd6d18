"""The functions of `hypha-login` (docs/authentication.md#from-anywhere-by-http)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from hypha.addresses import check_workspace_id, fold_email
from hypha.auth.guard import Guard
from hypha.auth.minting import TokenRequest, child_of
from hypha.auth.scopes import Level
from hypha.auth.tokens import TokenAuthority, fingerprint
from hypha.auth.users import Context, User
from hypha.builtins.permission import NOTHING, permission
from hypha.errors import (
    InvalidRequest,
    NotAuthenticated,
    PermissionDenied,
    RateLimited,
)
from hypha.features.login.mistakes import Mistakes
from hypha.features.login.pending import PendingKeys, key_hash
from hypha.limits import Buckets
from hypha.values import is_number
from hypha.web.signing_in import LOGIN_FUNCTIONS, LOGIN_PAGE
from hypha.wire.decodable import check_shown
from hypha.workspaces.lifecycle import Workspaces

DEFAULT_CHILD_LIFE_S = 3600.0
MAX_TEXT = 2000
MAX_TOKEN_CHARS = 16 * 1024
PROFILE_FIELDS = ("email", "email_verified", "name", "nickname", "user_id", "picture")


@dataclass(slots=True)
class Limits:
    """Who may try how often."""

    starts: Buckets
    mistakes: Mistakes


class LoginService:
    """Sign in: a program gets a key and waits, a person signs in at a page, the page reports."""

    def __init__(
        self,
        pending: PendingKeys,
        tokens: TokenAuthority,
        workspaces: Workspaces,
        base_url: str,
        limits: Limits,
        origin_of: Callable[[Context], str],
        guard: Guard,
    ) -> None:
        self._pending = pending
        self._tokens = tokens
        self._workspaces = workspaces
        self._base_url = base_url
        self._limits = limits
        self._origin_of = origin_of
        self._guard = guard

    @permission(Level.NONE, on=NOTHING)
    async def start(
        self, workspace: str | None = None, expires_in: float | None = None, *, context: Context
    ) -> dict[str, Any]:
        """Begin a login: get a key and the address of the page where a person signs in.

        Show `login_url` to the person, then call `check` with `key`. The key is good for a few
        minutes and for one token.

        Args:
            workspace: Workspace to which the token shall be limited; absent: everything the person may do.
            expires_in: Life of a token limited to a workspace, in seconds.
        """
        if workspace is not None:
            check_workspace_id(workspace)
        life_s = None if expires_in is None else self._tokens.check_life(expires_in)
        wait_s = self._limits.starts.take(self._origin_of(context))
        if wait_s:
            raise RateLimited("Too many logins were started here.", retry_after_s=wait_s)
        key = await self._pending.new(workspace, life_s)
        query: dict[str, Any] = {"key": key}
        if workspace is not None:
            query["workspace"] = workspace
        if expires_in is not None:
            query["expires_in"] = expires_in
        service_url = f"{self._base_url}{LOGIN_FUNCTIONS}"
        return {
            "login_url": f"{self._base_url}{LOGIN_PAGE}?{urlencode(query)}",
            "key": key,
            "report_url": f"{service_url}/report",
            "check_url": f"{service_url}/check",
            "generate_url": f"{self._base_url}/public/services/ws/generate_token",
        }

    @permission(Level.NONE, on=NOTHING)
    async def check(
        self, key: str, timeout: float | None = 180, profile: bool | None = False, *, context: Context
    ) -> str | dict[str, Any] | None:
        """Wait until the person has signed in and get the token; it is handed out once.

        Args:
            key: The key from `start`.
            timeout: Seconds to wait; 0: don't wait, and get null while nobody has signed in.
            profile: Get a map with token, workspace, expires_in, email, email_verified, name, nickname,
                user_id and picture.
        """
        timeout_s = _seconds(timeout)
        async with self._attempt(context, key):
            answer = await self._pending.take(key, timeout_s)
        if answer is None or profile:
            return answer
        token: str = answer["token"]
        return token

    @permission(Level.NONE, on=NOTHING)
    async def report(
        self,
        key: str,
        token: str,
        workspace: str | None = None,
        expires_in: float | None = None,
        email: str | None = None,
        email_verified: bool | None = None,
        name: str | None = None,
        nickname: str | None = None,
        user_id: str | None = None,
        picture: str | None = None,
        *,
        context: Context,
    ) -> None:
        """Hand a person's token to the program that waits; for login pages.

        By POST, or for scripts that always did by GET: addresses end in histories and in the logs of proxies.
        The token is checked. With a workspace, the program gets a token for that workspace alone,
        with at most the rights that the person has there.

        Args:
            key: The key from the address of the page.
            token: The person's token.
            workspace: Workspace to which the token is limited; absent: what `start` asked for.
            expires_in: Life of the limited token, in seconds.
            email: E-mail address of the person.
            email_verified: Whether the address is known to be the person's; it counts only if the token
                says so too.
            name: Full name.
            nickname: Name to be called by.
            user_id: Id of the person.
            picture: Address of a picture.
        """
        profile = dict(
            zip(PROFILE_FIELDS, (email, email_verified, name, nickname, user_id, picture), strict=True)
        )
        async with self._attempt(context, key):
            await self.complete(key, token, workspace=workspace, expires_in=expires_in, profile=profile)

    @permission(Level.NONE, on=NOTHING)
    async def index(self, *, context: Context) -> dict[str, Any]:
        """Where the login page is."""
        url = f"{self._base_url}{LOGIN_PAGE}"
        return {"status": 307, "headers": {"Location": url}, "body": ""}

    @permission(Level.NONE, on=NOTHING)
    async def profile(self, *, context: Context) -> dict[str, Any]:
        """Who the caller is."""
        user = context.user
        return {
            "user_id": user.id,
            "email": user.email,
            "is_anonymous": user.is_anonymous,
            "roles": list(user.roles),
            "workspace": context.workspace,
            "expires_at": user.expires_at,
        }

    @permission(Level.NONE, on=NOTHING)
    async def logout(self, config: dict[str, Any] | None = None, *, context: Context) -> dict[str, Any]:
        """Get the address of the page that ends the browser's session.

        Args:
            config: Nothing is read from it.
        """
        return {"logout_url": f"{self._base_url}{LOGIN_PAGE}?logout=1"}

    # -- for login pages and providers -----------------------------------------------------------

    async def complete(
        self,
        key: str,
        token: str,
        *,
        workspace: str | None = None,
        expires_in: float | None = None,
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """See `hypha.features.sign_in.Login`."""
        record = await self._pending.get(key)
        user = await self._person(token)
        workspace = workspace or record.workspace
        life_s = record.token_life_s if expires_in is None else self._tokens.check_life(expires_in)
        if workspace is not None:
            token = await self._limited(user, workspace, life_s or DEFAULT_CHILD_LIFE_S)
        elif user.expires_at is not None:
            life_s = max(0.0, user.expires_at - time.time())
        answer = _answer(user, token, workspace or user.scope.current_workspace, life_s, profile or {})
        await self._pending.answer(key, answer)
        self._guard.audit.note(
            "login_completed",
            user.id,
            workspace or user.own_workspace,
            detail={"token_id": fingerprint(token), "limited_to": workspace},
        )

    async def _person(self, token: object) -> User:
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
            raise InvalidRequest("Invalid token provided to report_login: it must be text.")
        try:
            user = await self._tokens.authenticate(token)
        except NotAuthenticated as error:
            raise InvalidRequest(f"Invalid token provided to report_login: {error.message}") from None
        if user.scope.is_specialized:
            raise InvalidRequest("Invalid token provided to report_login: it is made for one purpose only.")
        return user

    async def _limited(self, user: User, workspace: str, life_s: float) -> str:
        """A token of a child of this person: in one workspace, with the person's own rights there.

        The person hands on what the credential already gives, so admin rights aren't needed for it.
        """
        check_workspace_id(workspace)
        bound = None if user.is_admin else user.scope.current_workspace
        if workspace == user.own_workspace and bound in (None, workspace):
            await self._workspaces.open(workspace, user)
        level = await self._workspaces.level_in(user, workspace)
        place = await self._workspaces.load(workspace)
        if bound not in (None, workspace) or level is Level.NONE or place is None:
            raise PermissionDenied(f"Permission denied for workspace: {workspace}")
        request = TokenRequest(workspace, level, client_id=user.scope.client_id)
        child = child_of(Context(user, workspace), request, Level.ADMIN)
        guard, tokens = self._guard, self._tokens
        token = await guard.issue_token(tokens, child, life_s, maker=user, name="login", kind="login")
        if not await self._workspaces.is_still(place):
            await guard.take_back_token(tokens, token)  # or it would be good for the next one of that id
            raise PermissionDenied(f"Permission denied for workspace: {workspace}")
        return token

    def _attempt(self, context: Context, key: object) -> _Attempt:
        return _Attempt(self._limits.mistakes, [self._origin_of(context)], key)


class _Attempt:
    """Counts refused keys and tokens, by origin and by key, and lets no more through than allowed."""

    def __init__(self, mistakes: Mistakes, subjects: list[str], key: object) -> None:
        self._mistakes = mistakes
        self._subjects = subjects
        self._key = key

    async def __aenter__(self) -> None:
        self._subjects.append(f"key {key_hash(self._key)}")
        self._mistakes.check(*self._subjects)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, InvalidRequest | PermissionDenied):
            self._mistakes.note(*self._subjects)


def _seconds(timeout: object) -> float:
    if timeout is None:
        return 180.0
    if not is_number(timeout):
        raise InvalidRequest("Invalid timeout: it must be a number of seconds.")
    return float(min(timeout, 24 * 3600))


def _answer(
    user: User, token: str, workspace: str | None, life_s: float | None, profile: Mapping[str, Any]
) -> dict[str, Any]:
    """What `check` gives: the token, and what is known of the person."""
    answer: dict[str, Any] = {
        "token": token,
        "workspace": workspace,
        "expires_in": None if life_s is None else round(life_s),
    }
    for name in PROFILE_FIELDS:
        value = profile.get(name)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise InvalidRequest(f"Invalid {name}: it has more than {MAX_TEXT} characters.")
        check_shown(value, name)
        answer[name] = value
    answer["user_id"] = answer["user_id"] or user.id
    answer["email"] = answer["email"] or user.email
    answer["email_verified"] = _is_verified(user, answer["email"])
    return answer


def _is_verified(user: User, email: object) -> bool:
    """Whether the person's own token proves the address: anybody may report anything beside it."""
    if user.parent is not None or not user.email or not isinstance(email, str):
        return False
    return fold_email(email) == fold_email(user.email)
