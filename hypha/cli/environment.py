"""What the command line reads around its arguments: `.env`, and the port given to uvicorn."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import NoReturn

from hypha.errors import ConfigurationError

logger = logging.getLogger(__name__)

UVICORN_PORT = "8000"


def load_env_file() -> None:
    """Load the nearest `.env` file from the working directory upwards; set variables win.

    Raises:
        ConfigurationError: the file cannot be read, or is no UTF-8 text.
    """
    file = nearest_env_file()
    if file is not None:
        from dotenv import load_dotenv

        load_dotenv(stream=io.StringIO(_text_of(file)), override=False)


def values_in(file: Path) -> dict[str, str]:
    """The variables that a `.env` file sets.

    Raises:
        ConfigurationError: as for `load_env_file`.
    """
    from dotenv import dotenv_values

    found = dotenv_values(stream=io.StringIO(_text_of(file)))
    return {name: value for name, value in found.items() if value is not None}


def _text_of(file: Path) -> str:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigurationError(
            f"The file {file} cannot be read ({reason}): let this user read it"
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file {file} is not UTF-8 text: save it as UTF-8") from None
    if "\0" in text:
        raise ConfigurationError(f"The file {file} holds a NUL character: save it as UTF-8 text")
    return text


def nearest_env_file() -> Path | None:
    """The `.env` file in the working directory or the nearest folder above it.

    A directory of that name is none, and folders that may not be looked into are passed over.
    """
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None
    for folder in (here, *here.parents):
        with contextlib.suppress(OSError):
            if (folder / ".env").is_file():
                return folder / ".env"
    return None


def adopt_uvicorn_flags(
    argv: Sequence[str] | None = None, environment: MutableMapping[str, str] | None = None
) -> None:
    """Under `uvicorn hypha.server:app`, copy its `--host` and `--port` into `HYPHA_HOST`/`HYPHA_PORT`.

    uvicorn's default port is adopted too, so that clients are told the address at which it listens.

    Raises:
        ValueError: a variable names another value, or several workers are asked for.
    """
    argv = sys.argv if argv is None else argv
    environment = os.environ if environment is None else environment
    if not _is_uvicorn(argv[0] if argv else ""):
        return
    for name in ("host", "port"):
        given = _flag_value(argv, f"--{name}") or environment.get(f"UVICORN_{name.upper()}")
        variable = f"HYPHA_{name.upper()}"
        present = environment.get(variable)
        if given is None:
            if name == "port" and not any(_flag_value(argv, flag) for flag in ("--uds", "--fd")):
                _adopt_default_port(environment, present)
            continue
        if present and present != given:
            raise ValueError(
                f"uvicorn is given --{name} {given} but {variable} is {present}: let them agree, or unset it"
            )
        environment[variable] = given
    workers = _flag_value(argv, "--workers") or environment.get("WEB_CONCURRENCY") or "1"
    if workers != "1":
        _refuse_workers()


def _adopt_default_port(environment: MutableMapping[str, str], present: str | None) -> None:
    if not present:
        environment["HYPHA_PORT"] = UVICORN_PORT
    elif present != UVICORN_PORT:
        logger.warning(
            "uvicorn listens on its default port %s while HYPHA_PORT is %s: give it --port %s",
            UVICORN_PORT,
            present,
            present,
        )


def _is_uvicorn(program: str) -> bool:
    path = Path(program)
    return path.stem == "uvicorn" or (path.name == "__main__.py" and path.parent.name == "uvicorn")


def _flag_value(argv: Sequence[str], flag: str) -> str | None:
    value = None
    for at, word in enumerate(argv):
        if word == flag and at + 1 < len(argv):
            value = argv[at + 1]
        elif word.startswith(flag + "="):
            value = word.partition("=")[2]
    return value


def _refuse_workers() -> NoReturn:
    """End uvicorn's supervisor too: it would start refused workers again for ever."""
    import multiprocessing
    import signal

    sentence = "--workers above 1 needs Redis, which is not active in this version: start with one worker"
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        raise ValueError(sentence)
    if multiprocessing.current_process().name.endswith("-1"):
        print(f"hypha: {sentence}", file=sys.stderr, flush=True)
        if supervisor.pid and supervisor.pid == os.getppid():
            os.kill(supervisor.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # SIGTERM would end with 0
    raise SystemExit(1)
