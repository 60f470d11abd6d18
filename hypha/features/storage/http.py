"""Files of workspaces over HTTP: `/{workspace}/files/…`, and uploads in parts."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidKey, InvalidRequest, ObjectNotFound, UnprocessableContent, UploadNotFound
from hypha.features.storage.files import SHOWN, WorkspaceFiles, checked_life
from hypha.features.storage.paths import path_of
from hypha.objects.digests import told_sha256
from hypha.web.content import body_of, content_type_of, send_object
from hypha.web.credentials import Credentials
from hypha.web.endpoint import Endpoint
from hypha.web.file_routes import is_true, json_answer, method_refused, reach_in, told_parts, told_room, whole
from hypha.web.headers import headers_of
from hypha.web.workspace_routes import WorkspaceRoute, context_in
from hypha.workspaces.lifecycle import Workspaces

ALLOWED = "DELETE, GET, HEAD, PUT"


class FileRoutes:
    """The endpoints; the workspace in the address is that whose files are meant."""

    def __init__(
        self, files: WorkspaceFiles, credentials: Credentials, workspaces: Workspaces, bucket_url: str
    ) -> None:
        self._files = files
        self._credentials = credentials
        self._workspaces = workspaces
        self._bucket_url = bucket_url

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            WorkspaceRoute("/{workspace}/files", Endpoint(self.answer)),
            WorkspaceRoute("/{workspace}/files/{path:path}", Endpoint(self.answer)),
            WorkspaceRoute("/{workspace}/create-multipart-upload", self.begin, methods=["POST"]),
            WorkspaceRoute("/{workspace}/create-multipart-upload", self.give_up, methods=["DELETE"]),
            WorkspaceRoute("/{workspace}/complete-multipart-upload", self.complete, methods=["POST"]),
        ]

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, write, list or delete what is at a path."""
        method = scope["method"]
        if method not in ALLOWED.split(", "):
            await method_refused(ALLOWED)(scope, receive, send)
            return
        workspace, path = scope["path_params"]["workspace"], scope["path_params"].get("path", "")
        context = await self._context(scope, workspace)
        context.require(Level.READ if method in ("GET", "HEAD") else Level.READ_WRITE)
        if path.startswith("/"):
            raise InvalidKey("A path begins without '/'.")
        if method == "PUT":
            await self._put(context, path, scope, receive, send)
        elif method == "DELETE":
            is_gone = path.endswith("/") and await self._files.remove_folder(context, path)
            if not (is_gone or (not path.endswith("/") and await self._files.remove_file(context, path))):
                raise ObjectNotFound(f"File not found: {path[:200]}")
            await json_answer({"success": True}, await self._room(context))(scope, receive, send)
        elif not path or path.endswith("/"):
            await (await self._folder(context, path, Request(scope)))(scope, receive, send)
        elif method == "GET" and is_true(QueryParams(scope["query_string"]), "signed"):
            await (await self._signed(context, path, Request(scope)))(scope, receive, send)
        else:
            await self._files.open(context)
            await send_object(self._files.store, path_of(path, context).key, scope, send, receive=receive)

    async def _put(self, context: Context, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        place = path_of(path, context)
        await self._files.check_writable(context, place)
        given = headers_of(scope)
        body = body_of(receive, given.get(b"content-length", b""), self._files.store.gathered_bytes)
        kind = content_type_of(place.key, given.get(b"content-type", b""))
        info = await self._files.put(place, body, kind, told_sha256(given))
        done = {"success": True, "message": "File uploaded successfully"}
        headers = {"ETag": f'"{info.etag}"', **await self._room(context)}
        await json_answer(done, headers)(scope, receive, send)

    async def _room(self, context: Context) -> dict[str, str]:
        return told_room(await self._workspaces.kept(context.workspace), SHOWN)

    async def _folder(self, context: Context, path: str, request: Request) -> Response:
        query = request.query_params
        limit, offset = whole(query, "max_length", 1000), whole(query, "offset", 0)
        children = await self._files.list(context, path, limit, offset)
        if not children and offset == 0:
            raise ObjectNotFound(f"Directory not found: {path[:200]}")
        name = path.rstrip("/").rpartition("/")[2]
        told = {"success": True, "type": "directory", "name": name, "children": children}
        return json_answer(told, await self._room(context))

    async def _signed(self, context: Context, path: str, request: Request) -> Response:
        """Where the file is read without a credential, as `get_file` of the service gives it."""
        query = request.query_params
        life = checked_life(whole(query, "expires_in", 3600), reach_in(query))
        return json_answer(
            {"url": await self._files.get_url(context, path, life)}, {"Cache-Control": "no-store"}
        )

    async def begin(self, request: Request) -> Response:
        """Begin an upload in parts, or go on with that of an `upload_id`: see `WorkspaceFiles`."""
        context = await self._writer(request)
        query = request.query_params
        path, count = query.get("path", ""), whole(query, "part_count", 0)
        if not path or count < 1:
            raise UnprocessableContent("The query names path and part_count, a number from 1 to 10,000.")
        if path.startswith("/"):
            raise InvalidKey("A path begins without '/'.")
        life = checked_life(whole(query, "expires_in", 3600), reach_in(query))
        if upload := query.get("upload_id"):
            return json_answer(await self._files.resume(context, path, upload, count, life))
        return json_answer(await self._files.begin(context, path, count, life))

    async def give_up(self, request: Request) -> Response:
        """Delete what has come of the upload in parts with an `upload_id`: see `WorkspaceFiles`."""
        context = await self._writer(request)
        await self._files.give_up(context, request.query_params.get("upload_id", ""))
        return json_answer({"success": True}, await self._room(context))

    async def complete(self, request: Request) -> Response:
        """Make the file of its parts: `{success, message, etag, location}`."""
        context = await self._writer(request)
        upload, parts = await told_parts(request.receive)
        try:
            _, info = await self._files.complete(context, upload, parts)
        except UploadNotFound as error:
            raise InvalidRequest(error.message) from None
        return json_answer(
            {
                "success": True,
                "message": "File uploaded successfully",
                "etag": f'"{info.etag}"',
                "location": f"{self._bucket_url}/{info.key}",
            }
        )

    async def _context(self, scope: Scope, workspace: str) -> Context:
        return await context_in(self._credentials, self._workspaces, scope, workspace)

    async def _writer(self, request: Request) -> Context:
        context = await self._context(request.scope, request.path_params["workspace"])
        context.require(Level.READ_WRITE)
        return context
