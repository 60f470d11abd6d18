"""Where people sign in, and the cookie that keeps them signed in: the same for all ways of signing in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

LOGIN_SERVICE = "hypha-login"
LOGIN_PAGE = f"/public/apps/{LOGIN_SERVICE}/"
"""The page on which people sign in, below the base path."""
LOGIN_FUNCTIONS = f"/public/services/{LOGIN_SERVICE}"
"""What programs and that page call."""

SESSION_COOKIE = "access_token"
OWN_COOKIES = (SESSION_COOKIE.encode(), b"hypha_")
"""How the names of the server's own cookies begin."""


def to_login_page(request: Request, base_path: str) -> Response:
    """Lead a request to the login page, with its query."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{base_path}{LOGIN_PAGE}{query}", 307)


class SessionCookie:
    """The cookie with the token of a browser's person; no script reads it, and no other site sends it.

    Args:
        base_url: where browsers see the server; with HTTPS they send the cookie there alone.
    """

    def __init__(self, base_url: str) -> None:
        self._is_secure = base_url.lower().startswith("https:")

    def set(self, response: Response, token: str, life_s: float) -> None:
        """Sign the browser in that gets this response."""
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=int(life_s),
            path="/",
            samesite="lax",
            secure=self._is_secure,
            httponly=True,
        )

    def delete(self, response: Response, *, name: str = SESSION_COOKIE, path: str = "/") -> None:
        """Sign the browser out; `name` and `path` are for cookies of older pages."""
        response.delete_cookie(name, path=path, samesite="lax", secure=self._is_secure, httponly=True)
