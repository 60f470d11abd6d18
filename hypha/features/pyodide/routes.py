"""Routes of the files: Pyodide, wheels, and an index of them as installers read it (PEP 503)."""

from __future__ import annotations

import asyncio

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from hypha.features.pyodide.client_wheel import PROJECT, client_wheel
from hypha.features.pyodide.folder import PyodideFolder
from hypha.web.files import StaticFolder

_FRESH = {"cache-control": "no-cache"}
_SERVED = (".mjs", ".js", ".wasm", ".zip", ".json", ".whl", ".data", ".tar")
"""No pages: they would be pages of the server's own origin."""
_INDEX = "application/vnd.pypi.simple.v1+html"


def routes_of(folder: PyodideFolder) -> list[BaseRoute]:
    """What is served of a folder; below them, its files."""
    answers = _Answers(folder)
    return [
        Route("/index.json", answers.index),
        Route("/pyodide-lock.json", answers.lock),
        Route("/simple/{project}/", answers.project),
        Route("/wheels/{name}", answers.client),
        Mount("/", _Files(folder.path, cache_control="no-cache")),
    ]


class _Files(StaticFolder):
    """The files of the folder itself that Pyodide asks for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one, or 404."""
        if not scope["path"].endswith(_SERVED):
            raise HTTPException(404)
        await super().__call__(scope, receive, send)


class _Answers:
    """What is made of the folder's content."""

    def __init__(self, folder: PyodideFolder) -> None:
        self._folder = folder
        self._client: tuple[str, bytes] | None = None
        self._making = asyncio.Lock()

    async def index(self, request: Request) -> Response:
        """Where Pyodide is (here), and of which projects there are wheels."""
        wheels = await anyio.to_thread.run_sync(self._folder.wheels)
        return JSONResponse({"url": None, "wheels": sorted({*wheels, PROJECT})}, headers=_FRESH)

    async def lock(self, request: Request) -> Response:
        """Pyodide's list of packages."""
        return JSONResponse(await anyio.to_thread.run_sync(self._folder.lock), headers=_FRESH)

    async def project(self, request: Request) -> Response:
        """The wheels of one project; the client's is the server's own, whatever else there is."""
        project = request.path_params["project"]
        if project == PROJECT:
            names = [f"../../wheels/{(await self._made())[0]}"]
        else:
            wheels = await anyio.to_thread.run_sync(self._folder.wheels)
            names = [f"../../{name}" for name in wheels.get(project, ())]
        if not names:
            raise HTTPException(404)
        links = "".join(f'<a href="{name}">{name.rpartition("/")[2]}</a>\n' for name in names)
        return Response(f"<!doctype html>\n{links}", headers=_FRESH, media_type=_INDEX)

    async def client(self, request: Request) -> Response:
        """The wheel of the client."""
        name, content = await self._made()
        if request.path_params["name"] != name:
            raise HTTPException(404)
        return Response(content, headers=_FRESH, media_type="application/zip")

    async def _made(self) -> tuple[str, bytes]:
        async with self._making:
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(client_wheel)
            return self._client
