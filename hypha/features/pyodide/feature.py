"""Plugs Python for pages into the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from hypha.errors import ConfigurationError
from hypha.features.base import Feature, FeatureContext
from hypha.features.pyodide.options import PyodideOptions
from hypha.findings import Findings, refusals

if TYPE_CHECKING:
    from hypha.features.pyodide.folder import PyodideFolder
    from hypha.settings import Settings

_PATH = "/assets/pyodide"


class PyodideFeature(Feature):
    """`/assets/pyodide/…`: where a page finds Pyodide, and with `--pyodide-dir` the files themselves."""

    name = "pyodide"
    words = ("assets",)

    async def start(self, context: FeatureContext) -> None:
        """Tell pages where it is.

        Raises:
            ConfigurationError: the folder is not there, or holds no Pyodide.
        """
        options = context.settings.of(PyodideOptions)
        if options.pyodide_dir is None:
            elsewhere = {"url": options.pyodide_url, "wheels": None}

            async def place(request: Request) -> Response:
                return JSONResponse(elsewhere, headers={"cache-control": "no-cache"})

            context.http.add_routes(Route(f"{_PATH}/index.json", place))
            return
        from hypha.features.pyodide.routes import routes_of  # few servers have the folder

        context.http.add_routes(Mount(_PATH, routes=routes_of(_folder(options.pyodide_dir))))

    @classmethod
    def examine(cls, settings: Settings) -> Findings:
        """What `doctor` says of the folder."""
        given = settings.of(PyodideOptions).pyodide_dir
        if given is not None:
            yield from refusals(lambda: _folder(given))


def _folder(given: str) -> PyodideFolder:
    from hypha.features.pyodide.folder import PyodideFolder

    folder = PyodideFolder(Path(given).expanduser())
    missing = folder.missing()
    if missing:
        raise ConfigurationError(
            f"--pyodide-dir: {folder.path} lacks {', '.join(missing)}. Unpack there the npm package "
            "pyodide or a release of Pyodide, and add wheels."
        )
    return folder
