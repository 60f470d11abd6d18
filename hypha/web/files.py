"""Folders of files served over HTTP, quick for the small files that pages are made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from hypha.limits import BoundedMap
from hypha.web.ranges import asks_for_ranges, with_ranges_that_count

SMALL_FILE_BYTES = 2 * 1024 * 1024
KEPT_BYTES = 16 * 1024 * 1024


class LargeChunkFileResponse(FileResponse):
    """A file sent in pieces of 2 MiB: each piece costs a trip to a worker thread."""

    chunk_size = SMALL_FILE_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the ranges of it that are asked for."""
        if asks_for_ranges(scope):
            if self.stat_result is None:
                self.stat_result = await anyio.to_thread.run_sync(os.stat, self.path)
            scope = with_ranges_that_count(scope, self.stat_result.st_size)
        await super().__call__(scope, receive, send)


class SmallFiles:
    """Contents of small files that were asked for lately, as long as the files stay as they were.

    At most `kept_bytes` are kept; the least recently used go first.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._contents: BoundedMap[tuple[str, int, int], bytes] = BoundedMap(kept_bytes, len)

    async def read(self, path: str, stat: os.stat_result) -> bytes:
        """The content of a file whose state is known; read in a worker thread if it isn't kept."""
        key = (path, stat.st_mtime_ns, stat.st_size)
        content = self._contents.use(key)
        if content is None:
            content = await anyio.to_thread.run_sync(Path(path).read_bytes)
            if len(content) == stat.st_size:
                self._contents.put(key, content)
        return content


def _within(redirect: RedirectResponse) -> RedirectResponse:
    """The same redirect by path alone: behind a proxy the host and scheme seen here are not the visitor's."""
    target = urlsplit(redirect.headers["location"])
    redirect.headers["location"] = urlunsplit(("", "", target.path, target.query, ""))
    return redirect


class StaticFolder(StaticFiles):
    """One folder with its `index.html`; nothing outside of it can be reached.

    `cache_control` goes into every answer; None leaves it to the browser.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, cache_control: str | None = None, check_dir: bool = True
    ) -> None:
        super().__init__(directory=directory, html=True, check_dir=check_dir, follow_symlink=False)
        self._cache_control = cache_control
        self._small = SmallFiles()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 404; a path that the file system cannot name is not found either."""
        try:
            response = await super().get_response(path, scope)
            if isinstance(response, RedirectResponse):
                return _within(response)
            return await self._quick(response, scope)
        except HTTPException as refusal:
            raise refusal if refusal.status_code == 405 else HTTPException(404) from None
        except (ValueError, OSError):
            raise HTTPException(404) from None

    async def _quick(self, response: Response, scope: Scope) -> Response:
        """The same answer from memory where it is a whole small file."""
        if type(response) is not LargeChunkFileResponse or response.stat_result is None:
            return response
        if response.stat_result.st_size > SMALL_FILE_BYTES or scope["method"] != "GET":
            return response
        if asks_for_ranges(scope):
            return response
        content = await self._small.read(str(response.path), response.stat_result)
        quick = Response(content, response.status_code)
        quick.raw_headers = [(k, v) for k, v in response.raw_headers if k != b"content-length"]
        quick.raw_headers.append((b"content-length", b"%d" % len(content)))
        return quick

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """As StaticFiles does it, with large chunks and the folder's `Cache-Control`."""
        response = LargeChunkFileResponse(full_path, status_code=status_code, stat_result=stat_result)
        if self._cache_control:
            response.headers["cache-control"] = self._cache_control
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response
