"""`hypha.server:app`: the application for `uvicorn hypha.server:app`, set up by the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hypha.cli.application import create_application
from hypha.cli.environment import adopt_uvicorn_flags, load_env_file
from hypha.cli.streams import secure_streams
from hypha.configuration import get_argparser
from hypha.errors import ConfigurationError
from hypha.observe.logs import setup_logging

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hypha.assembly import Application


class EnvironmentApplication:
    """Reads the settings when it is made, builds the server when it is first used.

    Raises:
        ValueError: uvicorn's flags contradict the environment.
    """

    def __init__(self) -> None:
        secure_streams()
        self._refusal: ConfigurationError | None = None
        try:
            load_env_file()
        except ConfigurationError as error:
            self._refusal = error
        adopt_uvicorn_flags()
        self._application: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; the lifespan scope starts and stops the server."""
        try:
            application = self._built()
        except (ConfigurationError, FileNotFoundError) as error:
            if scope["type"] != "lifespan":
                raise
            # uvicorn takes an exception here for "no lifespan" and would serve on without a server
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await application(scope, receive, send)

    @property
    def state(self) -> Any:
        """The application's state, with `store`."""
        return self._built().state

    def _built(self) -> Application:
        if self._refusal is not None:
            raise self._refusal
        if self._application is None:
            names = ("HYPHA_ROOT_TOKEN", "HYPHA_JWT_SECRET", "JWT_SECRET")
            secrets = [text for name in names if (text := os.environ.get(name, "").strip())]
            setup_logging(os.environ.get("HYPHA_LOGLEVEL", "WARNING"), secrets=secrets)
            self._application = create_application(get_argparser().parse_args(["--from-env"]))
        return self._application
