"""The parent that holds the listening socket."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hypha.cli.supervisor import inherited_listener
from hypha.errors import ConfigurationError


def test_a_socket_handed_over_by_number_is_taken() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    taken = inherited_listener({"HYPHA_LISTENER_FD": str(listener.detach())})
    assert taken is not None
    with taken:
        assert taken.getsockname()[1] == port


@pytest.mark.parametrize("number", ["999", "9" * 40])
def test_what_was_handed_over_and_is_no_socket_is_told_in_one_sentence(number: str) -> None:
    with pytest.raises(ConfigurationError, match="that was handed over is no socket"):
        inherited_listener({"HYPHA_LISTENER_FD": number})


def test_without_a_handed_over_socket_there_is_none() -> None:
    assert inherited_listener({}) is None
    assert inherited_listener({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) is None


SUPERVISED = """
import socket, sys
from hypha.cli import supervisor

supervisor.FIRST_PAUSE_S = supervisor.LONGEST_PAUSE_S = 60.0
parent = supervisor.Supervisor(socket.create_server(("127.0.0.1", 0)), [])
parent._command = [sys.executable, "-c", "print('running', flush=True); raise SystemExit(3)"]
sys.exit(parent.run())
"""


@pytest.fixture
def pausing() -> Iterator[subprocess.Popen[str]]:
    """A supervisor whose server has ended and is to start again only in a minute."""
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout and parent.stderr
        assert parent.stdout.readline() == "running\n"
        assert "starting it again in 60.0 s" in parent.stderr.readline()
        yield parent
        parent.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_is_obeyed_during_the_pause_before_a_restart(
    pausing: subprocess.Popen[str], number: signal.Signals
) -> None:
    pausing.send_signal(number)
    assert pausing.wait(30) == 3
    assert pausing.stdout and pausing.stdout.read() == ""


def test_a_hangup_starts_the_server_without_waiting_for_the_pause_to_end(
    pausing: subprocess.Popen[str],
) -> None:
    pausing.send_signal(signal.SIGHUP)
    assert pausing.stdout and pausing.stdout.readline() == "running\n"
