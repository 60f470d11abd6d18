"""Who signs people in: the one interface between the login service and its providers.

The login service is asked for as a `Login`. Local accounts, OpenID Connect and the operator's own startup
functions add themselves to it; whatever a provider leaves out stays as it was before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from hypha.auth.hooks import GenerateToken, ParseToken
from hypha.web.credentials import TokenSource

Handler = Callable[..., Awaitable[Any]]
"""A coroutine in the form of built-in functions: type hints, docstring, keyword-only `context`."""

Page = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class LoginProvider:
    """What one provider brings; None leaves the present one in place.

    `page` answers every GET below `/public/apps/hypha-login/` that no function answers; the others
    replace the functions of `hypha-login`, and `functions` adds further ones.

    `parse_token` says whose token it is: None for a token that it doesn't know, which the server
    then reads itself; it raises NotAuthenticated for one that is not valid. `generate_token` makes
    a token of a user for a number of seconds. `get_token` takes a credential out of a request
    (ASGI scope); None lets the usual sources be looked at.
    """

    page: Page | None = None
    index: Handler | None = None
    start: Handler | None = None
    check: Handler | None = None
    report: Handler | None = None
    profile: Handler | None = None
    logout: Handler | None = None
    functions: Mapping[str, Handler] = field(default_factory=dict)
    parse_token: ParseToken | None = None
    generate_token: GenerateToken | None = None
    get_token: TokenSource | None = None


@dataclass(frozen=True, slots=True)
class Button:
    """A way to sign in elsewhere, as the login page shows it; `url` is where it leads."""

    id: str
    name: str
    url: str


class Login(Protocol):
    """What providers may do with the login service."""

    @property
    def buttons(self) -> Sequence[Button]:
        """Where else the login page sends people, in the order in which providers came."""

    def add_button(self, button: Button) -> None:
        """Let the login page send people to a provider's own page."""

    def use(self, provider: LoginProvider) -> None:
        """Put a provider over those that are there."""

    def add_functions(self, functions: Mapping[str, Handler]) -> None:
        """Add functions to `hypha-login`, over RPC and HTTP; the same name replaces."""

    async def complete(
        self,
        key: str,
        token: str,
        *,
        workspace: str | None = None,
        expires_in: float | None = None,
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand a person's token to the program that waits for `key`, as `report` does.

        The token is checked. With a workspace, here or at `start`, the program gets a token for
        that one alone, with at most the person's rights there. `profile` may have email,
        email_verified, name, nickname, user_id and picture.

        Raises:
            InvalidRequest: no such key, or it was reported before.
            NotAuthenticated: the token is not valid.
            PermissionDenied: the person has no right in the workspace.
        """
