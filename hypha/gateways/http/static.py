"""Folders that the operator mounts as static files: `--static-mounts /tools:./webtools`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from hypha.errors import ConfigurationError
from hypha.web.files import StaticFolder

RESERVED_WORDS = frozenset(
    "api-docs api-redoc assets health login metrics openapi.json public static ws ws-anonymous "
    "ws-user-root".split()
)
"""Of the core; features and transports name their own."""
_MOUNT_POINT = re.compile(r"/[A-Za-z0-9._~-]+")


def mount_routes(mounts: Sequence[str], taken: Collection[str] = ()) -> list[BaseRoute]:
    """Routes of the mounts, each given as `/word:folder`; `taken` are further reserved words.

    Raises:
        ConfigurationError: a mount point has the wrong form or is taken (also a ValueError).
        FileNotFoundError: a folder does not exist.
    """
    routes: list[BaseRoute] = []
    seen = set(taken) | RESERVED_WORDS
    for mount in mounts:
        point, folder = parse_mount(mount)
        if point[1:] in seen:
            raise ConfigurationError(f"Static mount {point} collides with a route of the same name")
        seen.add(point[1:])
        routes += _routes(point, folder)
    return routes


def parse_mount(mount: str) -> tuple[str, Path]:
    """Split `/word:folder`; the folder must exist."""
    point, separator, folder = mount.partition(":")
    if not separator or not folder:
        raise ConfigurationError(f"Static mount {mount!r} must be given as /path:folder")
    if not _MOUNT_POINT.fullmatch(point) or point in ("/.", "/.."):
        raise ConfigurationError(f"Static mount {point!r} must start with / and be one word, such as /tools")
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f"The folder of the static mount {point} does not exist: {path}")
    return point, path


def _routes(point: str, folder: Path) -> list[BaseRoute]:
    files = StaticFolder(folder)

    async def index(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    return [Route(point, index, methods=["GET"]), Mount(point, files)]
