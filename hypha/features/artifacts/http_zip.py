"""`…/artifacts/{alias}/create-zip-file`: the files of an artifact as one archive, made as it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hypha.errors import InvalidRequest, LimitReached
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.artifact import Artifact, FileNotFound
from hypha.features.artifacts.file_records import File
from hypha.features.artifacts.files import MAX_PATHS, download_weight
from hypha.features.artifacts.http_files import FileRoute
from hypha.features.artifacts.http_queries import reference_of, version_of
from hypha.features.artifacts.service import ArtifactManager
from hypha.features.artifacts.zip_writing import KEPT_CHECKSUMS, Archive, Checksums
from hypha.objects.paths import check_path
from hypha.objects.store import ObjectStore
from hypha.web.content import disposition, one_range
from hypha.web.credentials import Credentials
from hypha.web.file_routes import is_true
from hypha.web.headers import headers_of
from hypha.web.leaving import unless_left
from hypha.web.scope import SENT_AS_IT_IS
from hypha.web.workbench import holding_of

MAX_ZIPPED = 200_000
"""Files of an archive: their names are in memory while it is sent."""
WEIGHT_KEY = "create-zip-file"
LAID_OUT_AT_ONCE = 2000
"""Archives of more files are laid out in the caller's share of the threads."""


class ZipRoute(FileRoute):
    """The route's ASGI endpoint; who asks is found out as for single files."""

    def __init__(self, manager: ArtifactManager, credentials: Credentials) -> None:
        super().__init__(manager, credentials)
        self._checksums = Checksums(KEPT_CHECKSUMS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the archive, or the range of it that is asked for."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        query = QueryParams(scope["query_string"])
        context = await self._context(scope, query, "*")
        artifact = await self._manager.parts.access.find(reference_of(scope["path_params"]), context)
        self._check_token(context.user, artifact, None, scope["method"])
        version = version_of(query)
        if is_staged_asked(version, is_true(query, "stage")):
            raise InvalidRequest("What is staged is not packed: commit it first.")
        artifact = await self._manager.readable(artifact.id, context, "get_file", staged=False)
        files = await self._files(artifact, version, query.getlist("file"))
        if scope["method"] == "GET" and not is_true(query, "silent"):
            await self._count(artifact, files)
        await unless_left(
            receive, _send(self._manager.parts.store, artifact, files, self._checksums, scope, send)
        )

    async def _files(self, artifact: Artifact, version: object, named: Sequence[str]) -> list[File]:
        """The files to pack: those that are named, else all.

        Raises:
            FileNotFound: a named one is not there. LimitReached: there are too many.
        """
        found, number = artifact.version(version), artifact.version(version).number
        if found.file_count > MAX_ZIPPED or len(named) > MAX_PATHS:
            raise LimitReached(f"An archive has at most {MAX_ZIPPED:,} files: name those that you want.")
        if not named:
            return await self._manager.view.all_of(artifact, version)
        paths = list(dict.fromkeys(check_path(path) for path in named))
        known = await self._manager.parts.files.find(artifact.id, number, paths)
        for path in paths:
            if path not in known:
                raise FileNotFound(f"File '{path}' does not exist in the artifact {artifact.full_id}.")
        return [known[path] for path in paths]

    async def _count(self, artifact: Artifact, files: Sequence[File]) -> None:
        own = (artifact.config.get("download_weights") or {}).get(WEIGHT_KEY)
        weight = own if own is not None else download_weight(artifact, [file.path for file in files])
        if weight:
            await self._manager.parts.artifacts.count(artifact.id, downloads=weight)


async def _send(
    store: ObjectStore,
    artifact: Artifact,
    files: Sequence[File],
    checksums: Checksums,
    scope: Scope,
    send: Send,
) -> None:
    lay_out = partial(Archive, store, artifact.folder, files, checksums)
    archive = lay_out() if len(files) <= LAID_OUT_AT_ONCE else await holding_of(scope).work(lay_out)
    asked = headers_of(scope).get(b"range") if scope["method"] == "GET" else None
    part = one_range(asked, archive.size) if asked is not None else None
    scope[SENT_AS_IT_IS] = True
    start, stop = part or (0, archive.size)
    headers = [
        (b"content-type", b"application/zip"),
        (b"content-length", b"%d" % (stop - start)),
        (b"content-disposition", disposition(f"{artifact.alias}.zip")),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if part:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, archive.size)))
    await send({"type": "http.response.start", "status": 206 if part else 200, "headers": headers})
    if scope["method"] == "GET":
        async for piece in archive.pieces(start, stop):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
