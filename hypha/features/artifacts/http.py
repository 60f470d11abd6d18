"""Artifacts over HTTP: `/{workspace}/artifacts/…`, lists, artifacts themselves, and uploads in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hypha.auth.users import Context
from hypha.errors import ArtifactNotFound, InvalidRequest, UnprocessableContent, UploadNotFound
from hypha.features.artifacts.functions_lists import Wanted
from hypha.features.artifacts.http_files import FileRoute
from hypha.features.artifacts.http_queries import reference_of, version_of, weight_of
from hypha.features.artifacts.http_zip import ZipRoute
from hypha.features.artifacts.http_zip_files import ZipFilesRoute
from hypha.features.artifacts.service import ArtifactManager
from hypha.web.credentials import Credentials
from hypha.web.downloads import keep_answer
from hypha.web.file_routes import is_true, reach_in, told_parts, whole
from hypha.web.headers import headers_of
from hypha.web.workbench import holding_of
from hypha.web.workspace_routes import WorkspaceRoute

BASE = "/{workspace}/artifacts"


class ArtifactRoutes:
    """The endpoints. Who asks acts where its credential says, never just because of the address."""

    def __init__(self, manager: ArtifactManager, credentials: Credentials) -> None:
        self._manager = manager
        self._credentials = credentials

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        one, files = f"{BASE}/{{alias}}", FileRoute(self._manager, self._credentials)
        return [
            WorkspaceRoute(BASE, self.list, methods=["GET"]),
            WorkspaceRoute(f"{BASE}/", self.list, methods=["GET"]),
            WorkspaceRoute(f"{BASE}/-/search", self.search, methods=["GET"]),
            WorkspaceRoute(one, self.read, methods=["GET"]),
            WorkspaceRoute(f"{one}/children", self.children, methods=["GET"]),
            WorkspaceRoute(f"{one}/files", files),
            WorkspaceRoute(f"{one}/files/{{path:path}}", files),
            WorkspaceRoute(f"{one}/create-zip-file", ZipRoute(self._manager, self._credentials)),
            WorkspaceRoute(f"{one}/zip-files/{{path:path}}", ZipFilesRoute(self._manager, self._credentials)),
            WorkspaceRoute(f"{one}/create-multipart-upload", self.begin, methods=["POST"]),
            WorkspaceRoute(f"{one}/complete-multipart-upload", self.complete, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """The artifacts of a workspace that are in no collection, as far as the caller may see them."""
        return await self._listed(request, everywhere=False)

    async def search(self, request: Request) -> Response:
        """The same wherever they are."""
        return await self._listed(request, everywhere=True)

    async def children(self, request: Request) -> Response:
        """What is in a collection."""
        context = await self._context(request)
        try:
            parent = await self._manager.parts.access.find(reference_of(request.path_params), context)
        except ArtifactNotFound:
            raise ArtifactNotFound("Parent artifact not found") from None
        is_paged = is_true(request.query_params, "pagination")
        wanted = _wanted(request)
        found = await self._manager.listed(parent, wanted, context, everywhere=False, pagination=is_paged)
        if not is_true(request.query_params, "silent") and request.method == "GET":
            await self._manager.parts.artifacts.count(parent.id, views=1)
        return await answer(request, found)

    async def read(self, request: Request) -> Response:
        """One artifact."""
        query, context = request.query_params, await self._context(request)
        named = await self._named(request, context)
        is_silent = is_true(query, "silent") or request.method == "HEAD"
        found = await self._manager.read(
            named, is_silent, version_of(query), is_true(query, "stage"), context=context
        )
        return await answer(request, found)

    async def begin(self, request: Request) -> Response:
        """Begin an upload in parts: `{upload_id, parts: [{part_number, url}]}`."""
        query, context = request.query_params, await self._context(request)
        path, count = query.get("path", ""), whole(query, "part_count", 0)
        if not path or count < 1:
            raise UnprocessableContent("The query names path and part_count, a number from 1 to 10,000.")
        reach = reach_in(query)
        begun = await self._manager.put_file_start_multipart(
            await self._named(request, context), path, count, weight_of(query),
            whole(query, "expires_in", 3600),
            use_proxy=reach.proxied, use_local_url=reach.base or reach.is_local,
            sha256=query.get("sha256"), context=context,
        )  # fmt: skip
        return await answer(request, begun)

    async def complete(self, request: Request) -> Response:
        """Make the file of its parts: `{success, message}`."""
        context = await self._context(request)
        upload, parts = await told_parts(request.receive)
        named = await self._named(request, context)
        try:
            done = await self._manager.put_file_complete_multipart(named, upload, parts, context=context)
        except UploadNotFound as error:
            raise InvalidRequest(error.message) from None
        return await answer(request, done)

    async def _listed(self, request: Request, *, everywhere: bool) -> Response:
        context = await self._context(request)
        is_paged = is_true(request.query_params, "pagination")
        found = await self._manager.listed(
            None, _wanted(request), context, everywhere=everywhere, pagination=is_paged
        )
        return await answer(request, found)

    async def _context(self, request: Request) -> Context:
        return await self._credentials.context(request.scope, request.path_params["workspace"])

    async def _named(self, request: Request, context: Context) -> str:
        return await named_in(self._manager, request.path_params, context)


async def named_in(manager: ArtifactManager, path: Mapping[str, str], context: Context) -> str:
    """The internal id of the artifact that an address names, in the workspace that it names.

    Raises:
        ArtifactNotFound: there is none.
    """
    found = await manager.parts.access.find(reference_of(path), context)
    if found.workspace != path["workspace"]:
        raise ArtifactNotFound(f"Artifact with ID '{path['alias'][:100]}' does not exist.")
    return found.id


async def answer(request: Request, value: Any) -> Response:
    """JSON for this caller alone, which may keep it and asks each time whether it is still good."""
    if _is_long(value):  # made in the caller's share of the threads
        body, tag = await holding_of(request.scope).work(partial(_tagged, value))
    else:
        body, tag = _tagged(value)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = headers_of(request.scope).get(b"if-none-match", b"").decode("latin-1")
    if request.method == "GET" and tag in known:
        return Response(None, 304, headers)
    await keep_answer(request.scope, len(body))
    return Response(body, 200, headers, media_type="application/json")


def _tagged(value: Any) -> tuple[bytes, str]:
    body = orjson.dumps(value)
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _is_long(value: Any) -> bool:
    items = value.get("items", ()) if isinstance(value, Mapping) else value
    return isinstance(items, list) and len(items) > 20


def _wanted(request: Request) -> Wanted:
    query = request.query_params
    words = [word.strip() for word in query.get("keywords", "").split(",") if word.strip()]
    filters = None
    if text := query.get("filters"):
        try:
            filters = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise InvalidRequest('filters is a JSON object such as {"type": "dataset"}.') from None
    stage = query.get("stage", "false").lower()
    return Wanted(
        words, filters, query.get("mode", "AND"), whole(query, "offset", 0), whole(query, "limit", 100),
        query.get("order_by"), "all" if stage == "all" else is_true(query, "stage"),
        request.path_params["workspace"],
    )  # fmt: skip
