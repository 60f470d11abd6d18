"""Routes of the pages and their files (docs/http.md#addresses)."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from hypha.gateways.context import GatewayContext
from hypha.web.destinations import is_workspace_word
from hypha.web.files import LargeChunkFileResponse, StaticFolder

STATIC_FOLDER = Path(__file__).parent / "static"
TEMPLATES_FOLDER = Path(__file__).parent / "templates"
"""Apps to begin with, each in one file."""
CLIENT_BUILDS = ("hypha-rpc-websocket.js", "hypha-rpc-websocket.mjs")
LIVE_WORKER = "workspace-live.js"
_POLICY = (
    "default-src 'self'; {scripts}; connect-src 'self' ws: wss:; {media}; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
# the published JavaScript client evaluates a string when it loads; the workspace page, where people
# sign in, keeps it in a worker
_EVALUATING = _POLICY.format(scripts="script-src 'self' 'unsafe-eval'", media="img-src 'self' data:")
# it shows what files hold, which its script has loaded
_STRICT = _POLICY.format(
    scripts="script-src 'self'", media="img-src 'self' data: blob:; media-src 'self' blob:"
)
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class Console:
    """The pages, with this server's addresses filled in once."""

    def __init__(self, services: GatewayContext) -> None:
        self._base_path = services.base_path
        filling = {
            "__BASE_PATH__": html.escape(services.base_path),
            "__BASE_URL__": html.escape(services.public_base_url),
            "__VERSION__": html.escape(services.version),
        }
        self._pages = {
            page.stem: _filled(page.read_text("utf-8"), filling) for page in STATIC_FOLDER.glob("*.html")
        }

    def first(self) -> list[BaseRoute]:
        """Files: they own the words `static` and `assets`, and names below `ws`."""
        builds = [Route(f"/assets/{name}", self.client_build) for name in CLIENT_BUILDS]
        folder = StaticFolder(STATIC_FOLDER, cache_control="no-cache")
        worker = Route(f"/assets/{LIVE_WORKER}", self.live_worker)
        templates = [Route(f"/ws/{path.name}", self.template) for path in sorted(TEMPLATES_FOLDER.iterdir())]
        return [Mount("/static", folder), *builds, worker, *templates]

    def last(self) -> list[BaseRoute]:
        """Pages, behind everything else that could be meant."""
        return [
            Route("/", self.landing),
            Route("/api-docs", self.api_docs),
            Route("/api-redoc", self.api_docs),
            Route("/favicon.ico", self.icon),
            Route("/{workspace}/", self.workspace),
            Route("/{workspace}", self.to_workspace),
        ]

    async def landing(self, request: Request) -> Response:
        """What people see first."""
        return self._page("index")

    async def api_docs(self, request: Request) -> Response:
        """The API description, to read."""
        return self._page("api-docs")

    async def icon(self, request: Request) -> Response:
        """The icon for browsers that don't read the page for it."""
        return LargeChunkFileResponse(STATIC_FOLDER / "favicon.svg")

    async def client_build(self, request: Request) -> Response:
        """The published JavaScript client, as it is."""
        name = request.url.path.rpartition("/")[2]
        headers = {"cache-control": "no-cache"}
        return LargeChunkFileResponse(
            STATIC_FOLDER / name, headers=headers, media_type="application/javascript"
        )

    async def template(self, request: Request) -> Response:
        """An app to begin with: a text, which no browser runs as a page of this server."""
        path = TEMPLATES_FOLDER / request.url.path.rpartition("/")[2]
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return LargeChunkFileResponse(path, headers=headers, media_type="text/plain")

    async def live_worker(self, request: Request) -> Response:
        """The worker in which the workspace page runs the client; its policy is its own."""
        headers = {**_PAGE_HEADERS, "content-security-policy": _EVALUATING}
        path = STATIC_FOLDER / "workspace" / "live-worker.js"
        return LargeChunkFileResponse(path, headers=headers, media_type="application/javascript")

    async def workspace(self, request: Request) -> Response:
        """The page of one workspace; it asks for its content with the visitor's rights."""
        if not is_workspace_word(request.path_params["workspace"]):
            raise HTTPException(404)
        return self._page("workspace", _STRICT)

    async def to_workspace(self, request: Request) -> Response:
        """Add the slash that the page's relative links need."""
        name = request.path_params["workspace"]
        if not is_workspace_word(name):
            raise HTTPException(404)
        return RedirectResponse(f"{self._base_path}/{quote(name)}/", 307)

    def _page(self, name: str, policy: str = _EVALUATING) -> Response:
        headers = {**_PAGE_HEADERS, "content-security-policy": policy}
        return Response(self._pages[name], headers=headers, media_type="text/html")


def _filled(text: str, filling: dict[str, str]) -> bytes:
    for mark, value in filling.items():
        text = text.replace(mark, value)
    return text.encode()
