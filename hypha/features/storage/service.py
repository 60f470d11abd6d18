"""The functions of the service `s3-storage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest
from hypha.features.storage.expiries import checked_ttl
from hypha.features.storage.files import MAX_URL_LIFE_S, WorkspaceFiles, checked_life
from hypha.objects.store import MAX_LISTED, MAX_PARTS
from hypha.objects.urls import in_turns, reach_of

MAX_PATHS = 10_000
"""Files in one call."""

Path = Annotated[str, {"minLength": 1, "examples": ["data/table.csv"]}]
Paths = Annotated[Any, {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}]
LifeTime = Annotated[float, {"minimum": 1, "maximum": MAX_URL_LIFE_S}]
PartCount = Annotated[int, {"minimum": 1, "maximum": MAX_PARTS}]
Length = Annotated[int, {"minimum": 1, "maximum": MAX_LISTED}]
Ttl = Annotated[Any, {"anyOf": [{"type": "number"}, {"type": "array"}, {"type": "null"}]}]

LISTED_BYTES, ADDRESSES_BYTES = 8 * 1024 * 1024, 1024 * 1024
"""For so large answers there must be room: of lists of files and of parts, and of addresses."""


class StorageService:
    """Files of the caller's workspace.

    Bytes go over plain HTTP: `put_file` and `get_file` give addresses that anybody who has one can use until
    it expires, without a token. Paths are relative to the workspace; a leading `/` is for administrators.
    """

    def __init__(self, files: WorkspaceFiles, bucket_url: str) -> None:
        self._files = files
        self._bucket_url = bucket_url

    @permission(Level.READ, gives_bytes=LISTED_BYTES)
    async def list_files(
        self, path: str = "", max_length: Length = 1000, offset: int = 0, *, context: Context
    ) -> list[dict[str, Any]]:
        """List the files and folders of one folder, in the order of their names; of a page the files first.

        Args:
            path: The folder; empty for the whole workspace.
            max_length: How many at most, 1 to 10,000.
            offset: How many to leave out first.
        """
        return await self._files.list(context, path, max_length, offset)

    @permission(Level.READ_WRITE, gives_bytes=ADDRESSES_BYTES)
    async def put_file(
        self,
        file_path: Paths,
        use_proxy: bool | None = None,
        use_local_url: Any = False,
        expires_in: LifeTime = 3600,
        ttl: Ttl = None,
        *,
        context: Context,
    ) -> Any:
        """Get the address at which a file can be written with HTTP `PUT`; for a list of paths a map of them.

        Args:
            file_path: The path, or a list of paths.
            use_proxy: Where files lie in S3: true for an address of this server, false for one of S3.
            use_local_url: True for one of the server's own machine, or the base of the server or of S3.
            expires_in: Seconds until the address is good for nothing, 1 to 604,800.
            ttl: Seconds after its upload in which the file is deleted; a list gives one for each path.
        """
        life = checked_life(expires_in, reach_of(use_proxy, use_local_url))
        paths, is_one = _paths(file_path)
        ttls = _ttls(ttl, len(paths), is_one)
        wanted = dict(zip(paths, ttls, strict=True))
        made = await in_turns(paths, lambda path: self._files.put_url(context, path, life, wanted[path]))
        return made[0] if is_one else dict(zip(paths, made, strict=True))

    @permission(Level.READ, gives_bytes=ADDRESSES_BYTES)
    async def get_file(
        self,
        file_path: Paths,
        use_proxy: bool | None = None,
        use_local_url: Any = False,
        expires_in: LifeTime = 3600,
        *,
        context: Context,
    ) -> Any:
        """Get the address at which a file can be read with HTTP `GET`; for a list of paths a map of them.

        Whether the file is there is found out by who reads it.

        Args:
            file_path: The path, or a list of paths.
            use_proxy: Where files lie in S3: true for an address of this server, false for one of S3.
            use_local_url: True for one of the server's own machine, or the base of the server or of S3.
            expires_in: Seconds until the address is good for nothing, 1 to 604,800.
        """
        life = checked_life(expires_in, reach_of(use_proxy, use_local_url))
        paths, is_one = _paths(file_path)
        made = await in_turns(paths, lambda path: self._files.get_url(context, path, life))
        return made[0] if is_one else dict(zip(paths, made, strict=True))

    @permission(Level.READ_WRITE, gives_bytes=LISTED_BYTES)
    async def put_file_start_multipart(
        self,
        file_path: Path,
        part_count: PartCount,
        expires_in: LifeTime = 3600,
        ttl: float | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Begin an upload in parts: gives `upload_id`, and for each part its number and address.

        Args:
            file_path: Where the file will be.
            part_count: How many parts there are, 1 to 10,000.
            expires_in: Seconds until the addresses are good for nothing, 1 to 604,800.
            ttl: Seconds after its completion in which the file is deleted.
        """
        return await self._files.begin(
            context, file_path, part_count, checked_life(expires_in), checked_ttl(ttl)
        )

    @permission(Level.READ_WRITE)
    async def put_file_complete_multipart(
        self, upload_id: str, parts: list[Any], *, context: Context
    ) -> dict[str, Any]:
        """Make the file of its parts. Until then nothing is there, or what was there before.

        Args:
            upload_id: As `put_file_start_multipart` gave it.
            parts: `{part_number, etag}` of each part; the ETag is in the answer to its `PUT`.
        """
        path, info = await self._files.complete(context, upload_id, parts)
        return {
            "success": True,
            "message": f"File uploaded successfully: {path.shown}",
            "etag": f'"{info.etag}"',
            "location": f"{self._bucket_url}/{info.key}",
        }

    @permission(Level.READ_WRITE)
    async def remove_file(self, path: Path, *, context: Context) -> dict[str, Any]:
        """Delete a file, or a folder with all below it.

        Args:
            path: The file, or the folder with or without `/` at its end.
        """
        if not (isinstance(path, str) and path.endswith("/")):
            if await self._files.remove_file(context, path):
                return {"success": True, "message": f"File deleted successfully: {path}"}
        if await self._files.remove_folder(context, path):
            return {"success": True, "message": f"Directory deleted successfully: {path}"}
        return {"success": False, "message": f"Path does not exist: {path}"}

    @permission(Level.READ_WRITE)
    async def delete_file(self, path: Path, *, context: Context) -> dict[str, Any]:
        """Delete a file; use `remove_file`.

        Args:
            path: The file.
        """
        if isinstance(path, str) and path.endswith("/"):
            raise InvalidRequest("The path of a file doesn't end in '/': use delete_directory for folders.")
        if await self._files.remove_file(context, path):
            return {"success": True, "message": f"File deleted successfully: {path}"}
        return {"success": False, "message": f"Path does not exist: {path}"}

    @permission(Level.READ_WRITE)
    async def delete_directory(self, path: Path, *, context: Context) -> dict[str, Any]:
        """Delete a folder with all below it; use `remove_file`.

        Args:
            path: The folder, with `/` at its end.
        """
        if not isinstance(path, str) or not path.endswith("/"):
            raise InvalidRequest("The path of a folder ends in '/': use delete_file for files.")
        if await self._files.remove_folder(context, path):
            return {"success": True, "message": f"Directory deleted successfully: {path}"}
        return {"success": False, "message": f"Path does not exist: {path}"}

    @permission(Level.READ, note="read on current workspace; read_write for `put_object`")
    async def generate_presigned_url(
        self,
        path: Path,
        client_method: Annotated[str, {"enum": ["get_object", "put_object"]}] = "get_object",
        expiration: LifeTime = 3600,
        *,
        context: Context,
    ) -> str:
        """Get the address of a file; use `get_file` and `put_file`.

        Args:
            path: The file.
            client_method: `get_object` to read it, `put_object` to write it.
            expiration: Seconds until the address is good for nothing, 1 to 604,800.
        """
        life = checked_life(expiration)
        if client_method == "get_object":
            return await self._files.get_url(context, path, life)
        if client_method == "put_object":
            context.require(Level.READ_WRITE)
            return await self._files.put_url(context, path, life)
        raise InvalidRequest("client_method is get_object or put_object.")


def _paths(given: object) -> tuple[list[str], bool]:
    """Paths of one call, and whether it was one alone."""
    if isinstance(given, str):
        return [given], True
    if not isinstance(given, Sequence) or isinstance(given, bytes) or not 1 <= len(given) <= MAX_PATHS:
        raise InvalidRequest(f"file_path is a path, or a list of 1 to {MAX_PATHS:,} paths.")
    if not all(isinstance(path, str) for path in given):
        raise InvalidRequest("Each path is a text.")
    return list(given), False


def _ttls(ttl: object, count: int, is_one: bool) -> list[float | None]:
    if isinstance(ttl, list | tuple):
        if is_one or len(ttl) != count:
            raise InvalidRequest("ttl is a number of seconds, or a list with one for each path.")
        return [checked_ttl(each) for each in ttl]
    return [checked_ttl(ttl)] * count
