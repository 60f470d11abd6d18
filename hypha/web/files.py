"""Folders of files served over HTTP, quick for the small files that pages are made of."""

from __future__ import annotations

import os
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

CHUNK_BYTES = 2 * 1024 * 1024


class LargeChunkFileResponse(FileResponse):
    """A file sent in pieces of 2 MiB: each piece costs a trip to a worker thread."""

    chunk_size = CHUNK_BYTES


class StaticFolder(StaticFiles):
    """One folder with its `index.html`; nothing outside of it can be reached."""

    def __init__(self, directory: str | os.PathLike[str], *, cache_control: str | None = None) -> None:
        super().__init__(directory=directory, html=True, follow_symlink=False)
        self._cache_control = cache_control

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 404; a path that the file system cannot name is not found either."""
        try:
            return await super().get_response(path, scope)
        except HTTPException as refusal:
            raise refusal if refusal.status_code == 405 else HTTPException(404) from None
        except (ValueError, OSError):
            raise HTTPException(404) from None

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
