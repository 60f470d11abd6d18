"""Files of artifacts over HTTP: `/{workspace}/artifacts/{alias}/files/…`, streamed both ways."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from hypha.auth.scopes import DRAFT_PREFIX, FIXED_PREFIX
from hypha.auth.users import Context, User
from hypha.errors import Conflict, InvalidRequest, PermissionDenied
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.artifact import Artifact, FileNotFound, NotStaged
from hypha.features.artifacts.checks import check_weight
from hypha.features.artifacts.file_records import SHOWN, Staged
from hypha.features.artifacts.files import download_weight
from hypha.features.artifacts.http_queries import reference_of, version_of, weight_of
from hypha.features.artifacts.service import ArtifactManager
from hypha.objects.digests import told_sha256
from hypha.objects.paths import check_folder, check_path
from hypha.web.content import body_of, content_type_of, send_object
from hypha.web.credentials import Credentials
from hypha.web.file_routes import is_true, json_answer, method_refused, told_room, whole
from hypha.web.headers import headers_of
from hypha.web.scope import HEADERS, PERSONAL, TOKEN, USER

METHODS = ("GET", "HEAD", "PUT", "DELETE")
_REMEMBERED = (USER, HEADERS, TOKEN)


class FileRoute:
    """The route's ASGI endpoint."""

    def __init__(self, manager: ArtifactManager, credentials: Credentials) -> None:
        self._manager = manager
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, write, list or remove what is at a path."""
        method = scope["method"]
        if method not in METHODS:
            await method_refused(", ".join(METHODS))(scope, receive, send)
            return
        path: str = scope["path_params"].get("path", "")
        query = QueryParams(scope["query_string"])
        context = await self._context(scope, query, path)
        artifact = await self._manager.parts.access.find(reference_of(scope["path_params"]), context)
        self._check_token(context.user, artifact, path, method)
        _check_fixed(context.user, artifact)
        if method == "PUT":
            await self._put(artifact, path, query, context, scope, receive, send)
        elif method == "DELETE":
            await self._manager.remove_file(artifact.id, path, context=context)
            await json_answer({"success": True})(scope, receive, send)
        elif not path or path.endswith("/"):
            await self._list(artifact, path, query, context, scope, receive, send)
        else:
            await self._get(artifact, path, query, context, scope, receive, send)

    async def _get(
        self, artifact: Artifact, path: str, query: QueryParams, context: Context,
        scope: Scope, receive: Receive, send: Send,
    ) -> None:  # fmt: skip
        checked, version = check_path(path), version_of(query)
        staged = _is_staged(artifact, version, query, context)
        artifact = await self._manager.readable(artifact.id, context, "get_file", staged=staged)
        (found,) = await self._manager.view.find(artifact, version, [checked], staged=staged)
        weight = download_weight(artifact, [checked])
        if weight and scope["method"] == "GET" and not is_true(query, "silent"):
            await self._manager.parts.artifacts.count(artifact.id, downloads=weight)
        await send_object(self._manager.parts.store, found.key, scope, send, receive=receive)

    async def _list(
        self, artifact: Artifact, path: str, query: QueryParams, context: Context,
        scope: Scope, receive: Receive, send: Send,
    ) -> None:  # fmt: skip
        limit, offset, version = whole(query, "limit", 1000), whole(query, "offset", 0), version_of(query)
        staged = _is_staged(artifact, version, query, context)
        entries = await self._manager.list_files(
            artifact.id, check_folder(path), limit, version, staged, offset=offset, context=context
        )
        if not entries:
            raise FileNotFound("File or directory not found")
        await json_answer(entries)(scope, receive, send)

    async def _put(
        self, artifact: Artifact, path: str, query: QueryParams, context: Context,
        scope: Scope, receive: Receive, send: Send,
    ) -> None:  # fmt: skip
        manager = self._manager
        await manager.parts.access.require(artifact, context, "put_file")
        checked, weight = check_path(path), check_weight(weight_of(query))
        if not artifact.is_staged:
            raise NotStaged("Artifact must be in staging mode to upload files")
        most, given = await manager.room_for(artifact), headers_of(scope)
        await manager.staging.announce(artifact, [Staged(checked, False, weight)])
        store, key = manager.parts.store, artifact.stage_key(checked)
        info = await store.put(
            key,
            body_of(receive, given.get(b"content-length", b""), store.gathered(key)),
            content_type=content_type_of(checked, given.get(b"content-type", b"")),
            sha256=told_sha256(given),
            max_bytes=most,
        )
        await manager.staging.check_wanted(artifact, checked)
        done = {"success": True, "message": "File uploaded successfully"}
        room = told_room(await manager.parts.access.kept(artifact.workspace, context), SHOWN)
        await json_answer(done, {"ETag": f'"{info.etag}"', **room})(scope, receive, send)

    # -- who asks

    async def _context(self, scope: Scope, query: QueryParams, path: str) -> Context:
        """On whose behalf a request acts; here alone a token may stand in the query, too.

        A token for one file acts as what it is: with no more rights than its maker gave to it.
        """
        workspace = scope["path_params"]["workspace"]
        asked = _with_token(scope, query.get("token", ""))
        user = await self._credentials.user(asked, allow_specialized=True)
        if asked.get(PERSONAL):
            scope[PERSONAL] = True
        if user.scope.is_specialized:
            return Context(user, user.scope.current_workspace or "", connection_type="http")
        return await self._credentials.context(asked, workspace)

    @staticmethod
    def _check_token(user: User, artifact: Artifact, path: str | None, method: str) -> None:
        """Let a token for single files do with them what it says, and nothing else; None is for all files.

        Raises:
            PermissionDenied: it is for another file, or for something else.
        """
        if not user.scope.is_specialized:
            return
        kind = {"GET": "get_file", "HEAD": "get_file", "PUT": "put_file"}.get(method, "")
        for word in user.scope.extra_scopes:
            said, _, rest = word.partition(":")
            named, _, file = rest.partition(":")
            if said == kind and named in (artifact.id, artifact.full_id) and file and path != "":
                if file == "*" or unquote(file) == path:
                    return
        raise PermissionDenied("Permission denied: this token is for another file.")


def _check_fixed(user: User, artifact: Artifact) -> None:
    """Refuse who may read an artifact only as it was, where it isn't that any more.

    Raises:
        Conflict.
    """
    begin = f"{FIXED_PREFIX}{artifact.alias}@"
    if any(word.startswith(begin) and word != begin + artifact.revision for word in user.scope.extra_scopes):
        raise Conflict("The app was changed since this program of it was started: start it anew.")


def _is_staged(artifact: Artifact, version: str | int | None, query: QueryParams, context: Context) -> bool:
    """Whether the staged files are meant: somebody says so, or acts with a token for the draft."""
    is_for_draft = f"{DRAFT_PREFIX}{artifact.alias}" in context.user.scope.extra_scopes
    return is_staged_asked(version, is_true(query, "stage")) or (version is None and is_for_draft)


def _with_token(scope: Scope, token: str) -> Scope:
    """A request as if its token stood in the header."""
    if not token or b"authorization" in headers_of(scope):
        return scope
    if not token.isascii() or len(token) > 16_384:
        raise InvalidRequest("The token in the query is malformed.")
    headers = [*scope["headers"], (b"authorization", f"Bearer {token}".encode())]
    kept = {name: value for name, value in scope.items() if name not in _REMEMBERED}
    return {**kept, "headers": headers}
