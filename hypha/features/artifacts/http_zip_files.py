"""`…/artifacts/{alias}/zip-files/{zip}`: what is inside zip files of artifacts, without unpacking them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hypha.auth.users import Context
from hypha.errors import InvalidRequest
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.artifact import FileNotFound
from hypha.features.artifacts.files import Found
from hypha.features.artifacts.http_files import FileRoute
from hypha.features.artifacts.http_queries import reference_of, version_of
from hypha.features.artifacts.service import ArtifactManager
from hypha.features.artifacts.zip_directory import unix_of, words_of
from hypha.features.artifacts.zip_index import PAGE, Row, Work, ZipIndex, ZipIndexes
from hypha.features.artifacts.zip_reading import Member
from hypha.objects.paths import check_path
from hypha.web.content import send_object
from hypha.web.credentials import Credentials
from hypha.web.file_routes import is_true
from hypha.web.leaving import unless_left
from hypha.web.workbench import holding_of

INSIDE = "/~/"
"""Between the path of a zip file and the one inside of it."""


class ZipFilesRoute(FileRoute):
    """The route's ASGI endpoint; who asks is found out as for single files."""

    def __init__(self, manager: ArtifactManager, credentials: Credentials) -> None:
        super().__init__(manager, credentials)
        self._indexes = ZipIndexes(manager.parts.store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """List a folder of the archive, or send a member of it."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        query = QueryParams(scope["query_string"])
        archive, inner = _split(scope["path_params"].get("path", ""), query)
        context = await self._context(scope, query, archive)
        found = await self._archive(archive, query, context, scope)
        await unless_left(receive, self._answer(found, archive, inner, scope, send))

    async def _archive(self, path: str, query: QueryParams, context: Context, scope: Scope) -> Found:
        artifact = await self._manager.parts.access.find(reference_of(scope["path_params"]), context)
        self._check_token(context.user, artifact, path, scope["method"])
        version = version_of(query)
        staged = is_staged_asked(version, is_true(query, "stage"))
        artifact = await self._manager.readable(artifact.id, context, "get_file", staged=staged)
        try:
            (found,) = await self._manager.view.find(artifact, version, [check_path(path)], staged=staged)
        except FileNotFound:
            raise FileNotFound(f"ZIP file not found: {path}") from None
        return found

    async def _answer(self, found: Found, archive: str, inner: str, scope: Scope, send: Send) -> None:
        store, work = self._manager.parts.store, holding_of(scope).work
        info = await store.head(found.key)
        index = await self._indexes.of(info, work)
        missing = FileNotFound(f"File not found inside ZIP: {inner[:500]}")
        look, words = self._manager.parts.crew.work, words_of(inner)
        if not inner or inner.endswith("/"):
            rows = await look(partial(index.page, words))
            if rows is None:
                raise missing
            await _send_list(_listed(index, words, rows, look), scope, send)
            return
        entry = await look(partial(index.find, words))
        if entry is None:
            raise missing
        member = Member(store, info, index.place, entry, work)
        await send_object(member, archive, scope, send, filename=member.info.key)


def _split(path: str, query: QueryParams) -> tuple[str, str]:
    """The path of an archive, and the one inside.

    Raises:
        InvalidRequest: the path inside is told twice.
    """
    archive, has_inner, inner = (path + "/" if path.endswith("/~") else path).partition(INSIDE)
    if has_inner and "path" in query:
        raise InvalidRequest("Give the path inside the ZIP once: behind /~/, or as path=.")
    return archive, inner if has_inner else query.get("path", "")


async def _send_list(parts: AsyncIterator[bytes], scope: Scope, send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["method"] == "GET":
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _listed(
    index: ZipIndex, words: tuple[str, ...], rows: Sequence[Row], look: Work
) -> AsyncIterator[bytes]:
    """A folder as JSON, page by page, of which `rows` are the first: there may be a million files in it."""
    opening = b"["
    while rows:
        yield opening + await look(partial(_packed, rows))
        opening = b","
        rows = await look(partial(index.page, words, rows[-1][:2])) if len(rows) == PAGE else ()
    yield b"]" if opening == b"," else b"[]"


def _packed(rows: Sequence[Row]) -> bytes:
    return orjson.dumps([_shown(*row) for row in rows])[1:-1]


def _shown(kind: int, name: str, size: int, changed: int) -> dict[str, Any]:
    if kind:
        return {"type": "directory", "name": name}
    return {"type": "file", "name": name, "size": size, "last_modified": float(unix_of(changed))}
