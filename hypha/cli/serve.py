"""Serve: bind the port, build the server, run it under uvicorn until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from hypha.cli.environment import load_env_file
from hypha.cli.listener import bind
from hypha.cli.supervisor import Supervisor, inherited_listener
from hypha.configuration import load_settings
from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.settings import Settings

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM


def run(arguments: argparse.Namespace) -> int:
    """Serve with parsed arguments; returns the exit code of the process."""
    from hypha.observe.logs import setup_logging

    with _one_sentence() as outcome, _stopped_by_signals():
        load_env_file()
        settings, warnings = load_settings(arguments)
        secrets = [text for text in (settings.root_token, settings.jwt_secret) if text]
        setup_logging(settings.loglevel, access_log=settings.access_log, secrets=secrets)
        for warning in warnings:
            logging.getLogger("hypha.settings").warning(warning)
        if settings.interactive:
            from hypha.cli.shell import run_shell

            return run_shell(settings)
        inherited = inherited_listener()
        listener = inherited or bind(settings.host, settings.port)
        with contextlib.closing(listener):
            port = listener.getsockname()[1]
            if settings.supervise and inherited is None:
                return Supervisor(listener, sys.argv[1:]).run()
            serve(dataclasses.replace(settings, port=port), listener)
    return outcome.code


class _Outcome:
    code = 0


class StoppedEarly(KeyboardInterrupt):
    """SIGTERM came while the server was starting."""


@contextlib.contextmanager
def _one_sentence() -> Iterator[_Outcome]:
    """Turn a refusal to start into one sentence and an exit code; a fault of ours into a traceback."""
    outcome = _Outcome()
    try:
        yield outcome
    except (ConfigurationError, BackendUnavailable, FileNotFoundError) as error:
        print(f"hypha: {error}", file=sys.stderr, flush=True)
        outcome.code = EXIT_FAILED
    except KeyboardInterrupt as error:
        print("hypha: stopped by a signal before the server was ready", file=sys.stderr, flush=True)
        outcome.code = EXIT_TERMINATED if isinstance(error, StoppedEarly) else EXIT_INTERRUPTED
    except Exception:
        logger.exception("The server ended by a fault of its own")
        outcome.code = EXIT_FAILED


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Make SIGTERM end the start in order, until the event loop and uvicorn listen to it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StoppedEarly

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _cancelled_by_sigterm() -> Iterator[None]:
    """Cancel what the current task does when SIGTERM comes.

    Raises:
        StoppedEarly: it came.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    has_come = False

    def stop() -> None:
        nonlocal has_come
        has_come = True
        task.cancel()

    try:
        loop.add_signal_handler(signal.SIGTERM, stop)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        yield
        return
    try:
        yield
    except asyncio.CancelledError:
        if has_come:
            raise StoppedEarly from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def serve(settings: Settings, listener: socket.socket) -> None:
    """Build the server and run it until a signal ends it.

    Raises:
        ConfigurationError: the server cannot start; nothing is left running.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, listener))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(settings: Settings, listener: socket.socket) -> None:
    from hypha.assembly import Server
    from hypha.cli.webserver import http_server

    server = Server(settings)
    try:
        with _cancelled_by_sigterm():
            await server.start()
        await http_server(server, settings).serve([listener])
    finally:
        await server.stop()
