"""A small parent that holds the listening socket while the server restarts.

Clients that connect meanwhile wait in the kernel's queue instead of being refused, so they are
back as soon as the server is, without their own growing pauses (docs/spec/reconnecting.md#restarts).
A socket handed over by a service manager (`LISTEN_FDS`) is taken just the same.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from hypha.errors import ConfigurationError

logger = logging.getLogger(__name__)

FIRST_ACTIVATED_FD = 3
LISTENER_VARIABLE = "HYPHA_LISTENER_FD"
SETTLED_AFTER_S = 30.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
LOOK_EVERY_S = 0.05


def inherited_listener(environment: Mapping[str, str] | None = None) -> socket.socket | None:
    """The listening socket that a parent or service manager handed over, or None.

    Raises:
        ConfigurationError: what was handed over is no socket.
    """
    environment = os.environ if environment is None else environment
    given = environment.get(LISTENER_VARIABLE)
    if given is not None and given.isdecimal():
        return _socket_of(given)
    if environment.get("LISTEN_PID") == str(os.getpid()) and environment.get("LISTEN_FDS", "0") != "0":
        return _socket_of(str(FIRST_ACTIVATED_FD))
    return None


def _socket_of(descriptor: str) -> socket.socket:
    try:
        return socket.socket(fileno=int(descriptor))
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"The descriptor {descriptor} that was handed over is no socket") from error


class Supervisor:
    """Runs the server as a child and starts it again when it dies.

    SIGTERM and SIGINT end both; SIGHUP restarts the child in order, e.g. after an upgrade. A child
    that refuses to start the first time is not started again.
    """

    def __init__(self, listener: socket.socket, arguments: Sequence[str]) -> None:
        self._listener = listener
        self._command = [sys.executable, "-m", "hypha.server", *arguments]
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._restarting = False

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit code of the last child."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._restart)
        pause_s = FIRST_PAUSE_S
        has_run = False
        while True:
            began = time.monotonic()
            code = self._run_child()
            lived_s = time.monotonic() - began
            if self._stopping:
                return max(code, 0)
            if self._restarting:
                self._restarting = False
                continue
            if code == 1 and not has_run:
                return code  # it said in one sentence why it cannot start
            has_run = True
            pause_s = FIRST_PAUSE_S if lived_s > SETTLED_AFTER_S else min(pause_s * 2, LONGEST_PAUSE_S)
            logger.warning("The server ended with code %d; starting it again in %.1f s", code, pause_s)
            if not self._pause(pause_s):
                return max(code, 0)

    def _pause(self, pause_s: float) -> bool:
        """Wait until a signal comes or the time is over; False if it is to end.

        A plain sleep would go on after the signal's handler.
        """
        until = time.monotonic() + pause_s
        while not self._stopping and not self._restarting and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
        self._restarting = False
        return not self._stopping

    def _run_child(self) -> int:
        number = self._listener.fileno()
        self._child = subprocess.Popen(
            self._command, pass_fds=(number,), env={**os.environ, LISTENER_VARIABLE: str(number)}
        )
        if self._stopping:  # a signal came between two children
            self._child.terminate()
        return self._child.wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._end_child()

    def _restart(self, _number: int, _frame: FrameType | None) -> None:
        self._restarting = True
        self._end_child()

    def _end_child(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
