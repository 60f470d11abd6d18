"""Startup functions: a user's own code that runs inside the server before it becomes ready.

Each gets one argument, the server object: the same that `connect_to_server` of the client library
gives, over a connection inside the process, bound to root in the workspace `public`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import logging
import sys
import types
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypha.errors import ConfigurationError

logger = logging.getLogger(__name__)

StartupFunction = Callable[[Any], Awaitable[object]]


def load_startup_function(uri: str) -> StartupFunction:
    """Import the coroutine function of `path/file.py:function` or `module.name:function`.

    Raises:
        ConfigurationError: the form is wrong, nothing is there, or it is no coroutine function.
            A fault inside the file itself is raised as it is.
    """
    place, _, name = uri.rpartition(":")
    if not place or not name:
        raise ConfigurationError(
            f"Startup function {uri!r} must be given as file.py:function or module:function"
        )
    module = _load_file(place) if place.endswith(".py") else _load_module(place)
    function = getattr(module, name, None)
    if function is None:
        raise ConfigurationError(f"Startup function {uri!r}: {place} has no {name!r}")
    if not inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"Startup function {uri!r} must be declared with `async def`")
    return function  # type: ignore[no-any-return]


def _load_file(place: str) -> types.ModuleType:
    path = Path(place).expanduser().absolute()
    if not path.is_file():
        raise ConfigurationError(f"Startup function: the file {path} does not exist")
    name = f"hypha_startup_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"Startup function: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load_module(place: str) -> types.ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if place == missing or place.startswith(missing + "."):
            raise ConfigurationError(f"Startup function: the module {place} does not exist") from error
        raise


async def run_startup_functions(
    uris: Sequence[str], new_server_object: Callable[[], Awaitable[Any]]
) -> Any | None:
    """Load all functions, then call them in order with one server object, which is returned.

    Without functions no object is made, since that needs the client library.

    Raises:
        ConfigurationError: a function cannot be loaded or failed; the log has the traceback.
    """
    if not uris:
        return None
    logger.info("Startup functions: %s", ", ".join(uris))
    functions = [(uri, _load_logged(uri)) for uri in dict.fromkeys(uris)]
    server = await new_server_object()
    for uri, function in functions:
        try:
            await function(server)
        except SystemExit as error:
            raise ConfigurationError(f"Startup function {uri} ended the program: {error}") from error
        except Exception as error:
            logger.exception("Startup function %s failed", uri)
            raise ConfigurationError(
                f"Startup function {uri} failed: {type(error).__name__}: {error}"
            ) from error
    return server


def _load_logged(uri: str) -> StartupFunction:
    try:
        return load_startup_function(uri)
    except ConfigurationError:
        raise
    except SyntaxError as error:
        raise ConfigurationError(
            f"Startup function {uri} cannot be imported: {error.msg} in {error.filename}, line {error.lineno}"
        ) from error
    except (OSError, UnicodeError, SystemExit) as error:
        raise ConfigurationError(
            f"Startup function {uri} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    except Exception as error:
        logger.exception("Startup function %s cannot be imported", uri)
        raise ConfigurationError(
            f"Startup function {uri} cannot be imported: {type(error).__name__}: {error}"
        ) from error


class _OpenedConnection:
    """A connection that is open already, in the form that the client library opens one."""

    def __init__(self, connection: Any, info: Mapping[str, Any]) -> None:
        self._opened = connection
        self._info = dict(info)

    async def open(self) -> dict[str, Any]:
        """The connection info, as after a handshake."""
        return self._info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)


async def server_object(connection: Any, info: Mapping[str, Any], extras: Mapping[str, Any]) -> Any:
    """Make the server object of startup functions over an in-process connection.

    The client library assembles it; only its connection class is replaced, in a copy of its
    function, so that the object is the same as every client's. `info` is the connection info with
    `workspace`, `client_id`, `public_base_url` and `manager_id`; `extras` are added as items.
    """
    from hypha_rpc import websocket_client as library

    loop: Any = asyncio.get_running_loop()
    loop._hypha_exception_handler_set = True  # keeps the library from hiding the server's own faults
    names = dict(vars(library))
    names["WebsocketRPCConnection"] = lambda *_args, **_kwargs: _OpenedConnection(connection, info)
    names["IS_PYODIDE"] = False
    connect = types.FunctionType(library._connect_to_server.__code__, names)
    server = await connect(
        {
            "server_url": info["public_base_url"],
            "workspace": info["workspace"],
            "client_id": info["client_id"],
            "logger": logging.getLogger("hypha.startup.client"),
        }
    )
    for name, value in extras.items():
        server[name] = value
    return server
